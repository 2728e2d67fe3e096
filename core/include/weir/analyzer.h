/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ANALYZER_H
#define WEIR_ANALYZER_H

/* The analyzer ABI: look at frames, say what is on them. An analyzer is a shared object that exports
 * `const struct weir_analyzer weir_analyzer`; it runs in a process of its own. Its functions are called one at a time
 * from one thread. Build one with: cc -shared -fPIC my.c -o my.so $(pkg-config --cflags weir); nothing to link.
 *
 *	static int frame(void *state, const struct weir_picture *picture, struct weir_result *result)
 *	{
 *		result->score = picture->plane[0][0] / 255.0f;
 *		return 1;
 *	}
 *	const struct weir_analyzer weir_analyzer = { .abi = WEIR_ANALYZER_ABI, .name = "corner", .frame = frame };
 */

#include <weir/frame.h>
#include <weir/result.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_ANALYZER_ABI 1

/* A frame as an analyzer sees it: borrowed and read-only until its function returns. */
struct weir_picture {
	uint32_t pixel;			       /* enum weir_pixel */
	uint32_t width, height;		       /* pixels */
	const uint8_t *plane[WEIR_PLANES_MAX]; /* for I420, NV12 and GRAY8, plane 0 is luma */
	uint32_t stride_bytes[WEIR_PLANES_MAX];
	const struct weir_frame *frame; /* sequence, dropped_before, times, flags */
};

struct weir_analyzer {
	uint32_t abi;	    /* WEIR_ANALYZER_ABI */
	const char *name;   /* becomes result.type; up to 15 bytes */
	size_t state_bytes; /* zeroed memory passed as state */

	/* Optional. config: a JSON object as text, "{}" if none. 0, or -errno: the process ends with this reason. */
	int (*init)(void *state, const char *config);

	/* A new size or pixel format, before its first picture. 0, or -errno: it cannot work with that. Optional. */
	int (*format)(void *state, const struct weir_format *format);

	/* Looks at one picture. result is cleared, with type, sequence and pts_ns set and score -1. Returns 1: emit it;
	 * 0: nothing to say; -errno: ends the process. */
	int (*frame)(void *state, const struct weir_picture *picture, struct weir_result *result);

	/* Optional. */
	void (*finish)(void *state);
};

/* Fills *picture from a frame of this format. -EPROTO: the frame is shorter than its format says, or not a picture. */
int weir_picture_init(struct weir_picture *picture, const struct weir_format *format, const struct weir_frame *frame);

#ifdef __cplusplus
}
#endif
#endif
