/* SPDX-License-Identifier: MIT */
/**
 * SECTION:element-weirsrc
 * @title: weirsrc
 * @see_also: weirsink, shmsrc
 *
 * Reads the frames that another process publishes, in place: it maps the shared memory once and copies nothing. Caps,
 * times, events and metas are the producer's. It waits for a producer that is not there yet, and goes on with the next
 * one when it dies. Whatever a reader does, stops or crashes, neither producer nor other readers lose a frame by it.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 weirsrc socket-path=/tmp/cam0 num-buffers=60 ! videoconvert ! fakesink
 * ]| Shows what `videotestsrc ! weirsink socket-path=/tmp/cam0` publishes (with autovideosink for fakesink).
 * |[
 * gst-launch-1.0 weirsrc socket-path=/tmp/cam0 num-buffers=50 leaky-type=none ! filesink location=/tmp/cam0.raw
 * ]| Records every frame: the producer waits for this reader, as long as its own stall-timeout allows.
 * |[
 * gst-launch-1.0 uridecodebin uri=weir:///@microphone?num-buffers=60 ! audioconvert ! fakesink
 * ]| Any stream, decoded if it is encoded; playbin does the same.
 */
#include "weirsrc.h"

#include <errno.h>

#include "srcobject.h"
#include "weirsink.h"

GST_DEBUG_CATEGORY(weirsrc_debug);
#define GST_CAT_DEFAULT weirsrc_debug

G_DEFINE_TYPE_WITH_CODE(
	WeirSrc, weirsrc, GST_TYPE_ELEMENT, G_IMPLEMENT_INTERFACE(GST_TYPE_URI_HANDLER, srcuri_handler_init))

static GstStaticPadTemplate src_template =
	GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

/* --- waiting ---------------------------------------------------------------------------------------------------- */

/* Waits until frames may flow. False: never again (flushing). */
static bool wait_until_playing(WeirSrc *self)
{
	bool flushing;

	g_mutex_lock(&self->lock);
	while (self->stream.live && !self->playing && !self->flushing && !self->eos_asked)
		g_cond_wait(&self->changed, &self->lock);
	flushing = self->flushing;
	g_mutex_unlock(&self->lock);
	return !flushing;
}

/* Called with the lock held. */
static void let_wait(WeirSrc *self)
{
	if (self->flushing || self->eos_asked || (self->stream.live && !self->playing))
		feed_unlock(&self->feed);
	else
		feed_unlock_stop(&self->feed);
	g_cond_broadcast(&self->changed);
}

static void set_playing(WeirSrc *self, bool playing)
{
	g_mutex_lock(&self->lock);
	self->playing = playing;
	let_wait(self);
	g_mutex_unlock(&self->lock);
}

static void set_flushing(WeirSrc *self, bool flushing)
{
	g_mutex_lock(&self->lock);
	self->flushing = flushing;
	self->eos_asked = false;
	let_wait(self);
	g_mutex_unlock(&self->lock);
}

/* --- the streaming thread --------------------------------------------------------------------------------------- */

static GstFlowReturn take_frame(WeirSrc *self)
{
	uint32_t notes = atomic_exchange(&self->notes, 0);
	struct weir_frame frame;
	int r;

	if (notes != 0)
		weir_client_note(self->feed.client, notes);
	r = feed_next(&self->feed, &frame);
	switch (r) {
	case 0: {
		GstFlowReturn flow = srcstream_push(&self->stream, &frame);

		self->silent_since_ns = 0;
		if (flow == GST_FLOW_OK && (frame.flags & WEIR_FRAME_EVENT) == 0 && self->left_to_push > 0 &&
			--self->left_to_push == 0)
			return GST_FLOW_EOS;
		return flow;
	}
	case FEED_NEW: srcstream_new_generation(&self->stream, self->feed.frames); return GST_FLOW_OK;
	case -EAGAIN: srcproducer_note_silence(self); return GST_FLOW_OK;
	case -EINTR: return GST_FLOW_OK;
	case -ENODATA: GST_INFO_OBJECT(self, "end of stream"); return GST_FLOW_EOS;
	default: return srcproducer_lose(self);
	}
}

static void loop(gpointer data)
{
	WeirSrc *self = data;
	GstFlowReturn flow = GST_FLOW_OK;

	if (!wait_until_playing(self))
		flow = GST_FLOW_FLUSHING;
	else if (self->eos_asked || self->left_to_push == 0)
		flow = GST_FLOW_EOS;
	else
		flow = self->connected ? take_frame(self) : srcproducer_connect(self);
	if (flow == GST_FLOW_OK)
		return;
	GST_DEBUG_OBJECT(self, "pausing: %s", gst_flow_get_name(flow));
	gst_pad_pause_task(self->pad);
	if (flow == GST_FLOW_NOT_LINKED || (flow < GST_FLOW_EOS && flow != GST_FLOW_ERROR))
		GST_ELEMENT_FLOW_ERROR(self, flow);
	if (flow != GST_FLOW_FLUSHING)
		srcstream_end(&self->stream);
}

static gboolean activate_mode(GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
	WeirSrc *self = WEIR_SRC(parent);

	if (mode != GST_PAD_MODE_PUSH)
		return FALSE;
	set_flushing(self, !active);
	return active ? gst_pad_start_task(pad, loop, self, NULL) : gst_pad_stop_task(pad);
}

/* --- states ----------------------------------------------------------------------------------------------------- */

static bool start(WeirSrc *self)
{
	int r;

	GST_OBJECT_LOCK(self);
	srcsettings_copy(&self->run, &self->settings);
	GST_OBJECT_UNLOCK(self);
	if (self->run.socket_path == NULL || self->run.socket_path[0] == '\0') {
		GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND,
			("No socket-path is set: give that of a weirsink, like /tmp/cam0"), (NULL));
		return false;
	}
	/* Locked, because the application's events may come at any time. */
	g_mutex_lock(&self->lock);
	r = feed_init(&self->feed);
	g_mutex_unlock(&self->lock);
	if (r < 0) {
		GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("Too many open files"), GST_ERROR_SYSTEM);
		return false;
	}
	self->stream.live = self->run.is_live;
	self->stream.mode = self->run.timestamp_mode;
	srcstream_reset(&self->stream);
	self->was_connected = self->connected = false;
	self->waiting_since_ns = epoch_monotonic_ns();
	self->silent_since_ns = 0;
	self->left_to_push = self->run.num_buffers;
	return true;
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
	WeirSrc *self = WEIR_SRC(element);
	GstStateChangeReturn result;

	if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !start(self))
		return GST_STATE_CHANGE_FAILURE;
	if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED)
		set_playing(self, false);
	result = GST_ELEMENT_CLASS(weirsrc_parent_class)->change_state(element, transition);
	if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
		(transition == GST_STATE_CHANGE_READY_TO_PAUSED && result == GST_STATE_CHANGE_FAILURE)) {
		g_mutex_lock(&self->lock);
		feed_finish(&self->feed);
		g_mutex_unlock(&self->lock);
	}
	if (result == GST_STATE_CHANGE_FAILURE)
		return result;
	if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING)
		set_playing(self, true);
	if (self->stream.live &&
		(transition == GST_STATE_CHANGE_READY_TO_PAUSED || transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED))
		result = GST_STATE_CHANGE_NO_PREROLL;
	return result;
}

/* An end of stream from the application (gst-launch-1.0 -e): the streaming thread passes it on in order. */
static gboolean send_event(GstElement *element, GstEvent *event)
{
	WeirSrc *self = WEIR_SRC(element);

	if (GST_EVENT_TYPE(event) != GST_EVENT_EOS)
		return GST_ELEMENT_CLASS(weirsrc_parent_class)->send_event(element, event);
	gst_event_unref(event);
	g_mutex_lock(&self->lock);
	self->eos_asked = true;
	let_wait(self);
	g_mutex_unlock(&self->lock);
	return TRUE;
}

/* --- queries and events from downstream --------------------------------------------------------------------------- */

/* A reader that is waited for may be late for ever; another one by what is kept for it. */
static gboolean answer_latency(WeirSrc *self, GstQuery *query)
{
	GstClockTime min_ns = 0, max_ns = GST_CLOCK_TIME_NONE;
	bool live;

	GST_OBJECT_LOCK(self);
	live = self->settings.is_live;
	if (live)
		min_ns = self->stream.latency_ns + self->settings.processing_deadline_ns;
	if (live && self->stream.frame_ns != 0 && srcsettings_policy(&self->settings).mode != WEIR_POLICY_LOSSLESS)
		max_ns = min_ns + self->settings.max_buffers * self->stream.frame_ns;
	GST_OBJECT_UNLOCK(self);
	gst_query_set_latency(query, live, min_ns, max_ns);
	return TRUE;
}

static gboolean src_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
	WeirSrc *self = WEIR_SRC(parent);
	GstFormat format;
	GstCaps *caps, *filter;
	gchar *uri;

	switch (GST_QUERY_TYPE(query)) {
	case GST_QUERY_LATENCY: return answer_latency(self, query);
	case GST_QUERY_SCHEDULING:
		gst_query_set_scheduling(query, GST_SCHEDULING_FLAG_SEQUENTIAL, 1, -1, 0);
		gst_query_add_scheduling_mode(query, GST_PAD_MODE_PUSH);
		return TRUE;
	case GST_QUERY_SEEKING:
		gst_query_parse_seeking(query, &format, NULL, NULL, NULL);
		gst_query_set_seeking(query, format, FALSE, 0, -1);
		return TRUE;
	case GST_QUERY_CAPS:
		gst_query_parse_caps(query, &filter);
		caps = gst_pad_get_current_caps(pad);
		if (caps == NULL)
			caps = gst_caps_new_any();
		if (filter != NULL) {
			GstCaps *both = gst_caps_intersect_full(filter, caps, GST_CAPS_INTERSECT_FIRST);

			gst_caps_unref(caps);
			caps = both;
		}
		gst_query_set_caps_result(query, caps);
		gst_caps_unref(caps);
		return TRUE;
	case GST_QUERY_URI:
		uri = gst_uri_handler_get_uri(GST_URI_HANDLER(self));
		gst_query_set_uri(query, uri);
		g_free(uri);
		return TRUE;
	default: return gst_pad_query_default(pad, parent, query);
	}
}

static gboolean src_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
	WeirSrc *self = WEIR_SRC(parent);
	gboolean handled = FALSE;

	if (gst_video_event_is_force_key_unit(event)) {
		gboolean all_headers = FALSE;

		gst_video_event_parse_upstream_force_key_unit(event, NULL, &all_headers, NULL);
		atomic_fetch_or(&self->notes, WEIRSINK_NOTE_KEY_UNIT | (all_headers ? WEIRSINK_NOTE_HEADERS : 0));
		g_mutex_lock(&self->lock);
		feed_wake(&self->feed);
		g_mutex_unlock(&self->lock);
		handled = TRUE;
	} else {
		handled = GST_EVENT_TYPE(event) == GST_EVENT_LATENCY ||
			  GST_EVENT_TYPE(event) == GST_EVENT_RECONFIGURE || GST_EVENT_TYPE(event) == GST_EVENT_QOS;
	}
	gst_event_unref(event);
	return handled;
}

/* --- the object ------------------------------------------------------------------------------------------------- */

enum { PROP_STATS = SRCSETTINGS_LAST };

static GstStructure *stats_of(WeirSrc *self)
{
	GstStructure *stats;

	GST_OBJECT_LOCK(self);
	stats = gst_structure_new("application/x-weir-src-stats", "buffers", G_TYPE_UINT64, self->stream.pushed, "lost",
		G_TYPE_UINT64, self->stream.lost, "copied", G_TYPE_UINT64, self->stream.copied, "broken", G_TYPE_UINT64,
		self->stream.broken, "connections", G_TYPE_UINT64, self->stream.producers, NULL);
	GST_OBJECT_UNLOCK(self);
	return stats;
}

static void weirsrc_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
	WeirSrc *self = WEIR_SRC(object);
	bool known;

	GST_OBJECT_LOCK(self);
	known = srcsettings_set(&self->settings, id, value);
	GST_OBJECT_UNLOCK(self);
	if (!known)
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void weirsrc_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
	WeirSrc *self = WEIR_SRC(object);
	bool known;

	if (id == PROP_STATS) {
		g_value_take_boxed(value, stats_of(self));
		return;
	}
	GST_OBJECT_LOCK(self);
	known = srcsettings_get(&self->settings, id, value);
	GST_OBJECT_UNLOCK(self);
	if (!known)
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void weirsrc_finalize(GObject *object)
{
	WeirSrc *self = WEIR_SRC(object);

	srcstream_finish(&self->stream);
	srcsettings_finish(&self->run);
	srcsettings_finish(&self->settings);
	g_cond_clear(&self->changed);
	g_mutex_clear(&self->lock);
	G_OBJECT_CLASS(weirsrc_parent_class)->finalize(object);
}

static void weirsrc_class_init(WeirSrcClass *class)
{
	GObjectClass *object = G_OBJECT_CLASS(class);
	GstElementClass *element = GST_ELEMENT_CLASS(class);

	GST_DEBUG_CATEGORY_INIT(weirsrc_debug, "weirsrc", 0, "Weir source");
	object->set_property = weirsrc_set_property;
	object->get_property = weirsrc_get_property;
	object->finalize = weirsrc_finalize;
	srcsettings_install(object);
	g_object_class_install_property(object, PROP_STATS,
		g_param_spec_boxed("stats", "Statistics",
			"Counts since the element was made: buffers put out, lost on the way, copied because "
			"downstream "
			"held too many, broken ones, and connections",
			GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
	gst_element_class_set_static_metadata(element, "Weir source", "Source",
		"Reads buffers that another process publishes in shared memory", "The Weir authors");
	gst_element_class_add_static_pad_template(element, &src_template);
	element->change_state = change_state;
	element->send_event = send_event;
}

static void weirsrc_init(WeirSrc *self)
{
	g_mutex_init(&self->lock);
	g_cond_init(&self->changed);
	srcsettings_init(&self->settings);
	self->feed.wake_fd = -1;
	self->flushing = true;
	self->pad = gst_pad_new_from_static_template(&src_template, "src");
	gst_pad_set_activatemode_function(self->pad, activate_mode);
	gst_pad_set_query_function(self->pad, src_query);
	gst_pad_set_event_function(self->pad, src_event);
	gst_element_add_pad(GST_ELEMENT_CAST(self), self->pad);
	srcstream_init(&self->stream, GST_ELEMENT_CAST(self), self->pad);
	GST_OBJECT_FLAG_SET(self, GST_ELEMENT_FLAG_SOURCE);
}
