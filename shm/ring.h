/* SPDX-License-Identifier: MIT */
#ifndef RING_H
#define RING_H

/* What supervisor, writer and reader share inside the library. */

#include <semaphore.h>
#include <stdbool.h>

#include "layout.h"

enum ring_role { RING_ROLE_WRITER = 1, RING_ROLE_READER = 2, RING_ROLE_OBSERVER = 3 };

/* Where the descriptors stand in struct weir_ring_fds: the ring's four, then three for each end. */
enum ring_fd { RING_FD_DATA, RING_FD_HEAD, RING_FD_REQUEST, RING_FD_SPACE, RING_FD_ENDS };
enum ring_end_fd { RING_END_FD_END, RING_END_FD_BELL, RING_END_FD_WAKE, RING_END_FDS };

#define RING_STALL_DEFAULT_NS INT64_C(2000000000)

/* The supervisor's side. An observer has only head, request and the maps of the ends (in a sealed ring of their copies
 * in view), all read-only. */
struct ring_end {
	uint64_t id;   /* of the last attachment; 0: never used */
	bool attached; /* not reaped yet */
	bool handed;   /* its descriptors were given out */
	struct weir_policy policy;
	int fd, bell_fd;
	int wake_fd; /* wakes the reader */
	int peer_fd; /* with sockets the reader's side of it, else -1 */
	struct end *map;
};

struct weir_ring {
	struct geometry geometry;
	uint32_t backing;
	uint64_t next_id;
	int data_fd, head_fd, request_fd, space_eventfd;
	int view_fd;		 /* sealed: what observers get instead of the ends, else -1 */
	uint8_t *view;		 /* writable: ours; a page for each end */
	struct head *head;	 /* read-only */
	struct request *request; /* writable: ours */
	struct ring_end end[WEIR_READERS_MAX];
};

/* With nothing open yet. NULL: no memory. */
struct weir_ring *ring_alloc(void);

static inline bool ring_is_attached(const struct weir_ring *ring, uint32_t end)
{
	return end < ring->geometry.end_count && ring->end[end].attached;
}

/* Reaps an end of which the descriptors did not reach anybody. */
void ring_revoke(struct weir_ring *ring, uint32_t end);

/* How many frames a reader holds by its own account. */
uint32_t ring_pins(const struct weir_ring *ring, uint32_t end);

/* A bell is a process-shared semaphore at the start of its object. */
int ring_bell_init(int fd);
int ring_bell_renew(int fd); /* nobody uses it; what its last user left there is thrown away. fd -1: no bell */
void ring_bell_post(sem_t *bell);
/* Sleeps until a post, for WEIR_WAIT_BOUND_NS at most and not beyond the deadline. 0 or -ETIMEDOUT: deadline. Sets
 * *posted when a post was taken. */
int ring_bell_wait(sem_t *bell, int64_t deadline_ns, bool *posted);

#endif
