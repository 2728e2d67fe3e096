/* SPDX-License-Identifier: MIT */
/* What a pipeline says on its bus, and what follows from it. */
#include "decoder.h"

#include <stdio.h>

#include <gst/pbutils/missing-plugins.h>

#include "explain.h"
#include "pipeline.h"

#define HUSHED_NS (DECODER_SECOND_NS / 2) /* another element has had its chance by then */

static void on_error_back(struct weir_back *back, struct decoder *decoder, GstMessage *message)
{
	char text[sizeof(((struct weir_source_status *)NULL)->text)], cut[sizeof(text) + 64];
	GError *error;
	gchar *debug;
	int status;

	gst_message_parse_error(message, &error, &debug);
	status = explain_error(&decoder->options, error, debug, decoder->missing, text, sizeof(text));
	if (decoder->ring_status < 0) {
		decoder_fail_back(back, decoder, error->message, decoder->ring_status);
	} else if (options_is_camera(&decoder->options) && decoder->worked) {
		decoder_lose_back(back, decoder, text);
	} else if (options_is_file(&decoder->options) && decoder->worked) {
		snprintf(cut, sizeof(cut), "cut short or damaged after %llu frames: %s",
			(unsigned long long)decoder_frames(decoder), text);
		decoder_end_back(back, decoder, cut);
	} else {
		decoder_fail_back(back, decoder, text, status);
	}
	g_error_free(error);
	g_free(debug);
}

/* How a source that could be read to its end has ended. */
static void describe_end(struct decoder *decoder, const struct weirsink_stats *stats, char *text, size_t size)
{
	GstClockTime duration = pipeline_duration(decoder->sink);
	int length = snprintf(text, size, "end after %llu frames", (unsigned long long)stats->frames);

	if (decoder->options.kind != SOURCE_FILE)
		return;
	if (explain_riff_is_cut(&decoder->options))
		snprintf(text + length, size - (size_t)length, ": the file is cut short");
	else if (GST_CLOCK_TIME_IS_VALID(duration) && stats->next_pts_ns != WEIR_TIME_NONE &&
		 (int64_t)duration - stats->next_pts_ns > MAX(DECODER_SECOND_NS / 2, (int64_t)duration / 50))
		snprintf(text + length, size - (size_t)length,
			", at %.2f s of %.2f s: the file is cut short, or its video is",
			(double)stats->next_pts_ns / DECODER_SECOND_NS, (double)duration / DECODER_SECOND_NS);
}

static void on_end_back(struct weir_back *back, struct decoder *decoder)
{
	struct weirsink_stats stats;
	char text[160];

	weirsink_stats(WEIR_SINK(decoder->sink), &stats);
	if (options_is_camera(&decoder->options) && decoder->worked) {
		decoder_lose_back(back, decoder, "the camera ended its stream");
	} else if (stats.frames == 0) {
		snprintf(text, sizeof(text), "%.80s ended without a single frame", decoder->options.label);
		decoder_fail_back(back, decoder, text, -ENODATA);
	} else {
		describe_end(decoder, &stats, text, sizeof(text));
		decoder_end_back(back, decoder, text);
	}
}

/* --- errors that decodebin keeps to itself ----------------------------------------------------------------------- */

/* decodebin swallows the errors of an element while it plugs it in, because it may try another one. A demuxer that
 * fails in just that moment (a file without its index) is one that nobody hears of, and then nothing happens any more.
 * So each element in a decodebin gets a bus of ours that listens and passes everything on to decodebin's. */

struct relay {
	struct decoder *decoder;
	GstBus *bus; /* decodebin's for its children */
};

static void relay_free(gpointer data)
{
	struct relay *relay = data;

	gst_object_unref(relay->bus);
	g_free(relay);
}

/* Runs in any thread. */
static GstBusSyncReply relay_message(GstBus *bus, GstMessage *message, gpointer data)
{
	struct relay *relay = data;
	struct decoder *decoder = relay->decoder;

	if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
		g_mutex_lock(&decoder->lock);
		if (decoder->hushed == NULL) {
			decoder->hushed = gst_message_ref(message);
			decoder->hushed_ns = g_get_monotonic_time() * 1000;
		}
		g_mutex_unlock(&decoder->lock);
	}
	gst_bus_post(relay->bus, message);
	return GST_BUS_DROP;
}

static void on_element(GstBin *pipeline, GstBin *parent, GstElement *element, gpointer data)
{
	GstElementFactory *factory = gst_element_get_factory(GST_ELEMENT(parent));
	struct relay *relay;
	GstBus *bus;

	if (factory == NULL || g_strcmp0(GST_OBJECT_NAME(factory), "decodebin") != 0)
		return;
	relay = g_new(struct relay, 1);
	*relay = (struct relay){ .decoder = data, .bus = gst_element_get_bus(element) };
	bus = g_object_new(GST_TYPE_BUS, "enable-async", FALSE, NULL);
	gst_bus_set_sync_handler(bus, relay_message, relay, relay_free);
	gst_element_set_bus(element, bus);
	gst_object_unref(bus);
}

void bus_listen(struct decoder *decoder)
{
	if (options_is_file(&decoder->options))
		g_signal_connect(decoder->pipeline, "deep-element-added", G_CALLBACK(on_element), decoder);
}

void bus_check_hushed_back(struct weir_back *back, struct decoder *decoder, int64_t now_ns)
{
	GstMessage *message = NULL;

	g_mutex_lock(&decoder->lock);
	if (decoder->hushed != NULL && now_ns - decoder->hushed_ns > HUSHED_NS) {
		message = decoder->hushed;
		decoder->hushed = NULL;
	}
	g_mutex_unlock(&decoder->lock);
	if (message == NULL)
		return;
	if (decoder->phase == PHASE_CONNECTING)
		on_error_back(back, decoder, message);
	gst_message_unref(message);
}

void bus_forget(struct decoder *decoder)
{
	g_clear_pointer(&decoder->hushed, gst_message_unref);
	g_clear_pointer(&decoder->missing, g_free);
}

/* --- the bus ----------------------------------------------------------------------------------------------------- */

void bus_on_messages_back(struct weir_back *back, void *state, int fd)
{
	struct decoder *decoder = state;
	GstMessage *message;

	/* A message may end the pipeline, and the bus with it. */
	while (decoder->bus != NULL && decoder->phase <= PHASE_LIVE && (message = gst_bus_pop(decoder->bus)) != NULL) {
		decoder_notice_frames_back(back, decoder);
		switch (GST_MESSAGE_TYPE(message)) {
		case GST_MESSAGE_ELEMENT:
			if (gst_is_missing_plugin_message(message) && decoder->missing == NULL)
				decoder->missing = gst_missing_plugin_message_get_description(message);
			break;
		case GST_MESSAGE_ERROR: on_error_back(back, decoder, message); break;
		case GST_MESSAGE_EOS: on_end_back(back, decoder); break;
		default: break;
		}
		gst_message_unref(message);
	}
}
