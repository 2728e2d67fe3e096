/* SPDX-License-Identifier: MIT */
#ifndef DECODER_H
#define DECODER_H

/* The state of the decoder backend. Main thread only, but for what the lock guards. */

#include <gst/gst.h>
#include <weir/backend.h>

#include "options.h"
#include "weirsink.h"

#define DECODER_SECOND_NS INT64_C(1000000000)

enum phase {
	PHASE_CONNECTING = 0, /* a pipeline runs, but it has not given a frame yet */
	PHASE_LIVE,
	PHASE_WAITING,	/* no pipeline; the next one is built at next_ns */
	PHASE_DRAINING, /* no pipeline; the readers take the rest, at most until next_ns */
	PHASE_OVER,
};

struct decoder {
	struct options options;
	enum phase phase;
	GstElement *sink;    /* lives through all pipelines, and with it the ring */
	GstElement *packets; /* the same for packets; NULL: they are not wanted */
	GstElement *pipeline;
	GstBus *bus;
	int bus_fd;
	char *missing; /* what this pipeline said is not installed */

	uint64_t frames_before; /* frames before this pipeline */
	int64_t since_ns;	/* when this pipeline was started */
	int64_t next_ns;
	unsigned failures; /* pipelines in a row that failed */
	bool worked;	   /* there has been a frame */

	GMutex lock; /* guards want and hushed, which come from streaming threads */
	int want_fd;
	struct decoder_output {
		struct decoder *decoder;
		bool wanted;
		struct weir_ring_config want;
	} output[WEIR_OUTPUTS_MAX]; /* sink, packets */
	int ring_status;	    /* why the frontend gave no ring, or 0 */

	GstMessage *hushed; /* the first error inside of decodebin, which may keep it to itself; lock */
	int64_t hushed_ns;
};

/* Frames published so far, over all pipelines. */
uint64_t decoder_frames(struct decoder *decoder);

/* Tells of the first frame of a pipeline. */
void decoder_notice_frames_back(struct weir_back *back, struct decoder *decoder);

/* Gives up: the process ends with status. */
void decoder_fail_back(struct weir_back *back, struct decoder *decoder, const char *text, int status);
/* A camera is gone: the whole pipeline goes, and after a pause another one comes. */
void decoder_lose_back(struct weir_back *back, struct decoder *decoder, const char *text);
/* The source has ended: so does the ring, and when its readers have it all, the process. */
void decoder_end_back(struct weir_back *back, struct decoder *decoder, const char *text);

/* What the pipeline says (bus.c): bus_listen() before it starts; a function for weir_back_watch() on the bus's fd;
 * bus_check_hushed_back() now and then; bus_forget() when the pipeline is gone. */
void bus_listen(struct decoder *decoder);
void bus_check_hushed_back(struct weir_back *back, struct decoder *decoder, int64_t now_ns);
void bus_forget(struct decoder *decoder);
void bus_on_messages_back(struct weir_back *back, void *state, int fd);

#endif
