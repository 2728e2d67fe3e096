/* SPDX-License-Identifier: MIT */
#ifndef SOURCE_H
#define SOURCE_H

/* What a player plays: the frames of one file or of all files of a directory, in the order of their index. Reads only
 * what it takes to know where they are; packets, which are small, it reads itself. Files of a directory that cannot be
 * opened are passed over; the log says so, and of those that were not completed, once each. */

#include "listing.h"
#include "recording.h"

/* Where the next frame is. */
struct place {
	int fd;
	uint64_t page_offset;	 /* of the page before a raw picture; UINT64_MAX: there is none */
	uint64_t payload_offset; /* of a raw picture */
	uint32_t payload_bytes;	 /* to read: more than the picture has, up to the end of a page; 0: it is a packet */
	int64_t cluster_ms;
	bool first; /* of a file, or behind a seek: its time may not follow from that of the frame before it */
	struct weir_frame frame; /* packet: all of it, data valid until the next call; raw file: times */
};

struct source {
	struct listing files;
	size_t file;
	struct recording recording;
	bool is_raw, is_direct; /* is_raw: a file with nothing but frames */
	bool is_new;		/* the file, or the place in it */
	bool found;		/* there is a recording */
	size_t told;		/* of so many files, from the first on, it was said what is odd with them */
	size_t cluster;
	uint64_t frame; /* in the cluster, or in the raw file */
	uint64_t frames;
	struct parse_packets packets;
	size_t packet; /* where in them the last one began */
	uint8_t *bytes;
};

/* raw: what a file holds that is no recording, or NULL. -errno with a line for people in error. */
int source_open(struct source *source, const char *path, const struct weir_format *raw, char *error, size_t size);
void source_close(struct source *source);

const struct weir_format *source_format(const struct source *source);

/* 0; -ENODATA: the file has no more: source_next_file(); -EPROTO, -EIO: it is broken. Nothing may be in flight when the
 * file changes. */
int source_next(struct source *source, struct place *place);
/* The packet that came last comes again. */
void source_again(struct source *source);
/* 0; -ENODATA: that was the last one; -ENOMEM. */
int source_next_file(struct source *source);

/* To the frame at or the key frame before this time from the beginning of the first file; beyond the end: the last one.
 */
int source_seek(struct source *source, int64_t position_ns);

/* --- inside of source.c and rawfile.c ------------------------------------------------------------------------------
 */

/* As the format's rate says, or 0. */
int64_t source_frame_ns(const struct weir_format *format);
/* As source_open() and source_next(). */
int rawfile_open(struct source *source, const char *path);
int rawfile_next(struct source *source, struct place *place);

#endif
