/* SPDX-License-Identifier: MIT */
#include "replay.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "source.h"
#include "streamcaps.h"

/* Jumps of times between two files that are not taken for another life. */
#define GAP_NS	  INT64_C(10000000000)
#define JITTER_NS INT64_C(1000000)

struct replay {
	struct source source;
	struct weir_format format; /* of the caps that were set last */
	int64_t offset_ns;	   /* from times of the recording to those of the stream */
	int64_t next_ns;	   /* where the stream has come to */
	bool begun;
};

static void replay_free(gpointer data)
{
	struct replay *replay = data;

	source_close(&replay->source);
	g_free(replay);
}

static int set_caps(struct replay *replay, GstElement *element)
{
	const struct weir_format *format = source_format(&replay->source);
	GstCaps *caps;

	if (memcmp(format, &replay->format, sizeof(*format)) == 0)
		return 0;
	caps = format->kind != WEIR_KIND_VIDEO ? streamcaps_of_format(format) : NULL;
	if (caps == NULL)
		return -EPROTO;
	g_object_set(element, "caps", caps, NULL);
	gst_caps_unref(caps);
	replay->format = *format;
	return 0;
}

/* The stream's time of a packet. A file begins with a key frame, the latest one so far, unless another life of the
 * recorder, or of its source, begins with it: that follows what was before. */
static bool place_in_time(struct replay *replay, const struct place *place, GstBuffer *buffer)
{
	const struct weir_frame *frame = &place->frame;
	const int64_t duration_ns = frame->duration_ns > 0 ? frame->duration_ns : 0;
	int64_t ns;
	bool jump = false;

	if (frame->pts_ns == WEIR_TIME_NONE)
		return false;
	ns = frame->pts_ns + replay->offset_ns;
	if (!replay->begun || (place->first && (ns < replay->next_ns - JITTER_NS || ns > replay->next_ns + GAP_NS))) {
		jump = replay->begun;
		replay->begun = true;
		replay->offset_ns = replay->next_ns - frame->pts_ns;
		ns = replay->next_ns;
	}
	if (ns >= 0)
		GST_BUFFER_PTS(buffer) = (GstClockTime)ns;
	replay->next_ns = MAX(replay->next_ns, ns + duration_ns);
	return jump;
}

/* Decoders find the order of showing themselves, as with every Matroska file, which tells no other time. */
static GstBuffer *make_buffer(struct replay *replay, const struct place *place)
{
	const struct weir_frame *frame = &place->frame;
	GstBuffer *buffer = gst_buffer_new_allocate(NULL, frame->size_bytes, NULL);
	const bool jump = place_in_time(replay, place, buffer);

	gst_buffer_fill(buffer, 0, frame->data, frame->size_bytes);
	if (frame->duration_ns > 0)
		GST_BUFFER_DURATION(buffer) = (GstClockTime)frame->duration_ns;
	if ((frame->flags & WEIR_FRAME_KEY) == 0)
		GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
	if (jump || frame->dropped_before > 0 || (frame->flags & WEIR_FRAME_DISCONTINUITY) != 0)
		GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
	return buffer;
}

/* Runs in the streaming thread; gives one packet, or the end. */
static void need_data(GstElement *element, guint unused, struct replay *replay)
{
	struct place place;
	GstFlowReturn flow;
	GstBuffer *buffer;
	int r;

	while ((r = source_next(&replay->source, &place)) == -ENODATA)
		if ((r = source_next_file(&replay->source)) < 0 || (r = set_caps(replay, element)) < 0)
			break;
	if (r == -ENODATA) {
		g_signal_emit_by_name(element, "end-of-stream", &flow);
		return;
	}
	if (r < 0) {
		GST_ELEMENT_ERROR(element, STREAM, DEMUX,
			("%s cannot be read further: %s",
				replay->source.file < replay->source.files.count
					? replay->source.files.path[replay->source.file]
					: "the recording",
				r == -EPROTO ? "it is damaged, or of another kind than the others" : g_strerror(-r)),
			(NULL));
		return;
	}
	buffer = make_buffer(replay, &place);
	g_signal_emit_by_name(element, "push-buffer", buffer, &flow);
	gst_buffer_unref(buffer);
}

GstElement *replay_new(const char *path, char **error)
{
	struct replay *replay = g_new0(struct replay, 1);
	GstElement *element = gst_element_factory_make("appsrc", NULL);
	char text[512] = "the GStreamer element appsrc is missing: apt-get install gstreamer1.0-plugins-base";
	int r = element != NULL ? source_open(&replay->source, path, NULL, text, sizeof(text)) : -ENOENT;

	if (r == 0 && set_caps(replay, element) < 0) {
		source_close(&replay->source);
		snprintf(text, sizeof(text),
			"%s: these are raw pictures, which need no decoder: the backend is record/player", path);
		r = -EINVAL;
	}
	if (r < 0) {
		*error = g_strdup(text);
		g_free(replay);
		if (element != NULL)
			gst_object_unref(gst_object_ref_sink(element));
		return NULL;
	}
	gst_util_set_object_arg(G_OBJECT(element), "format", "time");
	g_object_set_data_full(G_OBJECT(element), "weir-replay", replay, replay_free);
	g_signal_connect(element, "need-data", G_CALLBACK(need_data), replay);
	return element;
}
