/* SPDX-License-Identifier: MIT */
#ifndef RING_H
#define RING_H

/* What supervisor, writer and reader share inside the library. */

#include <semaphore.h>

#include <weir/ring.h>

enum ring_role { RING_ROLE_WRITER = 1, RING_ROLE_READER = 2 };

/* Where the descriptors stand in struct weir_ring_fds: the ring's four, then three for each end. */
enum ring_fd { RING_FD_DATA, RING_FD_HEAD, RING_FD_REQUEST, RING_FD_SPACE, RING_FD_ENDS };
enum ring_end_fd { RING_END_FD_END, RING_END_FD_BELL, RING_END_FD_EVENTFD, RING_END_FDS };

/* A bell is a process-shared semaphore at the start of its object. */
int ring_bell_init(int fd);
void ring_bell_post(sem_t *bell);
/* Sleeps until a post, for WEIR_WAIT_BOUND_NS at most and not beyond the deadline. 0 or -ETIMEDOUT: deadline. Sets
 * *posted when a post was taken. */
int ring_bell_wait(sem_t *bell, int64_t deadline_ns, bool *posted);

#endif
