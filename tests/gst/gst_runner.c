/* SPDX-License-Identifier: MIT */
/* gst_runner FD PIPELINE: runs a pipeline until its end or SIGINT, and counts what passes the element "p" (or "sum") in
 * the memory behind the descriptor. */
#include <glib-unix.h>
#include <gst/gst.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "runner.h"
#include "weirsink.h"
#include "weirsrc.h"

static struct runner_counters *counters;
static GstElement *pipeline;
static bool summing;

static void note_offset(guint64 offset)
{
	if (offset == GST_BUFFER_OFFSET_NONE)
		return;
	if (counters->buffers == 0)
		counters->first_offset = offset;
	else if (offset > counters->last_offset + 1)
		counters->skipped += offset - counters->last_offset - 1;
	counters->last_offset = offset;
}

static void add_up(GstBuffer *buffer)
{
	guint64 sum = counters->checksum;
	GstMapInfo map;

	if (!gst_buffer_map(buffer, &map, GST_MAP_READ))
		return;
	for (gsize i = 0; i < map.size; i++)
		sum = sum * 31 + map.data[i];
	counters->checksum = sum;
	gst_buffer_unmap(buffer, &map);
}

static void note_lag(GstPad *pad, GstBuffer *buffer)
{
	GstEvent *event = gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0);
	GstClockTime now = gst_element_get_current_running_time(pipeline);
	const GstSegment *segment;

	if (event == NULL)
		return;
	gst_event_parse_segment(event, &segment);
	if (segment->format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID(buffer) && GST_CLOCK_TIME_IS_VALID(now)) {
		GstClockTime at = gst_segment_to_running_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));

		counters->lag_ns = GST_CLOCK_TIME_IS_VALID(at) ? (gint64)(now - at) : G_MAXINT64;
	}
	gst_event_unref(event);
}

static void note_buffer(GstPad *pad, GstBuffer *buffer)
{
	note_offset(GST_BUFFER_OFFSET(buffer));
	note_lag(pad, buffer);
	counters->disconts += GST_BUFFER_IS_DISCONT(buffer);
	counters->bytes += gst_buffer_get_size(buffer);
	if (summing)
		add_up(buffer);
	counters->buffers++;
}

static GstPadProbeReturn note_item(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
	if ((info->type & GST_PAD_PROBE_TYPE_BUFFER) != 0)
		note_buffer(pad, info->data);
	else if ((info->type & GST_PAD_PROBE_TYPE_BUFFER_LIST) != 0)
		for (guint i = 0; i < gst_buffer_list_length(info->data); i++)
			note_buffer(pad, gst_buffer_list_get(info->data, i));
	else
		counters->caps += GST_EVENT_TYPE(info->data) == GST_EVENT_CAPS;
	return GST_PAD_PROBE_OK;
}
static gboolean quit(gpointer loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_CONTINUE;
}

static gboolean on_message(GstBus *bus, GstMessage *message, gpointer loop)
{
	GError *error = NULL;

	switch (GST_MESSAGE_TYPE(message)) {
	case GST_MESSAGE_ERROR:
		gst_message_parse_error(message, &error, NULL);
		g_strlcpy(counters->error, error->message, sizeof(counters->error));
		g_error_free(error);
		counters->failed = 1;
		g_main_loop_quit(loop);
		break;
	case GST_MESSAGE_EOS:
		counters->eos = 1;
		g_main_loop_quit(loop);
		break;
	case GST_MESSAGE_STATE_CHANGED:
		if (GST_MESSAGE_SRC(message) == GST_OBJECT(pipeline))
			counters->playing = GST_STATE(pipeline) == GST_STATE_PLAYING;
		break;
	default: break;
	}
	return TRUE;
}

static GstPadProbeReturn count_decoded(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
	counters->decoded++;
	return GST_PAD_PROBE_OK;
}

static void watch_pad(const char *name, GstPadProbeType type, GstPadProbeCallback callback)
{
	GstElement *element = gst_bin_get_by_name(GST_BIN(pipeline), name);
	GstPad *pad = element != NULL ? gst_element_get_static_pad(element, "sink") : NULL;

	if (pad != NULL) {
		gst_pad_add_probe(pad, type, callback, NULL, NULL);
		gst_object_unref(pad);
	}
	summing |= element != NULL && strcmp(name, "sum") == 0;
	gst_clear_object(&element);
}

static void watch(void)
{
	GstPadProbeType all =
		GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM;

	watch_pad("p", all, note_item);
	watch_pad("sum", all, note_item);
	watch_pad("decoded", GST_PAD_PROBE_TYPE_BUFFER, count_decoded);
}

int main(int argc, char **argv)
{
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);
	GError *error = NULL;
	gint64 start_us;
	GstBus *bus;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gst_init(&argc, &argv);
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
	if (counters == MAP_FAILED)
		return 2;
	gst_element_register(NULL, "weirsink", GST_RANK_NONE, weirsink_get_type());
	gst_element_register(NULL, "weirsrc", GST_RANK_NONE, weirsrc_get_type());
	g_unix_signal_add(SIGINT, quit, loop);
	pipeline = gst_parse_launch(argv[2], &error);
	if (pipeline == NULL) {
		g_strlcpy(counters->error, error->message, sizeof(counters->error));
		return 3;
	}
	watch();
	bus = gst_element_get_bus(pipeline);
	gst_bus_add_watch(bus, on_message, loop);
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	g_main_loop_run(loop);
	start_us = g_get_monotonic_time();
	gst_element_set_state(pipeline, GST_STATE_NULL);
	counters->stop_ns = MAX(g_get_monotonic_time() - start_us, 1) * 1000;
	gst_bus_remove_watch(bus);
	gst_object_unref(bus);
	gst_object_unref(pipeline);
	g_main_loop_unref(loop);
	return 0;
}
