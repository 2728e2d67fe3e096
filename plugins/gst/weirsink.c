/* SPDX-License-Identifier: MIT */
#include "weirsink.h"

#include "sinkring.h"
#include "videoframe.h"

#include <errno.h>
#include <string.h>

GST_DEBUG_CATEGORY_STATIC(weirsink_debug);
#define GST_CAT_DEFAULT weirsink_debug

struct _WeirSink {
	GstBaseSink parent;
	struct weirsink_provider provider;
	bool lossless;

	/* The streaming thread's own. */
	GstVideoInfo info;
	struct videoframe_source source;
	bool source_known;
	bool discontinuity;
	uint64_t dropped_before;

	struct sinkring ring;
	GMutex lock; /* guards stats */
	struct weirsink_stats stats;
};

G_DEFINE_TYPE(WeirSink, weirsink, GST_TYPE_BASE_SINK)

enum { PROP_0, PROP_LOSSLESS };

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
	GST_STATIC_CAPS("video/x-raw, format=(string){ I420, NV12, GRAY8, RGB }, width=(int)[1, 32768], "
			"height=(int)[1, 32768]"));

static gboolean weirsink_set_caps(GstBaseSink *base, GstCaps *caps)
{
	WeirSink *self = WEIR_SINK(base);
	SlotAllocator *allocator;
	struct weir_format format;
	bool same = false;
	int r;

	if (!gst_video_info_from_caps(&self->info, caps) || videoframe_format(&format, &self->info, caps) < 0)
		return FALSE;
	self->source_known = false;
	allocator = sinkring_ref(&self->ring);
	if (allocator != NULL) {
		same = memcmp(slotallocator_format(allocator), &format, sizeof(format)) == 0;
		gst_object_unref(allocator);
	}
	if (same)
		return TRUE;
	r = sinkring_replace(&self->ring, &self->provider, &format, self->lossless, GST_BASE_SINK_PAD(base));
	if (r == 0)
		return TRUE;
	if (r != -EINTR)
		GST_ELEMENT_ERROR(self, RESOURCE, OPEN_WRITE,
			("No ring for %ux%u %s frames: %s", format.width, format.height, weir_pixel_name(format.pixel),
				r == -ETIMEDOUT ? "nobody made one in time" : g_strerror(-r)),
			(NULL));
	return FALSE;
}

/* The allocator alone: with a pool or GstVideoMeta, avdec_* would decode into other memory and copy on top of it. */
static gboolean weirsink_propose_allocation(GstBaseSink *base, GstQuery *query)
{
	SlotAllocator *allocator = sinkring_ref(&WEIR_SINK(base)->ring);

	if (allocator == NULL)
		return TRUE;
	gst_query_add_allocation_param(query, GST_ALLOCATOR_CAST(allocator), NULL);
	gst_object_unref(allocator);
	return TRUE;
}

/* Copies a picture that was made elsewhere into a slot. 0, or as slotallocator_claim(); -EBADMSG: it is no picture. */
static int copy_into_slot(WeirSink *self, SlotAllocator *allocator, GstBuffer *buffer, GstMemory **memory)
{
	GstMemory *slot;
	int r = slotallocator_claim(allocator, &slot);

	if (r < 0)
		return r;
	if (!videoframe_copy(&self->info, slot, buffer)) {
		gst_memory_unref(slot);
		return -EBADMSG;
	}
	slotallocator_count_copy(allocator);
	GST_CAT_LOG_OBJECT(weirsink_debug, self, "copied a frame that upstream made in other memory");
	*memory = slot;
	return 0;
}

static int publish(WeirSink *self, SlotAllocator *allocator, GstBuffer *buffer)
{
	GstMemory *memory = gst_buffer_n_memory(buffer) == 1 ? gst_buffer_peek_memory(buffer, 0) : NULL;
	struct weir_frame frame;
	int r = -EBUSY;

	videoframe_describe(&frame, buffer, &GST_BASE_SINK(self)->segment, &self->source);
	frame.size_bytes = GST_VIDEO_INFO_SIZE(&self->info);
	frame.dropped_before = self->dropped_before;
	if (self->discontinuity)
		frame.flags |= WEIR_FRAME_DISCONTINUITY;

	if (memory != NULL && slotallocator_is_fresh(allocator, memory) && videoframe_has_layout(buffer, &self->info))
		r = slotallocator_publish(allocator, memory, &frame, !self->source.forgets);
	if (r == -EBUSY) {
		r = copy_into_slot(self, allocator, buffer, &memory);
		if (r < 0)
			return r;
		r = slotallocator_publish(allocator, memory, &frame, false);
		gst_memory_unref(memory);
	}
	if (r < 0)
		return r;
	if (self->source.copies)
		slotallocator_count_copy(allocator);
	self->discontinuity = false;
	self->dropped_before = 0;
	g_mutex_lock(&self->lock);
	self->stats.frames++;
	self->stats.active_ns = g_get_monotonic_time() * 1000;
	self->stats.next_pts_ns = frame.pts_ns;
	if (frame.pts_ns != WEIR_TIME_NONE && frame.duration_ns != WEIR_TIME_NONE)
		self->stats.next_pts_ns += frame.duration_ns;
	g_mutex_unlock(&self->lock);
	return 0;
}

static GstFlowReturn weirsink_render(GstBaseSink *base, GstBuffer *buffer)
{
	WeirSink *self = WEIR_SINK(base);
	SlotAllocator *allocator = sinkring_ref(&self->ring);
	GstFlowReturn flow = GST_FLOW_OK;
	int r;

	if (allocator == NULL)
		return GST_FLOW_NOT_NEGOTIATED;
	if (!self->source_known)
		videoframe_learn_source(&self->source, GST_ELEMENT_CAST(self), GST_BASE_SINK_PAD(self));
	self->source_known = true;

	/* Unlocked by a pause: wait for its end, then go on with this frame. Unlocked by a flush: the end is now. */
	while ((r = publish(self, allocator, buffer)) == -EINTR) {
		flow = gst_base_sink_wait_preroll(base);
		if (flow != GST_FLOW_OK)
			break;
	}
	/* The header that arrives may be the one that a pool takes back now. */
	for (guint i = 0; i < gst_buffer_n_memory(buffer); i++)
		slotallocator_discard(allocator, gst_buffer_peek_memory(buffer, i));
	gst_object_unref(allocator);
	switch (r) {
	case 0:
	case -EINTR: return flow;
	case -EPIPE: return GST_FLOW_EOS;
	case -EAGAIN:
		self->dropped_before++;
		g_mutex_lock(&self->lock);
		self->stats.dropped++;
		self->stats.active_ns = g_get_monotonic_time() * 1000;
		g_mutex_unlock(&self->lock);
		return GST_FLOW_OK;
	default:
		GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("A frame is smaller than its caps say"), (NULL));
		return GST_FLOW_ERROR;
	}
}

static gboolean weirsink_unlock(GstBaseSink *base)
{
	sinkring_unlock(&WEIR_SINK(base)->ring);
	return TRUE;
}

static gboolean weirsink_unlock_stop(GstBaseSink *base)
{
	sinkring_unlock_stop(&WEIR_SINK(base)->ring);
	return TRUE;
}

static gboolean weirsink_start(GstBaseSink *base)
{
	WEIR_SINK(base)->discontinuity = WEIR_SINK(base)->stats.frames > 0;
	WEIR_SINK(base)->source_known = false;
	return TRUE;
}

void weirsink_set_writer(WeirSink *self, struct weir_writer *writer, int status)
{
	sinkring_set_writer(&self->ring, writer, status);
}

void weirsink_attend(WeirSink *self)
{
	SlotAllocator *allocator = sinkring_ref(&self->ring);

	if (allocator != NULL) {
		slotallocator_attend(allocator);
		gst_object_unref(allocator);
	}
}

void weirsink_end(WeirSink *self)
{
	SlotAllocator *allocator = sinkring_ref(&self->ring);

	if (allocator != NULL) {
		slotallocator_end(allocator);
		gst_object_unref(allocator);
	}
}

bool weirsink_drained(WeirSink *self)
{
	SlotAllocator *allocator = sinkring_ref(&self->ring);
	bool drained = true;

	if (allocator != NULL) {
		drained = slotallocator_drained(allocator);
		gst_object_unref(allocator);
	}
	return drained;
}

void weirsink_stats(WeirSink *self, struct weirsink_stats *stats)
{
	SlotAllocator *allocator = sinkring_ref(&self->ring);

	g_mutex_lock(&self->lock);
	*stats = self->stats;
	g_mutex_unlock(&self->lock);
	if (allocator != NULL) {
		stats->active_ns = MAX(stats->active_ns, slotallocator_waited_ns(allocator));
		gst_object_unref(allocator);
	}
}

WeirSink *weirsink_new(const struct weirsink_provider *provider)
{
	WeirSink *self = g_object_new(weirsink_get_type(), NULL);

	self->provider = *provider;
	return self;
}

static void weirsink_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
	if (id == PROP_LOSSLESS)
		WEIR_SINK(object)->lossless = g_value_get_boolean(value);
	else
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void weirsink_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
	if (id == PROP_LOSSLESS)
		g_value_set_boolean(value, WEIR_SINK(object)->lossless);
	else
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void weirsink_finalize(GObject *object)
{
	WeirSink *self = WEIR_SINK(object);

	sinkring_finish(&self->ring);
	g_mutex_clear(&self->lock);
	G_OBJECT_CLASS(weirsink_parent_class)->finalize(object);
}

static void weirsink_class_init(WeirSinkClass *class)
{
	GObjectClass *object = G_OBJECT_CLASS(class);
	GstElementClass *element = GST_ELEMENT_CLASS(class);
	GstBaseSinkClass *base = GST_BASE_SINK_CLASS(class);

	GST_DEBUG_CATEGORY_INIT(weirsink_debug, "weirsink", 0, "Weir ring sink");
	object->set_property = weirsink_set_property;
	object->get_property = weirsink_get_property;
	object->finalize = weirsink_finalize;
	g_object_class_install_property(object, PROP_LOSSLESS,
		g_param_spec_boolean("lossless", "Lossless",
			"Wait for slow lossless readers instead of dropping frames", FALSE,
			G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
	gst_element_class_set_static_metadata(element, "Weir sink", "Sink/Video",
		"Publishes raw video frames in a shared-memory ring", "The Weir authors");
	gst_element_class_add_static_pad_template(element, &sink_template);
	base->set_caps = weirsink_set_caps;
	base->propose_allocation = weirsink_propose_allocation;
	base->render = weirsink_render;
	base->unlock = weirsink_unlock;
	base->unlock_stop = weirsink_unlock_stop;
	base->start = weirsink_start;
}

static void weirsink_init(WeirSink *self)
{
	g_mutex_init(&self->lock);
	sinkring_init(&self->ring);
	self->stats.next_pts_ns = WEIR_TIME_NONE;
	gst_base_sink_set_sync(GST_BASE_SINK(self), FALSE);
	/* The last sample would keep a slot for ever, and basesink copies it into another one on a DRAIN query. */
	gst_base_sink_set_last_sample_enabled(GST_BASE_SINK(self), FALSE);
}
