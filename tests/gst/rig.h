/* SPDX-License-Identifier: MIT */
#ifndef RIG_H
#define RIG_H

/* A pipeline that ends in weirsink, its rings and one reader on each of them, all in one process. Failures end the
 * running test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gst/gst.h>
#include <weir/reader.h>

#include "weirsink.h"

#define RIG_RINGS_MAX 4

struct rig {
	/* Set these, then rig_open(); zero means default. */
	struct weir_policy policy; /* of the readers; default lossless with a stall time of a minute */
	uint32_t slot_count;	   /* default 12 */
	bool lossy;		   /* the sink does not wait */
	int want_status;	   /* what want() answers; 1: nothing at all */

	GstElement *pipeline;
	WeirSink *sink;
	unsigned rings; /* made so far */
	struct weir_ring *ring[RIG_RINGS_MAX];
	struct weir_reader *reader[RIG_RINGS_MAX];
	struct weir_format format[RIG_RINGS_MAX]; /* as the sink asked for it */
	GMutex lock;
};

/* source is a pipeline description with one open source pad. The pipeline is started. */
void rig_open(struct rig *rig, const char *source);

/* Only the sink, for a harness. */
void rig_open_sink(struct rig *rig);
void rig_close(struct rig *rig);

/* The next frame of a ring: 0, -ENODATA or another end. Passes the pipeline's end of stream on to the readers; fails
 * the test on an error of the pipeline, and after 20 s. */
int rig_next(struct rig *rig, unsigned ring, struct weir_frame *frame);

/* Takes and releases frames until the ring ends; returns how many. */
unsigned rig_drain(struct rig *rig, unsigned ring);

struct weir_ring_stats rig_stats(struct rig *rig, unsigned ring);
const struct weir_format *rig_format(struct rig *rig, unsigned ring);

/* The next error on a bus as "DOMAIN CODE: TEXT"; the caller frees it. Fails the test after 20 s. */
gchar *rig_error(GstBus *bus);

/* Sets the state to NULL and returns how long that took. */
int64_t rig_stop_ns(struct rig *rig);

#endif
