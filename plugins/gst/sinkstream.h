/* SPDX-License-Identifier: MIT */
#ifndef SINKSTREAM_H
#define SINKSTREAM_H

/* What goes into weirsink: caps, buffers and events become rings and frames. The streaming thread's, but for the
 * counters. */

#include "epoch.h"
#include "planar.h"
#include "serve.h"
#include "sinkring.h"
#include "streamcaps.h"
#include "videoframe.h"
#include "wire.h"

struct sinkstream {
	GstBaseSink *sink;
	const struct weirsink_provider *provider;
	struct serve *serve;   /* borrowed; NULL: somebody else makes the rings, for readers that know frames only */
	struct wire_out *wire; /* with serve */
	bool lossless;

	struct sinkring ring;
	struct weir_format format; /* of the ring that is wanted; kind 0: there was none yet */
	gint renew;		   /* atomic: the ring is to be replaced by another one like it */
	uint32_t meta_room;
	GstVideoInfo info; /* of raw video, else zeroes */
	bool is_planar;	   /* raw audio in planes: */
	GstAudioInfo planar;
	struct videoframe_source source;
	struct epoch epoch;
	bool source_known;
	gint source_unlocks; /* of the ring, when it was learnt: after a pause base time is another */
	bool discontinuity;
	uint64_t dropped_before, buffers;

	GMutex lock; /* guards stats */
	struct weirsink_stats stats;
};

void sinkstream_init(struct sinkstream *stream, GstBaseSink *sink, const struct weirsink_provider *provider);
void sinkstream_finish(struct sinkstream *stream);

/* The element starts; serve may be NULL. */
void sinkstream_start(struct sinkstream *stream, struct serve *serve, bool lossless);

/* It stops: a served ring ends with it, another one is kept. */
void sinkstream_stop(struct sinkstream *stream);

/* Asks the elements upstream who they are, until the first buffer is rendered. */
void sinkstream_learn_source(struct sinkstream *stream);

/* False: an error message was posted, or it was unlocked. */
bool sinkstream_set_caps(struct sinkstream *stream, GstCaps *caps);

/* Begins the next ring, with slots that a buffer of this size fits into. 0, -EINTR, or -errno: a message was posted,
 * but for -EFBIG: too large for any. */
int sinkstream_grow(struct sinkstream *stream, gsize bytes);

/* Proposes a pool over the slots of the ring. */
void sinkstream_add_pool(struct sinkstream *stream, GstQuery *query, SlotAllocator *allocator, GstCaps *caps);

/* Blocks until a reader is connected. */
GstFlowReturn sinkstream_wait(struct sinkstream *stream);

GstFlowReturn sinkstream_render(struct sinkstream *stream, GstBuffer *buffer);

/* Takes an event into account; it stays the caller's. */
void sinkstream_event(struct sinkstream *stream, GstEvent *event);

#endif
