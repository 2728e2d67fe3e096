/* SPDX-License-Identifier: MIT */
#ifndef SEGMENT_H
#define SEGMENT_H

/* One file of a recording while it is written. Frames go into clusters; a cluster is committed, in order, when all of
 * its frames are on their way no more: then its first page takes the place of the curtain (matroska.h). Nothing here
 * waits for the disk. */

#include "engine.h"
#include "matroska.h"

#define SEGMENT_NAME_BYTES 128

/* When data must have reached the disk itself, so that it outlives a power failure. (A process that dies loses nothing
 * that is committed, whichever it is.) */
enum segment_sync {
	SEGMENT_SYNC_FILE = 0, /* a file, before it is told to be complete */
	SEGMENT_SYNC_CLUSTER,  /* and a cluster, before it is committed */
	SEGMENT_SYNC_NEVER,    /* when the kernel likes */
};

/* A frame, with its bytes in a ring's slot or in a copy that begins on a page; both up to the end of the last page. */
struct item {
	struct weir_frame frame;
	bool copied;
	int64_t arrived_ns; /* its owner's, and so is next */
	struct item *next;
};

struct segment;

struct segment_config {
	struct engine *engine;
	int directory_fd;
	const char *name; /* of the file, which must not exist */
	const struct weir_format *format;
	const struct codec *codec;
	enum segment_sync sync;
	uint64_t cluster_bytes; /* a cluster is closed when it has so many, or lasts so long */
	int64_t cluster_ns;
	uint64_t reserve_bytes; /* so much disk is reserved at a time */

	/* Asked before so many more bytes are reserved; 0 or -errno. */
	int (*may_reserve)(void *data, uint64_t bytes);
	/* The item is the caller's again. */
	void (*release)(void *data, struct item *item);
	void *data;
};

/* Makes the file; nothing of it is left on failure. May block for the write of three pages. -EEXIST; -ENOSPC, -EROFS…;
 * -EMSGSIZE as matroska_put_head(). */
int segment_create(struct segment **segment, const struct segment_config *config, const struct item *first);

/* Nothing of it may be in flight; a file without a single committed cluster is removed. */
void segment_free(struct segment **segment);

/* 0: the item is taken, release() is called for it, perhaps before this returns; -EAGAIN: too much is in flight;
 * -ENOSPC or what may_reserve() said: this file can grow no more: finish it; any other -errno: it has failed. */
int segment_put(struct segment *segment, struct item *item);

/* False: the frame's time is before what was put, or so long behind the beginning: it had better begin another file. */
bool segment_goes_on(const struct segment *segment, const struct weir_frame *frame, int64_t span_ns);

/* Notices that somebody has deleted the file: then it has failed, with all that was in it. Commits what is older than a
 * cluster may last. */
void segment_tick(struct segment *segment, int64_t now_ns);

/* Nothing more will come. */
void segment_finish(struct segment *segment);

struct segment_stats {
	bool over;	/* complete, or failed and nothing in flight: free it */
	int error;	/* -errno if it failed */
	uint64_t bytes; /* of the file as it will be */
	uint64_t frames, committed_frames, committed_bytes;
	int64_t first_pts_ns, last_pts_ns, first_wall_ns, last_wall_ns; /* of frames put */
	int64_t span_ns;						/* of their times */
	char name[SEGMENT_NAME_BYTES];
};
void segment_stats(const struct segment *segment, struct segment_stats *stats);
const struct weir_format *segment_format(const struct segment *segment);

#endif
