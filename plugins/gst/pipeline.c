/* SPDX-License-Identifier: MIT */
#include "pipeline.h"

#include <errno.h>
#include <stdbool.h>

#include "packets.h"
#include "replay.h"

#include <gst/video/video.h>
#include <weir/frame.h>

/* An address that swallows packets fails after this time; a server that sends no UDP is asked for TCP after that. */
#define RTSP_TCP_US 5000000
#define RTSP_UDP_US 3000000

#define PACKETS_SINK  "weir-packets" /* data of videoconvert: the sink for packets, if there is one */
#define ONLY_PACKETS  "weir-only"    /* data of what stands in its place when nothing is decoded */
#define FORMAT_FILTER "weir-format"  /* data of videoconvert: the capsfilter behind it */

static GstElement *add_element(GstElement *bin, const char *factory, char **error)
{
	GstElement *element = gst_element_factory_make(factory, NULL);

	if (element != NULL)
		gst_bin_add(GST_BIN(bin), element);
	else if (*error == NULL)
		*error = g_strdup_printf("the GStreamer element %s is missing: apt-get install "
					 "gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
			factory);
	return element;
}

/* --- from the decoder to the sink ------------------------------------------------------------------------------ */

static GstCaps *wanted_caps(const struct options *options)
{
	GstCaps *caps = gst_caps_from_string("video/x-raw, format=(string){ I420, NV12, GRAY8, RGB }");

	if (options->pixel != WEIR_PIXEL_NONE)
		gst_caps_set_simple(caps, "format", G_TYPE_STRING, weir_pixel_name(options->pixel), NULL);
	if (options->width != 0)
		gst_caps_set_simple(
			caps, "width", G_TYPE_INT, options->width, "height", G_TYPE_INT, options->height, NULL);
	return caps;
}

/* Adds everything behind the decoder, and returns its first element. */
static GstElement *add_chain(GstElement *pipeline, const struct options *options, GstElement *sink, char **error)
{
	GstElement *convert = add_element(pipeline, "videoconvert", error);
	GstElement *scale = options->width != 0 ? add_element(pipeline, "videoscale", error) : convert;
	GstElement *filter = add_element(pipeline, "capsfilter", error);
	GstCaps *caps;

	if (*error != NULL)
		return NULL;
	g_object_set_data(G_OBJECT(convert), FORMAT_FILTER, filter);
	caps = wanted_caps(options);
	g_object_set(filter, "caps", caps, NULL);
	gst_caps_unref(caps);
	gst_bin_add(GST_BIN(pipeline), sink);
	if (scale != convert)
		gst_element_link(convert, scale);
	gst_element_link_many(scale, filter, sink, NULL);
	return convert;
}

/* --- decodebin: one video stream, the rest thrown away undecoded ------------------------------------------------ */

/* data: the sink for packets, if there is one: then they are shown before they are decoded. */
static gboolean continue_decoding(GstElement *decodebin, GstPad *pad, GstCaps *caps, gpointer data)
{
	static const char *const unwanted[] = { "audio/", "text/", "subpicture/", "closedcaption/" };
	const char *name = gst_caps_is_empty(caps) || gst_caps_is_any(caps)
				   ? ""
				   : gst_structure_get_name(gst_caps_get_structure(caps, 0));

	for (guint i = 0; i < G_N_ELEMENTS(unwanted); i++)
		if (g_str_has_prefix(name, unwanted[i]))
			return FALSE;
	return data == NULL || !packets_are(caps);
}

static bool is_video(GstPad *pad)
{
	GstCaps *caps = gst_pad_query_caps(pad, NULL);
	bool video = !gst_caps_is_any(caps) && !gst_caps_is_empty(caps) &&
		     gst_structure_has_name(gst_caps_get_structure(caps, 0), "video/x-raw");

	gst_caps_unref(caps);
	return video;
}

static bool is_open(const GstCaps *wanted)
{
	const GValue *format = gst_structure_get_value(gst_caps_get_structure(wanted, 0), "format");

	return GST_VALUE_HOLDS_LIST(format);
}

/* Where YUV has to be converted and no format was asked for, makes it I420: videoconvert would make RGB of YUY2,
 * because less is lost, but most readers want luma. */
static void choose_format(GstElement *convert, GstPad *pad)
{
	GstElement *filter = g_object_get_data(G_OBJECT(convert), FORMAT_FILTER);
	GstCaps *caps = gst_pad_get_current_caps(pad), *wanted;
	GstVideoInfo info;

	g_object_get(filter, "caps", &wanted, NULL);
	if (is_open(wanted) && caps != NULL && gst_video_info_from_caps(&info, caps) && GST_VIDEO_INFO_IS_YUV(&info) &&
		weir_pixel_from_name(gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(&info))) == WEIR_PIXEL_NONE) {
		wanted = gst_caps_make_writable(wanted);
		gst_caps_set_simple(wanted, "format", G_TYPE_STRING, "I420", NULL);
		g_object_set(filter, "caps", wanted, NULL);
	}
	gst_caps_unref(wanted);
	if (caps != NULL)
		gst_caps_unref(caps);
}

static void connect_decodebin(GstElement *decodebin, GstElement *convert, GstElement *packets);

/* True: the pad's packets go to their sink, and on to another decodebin. */
static bool tap(GstElement *pipeline, GstElement *convert, GstPad *pad)
{
	GstElement *packets = g_object_get_data(G_OBJECT(convert), PACKETS_SINK), *decodebin;

	if (packets == NULL || GST_OBJECT_PARENT(packets) != NULL)
		return false;
	if (g_object_get_data(G_OBJECT(convert), ONLY_PACKETS) != NULL)
		return packets_lead(pipeline, pad, packets);
	decodebin = packets_tap(pipeline, pad, packets);
	if (decodebin == NULL)
		return false;
	connect_decodebin(decodebin, convert, NULL);
	gst_element_sync_state_with_parent(decodebin);
	return true;
}

static void pad_added(GstElement *decodebin, GstPad *pad, gpointer data)
{
	GstElement *convert = data, *pipeline = GST_ELEMENT(gst_object_get_parent(GST_OBJECT(convert))), *discard;
	GstPad *into = gst_element_get_static_pad(convert, "sink");

	if (is_video(pad) && g_object_get_data(data, ONLY_PACKETS) != NULL) {
		GST_ELEMENT_ERROR(decodebin, STREAM, WRONG_TYPE,
			("The source is not encoded: it has no packets; record its raw pictures instead"), (NULL));
	} else if (is_video(pad) && !gst_pad_is_linked(into)) {
		choose_format(convert, pad);
		gst_pad_link(pad, into);
	} else if (tap(pipeline, convert, pad)) {
		/* it comes back decoded */
	} else if ((discard = gst_element_factory_make("fakesink", NULL)) != NULL) {
		gst_object_unref(into);
		g_object_set(discard, "async", FALSE, "sync", FALSE, NULL);
		gst_bin_add(GST_BIN(pipeline), discard);
		gst_element_sync_state_with_parent(discard);
		into = gst_element_get_static_pad(discard, "sink");
		gst_pad_link(pad, into);
	}
	gst_object_unref(into);
	gst_object_unref(pipeline);
}

static void no_more_pads(GstElement *decodebin, gpointer data)
{
	GstPad *into = gst_element_get_static_pad(data, "sink");
	GstElement *packets = g_object_get_data(data, PACKETS_SINK);

	/* Where packets are shown, the pictures come later. */
	if (!gst_pad_is_linked(into) && (packets == NULL || GST_OBJECT_PARENT(packets) == NULL))
		GST_ELEMENT_ERROR(decodebin, STREAM, WRONG_TYPE, ("There is no video in it"), (NULL));
	gst_object_unref(into);
}

static gboolean select_stream(GstElement *rtspsrc, guint number, GstCaps *caps, gpointer data)
{
	return g_strcmp0(gst_structure_get_string(gst_caps_get_structure(caps, 0), "media"), "video") == 0;
}

static void source_setup(GstElement *bin, GstElement *source, gpointer data)
{
	GstElementFactory *factory = gst_element_get_factory(source);

	if (factory == NULL || g_strcmp0(GST_OBJECT_NAME(factory), "rtspsrc") != 0)
		return;
	g_object_set(source, "latency", GPOINTER_TO_UINT(data), "tcp-timeout", (guint64)RTSP_TCP_US, "timeout",
		(guint64)RTSP_UDP_US, NULL);
	g_signal_connect(source, "select-stream", G_CALLBACK(select_stream), NULL);
}

static void connect_decodebin(GstElement *decodebin, GstElement *convert, GstElement *packets)
{
	g_signal_connect(decodebin, "autoplug-continue", G_CALLBACK(continue_decoding), packets);
	g_signal_connect(decodebin, "pad-added", G_CALLBACK(pad_added), convert);
	g_signal_connect(decodebin, "no-more-pads", G_CALLBACK(no_more_pads), convert);
}

static GstElement *add_decodebin(GstElement *pipeline, const char *factory, GstElement *convert, char **error)
{
	GstElement *decodebin = add_element(pipeline, factory, error);

	if (decodebin != NULL)
		connect_decodebin(decodebin, convert, g_object_get_data(G_OBJECT(convert), PACKETS_SINK));
	return decodebin;
}

/* --- sources --------------------------------------------------------------------------------------------------- */

static void add_uri(GstElement *pipeline, const struct options *options, GstElement *convert, char **error)
{
	GstElement *bin = add_decodebin(pipeline, "uridecodebin", convert, error);

	if (bin == NULL)
		return;
	g_object_set(bin, "uri", options->target, NULL);
	g_signal_connect(bin, "source-setup", G_CALLBACK(source_setup), GUINT_TO_POINTER(options->latency_ms));
}

static void add_directory(GstElement *pipeline, const struct options *options, GstElement *convert, char **error)
{
	GstElement *source = replay_new(options->target, error), *decodebin;

	if (source == NULL)
		return;
	gst_bin_add(GST_BIN(pipeline), source);
	decodebin = add_decodebin(pipeline, "decodebin", convert, error);
	if (decodebin != NULL)
		gst_element_link(source, decodebin);
}

static void add_camera(GstElement *pipeline, const struct options *options, GstElement *convert, char **error)
{
	GstElement *source = add_element(pipeline, "v4l2src", error);
	GstElement *decodebin = add_decodebin(pipeline, "decodebin", convert, error);

	if (*error != NULL)
		return;
	g_object_set(source, "device", options->target, NULL);
	gst_element_link(source, decodebin);
}

static void add_test(GstElement *pipeline, const struct options *options, GstElement *convert, char **error)
{
	GstElement *source = add_element(pipeline, "videotestsrc", error);
	GstElement *filter = add_element(pipeline, "capsfilter", error);
	GstCaps *caps;

	if (*error != NULL)
		return;
	gst_util_set_object_arg(G_OBJECT(source), "pattern", "ball");
	g_object_set(source, "is-live", TRUE, "num-buffers", options->test_frames, NULL);
	/* Left to itself it would make RGB, of which most readers first have to make luma. */
	caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING,
		options->pixel != WEIR_PIXEL_NONE ? weir_pixel_name(options->pixel) : "I420", "width", G_TYPE_INT,
		options->test_width, "height", G_TYPE_INT, options->test_height, "framerate", GST_TYPE_FRACTION,
		options->test_rate, 1, NULL);
	g_object_set(filter, "caps", caps, NULL);
	gst_caps_unref(caps);
	gst_element_link_many(source, filter, convert, NULL);
}

static void add_description(GstElement *pipeline, const struct options *options, GstElement *convert, char **error)
{
	/* A tail of our own instead of the parser's ghost pads: it makes one on a decoder's sink pad, too, that waits
	 * for its demuxer, and then they are never linked. */
	gchar *description = g_strdup_printf("%s ! capsfilter name=weir-tail", options->target);
	GError *why = NULL;
	GstElement *bin = gst_parse_bin_from_description_full(
		description, FALSE, NULL, GST_PARSE_FLAG_FATAL_ERRORS | GST_PARSE_FLAG_PLACE_IN_BIN, &why);
	GstElement *tail, *decodebin;
	GstPad *pad;

	g_free(description);
	if (bin == NULL) {
		*error =
			g_strdup_printf("bad pipeline: %s; it reads like that of gst-launch-1.0 and ends with one open "
					"source pad",
				why->message);
		g_error_free(why);
		return;
	}
	gst_bin_add(GST_BIN(pipeline), bin);
	tail = gst_bin_get_by_name(GST_BIN(bin), "weir-tail");
	pad = gst_element_get_static_pad(tail, "src");
	gst_element_add_pad(bin, gst_ghost_pad_new("src", pad));
	gst_object_unref(pad);
	gst_object_unref(tail);
	decodebin = add_decodebin(pipeline, "decodebin", convert, error);
	if (decodebin != NULL)
		gst_element_link(bin, decodebin);
}

GstElement *pipeline_build(const struct options *options, GstElement *sink, GstElement *packets, char **error)
{
	GstElement *pipeline = gst_pipeline_new("decoder"), *convert;
	GstClock *clock = gst_system_clock_obtain();

	/* Its running time is CLOCK_MONOTONIC, so the capture time of live frames is known. */
	gst_pipeline_use_clock(GST_PIPELINE(pipeline), clock);
	gst_object_unref(clock);
	*error = NULL;
	convert = options->only_packets ? add_element(pipeline, "identity", error)
					: add_chain(pipeline, options, sink, error);
	if (convert != NULL)
		g_object_set_data(G_OBJECT(convert), PACKETS_SINK, options->only_packets ? sink : packets);
	if (convert != NULL && options->only_packets)
		g_object_set_data(G_OBJECT(convert), ONLY_PACKETS, sink);
	if (options->only_packets && options->kind == SOURCE_TEST)
		*error = g_strdup("the test source is not encoded: it has no packets");
	else if (convert != NULL)
		switch (options->kind) {
		case SOURCE_FILE:
		case SOURCE_URI:
		case SOURCE_RTSP: add_uri(pipeline, options, convert, error); break;
		case SOURCE_DIRECTORY: add_directory(pipeline, options, convert, error); break;
		case SOURCE_V4L2: add_camera(pipeline, options, convert, error); break;
		case SOURCE_TEST: add_test(pipeline, options, convert, error); break;
		case SOURCE_PIPELINE: add_description(pipeline, options, convert, error); break;
		}
	if (*error == NULL)
		return pipeline;
	if (GST_OBJECT_PARENT(sink) == GST_OBJECT(pipeline))
		gst_bin_remove(GST_BIN(pipeline), sink);
	gst_object_unref(pipeline);
	return NULL;
}

/* --- the end --------------------------------------------------------------------------------------------------- */

struct stopping {
	GMutex lock;
	GCond changed;
	GstElement *pipeline, *sink, *packets;
	bool stopped;
	bool abandoned; /* nobody waits any more: the thread frees this */
};

static void stopping_free(struct stopping *stopping)
{
	gst_object_unref(stopping->pipeline);
	gst_object_unref(stopping->sink);
	gst_clear_object(&stopping->packets);
	g_mutex_clear(&stopping->lock);
	g_cond_clear(&stopping->changed);
	g_free(stopping);
}

static gpointer stop_pipeline(gpointer data)
{
	struct stopping *stopping = data;
	bool abandoned;

	gst_element_set_state(stopping->pipeline, GST_STATE_NULL);
	packets_untap(stopping->pipeline, stopping->sink);
	if (stopping->packets != NULL)
		packets_untap(stopping->pipeline, stopping->packets);
	g_mutex_lock(&stopping->lock);
	stopping->stopped = true;
	abandoned = stopping->abandoned;
	g_cond_signal(&stopping->changed);
	g_mutex_unlock(&stopping->lock);
	if (abandoned)
		stopping_free(stopping);
	return NULL;
}

int pipeline_stop(GstElement *pipeline, GstElement *sink, GstElement *packets, int64_t timeout_ns)
{
	gint64 deadline_us = g_get_monotonic_time() + timeout_ns / 1000;
	struct stopping *stopping = g_new0(struct stopping, 1);
	GThread *thread;
	bool stopped;

	g_mutex_init(&stopping->lock);
	g_cond_init(&stopping->changed);
	stopping->pipeline = pipeline;
	stopping->sink = gst_object_ref(sink);
	stopping->packets = packets != NULL ? gst_object_ref(packets) : NULL;
	thread = g_thread_new("weir-stop", stop_pipeline, stopping);
	g_mutex_lock(&stopping->lock);
	while (!stopping->stopped)
		if (!g_cond_wait_until(&stopping->changed, &stopping->lock, deadline_us))
			break;
	stopped = stopping->stopped;
	stopping->abandoned = !stopped;
	g_mutex_unlock(&stopping->lock);
	if (!stopped) {
		g_thread_unref(thread);
		return -ETIMEDOUT;
	}
	g_thread_join(thread);
	stopping_free(stopping);
	return 0;
}

GstClockTime pipeline_duration(GstElement *sink)
{
	GstPad *pad = gst_element_get_static_pad(sink, "sink");
	gint64 duration;

	if (!gst_pad_peer_query_duration(pad, GST_FORMAT_TIME, &duration))
		duration = -1;
	gst_object_unref(pad);
	return duration < 0 ? GST_CLOCK_TIME_NONE : (GstClockTime)duration;
}
