/* SPDX-License-Identifier: MIT */
#ifndef SOURCE_H
#define SOURCE_H

/* What a player plays: the frames of one file or of all files of a directory, in order. Reads only what it takes to
 * know where they are; packets, which are small, it reads itself. */

#include "options.h"
#include "recording.h"

/* Where the next frame is. */
struct place {
	int fd;
	uint64_t page_offset;	 /* of the page before a raw picture; UINT64_MAX: there is none */
	uint64_t payload_offset; /* of a raw picture */
	uint32_t payload_bytes;	 /* to read: more than the picture has, up to the end of a page; 0: it is a packet */
	int64_t cluster_ms;
	struct weir_frame frame; /* packet: all of it, data valid until the next call; raw file: times */
};

struct source {
	char **path;
	size_t count, file;
	struct recording recording;
	bool is_raw, is_direct; /* is_raw: a file with nothing but frames */
	size_t cluster;
	uint64_t frame; /* in the cluster, or in the raw file */
	uint64_t frames;
	struct parse_packets packets;
	uint8_t *bytes;
};

/* -errno with a line for people in error. */
int source_open(struct source *source, const struct player_options *options, char *error, size_t size);
void source_close(struct source *source);

const struct weir_format *source_format(const struct source *source);

/* 0; -ENODATA: the file has no more: source_next_file(); -EPROTO, -EIO: it is broken. Nothing may be in flight when the
 * file changes. */
int source_next(struct source *source, struct place *place);
/* 0; -ENODATA: that was the last one; -errno: it cannot be read. */
int source_next_file(struct source *source);

/* To the frame at or the key frame before this time from the beginning of the first file; beyond the end: the last one.
 */
int source_seek(struct source *source, int64_t position_ns);

#endif
