/* SPDX-License-Identifier: MIT */
/* The producer's and the reader's process of the bench of elements. */
#include "elements.h"

#include <gst/base/gstpushsrc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000000) +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * INT64_C(1000);
}

/* --- a source that writes a stamp into the memory that downstream proposes, and nothing else --------------------- */

typedef struct {
	GstPushSrc parent;
	int64_t next_ns;
} StampSrc;
typedef GstPushSrcClass StampSrcClass;

static struct elements_counters *counters;
static int64_t interval_ns; /* 0: as fast as it goes */

GType stamp_src_get_type(void);
G_DEFINE_TYPE(StampSrc, stamp_src, GST_TYPE_PUSH_SRC)

static GstStaticPadTemplate stamp_template = GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS,
	GST_STATIC_CAPS("video/x-raw, format=NV12, width=1920, height=1080, framerate=100/1"));

/* Sleeping to the next tick is part of the schedule, not of what is measured. */
static void keep_pace(StampSrc *self)
{
	struct timespec at;

	if (interval_ns == 0)
		return;
	self->next_ns = MAX(self->next_ns + interval_ns, now_ns());
	at.tv_sec = self->next_ns / 1000000000;
	at.tv_nsec = self->next_ns % 1000000000;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static GstFlowReturn stamp_src_fill(GstPushSrc *base, GstBuffer *buffer)
{
	GstMapInfo map;
	int64_t stamp_ns;

	keep_pace((StampSrc *)base);
	if (!gst_buffer_map(buffer, &map, GST_MAP_WRITE))
		return GST_FLOW_ERROR;
	stamp_ns = now_ns();
	memcpy(map.data, &stamp_ns, sizeof(stamp_ns));
	gst_buffer_unmap(buffer, &map);
	counters->buffers++;
	counters->cpu_ns = counters->buffers % 64 == 0 || interval_ns != 0 ? cpu_ns() : counters->cpu_ns;
	return GST_FLOW_OK;
}

static void stamp_src_class_init(StampSrcClass *class)
{
	gst_element_class_add_static_pad_template(GST_ELEMENT_CLASS(class), &stamp_template);
	gst_element_class_set_static_metadata(GST_ELEMENT_CLASS(class), "Stamps", "Source", "Stamps", "Weir");
	class->fill = stamp_src_fill;
}

static void stamp_src_init(StampSrc *self)
{
	gst_base_src_set_blocksize(GST_BASE_SRC(self), ELEMENTS_FRAME_BYTES);
	gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
}

/* --- a reader ----------------------------------------------------------------------------------------------------- */

static volatile guint8 sink_hole;

static void read_every_line(const GstMapInfo *map)
{
	guint8 sum = 0;

	for (gsize i = 0; i < map->size; i += 64)
		sum += map->data[i];
	sink_hole = sum;
}

static GstPadProbeReturn on_buffer(GstPad *pad, GstPadProbeInfo *info, gpointer reads)
{
	int64_t arrived_ns = now_ns(), stamp_ns;
	GstMapInfo map;

	if (!gst_buffer_map(info->data, &map, GST_MAP_READ))
		return GST_PAD_PROBE_OK;
	memcpy(&stamp_ns, map.data, sizeof(stamp_ns));
	if (counters->measuring && counters->samples < ELEMENTS_SAMPLES_MAX)
		counters->latency_ns[counters->samples++] = arrived_ns - stamp_ns;
	if (reads != NULL)
		read_every_line(&map);
	gst_buffer_unmap(info->data, &map);
	counters->buffers++;
	if (counters->buffers % 64 == 0 || counters->paced)
		counters->cpu_ns = cpu_ns();
	return GST_PAD_PROBE_OK;
}

static void watch(GstElement *pipeline, bool reads)
{
	GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "reader");
	GstPad *pad = gst_element_get_static_pad(sink, "sink");

	gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, on_buffer, reads ? pad : NULL, NULL);
	gst_object_unref(pad);
	gst_object_unref(sink);
}

static char shmsink_file[40];

/* shmsink leaves its memory behind when it is killed. */
static void leave_nothing(int signal)
{
	unlink(shmsink_file);
	_exit(1);
}

int elements_play(struct elements_counters *shared, const char *description, bool reads, int64_t interval)
{
	GError *error = NULL;
	GstElement *pipeline;
	GstMessage *message;

	counters = shared;
	interval_ns = interval;
	snprintf(shmsink_file, sizeof(shmsink_file), "/dev/shm/shmpipe.%5d.%5d", (int)getpid(), 0);
	signal(SIGTERM, leave_nothing);
	signal(SIGINT, leave_nothing);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* however the bench ends */
	gst_element_register(NULL, "stampsrc", GST_RANK_NONE, stamp_src_get_type());
	pipeline = gst_parse_launch(description, &error);
	if (pipeline == NULL) {
		fprintf(stderr, "%s: %s\n", description, error->message);
		return 1;
	}
	if (strstr(description, "name=reader") != NULL)
		watch(pipeline, reads);
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	message = gst_bus_timed_pop_filtered(
		gst_element_get_bus(pipeline), GST_CLOCK_TIME_NONE, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
	gst_message_parse_error(message, &error, NULL);
	fprintf(stderr, "%s\n", error->message);
	return 1;
}
