/* SPDX-License-Identifier: MIT */
#ifndef OPTIONS_H
#define OPTIONS_H

/* The arguments of the recorder and of the player: see weir/record.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/frame.h>

#include "segment.h"

struct recorder_options {
	char *directory, *name;
	int64_t segment_ns, before_ns, after_ns;
	uint64_t segment_bytes, quota_bytes, floor_bytes, memory_bytes;
	enum segment_sync sync;
	bool lossless, plain, events;
};

/* 0, or -errno with a line for people in error. Either way finish is due. */
int recorder_options_parse(struct recorder_options *options, const char *args, char *error, size_t size);
void recorder_options_finish(struct recorder_options *options);

struct player_options {
	char *source;
	bool lossless, loop, plain;
	double pace;
	int64_t start_ns;
	uint32_t slots;
	struct weir_format raw; /* kind 0: it is a recording */
};

int player_options_parse(struct player_options *options, const char *args, char *error, size_t size);
void player_options_finish(struct player_options *options);

#endif
