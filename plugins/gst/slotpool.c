/* SPDX-License-Identifier: MIT */
#include "slotpool.h"

#include <gst/video/gstvideopool.h>

#include "slotallocator.h"

G_DECLARE_FINAL_TYPE(SlotPool, slotpool, WEIR, SLOT_POOL, GstVideoBufferPool)

struct _SlotPool {
	GstVideoBufferPool parent;
};

G_DEFINE_TYPE(SlotPool, slotpool, GST_TYPE_VIDEO_BUFFER_POOL)

/* The buffer's last owner has let go of it. */
static void release_buffer(GstBufferPool *pool, GstBuffer *buffer)
{
	for (guint i = 0; i < gst_buffer_n_memory(buffer); i++)
		slotallocator_recycle(gst_buffer_peek_memory(buffer, i));
	GST_BUFFER_POOL_CLASS(slotpool_parent_class)->release_buffer(pool, buffer);
}

static void slotpool_class_init(SlotPoolClass *class)
{
	GST_BUFFER_POOL_CLASS(class)->release_buffer = release_buffer;
}

static void slotpool_init(SlotPool *self)
{
}

GstBufferPool *slotpool_new(void)
{
	return gst_object_ref_sink(g_object_new(slotpool_get_type(), NULL));
}
