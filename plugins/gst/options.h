/* SPDX-License-Identifier: MIT */
#ifndef OPTIONS_H
#define OPTIONS_H

/* The decoder's arguments, a JSON object:
 *
 *	"source"      what to decode:
 *	              a file name or a URI (file://, http://, rtsp://user:password@host/…)
 *	              a directory: the packets that record/recorder wrote there, as one stream
 *	              v4l2:/dev/video0      a camera
 *	              test                  a moving ball, 640x480, 30 frames a second, live
 *	              test:WxH@RATE#FRAMES  the same to measure; each part is optional, without FRAMES it never ends
 *	              pipeline:DESCRIPTION  a GStreamer pipeline with one open end, as for gst-launch-1.0
 *	"format"      "I420", "NV12", "GRAY8" or "RGB"; default: whichever of them the decoder gives
 *	"width", "height"  both or none; default: the source's
 *	"lossless"    wait for slow lossless readers; files then run as fast as these take them, else in real time
 *	"slots"       how many slots the ring shall have; default: what the stream says
 *	"packets"     publish also the packets that pictures are decoded from, as the second stream of the process
 *	"pictures"    false: publish the packets only, and decode nothing; they are the first stream then
 *	"latency_ms"  how long the network may delay packets of an rtsp source; default 200 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum source_kind { SOURCE_FILE, SOURCE_DIRECTORY, SOURCE_URI, SOURCE_RTSP, SOURCE_V4L2, SOURCE_TEST, SOURCE_PIPELINE };

struct options {
	enum source_kind kind;
	char *target; /* URI, directory, device or pipeline description; may hold a password */
	char *path;   /* SOURCE_FILE: the file's name, else NULL */
	char *label;  /* the source for people: without secrets */
	uint32_t pixel;
	uint32_t width, height; /* 0: the source's */
	bool lossless, packets, only_packets;
	uint32_t slots;
	uint32_t latency_ms;
	uint32_t test_width, test_height, test_rate;
	int32_t test_frames; /* -1: no end */
};

/* 0, or -EINVAL with one line for people in error. Either way options_finish() is due. */
int options_parse(struct options *options, const char *args, char *error, size_t size);
void options_finish(struct options *options);

/* True if a source that fails may come back. */
bool options_is_camera(const struct options *options);
/* True if it is a recording, here or on a server. */
bool options_is_file(const struct options *options);

/* Takes user names and passwords out of all URIs in a text, in place. */
void options_redact(char *text);

#endif
