/* SPDX-License-Identifier: MIT */
#ifndef STREAM_BACKENDS_H
#define STREAM_BACKENDS_H

/* "source" publishes numbered frames, "sink" checks them. */

#include <weir/backend.h>

/* Arguments of "source", as text, are four numbers: frames (0: no end), microseconds between frames, change of format
 * after so many, slot bytes (0: default). */
#define SOURCE_ARGS "%u %u %u %u"

enum stream_order {
	ORDER_PAUSE = 256, /* source: no frames while its data is 1; 2: does not even attend to its ring */
	ORDER_REPORT,	   /* sink: replies with struct report */
	ORDER_DAWDLE,	   /* sink: sleeps so many milliseconds with each frame from now on */
	ORDER_TELL,	   /* source: sends this state */
	ORDER_CHANGE,	   /* source: changes its format now */
	ORDER_FINISH,	   /* source: ends now */
};

struct report {
	uint64_t frames;
	uint64_t wrong;	 /* the payload was not the sequence's, or the format not the one announced */
	uint64_t unsaid; /* frames that are missing although dropped_before is 0, or the reverse */
	uint32_t formats, ends;
	uint64_t generation_frames; /* of the present one */
};

extern const struct weir_backend *const stream_backends[];

#endif
