/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
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

	if (status == -ENOSPC && server->ring != NULL)
		message.refusal = (struct weir_refusal){
			.slots_needed = weir_ring_slots_needed(server->ring, &peer->want.policy),
			.slots_had = server->ring->geometry.slot_count,
		};
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

/* Or -errno; -ENOSYS, -EPERM: the kernel gives none. */
static int peer_pidfd(int socket, int pid)
{
	socklen_t length = sizeof(int);
	int pidfd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
		return pidfd;
	if (errno != ENOPROTOOPT) /* it is dead, and its pid may be another's by now; or we have no descriptor left */
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EPIPE;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

/* It is silent, waits for a ring, or only looks. */
static bool can_make_room(const struct peer *peer)
{
	return peer->number != 0 && peer->socket >= 0 && !peer->attached && !peer->kept;
}

/* The more places its user, then its process, has, the sooner a peer goes; before all who has said nothing. */
static uint32_t weigh(const struct weir_server *server, const struct peer *peer)
{
	uint32_t weight = 0;

	if (!peer->hello)
		return UINT32_MAX;
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (can_make_room(&server->peer[i]) && server->peer[i].uid == peer->uid)
			weight += server->peer[i].pid == peer->pid ? PEERS_MAX + 2 : PEERS_MAX + 1;
	return weight;
}

/* A free place, if need be that of the heaviest, and of those the oldest. Readers keep theirs. */
static struct peer *take_place(struct weir_server *server)
{
	struct peer *last = NULL;
	uint32_t heaviest = 0;

	for (uint32_t i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &server->peer[i];
		uint32_t weight;

		if (peer->number == 0)
			return peer;
		if (!can_make_room(peer))
			continue;
		weight = weigh(server, peer);
		if (weight > heaviest || (weight == heaviest && peer->number < last->number)) {
			heaviest = weight;
			last = peer;
		}
	}
	if (last != NULL)
		server_refuse(server, last, -EBUSY);
	return last;
}

/* Who it is, and whether it may come in. Without pid and pidfd nobody could say when it dies. */
static int identify(const struct weir_server *server, struct peer *peer)
{
	struct ucred credentials = { 0 };
	socklen_t length = sizeof(credentials);
	int pidfd;

	getsockopt(peer->socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
	peer->pid = credentials.pid;
	peer->uid = credentials.uid;
	pidfd = peer_pidfd(peer->socket, peer->pid);
	if (pidfd >= 0)
		peer->pidfd = pidfd;
	if (!server->config.any_user && credentials.uid != geteuid() && credentials.uid != 0)
		return -EACCES;
	if (pidfd == -EINVAL || pidfd == -ENOSYS || pidfd == -EPERM)
		return peer->pid > 0 ? 0 : -EACCES;
	return pidfd >= 0 ? 0 : pidfd;
}

static int watch_peer(struct weir_server *server, const struct peer *peer)
{
	uint64_t about = peer->number << 32 | (uint64_t)(peer - server->peer);
	int r = server_watch(server, peer->socket, about);

	return r == 0 && peer->pidfd >= 0 ? server_watch(server, peer->pidfd, about | ABOUT_PIDFD) : r;
}

/* The connection stays in the queue, and the listener readable: it would have us try again and again. */
static void pause_listening(struct weir_server *server)
{
	epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->listen.fd, NULL);
	server->listen_ns = clock_now_ns() + WEIR_WAIT_BOUND_NS;
}

void server_accept(struct weir_server *server)
{
	int socket = accept4(server->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer made = { .socket = socket, .pidfd = -1 };
	struct peer *peer;
	int r;

	if (socket < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_listening(server);
		return;
	}
	r = identify(server, &made);
	peer = r == 0 ? take_place(server) : NULL;
	if (peer == NULL) {
		server_refuse(server, &made, r < 0 ? r : -EBUSY);
		return;
	}
	made.number = ++server->peers;
	made.deadline_ns = clock_now_ns() + server->config.hello_ns;
	*peer = made;
	r = watch_peer(server, peer);
	if (r < 0)
		server_refuse(server, peer, r);
	else
		server_receive(server, peer); /* who says hello at once is not taken for a silent one */
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
