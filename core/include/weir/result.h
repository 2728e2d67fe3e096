/* SPDX-License-Identifier: MIT */
#ifndef WEIR_RESULT_H
#define WEIR_RESULT_H

/* What an analyzer says about a frame: a record of bounded size that fits one control message. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_BOXES_MAX	64
#define WEIR_VALUES_MAX 8

struct weir_box {
	float x, y, width, height; /* 0…1 of the picture, origin top left */
	float score;		   /* 0…1 */
	uint32_t track;		   /* the same object has the same number in later frames; 0 none */
	char label[16];		   /* NUL terminated; "" none */
};

struct weir_value {
	char name[16];
	double value;
};

struct weir_result {
	char type[16]; /* "motion", "brightness", … */
	uint64_t sequence;
	int64_t pts_ns;
	int64_t age_ns; /* from capture (or from acquire if capture is unknown) to the moment it was emitted */
	float score;	/* 0…1; negative: none */
	uint32_t value_count;
	struct weir_value value[WEIR_VALUES_MAX];
	uint32_t box_count;
	struct weir_box box[WEIR_BOXES_MAX]; /* only box_count of them travel */
};

/* Bytes of a result that travel. */
static inline size_t weir_result_bytes(const struct weir_result *result)
{
	return offsetof(struct weir_result, box) + result->box_count * sizeof(struct weir_box);
}

/* Copies a result out of a message and checks it: counts, lengths, terminated strings, finite numbers. -EPROTO: it is
 * none, and *result is untouched. */
int weir_result_read(struct weir_result *result, const void *data, size_t size);

/* Writes one JSON object without a newline: {"v":1,"type":…,"source":…,"analyzer":…,"seq":…,"pts_ns":…,"age_ms":…,
 * "score":…,<values>,"boxes":[…]}; score only if there is one, boxes only if the type has them (box_count or score).
 * -ENOBUFS: size is too small; 32768 always suffices with source and analyzer below 1 KiB. */
int weir_result_json(
	const struct weir_result *result, const char *source, const char *analyzer, char *buffer, size_t size);

/* Writes text as a JSON string with its quotes, escaping what must be and replacing what is not UTF-8. -ENOBUFS. */
int weir_json_string(const char *text, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif
#endif
