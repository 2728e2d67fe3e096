/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring.h"
#include "segment.h"

/* A peer that sends more notes in a second is dropped. */
#define NOTES_MAX 100

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

void server_forget(struct peer *peer)
{
	segment_close(&peer->socket);
	segment_close(&peer->pidfd);
	memset(peer, 0, sizeof(*peer));
	peer->socket = peer->pidfd = -1;
}

void server_died(struct weir_server *server, struct peer *peer)
{
	if (peer->attached)
		server->stats.retire |= weir_ring_reap(server->ring, peer->end) == 1;
	if (peer->kept)
		weir_ring_reap(server->kept, peer->kept_end);
	server_forget(peer);
}

/* It may still run and read: its pins count until its pidfd says that it is dead. */
void server_hung_up(struct weir_server *server, struct peer *peer)
{
	if (!peer->attached && !peer->kept) {
		server->stats.refused += !peer->hello;
		server_forget(peer);
		return;
	}
	if (peer->attached)
		weir_ring_degrade(server->ring, peer->end);
	if (peer->kept)
		weir_ring_degrade(server->kept, peer->kept_end);
	segment_close(&peer->socket);
	peer->deadline_ns = 0;
}

void server_refuse(struct weir_server *server, struct peer *peer, int status)
{
	struct handover message = { .type = HANDOVER_REFUSE, .status = status };

	handover_send(peer->socket, &message, NULL);
	server->stats.refused++;
	if (!peer->kept) {
		server_forget(peer);
		return;
	}
	if (status == -EPIPE) /* it had hung up */
		weir_ring_degrade(server->kept, peer->kept_end);
	segment_close(&peer->socket); /* else it may drain the ring that it has */
	peer->deadline_ns = 0;
}

/* It freed its reader, though its process lives. Its end is not given to another before the process is dead: it may
 * have lied, and still be able to write there. */
static bool has_left(const struct weir_server *server, const struct peer *peer)
{
	struct weir_end_stats stats = { .left = false };

	if (peer->attached)
		weir_ring_end_stats(server->ring, peer->end, &stats);
	return stats.left;
}

bool server_is_reading(const struct weir_server *server, const struct peer *peer)
{
	return peer->attached && !has_left(server, peer);
}

uint32_t server_count_readers(const struct weir_server *server)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PEERS_MAX; i++)
		count += server_is_reading(server, &server->peer[i]);
	return count;
}

static bool any_left(const struct weir_server *server)
{
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (has_left(server, &server->peer[i]))
			return true;
	return false;
}

static void limit_stall(const struct weir_server *server, struct weir_policy *policy)
{
	int64_t asked_ns = policy->stall_ns != 0 ? policy->stall_ns : RING_STALL_DEFAULT_NS;

	if (server->config.stall_max_ns != 0 && asked_ns > server->config.stall_max_ns)
		policy->stall_ns = server->config.stall_max_ns;
}

void server_attach(struct weir_server *server, struct peer *peer)
{
	struct handover message = { .type = HANDOVER_RING };
	struct weir_policy policy = peer->want.policy;
	struct weir_ring_fds fds;
	bool attached = false, full = false, used_up;
	int r = 0;

	if (server->ring == NULL)
		return;
	limit_stall(server, &policy);
	if (peer->want.observe) {
		r = weir_ring_observer_fds(server->ring, &fds);
	} else {
		if (server->config.max_readers != 0 && server_count_readers(server) >= server->config.max_readers)
			r = -EBUSY;
		if (peer->want.policy.async_io != 0 && !server->config.async_io)
			r = -EPERM;
		if (r == 0)
			r = weir_ring_attach(server->ring, &policy, &peer->end);
		attached = r == 0;
		full = (r == -EBUSY || r == -ENOSPC) &&
		       (server->config.max_readers == 0 || server_count_readers(server) < server->config.max_readers);
		if (r == 0)
			r = weir_ring_reader_fds(server->ring, peer->end, &fds);
	}
	if (r == 0) {
		r = handover_send(peer->socket, &message, &fds);
		weir_ring_fds_close(&fds);
	}
	used_up = server->ring->geometry.has_sockets && r == -EBUSY &&
		  server_count_readers(server) < server->ring->geometry.end_count;
	if (full && (used_up || any_left(server))) {
		server->stats.retire = true; /* the next generation has room for it */
		return;
	}
	if (r < 0) {
		if (attached) /* nothing of the ring has reached it */
			ring_revoke(server->ring, peer->end);
		server_refuse(server, peer, r);
		return;
	}
	peer->attached = !peer->want.observe;
	server->stats.accepted++;
}

/* -1: the kernel gives none. */
static int peer_pidfd(int socket, int pid)
{
	socklen_t length = sizeof(int);
	int pidfd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
		return pidfd;
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static struct peer *free_peer(struct weir_server *server)
{
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (server->peer[i].number == 0)
			return &server->peer[i];
	return NULL;
}

/* Who it is, and whether it may come in. Without pid and pidfd nobody could say when it dies. */
static int identify(const struct weir_server *server, struct peer *peer)
{
	struct ucred credentials = { 0 };
	socklen_t length = sizeof(credentials);

	getsockopt(peer->socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
	peer->pid = credentials.pid;
	peer->pidfd = peer_pidfd(peer->socket, peer->pid);
	if (!server->config.any_user && credentials.uid != geteuid() && credentials.uid != 0)
		return -EACCES;
	return peer->pidfd >= 0 || peer->pid > 0 ? 0 : -EACCES;
}

static int watch_peer(struct weir_server *server, const struct peer *peer)
{
	uint64_t about = peer->number << 32 | (uint64_t)(peer - server->peer);
	int r = server_watch(server, peer->socket, about);

	return r == 0 && peer->pidfd >= 0 ? server_watch(server, peer->pidfd, about | ABOUT_PIDFD) : r;
}

void server_accept(struct weir_server *server)
{
	int socket = accept4(server->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer made = { .socket = socket, .pidfd = -1 };
	struct peer *peer = free_peer(server);
	int r;

	if (socket < 0)
		return;
	r = peer != NULL ? identify(server, &made) : -EBUSY;
	if (r < 0) {
		server_refuse(server, &made, r);
		return;
	}
	made.number = ++server->peers;
	made.deadline_ns = clock_now_ns() + server->config.hello_ns;
	*peer = made;
	r = watch_peer(server, peer);
	if (r < 0)
		server_refuse(server, peer, r);
}

static bool take_note(struct weir_server *server, struct peer *peer, uint32_t note)
{
	int64_t now_ns = clock_now_ns();

	if (now_ns - peer->notes_since_ns >= 1000000000) {
		peer->notes_since_ns = now_ns;
		peer->notes = 0;
	}
	if (peer->notes++ >= NOTES_MAX)
		return false;
	if (server->config.note != NULL)
		server->config.note(server->config.data, note);
	return true;
}

void server_receive(struct weir_server *server, struct peer *peer)
{
	struct handover message;
	int r = handover_receive(peer->socket, &message, NULL);

	if (r == -EAGAIN)
		return;
	if (r == 0 && peer->hello && message.type == HANDOVER_NOTE && take_note(server, peer, message.note))
		return;
	if (r < 0 || peer->hello || message.type != HANDOVER_HELLO) {
		server_hung_up(server, peer);
		return;
	}
	peer->hello = true;
	peer->want = message;
	server_attach(server, peer);
}
