/* SPDX-License-Identifier: MIT */
#include "frameallocator.h"

#include <string.h>

struct frame_memory {
	GstMemory memory;
	struct weir_frame frame; /* held, unless it is part of another memory */
	const uint8_t *data;
};

struct _FrameAllocator {
	GstAllocator parent;
	GMutex lock; /* guards all below */
	struct weir_reader *reader;
	uint32_t max_held, held; /* held by memories */
	bool armed;
};

G_DEFINE_TYPE(FrameAllocator, frameallocator, GST_TYPE_ALLOCATOR)

static gpointer map_memory(GstMemory *memory, gsize maxsize, GstMapFlags flags)
{
	return (flags & GST_MAP_WRITE) == 0 ? (gpointer)((struct frame_memory *)memory)->data : NULL;
}

static void unmap_memory(GstMemory *memory)
{
}

static struct frame_memory *new_memory(
	GstAllocator *allocator, GstMemory *parent, gsize maxsize, gsize offset, gsize size)
{
	struct frame_memory *memory = g_slice_new0(struct frame_memory);

	gst_memory_init(GST_MEMORY_CAST(memory), GST_MEMORY_FLAG_READONLY, allocator, parent, maxsize, 0, offset, size);
	return memory;
}

/* Parsers hand on parts of a packet. */
static GstMemory *share_memory(GstMemory *memory, gssize offset, gssize size)
{
	GstMemory *parent = memory->parent != NULL ? memory->parent : memory;
	struct frame_memory *part;

	if (size < 0)
		size = (gssize)memory->size - offset;
	part = new_memory(memory->allocator, parent, memory->maxsize, memory->offset + offset, size);
	part->data = ((struct frame_memory *)memory)->data;
	return GST_MEMORY_CAST(part);
}

static void frameallocator_free(GstAllocator *allocator, GstMemory *memory)
{
	FrameAllocator *self = WEIR_FRAME_ALLOCATOR(allocator);
	struct frame_memory *frame = (struct frame_memory *)memory;

	if (memory->parent == NULL) {
		g_mutex_lock(&self->lock);
		weir_reader_release(self->reader, &frame->frame);
		self->held--;
		g_mutex_unlock(&self->lock);
	}
	g_slice_free(struct frame_memory, frame);
}

int frameallocator_acquire(FrameAllocator *self, struct weir_frame *frame)
{
	int r;

	g_mutex_lock(&self->lock);
	r = weir_reader_acquire(self->reader, frame);
	g_mutex_unlock(&self->lock);
	return r;
}

void frameallocator_release(FrameAllocator *self, const struct weir_frame *frame)
{
	g_mutex_lock(&self->lock);
	weir_reader_release(self->reader, frame);
	g_mutex_unlock(&self->lock);
}

GstMemory *frameallocator_wrap(FrameAllocator *self, const struct weir_frame *frame, bool *copied)
{
	struct frame_memory *memory;
	GstMemory *plain;
	GstMapInfo map;

	g_mutex_lock(&self->lock);
	*copied = self->held + 1 >= self->max_held;
	self->held += !*copied;
	g_mutex_unlock(&self->lock);
	if (!*copied) {
		memory = new_memory(GST_ALLOCATOR_CAST(self), NULL, frame->size_bytes, 0, frame->size_bytes);
		memory->frame = *frame;
		memory->data = frame->data;
		return GST_MEMORY_CAST(memory);
	}
	plain = gst_allocator_alloc(NULL, frame->size_bytes, NULL);
	gst_memory_map(plain, &map, GST_MAP_WRITE);
	memcpy(map.data, frame->data, frame->size_bytes);
	gst_memory_unmap(plain, &map);
	frameallocator_release(self, frame);
	return plain;
}

const struct weir_format *frameallocator_format(FrameAllocator *self)
{
	return weir_reader_format(self->reader);
}

int frameallocator_fd(FrameAllocator *self)
{
	return weir_reader_fd(self->reader);
}

int frameallocator_arm(FrameAllocator *self)
{
	int r;

	g_mutex_lock(&self->lock);
	if (self->armed)
		weir_reader_disarm(self->reader);
	self->armed = true;
	r = weir_reader_arm(self->reader);
	g_mutex_unlock(&self->lock);
	return r;
}

FrameAllocator *frameallocator_new(struct weir_reader *reader, uint32_t max_held)
{
	FrameAllocator *self = g_object_new(frameallocator_get_type(), NULL);

	gst_object_ref_sink(self);
	self->reader = reader;
	self->max_held = max_held;
	return self;
}

/* Nobody allocates here: memory comes with frames. */
static GstMemory *refuse_alloc(GstAllocator *allocator, gsize size, GstAllocationParams *params)
{
	return NULL;
}

static void frameallocator_finalize(GObject *object)
{
	FrameAllocator *self = WEIR_FRAME_ALLOCATOR(object);

	weir_reader_free(&self->reader);
	g_mutex_clear(&self->lock);
	G_OBJECT_CLASS(frameallocator_parent_class)->finalize(object);
}

static void frameallocator_class_init(FrameAllocatorClass *class)
{
	GST_ALLOCATOR_CLASS(class)->alloc = refuse_alloc;
	GST_ALLOCATOR_CLASS(class)->free = frameallocator_free;
	G_OBJECT_CLASS(class)->finalize = frameallocator_finalize;
}

static void frameallocator_init(FrameAllocator *self)
{
	GstAllocator *allocator = GST_ALLOCATOR_CAST(self);

	allocator->mem_type = "WeirFrame";
	allocator->mem_map = map_memory;
	allocator->mem_unmap = unmap_memory;
	allocator->mem_share = share_memory;
	GST_OBJECT_FLAG_SET(self, GST_ALLOCATOR_FLAG_CUSTOM_ALLOC);
	g_mutex_init(&self->lock);
}
