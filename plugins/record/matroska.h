/* SPDX-License-Identifier: MIT */
#ifndef MATROSKA_H
#define MATROSKA_H

/* The layout of a recording, as bytes in buffers: no file is touched here. A recording is a Matroska file with one
 * track, of video or audio. Everything that is written by itself begins on a page, so that it can be written past the
 * page cache:
 *
 *	head     2 pages, EBML header to track; written again when the recording is complete
 *	cluster  a page of its own, or the first one of its packets. It is written last: until then there is a Void
 *	         element in its place that hides all that follows, so the file ends there for whoever looks
 *	frame    raw: a page that ends with the block's header; the picture, straight from its slot; filled up to a page
 *	cues     where the clusters are, for seeking
 *
 * Each frame's note (note.h) stands in the Void element before its block. */

#include "codec.h"
#include "ebml.h"
#include "note.h"

#define MATROSKA_PAGE	       4096u
#define MATROSKA_HEAD_BYTES    (2 * MATROSKA_PAGE)
#define MATROSKA_TAIL_MAX      (2 * MATROSKA_PAGE)
#define MATROSKA_CLUSTER_BYTES 29    /* a cluster's header and its time */
#define MATROSKA_RELATIVE_MAX  30000 /* ms that a frame may be away from its cluster's time */
#define MATROSKA_TRACK	       1
#define MATROSKA_TIME_MS_MAX   (INT64_C(1) << 40)

enum matroska_id {
	MATROSKA_ID_EBML = 0x1a45dfa3,
	MATROSKA_ID_SEGMENT = 0x18538067,
	MATROSKA_ID_TRACKS = 0x1654ae6b,
	MATROSKA_ID_CUES = 0x1c53bb6b,
	MATROSKA_ID_INFO = 0x1549a966,
	MATROSKA_ID_DURATION = 0x4489,
	MATROSKA_ID_CLUSTER = 0x1f43b675,
	MATROSKA_ID_TIME = 0xe7,
	MATROSKA_ID_SIMPLE_BLOCK = 0xa3,
};

static inline uint64_t matroska_pages(uint64_t bytes)
{
	return (bytes + MATROSKA_PAGE - 1) / MATROSKA_PAGE * MATROSKA_PAGE;
}

struct matroska_head {
	const struct weir_format *format;
	const struct codec *codec;
	int64_t wall_ns; /* of the first frame, or 0 */
	/* Of a complete recording, else 0. */
	int64_t duration_ns;
	uint64_t cues_offset, file_bytes;
};
/* -EMSGSIZE: what decoders need beforehand does not fit. */
int matroska_put_head(uint8_t head[MATROSKA_HEAD_BYTES], const struct matroska_head *config);

/* The page that hides what follows. */
void matroska_put_curtain(uint8_t page[MATROSKA_PAGE]);

/* A cluster of so many bytes in all, header included. The second fills a page, to be followed by raw frames. */
void matroska_put_cluster(struct ebml *ebml, uint64_t total_bytes, int64_t time_ms);
void matroska_put_cluster_page(uint8_t page[MATROSKA_PAGE], uint64_t total_bytes, int64_t time_ms);

/* The page before a raw picture; relative_ms to the cluster's time. */
void matroska_put_frame_page(uint8_t page[MATROSKA_PAGE], const struct weir_frame *frame, int16_t relative_ms);

/* Of a raw picture, what can be written from where it is, and the pages with the rest of it and what fills them up. */
static inline uint32_t matroska_whole_bytes(uint32_t payload_bytes)
{
	return payload_bytes / MATROSKA_PAGE * MATROSKA_PAGE;
}
uint32_t matroska_put_tail(uint8_t tail[MATROSKA_TAIL_MAX], const uint8_t *payload, uint32_t payload_bytes);

/* Of a raw picture, all that it takes in the file. */
uint64_t matroska_frame_bytes(uint32_t payload_bytes);

/* A packet with its note, and the most that one takes. */
void matroska_put_packet(struct ebml *ebml, const struct weir_frame *frame, bool key, int16_t relative_ms);
uint64_t matroska_packet_bytes(const struct weir_frame *frame);

struct matroska_cue {
	int64_t time_ms;
	uint64_t offset; /* of the cluster in the file */
};
/* Whole pages. */
uint64_t matroska_cues_bytes(size_t count);
void matroska_put_cues(uint8_t *bytes, const struct matroska_cue *cues, size_t count);

#endif
