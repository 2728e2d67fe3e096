/* SPDX-License-Identifier: MIT */
#include "sinkring.h"

#include <errno.h>
#include <string.h>

void sinkring_init(struct sinkring *ring)
{
	g_mutex_init(&ring->lock);
	g_cond_init(&ring->changed);
}

void sinkring_finish(struct sinkring *ring)
{
	gst_clear_object(&ring->allocator);
	weir_writer_free(&ring->writer);
	g_cond_clear(&ring->changed);
	g_mutex_clear(&ring->lock);
}

SlotAllocator *sinkring_ref(struct sinkring *ring)
{
	SlotAllocator *allocator;

	g_mutex_lock(&ring->lock);
	allocator = ring->allocator != NULL ? gst_object_ref(ring->allocator) : NULL;
	g_mutex_unlock(&ring->lock);
	return allocator;
}

void sinkring_end(struct sinkring *ring, bool is_eos)
{
	SlotAllocator *allocator;

	g_mutex_lock(&ring->lock);
	allocator = ring->allocator;
	ring->allocator = NULL;
	g_mutex_unlock(&ring->lock);
	if (allocator != NULL) {
		slotallocator_end(allocator, is_eos);
		gst_object_unref(allocator);
	}
}

void sinkring_finish_stream(struct sinkring *ring)
{
	SlotAllocator *allocator = sinkring_ref(ring);

	if (allocator != NULL) {
		slotallocator_end(allocator, true);
		gst_object_unref(allocator);
	}
}

uint32_t sinkring_kind(struct sinkring *ring)
{
	SlotAllocator *allocator = sinkring_ref(ring);
	uint32_t kind = 0;

	if (allocator != NULL) {
		kind = slotallocator_format(allocator)->kind;
		gst_object_unref(allocator);
	}
	return kind;
}

/* Waits for sinkring_set_writer(), until the deadline or sinkring_unlock(). */
static int wait_for_writer(struct sinkring *ring, gint unlocks, GstPad *pad, struct weir_writer **writer)
{
	gint64 deadline_us = g_get_monotonic_time() + WEIRSINK_RING_NS / 1000;
	int r = 0;

	g_mutex_lock(&ring->lock);
	while (ring->writer == NULL && ring->writer_status == 0 && r == 0) {
		/* The flag beside the count: unlock may have come before this thread looked at the count. */
		if (g_atomic_int_get(&ring->unlocks) != unlocks || GST_PAD_IS_FLUSHING(pad))
			r = -EINTR;
		else if (!g_cond_wait_until(&ring->changed, &ring->lock, deadline_us))
			r = -ETIMEDOUT;
	}
	if (r == 0)
		r = ring->writer_status;
	if (r == 0) {
		*writer = ring->writer;
		ring->writer = NULL;
	}
	ring->wanted = NULL;
	g_mutex_unlock(&ring->lock);
	return r;
}

int sinkring_replace(struct sinkring *ring, const struct weirsink_provider *provider, const struct weir_format *format,
	bool lossless, GstPad *pad)
{
	struct weir_writer *writer = NULL;
	SlotAllocator *allocator;
	gint unlocks;
	int r;

	sinkring_end(ring, !provider->follows);
	g_mutex_lock(&ring->lock);
	weir_writer_free(&ring->writer);
	ring->wanted = format;
	ring->writer_status = 0;
	unlocks = g_atomic_int_get(&ring->unlocks);
	g_mutex_unlock(&ring->lock);
	r = provider->want(provider->data, format, format->payload_bytes, SLOTALLOCATOR_LOANS);
	if (r < 0)
		sinkring_set_writer(ring, NULL, r);
	r = wait_for_writer(ring, unlocks, pad, &writer);
	if (r < 0)
		return r;
	if (weir_writer_slot_bytes(writer) < format->payload_bytes) {
		weir_writer_free(&writer);
		return -EMSGSIZE;
	}
	allocator = slotallocator_new(writer, lossless);
	if (allocator == NULL)
		return -EMFILE;
	g_mutex_lock(&ring->lock);
	ring->allocator = allocator;
	g_mutex_unlock(&ring->lock);
	return 0;
}

void sinkring_set_writer(struct sinkring *ring, struct weir_writer *writer, int status)
{
	g_mutex_lock(&ring->lock);
	/* An answer that comes after its want was given up belongs to nobody, even if there is another want by now. */
	if (ring->wanted != NULL && ring->writer == NULL &&
		(writer == NULL || memcmp(weir_writer_format(writer), ring->wanted, sizeof(*ring->wanted)) == 0)) {
		ring->writer = writer;
		ring->writer_status = status;
		writer = NULL;
		g_cond_broadcast(&ring->changed);
	}
	g_mutex_unlock(&ring->lock);
	weir_writer_free(&writer);
}

void sinkring_unlock(struct sinkring *ring)
{
	SlotAllocator *allocator;

	g_mutex_lock(&ring->lock);
	g_atomic_int_inc(&ring->unlocks);
	g_cond_broadcast(&ring->changed);
	g_mutex_unlock(&ring->lock);
	allocator = sinkring_ref(ring);
	if (allocator != NULL) {
		slotallocator_unlock(allocator);
		gst_object_unref(allocator);
	}
}

void sinkring_unlock_stop(struct sinkring *ring)
{
	SlotAllocator *allocator = sinkring_ref(ring);

	if (allocator != NULL) {
		slotallocator_unlock_stop(allocator);
		gst_object_unref(allocator);
	}
}
