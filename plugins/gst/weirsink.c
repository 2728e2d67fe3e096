/* SPDX-License-Identifier: MIT */
/**
 * SECTION:element-weirsink
 * @title: weirsink
 * @see_also: weirsrc, shmsink
 *
 * Publishes buffers of any caps in shared memory, for any number of readers in other processes: weirsrc elements, or
 * programs with weir/socket.h. Each reader has a policy of its own; one that is slow, stopped or killed costs neither
 * this pipeline nor another reader a buffer, unless it asked for every buffer: then it is waited for, at most
 * stall-timeout. Raw video is made in the shared memory by elements that can.
 *
 * Live sources set the pace themselves; others are played in real time, unless sync=false is set.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 videotestsrc ! weirsink socket-path=/tmp/cam0
 * ]| Publishes a test picture. See weirsrc for the other side.
 * |[
 * gst-launch-1.0 audiotestsrc is-live=true ! opusenc ! weirsink socket-path=@microphone
 * ]| Any other stream, under an abstract name.
 */
#include "weirsink.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "sinkobject.h"

GST_DEBUG_CATEGORY(weirsink_debug);
#define GST_CAT_DEFAULT weirsink_debug

G_DEFINE_TYPE(WeirSink, weirsink, GST_TYPE_BASE_SINK)

enum { PROP_NUM_CLIENTS = SINKSETTINGS_LAST, PROP_STATS };

static GstStaticPadTemplate sink_template =
	GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

/* Readers that know nothing of GStreamer. */
#define PROVIDED_CAPS                                                                                                  \
	"video/x-raw, format=(string){ I420, NV12, GRAY8, RGB }, width=(int)[1, 32768], height=(int)[1, 32768]"

static GstCaps *weirsink_get_caps(GstBaseSink *base, GstCaps *filter)
{
	GstCaps *caps, *both;

	if (!WEIR_SINK(base)->is_provided || WEIR_SINK(base)->provider.packets)
		return NULL;
	caps = gst_caps_from_string(PROVIDED_CAPS);
	if (filter == NULL)
		return caps;
	both = gst_caps_intersect_full(filter, caps, GST_CAPS_INTERSECT_FIRST);
	gst_caps_unref(caps);
	return both;
}

/* Live sources set the pace themselves; another one would run as fast as it can. */
static void choose_sync(WeirSink *self)
{
	if (self->serve == NULL || self->sync_is_set)
		return;
	sinkstream_learn_source(&self->stream);
	gst_base_sink_set_sync(GST_BASE_SINK_CAST(self), !self->stream.source.upstream_live);
}

static gboolean weirsink_set_caps(GstBaseSink *base, GstCaps *caps)
{
	WeirSink *self = WEIR_SINK(base);

	if (!sinkstream_set_caps(&self->stream, caps))
		return FALSE;
	choose_sync(self);
	return TRUE;
}

/* For libav the allocator alone: with a pool or GstVideoMeta it would decode into other memory and copy on top of it.
 * The pool has no limits of its own; the allocator sees to it that the ring is never used up. */
static gboolean weirsink_propose_allocation(GstBaseSink *base, GstQuery *query)
{
	struct sinkstream *stream = &WEIR_SINK(base)->stream;
	SlotAllocator *allocator = sinkring_ref(&stream->ring);
	gboolean need_pool;
	GstCaps *caps;

	if (allocator == NULL)
		return TRUE;
	gst_query_add_allocation_param(query, GST_ALLOCATOR_CAST(allocator), NULL);
	sinkstream_learn_source(stream);
	gst_query_parse_allocation(query, &caps, &need_pool);
	if (stream->info.size > 0 && !stream->source.copies && caps != NULL) {
		gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
		if (need_pool)
			sinkstream_add_pool(stream, query, allocator, caps);
	}
	gst_object_unref(allocator);
	return TRUE;
}

static GstFlowReturn weirsink_render(GstBaseSink *base, GstBuffer *buffer)
{
	WeirSink *self = WEIR_SINK(base);

	GstFlowReturn flow = GST_FLOW_OK;

	if (self->serve != NULL && self->settings.wait_for_connection)
		flow = sinkstream_wait(&self->stream);
	return flow == GST_FLOW_OK ? sinkstream_render(&self->stream, buffer) : flow;
}

static gboolean weirsink_event(GstBaseSink *base, GstEvent *event)
{
	WeirSink *self = WEIR_SINK(base);
	GstEvent *kept = gst_event_ref(event);
	gboolean result;

	/* After the base class, so that a flush has ended before something is published. */
	result = GST_BASE_SINK_CLASS(weirsink_parent_class)->event(base, event);
	sinkstream_event(&self->stream, kept);
	gst_event_unref(kept);
	return result;
}

static gboolean weirsink_unlock(GstBaseSink *base)
{
	WeirSink *self = WEIR_SINK(base);

	if (self->serve != NULL)
		serve_unlock(self->serve);
	sinkring_unlock(&self->stream.ring);
	return TRUE;
}

static gboolean weirsink_unlock_stop(GstBaseSink *base)
{
	WeirSink *self = WEIR_SINK(base);

	if (self->serve != NULL)
		serve_unlock_stop(self->serve);
	sinkring_unlock_stop(&self->stream.ring);
	return TRUE;
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */

static gboolean weirsink_start(GstBaseSink *base)
{
	WeirSink *self = WEIR_SINK(base);

	if (!self->is_provided && sinkserving_start(self) < 0)
		return FALSE;
	sinkstream_start(&self->stream, self->serve, self->settings.lossless);
	return TRUE;
}

static gboolean weirsink_stop(GstBaseSink *base)
{
	WeirSink *self = WEIR_SINK(base);
	struct serve *serve;

	sinkstream_stop(&self->stream);
	GST_OBJECT_LOCK(self);
	serve = self->serve;
	self->serve = NULL;
	GST_OBJECT_UNLOCK(self);
	serve_free(&serve);
	return TRUE;
}

/* --- for whoever provides rings --------------------------------------------------------------------------------- */

void weirsink_set_writer(WeirSink *self, struct weir_writer *writer, int status)
{
	sinkring_set_writer(&self->stream.ring, writer, status);
}

void weirsink_renew(WeirSink *self)
{
	g_atomic_int_set(&self->stream.renew, 1);
}

void weirsink_attend(WeirSink *self)
{
	SlotAllocator *allocator = sinkring_ref(&self->stream.ring);

	if (allocator != NULL) {
		slotallocator_attend(allocator);
		gst_object_unref(allocator);
	}
}

void weirsink_end(WeirSink *self)
{
	sinkring_finish_stream(&self->stream.ring);
}

bool weirsink_drained(WeirSink *self)
{
	SlotAllocator *allocator = sinkring_ref(&self->stream.ring);
	bool drained = true;

	if (allocator != NULL) {
		drained = slotallocator_drained(allocator);
		gst_object_unref(allocator);
	}
	return drained;
}

void weirsink_stats(WeirSink *self, struct weirsink_stats *stats)
{
	SlotAllocator *allocator = sinkring_ref(&self->stream.ring);

	g_mutex_lock(&self->stream.lock);
	*stats = self->stream.stats;
	g_mutex_unlock(&self->stream.lock);
	if (allocator != NULL) {
		stats->active_ns = MAX(stats->active_ns, slotallocator_waited_ns(allocator));
		gst_object_unref(allocator);
	}
}

WeirSink *weirsink_new(const struct weirsink_provider *provider)
{
	WeirSink *self = g_object_new(weirsink_get_type(), NULL);

	self->provider = *provider;
	self->is_provided = true;
	return self;
}

/* --- the object ------------------------------------------------------------------------------------------------- */

static GstStructure *describe(WeirSink *self)
{
	struct weirsink_stats stats;
	GstStructure *structure;

	weirsink_stats(self, &stats);
	structure = gst_structure_new("application/x-weir-sink-stats", "rendered", G_TYPE_UINT64, stats.frames,
		"dropped", G_TYPE_UINT64, stats.dropped, "copied", G_TYPE_UINT64, stats.copied, NULL);
	GST_OBJECT_LOCK(self);
	if (self->serve != NULL)
		serve_describe(self->serve, structure);
	GST_OBJECT_UNLOCK(self);
	return structure;
}

static guint count_clients(WeirSink *self)
{
	guint count;

	GST_OBJECT_LOCK(self);
	count = self->serve != NULL ? serve_count(self->serve) : 0;
	GST_OBJECT_UNLOCK(self);
	return count;
}

static void weirsink_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
	WeirSink *self = WEIR_SINK(object);
	bool known;

	GST_OBJECT_LOCK(self);
	known = sinksettings_set(&self->settings, id, value);
	GST_OBJECT_UNLOCK(self);
	if (!known)
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void weirsink_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
	WeirSink *self = WEIR_SINK(object);
	bool known = true;

	switch (id) {
	case PROP_NUM_CLIENTS: g_value_set_uint(value, count_clients(self)); break;
	case PROP_STATS: g_value_take_boxed(value, describe(self)); break;
	default:
		GST_OBJECT_LOCK(self);
		known = sinksettings_get(&self->settings, id, value);
		GST_OBJECT_UNLOCK(self);
	}
	if (!known)
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void weirsink_notify(GObject *object, GParamSpec *spec)
{
	if (strcmp(spec->name, "sync") == 0)
		WEIR_SINK(object)->sync_is_set = true;
}

static void weirsink_finalize(GObject *object)
{
	WeirSink *self = WEIR_SINK(object);

	sinkstream_finish(&self->stream);
	sinksettings_finish(&self->settings);
	G_OBJECT_CLASS(weirsink_parent_class)->finalize(object);
}

static void install(WeirSinkClass *class)
{
	GObjectClass *object = G_OBJECT_CLASS(class);

	sinksettings_install(object);
	g_object_class_install_property(object, PROP_NUM_CLIENTS,
		g_param_spec_uint("num-clients", "Number of clients", "Readers that are connected now", 0, G_MAXUINT, 0,
			G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
	g_object_class_install_property(object, PROP_STATS,
		g_param_spec_boxed("stats", "Statistics",
			"Counts since the element was made: buffers rendered, dropped because no slot was free, copied "
			"into one; of the present ring: generation, slots and others, and an array of its readers",
			GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
	sinkserving_install(class);
}

static void weirsink_class_init(WeirSinkClass *class)
{
	GObjectClass *object = G_OBJECT_CLASS(class);
	GstElementClass *element = GST_ELEMENT_CLASS(class);
	GstBaseSinkClass *base = GST_BASE_SINK_CLASS(class);

	GST_DEBUG_CATEGORY_INIT(weirsink_debug, "weirsink", 0, "Weir sink");
	object->set_property = weirsink_set_property;
	object->get_property = weirsink_get_property;
	object->notify = weirsink_notify;
	object->finalize = weirsink_finalize;
	install(class);
	gst_element_class_set_static_metadata(element, "Weir sink", "Sink",
		"Publishes buffers in shared memory for readers in other processes", "The Weir authors");
	gst_element_class_add_static_pad_template(element, &sink_template);
	base->get_caps = weirsink_get_caps;
	base->set_caps = weirsink_set_caps;
	base->propose_allocation = weirsink_propose_allocation;
	base->render = weirsink_render;
	base->event = weirsink_event;
	base->unlock = weirsink_unlock;
	base->unlock_stop = weirsink_unlock_stop;
	base->start = weirsink_start;
	base->stop = weirsink_stop;
}

static void weirsink_init(WeirSink *self)
{
	sinksettings_init(&self->settings);
	self->provider = (struct weirsink_provider){ .want = sinkserving_want, .data = self, .follows = true };
	sinkstream_init(&self->stream, GST_BASE_SINK_CAST(self), &self->provider);
	gst_base_sink_set_sync(GST_BASE_SINK(self), FALSE);
	/* The last sample would keep a slot for ever, and basesink copies it into another one on a DRAIN query. */
	gst_base_sink_set_last_sample_enabled(GST_BASE_SINK(self), FALSE);
}
