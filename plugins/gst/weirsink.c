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

#include "serve.h"
#include "sinksettings.h"
#include "sinkstream.h"

GST_DEBUG_CATEGORY(weirsink_debug);
#define GST_CAT_DEFAULT weirsink_debug

struct _WeirSink {
	GstBaseSink parent;
	struct sinksettings settings;	   /* guarded by the object lock */
	bool sync_is_set;		   /* by the application */
	struct weirsink_provider provider; /* of rings: the one that made the element, or ourselves */
	bool is_provided;
	struct serve *serve; /* between start and stop, if we serve */
	struct sinkstream stream;
};

G_DEFINE_TYPE(WeirSink, weirsink, GST_TYPE_BASE_SINK)

enum { PROP_NUM_CLIENTS = SINKSETTINGS_LAST, PROP_STATS };
enum { SIGNAL_CONNECTED, SIGNAL_DISCONNECTED, SIGNALS };
static guint signals[SIGNALS];
static GParamSpec *num_clients_spec;

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

/* --- readers ---------------------------------------------------------------------------------------------------- */

static void attend(void *data)
{
	weirsink_attend(data);
}

static void ask_for_key_unit(WeirSink *self, bool all_headers)
{
	GST_DEBUG_OBJECT(self, "asking for a key unit");
	gst_pad_push_event(GST_BASE_SINK_PAD(self),
		gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, all_headers, 0));
}

static void take_notes(void *data, uint32_t notes)
{
	if ((notes & WEIRSINK_NOTE_KEY_UNIT) != 0)
		ask_for_key_unit(data, (notes & WEIRSINK_NOTE_HEADERS) != 0);
}

static void readers_changed(void *data, const struct weir_server_reader *reader, bool connected)
{
	WeirSink *self = data;

	GST_INFO_OBJECT(self, "reader %" PRIu64 ", process %d, %s", reader->number, reader->pid,
		connected ? "connected" : "gone");
	g_signal_emit(
		self, signals[connected ? SIGNAL_CONNECTED : SIGNAL_DISCONNECTED], 0, reader->number, reader->pid);
	g_object_notify_by_pspec(G_OBJECT(self), num_clients_spec);
	/* Who joins an encoded stream can show nothing before its next key frame. */
	if (connected && sinkring_kind(&self->stream.ring) == WEIR_KIND_ENCODED)
		ask_for_key_unit(self, true);
}

/* --- start and stop --------------------------------------------------------------------------------------------- */

static int want_served(void *data, const struct weir_format *format, uint32_t slot_bytes, uint32_t loans)
{
	WeirSink *self = data;
	struct weir_writer *writer;
	int r = serve_begin(self->serve, format, slot_bytes, loans, self->stream.meta_room, &writer);

	if (r == 0)
		weirsink_set_writer(self, writer, 0);
	return r;
}

static void explain(WeirSink *self, int r, int owner_pid)
{
	const char *path = self->settings.socket_path;

	switch (r) {
	case -EADDRINUSE:
		if (owner_pid != 0)
			GST_ELEMENT_ERROR(self, RESOURCE, BUSY,
				("%s is served by process %d: stop that, or choose another socket-path", path,
					owner_pid),
				(NULL));
		else
			GST_ELEMENT_ERROR(self, RESOURCE, BUSY,
				("%s is there already, and no stale socket: remove it, or choose another socket-path",
					path),
				(NULL));
		break;
	case -ENOENT:
		GST_ELEMENT_ERROR(
			self, RESOURCE, OPEN_WRITE, ("The folder of %s is missing: make it first", path), (NULL));
		break;
	case -EACCES:
		GST_ELEMENT_ERROR(self, RESOURCE, NOT_AUTHORIZED,
			("Not allowed to make %s: choose a folder that you may write to", path), (NULL));
		break;
	case -ENAMETOOLONG:
		GST_ELEMENT_ERROR(
			self, RESOURCE, SETTINGS, ("%s is longer than the 107 bytes of a socket's name", path), (NULL));
		break;
	default: GST_ELEMENT_ERROR(self, RESOURCE, OPEN_WRITE, ("Cannot serve %s: %s", path, g_strerror(-r)), (NULL));
	}
}

static bool start_serving(WeirSink *self)
{
	struct serve_config config = {
		.path = self->settings.socket_path,
		.perms = self->settings.perms,
		.any_user = self->settings.any_user,
		.max_readers = self->settings.max_readers,
		.slots = self->settings.slots,
		.shm_bytes = self->settings.shm_bytes,
		.stall_max_ns = (int64_t)self->settings.stall_ns,
		.attend = attend,
		.changed = readers_changed,
		.note = take_notes,
		.data = self,
	};
	int owner_pid = 0, r;

	if (config.path == NULL || config.path[0] == '\0') {
		GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS,
			("No socket-path is set: give one under which readers connect, like /tmp/cam0"), (NULL));
		return false;
	}
	r = serve_create(&self->serve, &config, &owner_pid);
	if (r < 0)
		explain(self, r, owner_pid);
	return r == 0;
}

static gboolean weirsink_start(GstBaseSink *base)
{
	WeirSink *self = WEIR_SINK(base);

	if (!self->is_provided && !start_serving(self))
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
	num_clients_spec = g_param_spec_uint("num-clients", "Number of clients", "Readers that are connected now", 0,
		G_MAXUINT, 0, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
	g_object_class_install_property(object, PROP_NUM_CLIENTS, num_clients_spec);
	g_object_class_install_property(object, PROP_STATS,
		g_param_spec_boxed("stats", "Statistics",
			"Counts since the element was made: buffers rendered, dropped because no slot was free, copied "
			"into one; of the present ring: generation, slots and others, and an array of its readers",
			GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
	/**
	 * WeirSink::reader-connected:
	 * @number: 1, 2, 3… in the order in which readers came
	 * @pid: its process
	 *
	 * Emitted in a thread of the element.
	 */
	signals[SIGNAL_CONNECTED] = g_signal_new("reader-connected", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0,
		NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT64, G_TYPE_INT);
	signals[SIGNAL_DISCONNECTED] = g_signal_new("reader-disconnected", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST,
		0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT64, G_TYPE_INT);
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
	self->provider = (struct weirsink_provider){ .want = want_served, .data = self, .follows = true };
	sinkstream_init(&self->stream, GST_BASE_SINK_CAST(self), &self->provider);
	gst_base_sink_set_sync(GST_BASE_SINK(self), FALSE);
	/* The last sample would keep a slot for ever, and basesink copies it into another one on a DRAIN query. */
	gst_base_sink_set_last_sample_enabled(GST_BASE_SINK(self), FALSE);
}
