/* SPDX-License-Identifier: MIT */
#include "sinkstream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define GST_CAT_DEFAULT weirsink_debug

/* The ring is too small for what comes: another one is needed. */
#define TOO_SMALL (-EMSGSIZE)

GST_DEBUG_CATEGORY_STATIC(performance);

void sinkstream_init(struct sinkstream *stream, GstBaseSink *sink, const struct weirsink_provider *provider)
{
	GST_DEBUG_CATEGORY_GET(performance, "GST_PERFORMANCE");
	stream->sink = sink;
	stream->provider = provider;
	g_mutex_init(&stream->lock);
	sinkring_init(&stream->ring);
	stream->stats.next_pts_ns = WEIR_TIME_NONE;
}

void sinkstream_finish(struct sinkstream *stream)
{
	sinkring_finish(&stream->ring);
	wire_out_free(&stream->wire);
	g_mutex_clear(&stream->lock);
}

void sinkstream_start(struct sinkstream *stream, struct serve *serve, bool lossless)
{
	stream->serve = serve;
	stream->lossless = lossless;
	stream->discontinuity = stream->stats.frames > 0;
	stream->source_known = false;
	stream->epoch.clock = NULL;
	if (serve == NULL)
		return;
	stream->wire = wire_out_new();
	stream->buffers = stream->dropped_before = 0;
	memset(&stream->format, 0, sizeof(stream->format));
}

void sinkstream_stop(struct sinkstream *stream)
{
	if (stream->serve != NULL)
		sinkring_end(&stream->ring, false);
	wire_out_free(&stream->wire);
	stream->serve = NULL;
}

void sinkstream_learn_source(struct sinkstream *stream)
{
	gint unlocks = g_atomic_int_get(&stream->ring.unlocks);

	if (stream->source_known && stream->source_unlocks == unlocks)
		return;
	stream->source_unlocks = unlocks;
	videoframe_learn_source(&stream->source, GST_ELEMENT_CAST(stream->sink), GST_BASE_SINK_PAD(stream->sink));
	/* A sink that plays in time holds everything back for as long as the slowest one of its pipeline. */
	if (gst_base_sink_get_sync(stream->sink))
		stream->source.latency_ns = MAX(stream->source.latency_ns, gst_base_sink_get_latency(stream->sink));
}

/* --- buffers ---------------------------------------------------------------------------------------------------- */

/* Copies a buffer that was made elsewhere into a slot. 0, or as slotallocator_claim(); -EBADMSG: it is no picture. */
static int copy_into_slot(struct sinkstream *stream, SlotAllocator *allocator, GstBuffer *buffer, GstMemory **memory)
{
	GstMemory *slot;
	GstMapInfo map;
	int r = slotallocator_claim(allocator, &slot);

	if (r < 0)
		return r;
	if (stream->info.size > 0) {
		r = videoframe_copy(&stream->info, slot, buffer) ? 0 : -EBADMSG;
	} else {
		gst_memory_map(slot, &map, GST_MAP_WRITE);
		gst_buffer_extract(buffer, 0, map.data, map.size);
		gst_memory_unmap(slot, &map);
	}
	if (r < 0) {
		gst_memory_unref(slot);
		return r;
	}
	slotallocator_count_copy(allocator);
	GST_CAT_LOG_OBJECT(performance, stream->sink,
		"copied a buffer of %" G_GSIZE_FORMAT " bytes that upstream made in other memory",
		gst_buffer_get_size(buffer));
	*memory = slot;
	return 0;
}

static struct wire_times times_of(struct sinkstream *stream, GstBuffer *buffer)
{
	struct wire_times times = {
		.buffers = stream->buffers,
		.pts = GST_CLOCK_TIME_NONE,
		.dts = GST_CLOCK_TIME_NONE,
		.duration = GST_CLOCK_TIME_NONE,
		.offset = GST_BUFFER_OFFSET_NONE,
		.offset_end = GST_BUFFER_OFFSET_NONE,
		.epoch_ns = epoch_of(&stream->epoch, GST_ELEMENT_CAST(stream->sink)),
		.latency_ns = stream->source.latency_ns,
		.live = stream->source.upstream_live,
	};

	if (buffer == NULL)
		return times;
	times.pts = GST_BUFFER_PTS(buffer);
	times.dts = GST_BUFFER_DTS(buffer);
	times.duration = GST_BUFFER_DURATION(buffer);
	times.offset = GST_BUFFER_OFFSET(buffer);
	times.offset_end = GST_BUFFER_OFFSET_END(buffer);
	times.flags = GST_BUFFER_FLAGS(buffer);
	return times;
}

/* Writes what only GStreamer knows into the slot of a fresh memory, and publishes it. As slotallocator_publish(), or
 * TOO_SMALL. */
static int publish_memory(struct sinkstream *stream, SlotAllocator *allocator, GstMemory *memory, GstBuffer *buffer,
	struct weir_frame *frame, bool keep)
{
	if (stream->wire != NULL) {
		struct wire_times times = times_of(stream, buffer);
		uint32_t slot, lost = 0;
		uint8_t *area = slotallocator_meta(allocator, memory, &slot);
		int r = wire_out_write(stream->wire, area, stream->meta_room, slot, &times, buffer, &lost);

		if (r < 0)
			return TOO_SMALL;
		if (lost > 0)
			GST_WARNING_OBJECT(
				stream->sink, "%u metas or events do not cross: no room, or no text for them", lost);
		frame->meta_bytes = r;
	}
	return slotallocator_publish(allocator, memory, frame, keep);
}

static bool is_in_place(struct sinkstream *stream, SlotAllocator *allocator, GstBuffer *buffer)
{
	GstMemory *memory = gst_buffer_n_memory(buffer) == 1 ? gst_buffer_peek_memory(buffer, 0) : NULL;

	return memory != NULL && slotallocator_is_fresh(allocator, memory) &&
	       (stream->info.size == 0 || videoframe_has_layout(buffer, &stream->info));
}

static void count_frame(struct sinkstream *stream, const struct weir_frame *frame, bool copied)
{
	stream->discontinuity = false;
	stream->dropped_before = 0;
	g_mutex_lock(&stream->lock);
	stream->stats.frames++;
	stream->stats.copied += copied;
	stream->stats.active_ns = epoch_monotonic_ns();
	stream->stats.next_pts_ns = frame->pts_ns;
	if (frame->pts_ns != WEIR_TIME_NONE && frame->duration_ns != WEIR_TIME_NONE)
		stream->stats.next_pts_ns += frame->duration_ns;
	g_mutex_unlock(&stream->lock);
}

static int publish(struct sinkstream *stream, SlotAllocator *allocator, GstBuffer *buffer)
{
	struct weir_frame frame;
	bool copied = false;
	int r = -EBUSY;

	videoframe_describe(&frame, buffer, &stream->sink->segment, &stream->source);
	frame.size_bytes = stream->info.size > 0 ? (uint32_t)stream->info.size : (uint32_t)gst_buffer_get_size(buffer);
	frame.dropped_before = stream->dropped_before;
	if (stream->discontinuity)
		frame.flags |= WEIR_FRAME_DISCONTINUITY;
	if (gst_buffer_get_size(buffer) > slotallocator_format(allocator)->payload_bytes && stream->info.size == 0)
		return TOO_SMALL;
	if (is_in_place(stream, allocator, buffer))
		r = publish_memory(stream, allocator, gst_buffer_peek_memory(buffer, 0), buffer, &frame,
			!stream->source.forgets || gst_base_sink_is_last_sample_enabled(stream->sink));
	if (r == -EBUSY) {
		GstMemory *memory;

		r = copy_into_slot(stream, allocator, buffer, &memory);
		if (r < 0)
			return r;
		copied = true;
		r = publish_memory(stream, allocator, memory, buffer, &frame, false);
		gst_memory_unref(memory);
	}
	if (r < 0)
		return r;
	if (stream->source.copies)
		slotallocator_count_copy(allocator);
	count_frame(stream, &frame, copied || stream->source.copies);
	return 0;
}

/* Publishes, and begins another ring where that helps: after an end of stream, for a larger packet, for more metadata,
 * for readers that wait for an end. */
static int publish_somewhere(struct sinkstream *stream, GstBuffer *buffer)
{
	bool used_up = stream->serve != NULL && serve_is_used_up(stream->serve);
	int r = -EPIPE;

	if (g_atomic_int_compare_and_exchange(&stream->renew, 1, 0) && stream->format.kind != 0) {
		r = sinkstream_grow(stream, 0);
		if (r < 0)
			return r == -EINTR ? r : -EIO; /* a message was posted */
	}

	for (int tries = 0; tries < 3; tries++) {
		SlotAllocator *allocator = sinkring_ref(&stream->ring);

		if (allocator != NULL && !used_up) {
			r = publish(stream, allocator, buffer);
			/* The header that arrives may be the one that a pool takes back now. */
			for (guint i = 0; r != -EINTR && i < gst_buffer_n_memory(buffer); i++)
				slotallocator_discard(allocator, gst_buffer_peek_memory(buffer, i));
		}
		gst_clear_object(&allocator);
		if (stream->serve == NULL || (r != TOO_SMALL && r != -EPIPE))
			return r;
		r = sinkstream_grow(stream, gst_buffer_get_size(buffer));
		if (r < 0)
			return r == -EINTR ? r : -EIO; /* a message was posted */
		used_up = false;
		r = -EPIPE;
	}
	return r;
}

static void count_drop(struct sinkstream *stream)
{
	GST_DEBUG_OBJECT(stream->sink, "no slot is free: dropped a buffer");
	stream->dropped_before++;
	g_mutex_lock(&stream->lock);
	stream->stats.dropped++;
	stream->stats.active_ns = epoch_monotonic_ns();
	g_mutex_unlock(&stream->lock);
}

GstFlowReturn sinkstream_wait(struct sinkstream *stream)
{
	GstFlowReturn flow = GST_FLOW_OK;
	int r;

	while (flow == GST_FLOW_OK && (r = serve_wait(stream->serve)) < 0) {
		if (r == -ESTALE)
			r = sinkstream_grow(stream, 0);
		if (r == -EINTR)
			flow = gst_base_sink_wait_preroll(stream->sink);
		else if (r < 0)
			flow = GST_FLOW_ERROR;
	}
	return flow;
}

GstFlowReturn sinkstream_render(struct sinkstream *stream, GstBuffer *buffer)
{
	GstFlowReturn flow = GST_FLOW_OK;
	GstBuffer *packed = NULL;
	int r;

	if (stream->serve == NULL && stream->format.kind == 0)
		return GST_FLOW_NOT_NEGOTIATED;
	sinkstream_learn_source(stream);
	stream->source_known = true; /* only now is there a clock and a base time for certain */
	stream->buffers++;
	/* Unlocked by a pause: wait for its end, then go on with this frame. Unlocked by a flush: the end is now. */
	if (stream->is_planar)
		buffer = packed = planar_pack(&stream->planar, buffer);
	while ((r = publish_somewhere(stream, buffer)) == -EINTR) {
		flow = gst_base_sink_wait_preroll(stream->sink);
		if (flow != GST_FLOW_OK)
			break;
	}
	gst_clear_buffer(&packed);
	switch (r) {
	case 0:
	case -EINTR: return flow;
	case -EPIPE: return GST_FLOW_EOS;
	case -EAGAIN: count_drop(stream); return GST_FLOW_OK;
	case -EIO: return GST_FLOW_ERROR;
	case -EFBIG:
		GST_ELEMENT_ERROR(
			stream->sink, STREAM, FAILED, ("A buffer of more than 1 GiB cannot be published"), (NULL));
		return GST_FLOW_ERROR;
	default:
		GST_ELEMENT_ERROR(stream->sink, STREAM, FORMAT, ("A frame is smaller than its caps say"), (NULL));
		return GST_FLOW_ERROR;
	}
}

/* --- events ----------------------------------------------------------------------------------------------------- */

/* A frame that carries only news. If there is no slot, or no ring yet, they go with the next buffer. */
static void publish_news(struct sinkstream *stream)
{
	SlotAllocator *allocator = sinkring_ref(&stream->ring);
	struct weir_frame frame = { .flags = WEIR_FRAME_EVENT };
	GstMemory *memory;

	if (allocator != NULL && slotallocator_claim(allocator, &memory) == 0) {
		frame.pts_ns = frame.dts_ns = frame.duration_ns = WEIR_TIME_NONE;
		publish_memory(stream, allocator, memory, NULL, &frame, false);
		gst_memory_unref(memory);
	}
	gst_clear_object(&allocator);
}

void sinkstream_event(struct sinkstream *stream, GstEvent *event)
{
	if (stream->wire == NULL)
		return;
	if (GST_EVENT_TYPE(event) == GST_EVENT_EOS)
		sinkring_finish_stream(&stream->ring);
	else if (wire_out_event(stream->wire, event))
		publish_news(stream);
}
