/* SPDX-License-Identifier: MIT */
/* What a pipeline says on its bus, and what follows from it. */
#include "decoder.h"

#include <stdio.h>

#include <gst/pbutils/missing-plugins.h>

#include "explain.h"
#include "pipeline.h"

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
