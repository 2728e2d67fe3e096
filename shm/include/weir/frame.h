/* SPDX-License-Identifier: MIT */
#ifndef WEIR_FRAME_H
#define WEIR_FRAME_H

/* What travels through a ring: the format, which is constant for one generation of a ring, and the frame.
 *
 * Rules for all of weir/<ring, writer, reader>.h. Functions return 0 or -errno and leave outputs untouched on failure.
 * Config structs: zero means default; they are copied during the call. weir_*_free() takes the address of the handle,
 * accepts NULL handles and sets the handle to NULL. All times are int64 nanoseconds; "deadline" is an absolute
 * CLOCK_MONOTONIC time. No function logs, exits or waits without a deadline. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_TIME_NONE	INT64_MIN
#define WEIR_PLANES_MAX 4
#define WEIR_CAPS_BYTES 512

enum weir_kind {
	WEIR_KIND_VIDEO = 1,   /* raw pictures: pixel, width, height and planes say how they lie in a slot */
	WEIR_KIND_ENCODED = 2, /* packets of varying size: caps says which codec */
	WEIR_KIND_AUDIO = 3,   /* samples: caps says which layout */
	WEIR_KIND_OTHER = 4,   /* caps says what, among it raw pictures that enum weir_pixel has no name for */
};

enum weir_pixel {
	WEIR_PIXEL_NONE = 0,
	WEIR_PIXEL_I420 = 1, /* planes Y, U, V; chroma halved in both directions */
	WEIR_PIXEL_NV12 = 2, /* planes Y, UV interleaved */
	WEIR_PIXEL_GRAY8 = 3,
	WEIR_PIXEL_RGB = 4, /* 3 bytes a pixel */
	WEIR_PIXEL_BGR = 5,
	WEIR_PIXEL_RGBA = 6, /* 4 bytes a pixel */
};

struct weir_plane {
	uint32_t offset_bytes; /* from the start of the payload to the first row */
	uint32_t stride_bytes; /* from one row to the next */
};

struct weir_format {
	uint32_t kind;		     /* enum weir_kind */
	uint32_t pixel;		     /* enum weir_pixel; WEIR_PIXEL_NONE unless kind is WEIR_KIND_VIDEO */
	uint32_t width, height;	     /* pixels */
	uint32_t rate_num, rate_den; /* frames (or samples) a second; 0/0 unknown */
	uint32_t payload_bytes;	     /* of one raw picture; for other kinds the largest payload to expect */
	uint32_t plane_count;
	struct weir_plane plane[WEIR_PLANES_MAX];
	char caps[WEIR_CAPS_BYTES]; /* the same as a GStreamer caps string, NUL terminated; may be empty */
};

enum weir_frame_flags {
	WEIR_FRAME_KEY = 1 << 0,	   /* decodable by itself */
	WEIR_FRAME_DISCONTINUITY = 1 << 1, /* does not follow from the frame before it (reconnected, seeked) */
	WEIR_FRAME_CORRUPT = 1 << 2,	   /* the source says that parts are damaged */
	WEIR_FRAME_GAP = 1 << 3,	   /* filler: nothing was captured for this time */
	WEIR_FRAME_EVENT = 1 << 4,    /* no frame, but news between two of them, in its metadata: size_bytes is 0, pass
				       * over it unless you know what the writer puts there */
	WEIR_FRAME_DEGRADED = 1 << 5, /* reader: of a lossless reader's frames the first since the writer waits for it
				       * no longer: it stalled, or hung up */
};

/* A frame as a writer describes it and a reader gets it. */
struct weir_frame {
	uint64_t sequence;	 /* 1, 2, 3… within one generation of a ring; set by publish */
	uint64_t dropped_before; /* reader: frames that it did not get directly before this one, for whatever reason;
				  * writer: frames that the source lost directly before this one */
	int64_t pts_ns, dts_ns, duration_ns; /* the source's stream time, or WEIR_TIME_NONE */
	int64_t capture_ns;		     /* CLOCK_MONOTONIC when the frame came into this machine, or 0 */
	int64_t wall_ns;		     /* CLOCK_REALTIME of the same moment, or 0 */
	uint32_t flags;			     /* enum weir_frame_flags */
	uint32_t size_bytes;		     /* of the payload; at most the slot's size */
	uint32_t slot;			     /* which slot; identifies the loan or the pin, otherwise of no meaning */
	uint32_t pin;			     /* reader: which of its pins holds the frame */
	uint32_t meta_bytes;		     /* of metadata; at most the ring's meta_bytes */
	const uint8_t *meta;		     /* reader: what the writer put into weir_writer_meta(); treat as data */
	const uint8_t *data; /* the payload; for a reader a read-only mapping, valid until release. Its writer may be
			      * hostile: treat it as pixels; copy what has lengths in it before parsing it */
};

/* Fills *format with kind video and the layout that GStreamer gives this picture (rows padded to 4 bytes), without rate
 * and caps. -EINVAL: no such pixel format, or a side that is 0 or over 32768. Any thread, does not block. */
int weir_format_video(struct weir_format *format, uint32_t pixel, uint32_t width, uint32_t height);

/* Checks a format that came from another process: 0 if every plane lies within payload_bytes and caps is terminated,
 * else -EPROTO. Any thread, does not block. */
int weir_format_check(const struct weir_format *format);

/* "I420", "NV12", "GRAY8", "RGB", "BGR", "RGBA" (GStreamer spells GRAY8 so, too), or NULL. */
const char *weir_pixel_name(uint32_t pixel);

/* The reverse of weir_pixel_name(), or WEIR_PIXEL_NONE. */
uint32_t weir_pixel_from_name(const char *name);

#ifdef __cplusplus
}
#endif
#endif
