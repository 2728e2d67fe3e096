/* SPDX-License-Identifier: MIT */
#ifndef HANDOVER_H
#define HANDOVER_H

/* The messages between weir_server and weir_client: one SEQPACKET each, of fixed size, so there is no half message. */

#include <sys/socket.h>
#include <sys/un.h>

#include <weir/socket.h>

#include "ring.h"

#define HANDOVER_MAGIC	 0x52494557u
#define HANDOVER_VERSION 2u

enum handover_type {
	HANDOVER_HELLO = 1,  /* client: policy, observe */
	HANDOVER_RING = 2,   /* server: the descriptors of a ring for this client */
	HANDOVER_REFUSE = 3, /* server: status, with -ENOSPC the slots; then it hangs up */
	HANDOVER_NOTE = 4,   /* client: note */
};

struct handover {
	uint32_t magic, version, type;
	int32_t status;
	uint32_t observe;
	uint32_t note;
	struct weir_refusal refusal;
	struct weir_policy policy;
	uint32_t role, end, count;			 /* of struct weir_ring_fds */
	uint32_t present[(WEIR_RING_FDS_MAX + 31) / 32]; /* bit i: fd[i] is sent along, the others are -1 */
};

/* Fills *address. -ENAMETOOLONG, -EINVAL (empty). */
int handover_address(struct sockaddr_un *address, socklen_t *length, const char *path);

/* Sends a message, with the descriptors of fds if it is not NULL (they stay the caller's). Does not block: -EAGAIN. */
int handover_send(int socket, struct handover *message, const struct weir_ring_fds *fds);

/* Receives one message. Descriptors are put into *fds (which may be NULL if none are expected: then they are closed).
 * Does not block. -EAGAIN; -EPIPE: hung up; -EPROTO: anything that is not a whole message of ours; nothing leaks. */
int handover_receive(int socket, struct handover *message, struct weir_ring_fds *fds);

#endif
