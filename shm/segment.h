/* SPDX-License-Identifier: MIT */
#ifndef SEGMENT_H
#define SEGMENT_H

/* Memory objects without a name, and the few system calls that everything here shares. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_SEALS_FIXED 1 /* the size cannot be changed */
#define SEGMENT_SEALS_OURS  2 /* and no further writable mapping can be made: those that exist stay */

/* A new object of this size with its memory reserved, so that touching it never raises SIGBUS. Returns a descriptor, or
 * -ENOSPC, -EMFILE, -ENOMEM. backing: enum weir_backing. */
int segment_create(uint32_t backing, uint64_t bytes);

/* Seals a memfd; nothing to do for the other backing. seals: one of SEGMENT_SEALS_*. */
int segment_seal(uint32_t backing, int fd, int seals);

/* Fixes the size already, but lets its writer map it before it seals the rest. */
int segment_fix_size(uint32_t backing, int fd);

/* True if a peer's object cannot shrink under us: it is a memfd and sealed so. */
bool segment_is_sealed(int fd, int seals);

/* A second descriptor of the same object, of which no writable mapping can be made. Or -errno. */
int segment_reopen_readonly(int fd);

/* A second descriptor with the same rights. Or -errno. */
int segment_dup(int fd);

/* Maps and faults in all pages. -EPROTO: the object is smaller than bytes, or its memory not reserved; -ENOMEM. */
int segment_map(void **map, int fd, uint64_t bytes, bool writable);
void segment_unmap(void *map, uint64_t bytes);

void segment_close(int *fd);
int64_t clock_now_ns(void);

/* A wake-up: an eventfd between processes of one family, one side of a socket pair towards others. */
int wake_create_eventfd(void);
int wake_create_sockets(int fd[2]);

/* Wakes whoever polls the other side. A full one has its reader awake anyway. Never blocks as long as the eventfd is as
 * we made it: nobody that we do not trust may hold a descriptor of it. */
void wake_ring(int fd, bool socket);

/* Clears it; 1 if it was rung, 0 if not. -EPIPE: its other side has shut the socket down: it is of no use any more, and
 * poll() on it does not sleep. Never blocks, even if a peer has cleared O_NONBLOCK. */
int wake_clear(int fd, bool socket);

/* Puts a socket that nobody can ring in the place of one that was shut down: who polls it sleeps until its time is
 * over. Not in an epoll set that holds the old one. */
void wake_silence(int fd);

/* Waits for it, at most for WEIR_WAIT_BOUND_NS and not beyond the deadline. 0 or -ETIMEDOUT: deadline. */
int wake_wait(int fd, int64_t deadline_ns);

#endif
