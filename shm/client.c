/* SPDX-License-Identifier: MIT */
#include <weir/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "handover.h"
#include "segment.h"

/* No more announcements than this are taken at once: a server can send without end. */
#define MESSAGES_MAX 16

struct weir_client {
	int socket;
	int server_pid;
	bool observe;
	struct weir_refusal *refusal; /* the caller's, or NULL */
	struct weir_ring_fds fds;     /* count 0: none that was not taken */
};

/* An object that its owner could still shrink would kill us with SIGBUS. */
static bool is_safe(const struct weir_ring_fds *fds, bool observe)
{
	if (fds->role != (observe ? RING_ROLE_OBSERVER : RING_ROLE_READER) || fds->count <= RING_FD_ENDS)
		return false;
	/* A semaphore could be forged, and writing to a shared eventfd be made to block. */
	if (fds->fd[RING_FD_SPACE] >= 0)
		return false;
	for (uint32_t i = 0; i < fds->count; i++) {
		bool bell = i >= RING_FD_ENDS && (i - RING_FD_ENDS) % RING_END_FDS == RING_END_FD_BELL;
		bool end = i >= RING_FD_ENDS && (i - RING_FD_ENDS) % RING_END_FDS == RING_END_FD_END;

		if (bell && fds->fd[i] >= 0)
			return false;
		if (end && (observe ? fds->fd[i] >= 0 : !segment_is_sealed(fds->fd[i], SEGMENT_SEALS_FIXED)))
			return false;
		if (i <= RING_FD_REQUEST && !segment_is_sealed(fds->fd[i], SEGMENT_SEALS_OURS))
			return false;
	}
	return true;
}

/* A server may say anything: what its users need not know of becomes -EIO. */
static int refusal(int status)
{
	switch (status) {
	case -ENOSPC:
	case -EBUSY:
	case -EINVAL:
	case -EPERM:
	case -EACCES:
	case -EPIPE: /* the writer is gone */
	case -ETIMEDOUT: return status;
	default: return status < 0 ? -EIO : -EPROTO;
	}
}

int weir_client_dispatch(struct weir_client *client)
{
	struct weir_ring_fds fds = { 0 };
	struct handover message;
	int r = 0;

	for (int i = 0; i < MESSAGES_MAX && (r = handover_receive(client->socket, &message, &fds)) == 0; i++) {
		if (message.type == HANDOVER_REFUSE) {
			weir_ring_fds_close(&fds);
			if (message.status == -ENOSPC && client->refusal != NULL)
				*client->refusal = message.refusal;
			return refusal(message.status);
		}
		if (message.type != HANDOVER_RING || !is_safe(&fds, client->observe)) {
			weir_ring_fds_close(&fds);
			return -EPROTO;
		}
		weir_ring_fds_close(&client->fds);
		client->fds = fds;
	}
	return r == -EAGAIN ? 0 : r;
}

static int wait_for_ring(struct weir_client *client, int64_t deadline_ns)
{
	int r;

	while ((r = weir_client_dispatch(client)) == 0 && client->fds.count == 0)
		if (wake_wait(client->socket, deadline_ns) < 0)
			return -ETIMEDOUT;
	return client->fds.count != 0 ? 0 : r;
}

int weir_client_connect(struct weir_client **client, const struct weir_client_config *config, int64_t deadline_ns)
{
	struct handover hello = { .type = HANDOVER_HELLO, .observe = config->observe, .policy = config->policy };
	struct weir_client *made = calloc(1, sizeof(*made));
	struct sockaddr_un address;
	struct ucred credentials = { 0 };
	socklen_t length, bytes = sizeof(credentials);
	int r = -ENOMEM;

	if (made == NULL)
		return r;
	made->observe = config->observe;
	made->refusal = config->refusal;
	made->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = made->socket < 0 ? -errno : handover_address(&address, &length, config->path);
	if (r < 0)
		goto fail;
	while (connect(made->socket, (struct sockaddr *)&address, length) < 0) {
		r = -errno;
		if (r != -EAGAIN && r != -EINTR) /* EAGAIN: its backlog is full */
			goto fail;
		if (clock_now_ns() >= deadline_ns) {
			r = -ETIMEDOUT;
			goto fail;
		}
		poll(NULL, 0, 5);
	}
	getsockopt(made->socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes);
	made->server_pid = credentials.pid;
	r = handover_send(made->socket, &hello, NULL);
	if (r == 0 || r == -EPIPE) /* it may have said why it hung up */
		r = wait_for_ring(made, deadline_ns);
	if (r < 0)
		goto fail;
	*client = made;
	return 0;
fail:
	weir_client_free(&made);
	return r;
}

void weir_client_free(struct weir_client **client)
{
	struct weir_client *old = *client;

	if (old == NULL)
		return;
	weir_ring_fds_close(&old->fds);
	segment_close(&old->socket);
	free(old);
	*client = NULL;
}

int weir_client_fd(const struct weir_client *client)
{
	return client->socket;
}

int weir_client_server_pid(const struct weir_client *client)
{
	return client->server_pid;
}

int weir_client_take_reader(struct weir_client *client, struct weir_reader **reader)
{
	return client->fds.count != 0 ? weir_reader_open(reader, &client->fds) : -EAGAIN;
}

int weir_client_take_observer(struct weir_client *client, struct weir_ring **ring)
{
	return client->fds.count != 0 ? weir_ring_observe(ring, &client->fds) : -EAGAIN;
}

int weir_client_note(struct weir_client *client, uint32_t note)
{
	struct handover message = { .type = HANDOVER_NOTE, .note = note };
	int r = handover_send(client->socket, &message, NULL);

	return r == 0 || r == -EAGAIN ? r : -EPIPE;
}
