/* SPDX-License-Identifier: MIT */
#include "slotallocator.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "epoch.h"
#include "pace.h"

/* A memory gets its slot when it is first mapped for writing, not when it is allocated: pools allocate ahead (avdec's
 * 16 buffers), and a slot that waits in a pool would be one that no frame can use. */
enum slot_state {
	UNBOUND = 0, /* not mapped yet */
	PLAIN,	     /* no slot, because upstream had its share of them, or they were too small */
	LENT,	     /* a slot to be filled */
	KEPT,	     /* published, and still readable here */
	LEFT,	     /* published and given up: what is there may be another frame by now */
};

struct slot_memory {
	GstMemory memory;
	enum slot_state state;
	gsize align; /* of plain memory, in bytes */
	uint8_t *data;
	uint32_t slot;
};

struct _SlotAllocator {
	GstAllocator parent;
	GMutex lock; /* guards all below but waited_ns */
	struct weir_writer *writer;
	int wake_fd;
	uint32_t lent; /* slots that memories hold, or are about to get */
	bool lossless;
	bool unlocked; /* between unlock and unlock_stop */
	bool idle;     /* since unlock, until the sink is seen to take frames again */
	bool ended;
	struct pace pace;
	_Atomic int64_t waited_ns;
};

G_DEFINE_TYPE(SlotAllocator, slotallocator, GST_TYPE_ALLOCATOR)

/* Sleeps until a slot may be free. Called and returns with the lock held. */
static void sleep_for_slot(SlotAllocator *self)
{
	struct pollfd fds[] = {
		{ .fd = weir_writer_fd(self->writer), .events = POLLIN },
		{ .fd = self->wake_fd, .events = POLLIN },
	};

	if (weir_writer_arm(self->writer) == 0) {
		g_mutex_unlock(&self->lock);
		poll(fds, G_N_ELEMENTS(fds), WEIR_WAIT_BOUND_NS / 1000000);
		g_mutex_lock(&self->lock);
	}
	weir_writer_disarm(self->writer);
	self->waited_ns = g_get_monotonic_time() * 1000;
}

/* Sleeps for a while that no release ends. Called and returns with the lock held. */
static void doze(SlotAllocator *self, int64_t ns)
{
	struct pollfd wake = { .fd = self->wake_fd, .events = POLLIN };
	struct timespec time = { .tv_nsec = ns };

	if (ns == 0)
		return;
	g_mutex_unlock(&self->lock);
	ppoll(&wake, 1, &time, NULL);
	g_mutex_lock(&self->lock);
}

/* Claims with the lock held; waits in a lossless stream until *stop. */
static int claim_locked(SlotAllocator *self, const bool *stop, struct weir_frame *frame, uint8_t **data)
{
	bool napped = false;
	int r;

	self->lent++;
	if (self->lossless && !*stop)
		doze(self, pace_ahead_ns(&self->pace, weir_writer_backlog(self->writer)));
	while ((r = self->ended ? -EPIPE : weir_writer_claim(self->writer, frame, data)) == -EAGAIN) {
		if (!self->lossless)
			break;
		if (*stop) {
			r = -EINTR;
			break;
		}
		if (napped)
			sleep_for_slot(self);
		else
			doze(self, pace_full_ns(&self->pace, weir_writer_slot_count(self->writer)));
		napped = true;
	}
	if (r < 0)
		self->lent--;
	else
		pace_note(&self->pace, epoch_monotonic_ns());
	/* -EBUSY: a ring with fewer loans than it was asked for. */
	return r == -EBUSY ? -EAGAIN : r;
}

static void drop_locked(SlotAllocator *self, uint32_t slot)
{
	weir_writer_drop(self->writer, slot);
	self->lent--;
}

static GstMemory *slotallocator_alloc(GstAllocator *allocator, gsize size, GstAllocationParams *params)
{
	struct slot_memory *memory = g_slice_new0(struct slot_memory);

	/* NO_SHARE: half a picture in a buffer of its own would be a second owner of the slot. */
	gst_memory_init(GST_MEMORY_CAST(memory), GST_MEMORY_FLAG_NO_SHARE, allocator, NULL,
		params->prefix + size + params->padding, params->align, params->prefix, size);
	memory->align = MAX(params->align + 1, 64);
	return GST_MEMORY_CAST(memory);
}

/* Called with the lock held. */
static void bind_to_slot(SlotAllocator *self, struct slot_memory *memory, const struct weir_frame *frame, uint8_t *data)
{
	memory->state = LENT;
	memory->slot = frame->slot;
	memory->data = data;
}

int slotallocator_claim(SlotAllocator *self, GstMemory **memory)
{
	GstAllocationParams params = { 0 };
	struct weir_frame frame;
	uint8_t *data;
	int r;

	g_mutex_lock(&self->lock);
	self->idle = self->unlocked;
	r = claim_locked(self, &self->unlocked, &frame, &data);
	if (r == 0) {
		*memory = slotallocator_alloc(
			GST_ALLOCATOR_CAST(self), weir_writer_format(self->writer)->payload_bytes, &params);
		bind_to_slot(self, (struct slot_memory *)*memory, &frame, data);
	}
	g_mutex_unlock(&self->lock);
	return r;
}

static gpointer map_memory(GstMemory *memory, gsize maxsize, GstMapFlags flags)
{
	SlotAllocator *self = WEIR_SLOT_ALLOCATOR(memory->allocator);
	struct slot_memory *slot = (struct slot_memory *)memory;
	struct weir_frame frame;
	uint8_t *data;

	g_mutex_lock(&self->lock);
	/* The last loan is the sink's: with it, it can always copy what the other loans did not reach. */
	if (slot->state == UNBOUND && (flags & GST_MAP_WRITE) != 0 && memory->offset == 0 &&
		memory->maxsize <= weir_writer_slot_bytes(self->writer) && self->lent < SLOTALLOCATOR_LOANS - 1 &&
		claim_locked(self, &self->idle, &frame, &data) == 0) {
		/* While it slept, another thread may have mapped the same memory. */
		if (slot->state == UNBOUND)
			bind_to_slot(self, slot, &frame, data);
		else
			drop_locked(self, frame.slot);
	}
	if (slot->state == UNBOUND) {
		slot->data =
			aligned_alloc(slot->align, (memory->maxsize + slot->align - 1) / slot->align * slot->align);
		slot->state = slot->data != NULL ? PLAIN : UNBOUND;
	}
	g_mutex_unlock(&self->lock);
	return slot->data;
}

static void unmap_memory(GstMemory *memory)
{
}

static void unbind(SlotAllocator *self, struct slot_memory *slot)
{
	if (slot->state == PLAIN)
		free(slot->data);
	if (slot->state == LENT || slot->state == KEPT) {
		g_mutex_lock(&self->lock);
		drop_locked(self, slot->slot);
		g_mutex_unlock(&self->lock);
	}
	slot->state = UNBOUND;
}

static void slotallocator_free(GstAllocator *allocator, GstMemory *memory)
{
	struct slot_memory *slot = (struct slot_memory *)memory;

	unbind(WEIR_SLOT_ALLOCATOR(allocator), slot);
	g_slice_free(struct slot_memory, slot);
}

bool slotallocator_is_fresh(SlotAllocator *self, GstMemory *memory)
{
	struct slot_memory *slot = (struct slot_memory *)memory;

	return memory->allocator == GST_ALLOCATOR_CAST(self) && memory->parent == NULL && memory->offset == 0 &&
	       slot->state == LENT;
}

/* A second exclusive owner, until slotallocator_recycle(): gst_memory_map() refuses to write, gst_buffer_map() copies
 * before it does, and a pool takes no buffer back whose memory is not its own alone. (The tag on a buffer would not do:
 * the buffer that arrives need not be the one that the pool knows.) */
static bool forbid_writing(GstMemory *memory)
{
	if (!gst_memory_lock(memory, GST_LOCK_FLAG_EXCLUSIVE))
		return false;
	GST_MINI_OBJECT_FLAG_SET(memory, GST_MEMORY_FLAG_READONLY);
	return true;
}

void slotallocator_recycle(GstMemory *memory)
{
	if (!WEIR_IS_SLOT_ALLOCATOR(memory->allocator) || !GST_MEMORY_IS_READONLY(memory) ||
		GST_MINI_OBJECT_REFCOUNT_VALUE(memory) != 1)
		return;
	unbind(WEIR_SLOT_ALLOCATOR(memory->allocator), (struct slot_memory *)memory);
	GST_MINI_OBJECT_FLAG_UNSET(memory, GST_MEMORY_FLAG_READONLY);
	gst_memory_unlock(memory, GST_LOCK_FLAG_EXCLUSIVE);
}

int slotallocator_publish(SlotAllocator *self, GstMemory *memory, struct weir_frame *frame, bool keep)
{
	struct slot_memory *slot = (struct slot_memory *)memory;
	int r = -EPIPE;

	assert(slotallocator_is_fresh(self, memory));
	if (!forbid_writing(memory))
		return -EBUSY;
	g_mutex_lock(&self->lock);
	self->idle = self->unlocked;
	if (!self->ended) {
		frame->slot = slot->slot;
		r = weir_writer_publish(self->writer, frame, keep);
		assert(r == 0);
		slot->state = keep ? KEPT : LEFT;
		if (!keep)
			self->lent--;
	}
	g_mutex_unlock(&self->lock);
	return r;
}

uint8_t *slotallocator_meta(SlotAllocator *self, GstMemory *memory, uint32_t *slot)
{
	uint8_t *meta;

	*slot = ((struct slot_memory *)memory)->slot;
	g_mutex_lock(&self->lock);
	meta = weir_writer_meta(self->writer, *slot);
	g_mutex_unlock(&self->lock);
	return meta;
}

void slotallocator_discard(SlotAllocator *self, GstMemory *memory)
{
	if (memory->allocator == GST_ALLOCATOR_CAST(self) && ((struct slot_memory *)memory)->state == PLAIN)
		forbid_writing(memory);
}

void slotallocator_unlock(SlotAllocator *self)
{
	g_mutex_lock(&self->lock);
	self->unlocked = self->idle = true;
	eventfd_write(self->wake_fd, 1);
	g_mutex_unlock(&self->lock);
}

void slotallocator_unlock_stop(SlotAllocator *self)
{
	eventfd_t count;

	g_mutex_lock(&self->lock);
	self->unlocked = false;
	eventfd_read(self->wake_fd, &count);
	g_mutex_unlock(&self->lock);
}

const struct weir_format *slotallocator_format(SlotAllocator *self)
{
	return weir_writer_format(self->writer);
}

void slotallocator_count_copy(SlotAllocator *self)
{
	g_mutex_lock(&self->lock);
	weir_writer_count_copy(self->writer);
	g_mutex_unlock(&self->lock);
}

void slotallocator_attend(SlotAllocator *self)
{
	g_mutex_lock(&self->lock);
	weir_writer_attend(self->writer);
	g_mutex_unlock(&self->lock);
}

void slotallocator_end(SlotAllocator *self, bool is_eos)
{
	g_mutex_lock(&self->lock);
	if (!self->ended && is_eos)
		weir_writer_end(self->writer);
	self->ended = true;
	g_mutex_unlock(&self->lock);
}

bool slotallocator_drained(SlotAllocator *self)
{
	bool drained;

	g_mutex_lock(&self->lock);
	drained = weir_writer_drained(self->writer);
	g_mutex_unlock(&self->lock);
	return drained;
}

int64_t slotallocator_waited_ns(SlotAllocator *self)
{
	return self->waited_ns;
}

SlotAllocator *slotallocator_new(struct weir_writer *writer, bool lossless)
{
	SlotAllocator *self = g_object_new(slotallocator_get_type(), NULL);

	gst_object_ref_sink(self);
	self->writer = writer;
	self->lossless = lossless;
	self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->wake_fd < 0)
		gst_clear_object(&self);
	return self;
}

static void slotallocator_finalize(GObject *object)
{
	SlotAllocator *self = WEIR_SLOT_ALLOCATOR(object);

	weir_writer_free(&self->writer);
	if (self->wake_fd >= 0)
		close(self->wake_fd);
	g_mutex_clear(&self->lock);
	G_OBJECT_CLASS(slotallocator_parent_class)->finalize(object);
}

static void slotallocator_class_init(SlotAllocatorClass *class)
{
	GST_ALLOCATOR_CLASS(class)->alloc = slotallocator_alloc;
	GST_ALLOCATOR_CLASS(class)->free = slotallocator_free;
	G_OBJECT_CLASS(class)->finalize = slotallocator_finalize;
}

static void slotallocator_init(SlotAllocator *self)
{
	GstAllocator *allocator = GST_ALLOCATOR_CAST(self);

	allocator->mem_type = "WeirSlot";
	allocator->mem_map = map_memory;
	allocator->mem_unmap = unmap_memory;
	g_mutex_init(&self->lock);
	self->wake_fd = -1;
}
