/* SPDX-License-Identifier: MIT */
#ifndef SRCSTREAM_H
#define SRCSTREAM_H

/* What comes out of weirsrc: frames of a ring become buffers and events in the right order. Streaming thread only. */

#include <gst/video/video.h>

#include "epoch.h"
#include "frameallocator.h"
#include "planar.h"
#include "wire.h"

enum timestamp_mode {
	TIMESTAMP_PRODUCER, /* the producer's, moved to this pipeline's clock */
	TIMESTAMP_ARRIVAL,  /* running time at arrival */
	TIMESTAMP_NONE,	    /* the producer's, unchanged */
};

struct srcstream {
	GstElement *element;
	GstPad *pad;
	enum timestamp_mode mode;
	bool live;

	struct wire_in *wire;
	struct epoch epoch;
	FrameAllocator *frames; /* borrowed: the present generation */
	bool new_generation;	/* its caps were not pushed yet */
	bool stream_started, segment_pushed;
	GstCaps *caps, *long_caps;
	GstVideoInfo info;
	bool is_video, to_pack; /* raw video; in a layout that those downstream would not look for */
	bool is_planar;		/* raw audio in planes: */
	GstAudioInfo planar;
	GstSegment segment; /* the producer's */
	int64_t shift_ns;   /* by which it was moved */
	uint64_t buffers;   /* the producer's count at the last buffer */
	bool discont;
	bool joined;		 /* a buffer of this producer was pushed */
	GstClockTime latency_ns; /* the producer's; all from here on are read by other threads, with the object lock */
	GstClockTime frame_ns;	 /* the time from one buffer to the next, or 0: not known */
	uint64_t pushed, lost, copied, broken, producers;
};

void srcstream_init(struct srcstream *stream, GstElement *element, GstPad *pad);
void srcstream_finish(struct srcstream *stream);

/* Before the first frame after a (re)start of the element. */
void srcstream_reset(struct srcstream *stream);

/* Another producer than before. */
void srcstream_new_producer(struct srcstream *stream);

/* Another ring of the same producer. Frames are of this one from now on. */
void srcstream_new_generation(struct srcstream *stream, FrameAllocator *frames);

/* Pushes what the frame is; takes over the frame. GST_FLOW_NOT_NEGOTIATED: caps that cannot be used; an error message
 * was posted. */
GstFlowReturn srcstream_push(struct srcstream *stream, const struct weir_frame *frame);

/* The end of the stream. */
void srcstream_end(struct srcstream *stream);

#endif
