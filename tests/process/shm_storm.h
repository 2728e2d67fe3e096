/* SPDX-License-Identifier: MIT */
#ifndef SHM_STORM_H
#define SHM_STORM_H

/* The children of a storm, and what they tell: a board that outlives them. */

#include <stdatomic.h>

#include "shm_harness.h"

#define STORM_READERS	4
#define STORM_PERIOD_NS 500000	  /* from frame to frame */
#define STORM_STALL_NS	100000000 /* a lossless reader holds the writer up no longer */
#define STORM_GAP_NS	200000000 /* a longer pause between two frames is noted */
#define STORM_LOG	16384

struct storm_reader {
	struct weir_policy policy;
	bool by_semaphore;
	const char *name;
};
extern const struct storm_reader storm_readers[STORM_READERS];

/* One word of a log is written by one child at a time; the supervisor reads it at the end. */
struct storm_board {
	struct {
		_Atomic uint64_t frames, evictions;
		_Atomic uint32_t bad, firsts, gaps, lost;
		_Atomic int64_t last_ns; /* when the last frame came */
		char why[256];		 /* of the last bad one */
		struct {
			uint32_t attachment;
			int64_t at_ns;
		} first[STORM_LOG]; /* frame of an attachment */
		struct {
			int64_t from_ns, to_ns;
		} gap[STORM_LOG];
		uint32_t lost_by[STORM_LOG]; /* attachments of a lossless reader that missed frames */
	} reader[STORM_READERS];
};

extern struct storm_board *storm_board;

/* What the supervisor did. */
#define STORM_ATTACHMENTS_MAX 65536
#define STORM_STOPS_MAX	      65536

struct storm_attachment {
	uint32_t reader, end;
	int64_t cause_ns; /* when the kill was sent that made it necessary; 0: none */
	bool is_stalled, is_sent, is_over;
};
extern struct storm_attachment storm_attachments[STORM_ATTACHMENTS_MAX];

struct storm_stop {
	int64_t from_ns, to_ns;
	uint32_t who;
};
extern struct storm_stop storm_stops[STORM_STOPS_MAX];
extern uint32_t storm_stop_count;

/* Afterwards: assert that a reader saw no bad frame, no stall and no unexplained loss; tell how long it took from a
 * kill to the next frame. */
void storm_check_reader(uint32_t which);
void storm_report_next_frames(bool by_semaphore);

/* Hands a reader its descriptors for an attachment. False: the socket is full. */
bool storm_send(int socket, uint32_t attachment, struct weir_ring_fds *fds);

void storm_writer_back(struct weir_ring_fds *fds);
void storm_reader_back(struct storm_board *board, uint32_t which, int socket);

#endif
