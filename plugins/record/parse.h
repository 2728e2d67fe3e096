/* SPDX-License-Identifier: MIT */
#ifndef PARSE_H
#define PARSE_H

/* Reads the layout of matroska.h from bytes that anybody may have written: nothing is believed, no byte outside of
 * what was given is touched, and every loop ends with the bytes. -EPROTO: this is no recording of ours. */

#include "matroska.h"

/* duration_ns is 0 if it is not told, as in a recording that was not completed. */
int parse_head(struct weir_format *format, int64_t *duration_ns, const uint8_t head[MATROSKA_HEAD_BYTES]);

struct parse_cluster {
	uint64_t bytes; /* in all */
	uint32_t head_bytes;
	int64_t time_ms;
};
/* The first bytes of a cluster: MATROSKA_CLUSTER_BYTES suffice. -ENODATA: here is something else, so the recording
 * ends.
 */
int parse_cluster(struct parse_cluster *cluster, const uint8_t *bytes, size_t size);

/* The page before a raw picture of so many bytes. */
int parse_frame_page(
	struct weir_frame *frame, const uint8_t page[MATROSKA_PAGE], uint32_t payload_bytes, int64_t cluster_ms);

/* The packets of a cluster, from behind its header on. */
struct parse_packets {
	const uint8_t *bytes;
	size_t size, at;
	int64_t cluster_ms;
	int64_t block_ms; /* of the packet that was read last, and whether it is a key frame as players see it */
	bool block_key;
};
/* -ENODATA: that was all. frame->data points into the bytes. */
int parse_packet(struct parse_packets *packets, struct weir_frame *frame);

#endif
