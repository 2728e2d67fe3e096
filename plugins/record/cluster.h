/* SPDX-License-Identifier: MIT */
#ifndef CLUSTER_H
#define CLUSTER_H

/* Between segment.c (files) and cluster.c (what is in them). */

#include "segment.h"

#define FRAMES_IN_FLIGHT_MAX   32
#define CLUSTERS_IN_FLIGHT_MAX 8

enum cluster_stage {
	CLUSTER_FILLING,
	CLUSTER_CLOSED,
	CLUSTER_SYNCING,
	CLUSTER_SYNCED,
	CLUSTER_HEADING,
	CLUSTER_COMMITTED
};

struct cluster {
	struct cluster *next;
	struct segment *segment;
	uint64_t offset, bytes;
	int64_t time_ms, begun_ns; /* begun_ns: CLOCK_MONOTONIC */
	uint64_t frames;
	uint32_t in_flight;
	enum cluster_stage stage;
	uint8_t *page; /* raw: the first one, and the curtain behind the cluster */
	struct ebml packets;
	struct engine_op body, head;
};

struct frame_op {
	struct engine_op op;
	struct cluster *cluster;
	struct item *item;
	struct frame_op *next;
	uint8_t *pages; /* the one before the picture, and its tail */
};

enum segment_stage { SEGMENT_OPEN, SEGMENT_FINISHING, SEGMENT_CUES, SEGMENT_HEAD, SEGMENT_SYNC, SEGMENT_OVER };

struct segment {
	struct segment_config config;
	struct weir_format format;
	struct codec codec;
	char name[SEGMENT_NAME_BYTES];
	int fd, error;
	enum segment_stage stage;
	bool raw, is_linked;
	bool by_pts;		/* frames are ordered by pts; else, as the first one has none, by capture time */
	uint64_t end, reserved; /* of what is placed, and of what the disk has room for */
	uint64_t committed_bytes, frames, committed_frames;
	int64_t base_ns, last_ns, span_ns, first_pts_ns, last_pts_ns, first_wall_ns, last_wall_ns;
	struct cluster *first, **last; /* not committed yet, oldest first */
	uint32_t clusters;
	struct frame_op *idle; /* for reuse */
	uint32_t frames_in_flight, in_flight;
	struct matroska_cue *cues;
	size_t cue_count, cue_room;
	uint8_t *pages; /* of the finish: head or cues */
	struct engine_op op;
};

/* The time that frames of a file are ordered by; a frame without one has that of the frame before it. */
int64_t segment_time_ns(const struct segment *segment, const struct weir_frame *frame);

/* Room on the disk for so many bytes more and for all that finishing takes. 0 or -errno. */
int segment_reserve(struct segment *segment, uint64_t bytes);
void segment_submit(struct segment *segment, struct engine_op *op);
void segment_fail(struct segment *segment, int status);
/* Does what has become possible. */
void segment_advance(struct segment *segment);

/* The cluster that is being filled, or NULL. */
struct cluster *cluster_open(const struct segment *segment);
/* Puts an item into the open cluster, or a new one; as segment_put(). */
int cluster_put(struct segment *segment, struct item *item);
void cluster_close(struct cluster *cluster);
/* True: the first cluster is committed now, or nothing can be done for it yet: false. */
bool cluster_advance(struct segment *segment);
void cluster_free_all(struct segment *segment);

#endif
