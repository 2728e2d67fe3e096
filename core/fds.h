/* SPDX-License-Identifier: MIT */
#ifndef FDS_H
#define FDS_H

/* Packets with descriptors (SCM_RIGHTS) over SEQPACKET sockets, and closing of descriptors. */

#include <stddef.h>

#define FDS_MAX 128

/* 0, or -EAGAIN (full), -EPIPE, -errno. The descriptors stay the caller's. Does not block. */
int fds_send(int socket, const void *data, size_t size, const int *fds, size_t count);

/* Receives one packet of at most size bytes; returns its length. *count is the room in fds and then how many came, all
 * CLOEXEC and the caller's. -EAGAIN, -EPIPE (closed), -EPROTO (too long, or too many descriptors: those are closed). */
int fds_receive(int socket, void *data, size_t size, int *fds, size_t *count);

/* Closes and sets to -1; nothing to do for -1. */
void fds_close(int *fd);

/* Closes all from this one on. */
void fds_close_from(int first);

#endif
