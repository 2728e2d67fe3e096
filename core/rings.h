/* SPDX-License-Identifier: MIT */
#ifndef RINGS_H
#define RINGS_H

/* One packet hands over a role in a ring: the socket between frontend and child carries nothing else. */

#include <weir/ring.h>

/* input: the reader's, of no meaning for a writer. Takes over *fds on success. -EAGAIN: the socket is full. */
int rings_send(int socket, struct weir_ring_fds *fds, uint32_t input);

/* -EAGAIN: none; -EPIPE: closed; -EPROTO. The caller owns *fds. */
int rings_receive(int socket, struct weir_ring_fds *fds, uint32_t *input);

#endif
