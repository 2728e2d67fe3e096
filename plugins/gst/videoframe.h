/* SPDX-License-Identifier: MIT */
#ifndef VIDEOFRAME_H
#define VIDEOFRAME_H

/* What GStreamer knows of a video stream and its buffers, in Weir's words. Streaming thread only. */

#include <stdbool.h>

#include <gst/video/gstvideopool.h>
#include <gst/video/video.h>
#include <weir/frame.h>

/* -ENOTSUP: a pixel format that Weir does not carry. */
int videoframe_format(struct weir_format *format, const GstVideoInfo *info, const GstCaps *caps);

struct videoframe_source {
	bool live;		 /* running time is the time of capture, on CLOCK_MONOTONIC */
	GstClockTime base_time;	 /* if live */
	bool upstream_live;	 /* whatever the clock */
	GstClockTime latency_ns; /* of what is upstream */
	bool copies;		 /* a decoder upstream copies every picture before it lets go of it */
	bool forgets; /* nothing upstream looks at a picture again once it was pushed, although it may hold on to it */
};
void videoframe_learn_source(struct videoframe_source *source, GstElement *element, GstPad *pad);

/* Fills in all but sequence, slot, size and dropped_before. */
void videoframe_describe(
	struct weir_frame *frame, GstBuffer *buffer, const GstSegment *segment, const struct videoframe_source *source);

/* True if the planes lie in the buffer as info says, whatever its GstVideoMeta may say. */
bool videoframe_has_layout(GstBuffer *buffer, const GstVideoInfo *info);

/* Copies a picture of any layout into a memory, in the layout of info. False: the buffer is too small for it. */
bool videoframe_copy(const GstVideoInfo *info, GstMemory *target, GstBuffer *source);

/* True if those who are linked to the pad would look for planes elsewhere than where info says. */
bool videoframe_must_pack(const GstVideoInfo *info, GstCaps *caps, GstPad *pad);

/* A buffer whose planes lie as caps say by themselves, instead of one with those of info; takes that over. */
GstBuffer *videoframe_pack(const GstVideoInfo *info, const GstCaps *caps, GstBuffer *buffer);

#endif
