/* SPDX-License-Identifier: MIT */
#include <weir/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "handover.h"
#include "listen.h"
#include "ring.h"
#include "segment.h"

#define HELLO_DEFAULT_NS INT64_C(1000000000)
#define MODE_DEFAULT	 0600
#define EVENTS_MAX	 16
/* Peers of which nothing is known yet; more are refused. */
#define PEERS_MAX (2 * WEIR_READERS_MAX)
/* A peer that sends more notes in a second is dropped. */
#define NOTES_MAX 100

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* A peer's life: said hello? → attached (end valid) → hung up (socket -1) → dead. It is dead only when its pidfd says
 * so: a bare hang-up forfeits no more than the guarantee that it is waited for. */
struct peer {
	int socket, pidfd;
	bool hello, attached;
	int64_t hello_deadline_ns;
	struct handover want;
	uint32_t end;
	uint64_t number;
	int pid;
	int64_t notes_since_ns;
	uint32_t notes;
};

struct weir_server {
	struct weir_server_config config;
	struct listen listen;
	int epoll, timer;
	struct weir_ring *ring; /* borrowed */
	struct weir_server_stats stats;
	uint64_t peers;		     /* so far */
	struct peer peer[PEERS_MAX]; /* unused: socket and pidfd -1 */
};

/* What an epoll event is about: the peer's index and which of its descriptors. */
enum { ABOUT_LISTENER = PEERS_MAX, ABOUT_TIMER };
#define ABOUT_PIDFD 0x10000u

static int watch(struct weir_server *server, int fd, uint32_t about)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = about };

	return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* --- peers ---------------------------------------------------------------------------------------------------------
 */

static void close_peer_socket(struct peer *peer)
{
	segment_close(&peer->socket);
}

static void forget(struct peer *peer)
{
	close_peer_socket(peer);
	segment_close(&peer->pidfd);
	memset(peer, 0, sizeof(*peer));
	peer->socket = peer->pidfd = -1;
}

static void refuse(struct weir_server *server, struct peer *peer, int status)
{
	struct handover message = { .type = HANDOVER_REFUSE, .status = status };

	handover_send(peer->socket, &message, NULL);
	server->stats.refused++;
	forget(peer);
}

static void died(struct weir_server *server, struct peer *peer)
{
	if (peer->attached) {
		server->stats.retire |= weir_ring_reap(server->ring, peer->end) == 1;
	}
	forget(peer);
}

/* It may still run and read: its pins count until its pidfd says that it is dead. */
static void hung_up(struct weir_server *server, struct peer *peer)
{
	if (!peer->attached) {
		server->stats.refused += !peer->hello;
		forget(peer);
		return;
	}
	weir_ring_withdraw(server->ring, peer->end);
	close_peer_socket(peer);
}

/* It freed its reader, though its process lives. Its end is not given to another before the process is dead: it may
 * have lied, and still be able to write there. */
static bool has_left(const struct weir_server *server, const struct peer *peer)
{
	struct weir_end_stats stats;

	return peer->attached && weir_ring_end_stats(server->ring, peer->end, &stats) == 0 && stats.left;
}

static uint32_t count_readers(const struct weir_server *server)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PEERS_MAX; i++)
		count += server->peer[i].attached && !has_left(server, &server->peer[i]);
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

/* Attaches a peer that has said hello to the ring, and sends it the descriptors. */
static void attach(struct weir_server *server, struct peer *peer)
{
	struct handover message = { .type = HANDOVER_RING };
	struct weir_policy policy = peer->want.policy;
	struct weir_ring_fds fds;
	bool attached = false, full = false;
	int r = 0;

	if (server->ring == NULL)
		return;
	limit_stall(server, &policy);
	if (peer->want.observe) {
		r = weir_ring_observer_fds(server->ring, &fds);
	} else {
		if (server->config.max_readers != 0 && count_readers(server) >= server->config.max_readers)
			r = -EBUSY;
		if (peer->want.policy.async_io != 0 && !server->config.async_io)
			r = -EPERM;
		if (r == 0)
			r = weir_ring_attach(server->ring, &policy, &peer->end);
		attached = r == 0;
		full = (r == -EBUSY || r == -ENOSPC) &&
		       (server->config.max_readers == 0 || count_readers(server) < server->config.max_readers);
		if (r == 0)
			r = weir_ring_reader_fds(server->ring, peer->end, &fds);
	}
	if (r == 0) {
		r = handover_send(peer->socket, &message, &fds);
		weir_ring_fds_close(&fds);
	}
	if (full && any_left(server)) {
		server->stats.retire = true; /* the next generation has room for it */
		return;
	}
	if (r < 0) {
		if (attached) /* nothing of the ring has reached it */
			weir_ring_reap(server->ring, peer->end);
		refuse(server, peer, r);
		return;
	}
	peer->attached = !peer->want.observe;
	server->stats.accepted++;
}

static int peer_pidfd(int socket, int pid)
{
	socklen_t length = sizeof(int);
	int pidfd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
		return pidfd;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

static struct peer *free_peer(struct weir_server *server)
{
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (server->peer[i].socket < 0 && server->peer[i].pidfd < 0)
			return &server->peer[i];
	return NULL;
}

static void accept_peer(struct weir_server *server)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	struct peer *peer = free_peer(server);
	int socket = accept4(server->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), pidfd = -1;

	if (socket < 0)
		return;
	if (peer == NULL || getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0 ||
		(!server->config.any_user && credentials.uid != geteuid() && credentials.uid != 0) ||
		(pidfd = peer_pidfd(socket, credentials.pid)) < 0) {
		struct peer nobody = { .socket = socket, .pidfd = -1 };

		refuse(server, &nobody, peer == NULL ? -EBUSY : -EACCES);
		return;
	}
	peer->socket = socket;
	peer->pidfd = pidfd;
	peer->pid = credentials.pid;
	peer->number = ++server->peers;
	peer->hello_deadline_ns = clock_now_ns() + server->config.hello_ns;
	if (watch(server, socket, (uint32_t)(peer - server->peer)) < 0 ||
		watch(server, pidfd, (uint32_t)(peer - server->peer) | ABOUT_PIDFD) < 0)
		refuse(server, peer, -ENOMEM);
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

static void receive(struct weir_server *server, struct peer *peer)
{
	struct handover message;
	int r = handover_receive(peer->socket, &message, NULL);

	if (r == -EAGAIN)
		return;
	if (r == 0 && peer->hello && message.type == HANDOVER_NOTE && take_note(server, peer, message.note))
		return;
	if (r < 0 || peer->hello || message.type != HANDOVER_HELLO) {
		hung_up(server, peer);
		return;
	}
	peer->hello = true;
	peer->want = message;
	attach(server, peer);
}

static void drop_the_silent(struct weir_server *server)
{
	int64_t now_ns = clock_now_ns();
	uint64_t expirations;

	if (read(server->timer, &expirations, sizeof(expirations)) < 0)
		return;
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (server->peer[i].socket >= 0 && !server->peer[i].hello &&
			server->peer[i].hello_deadline_ns <= now_ns)
			refuse(server, &server->peer[i], -ETIMEDOUT);
}

/* The timer runs while there is somebody to be timed. */
static void set_timer(struct weir_server *server)
{
	struct itimerspec at = { 0 };
	int64_t first_ns = INT64_MAX;

	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (server->peer[i].socket >= 0 && !server->peer[i].hello &&
			server->peer[i].hello_deadline_ns < first_ns)
			first_ns = server->peer[i].hello_deadline_ns;
	if (first_ns != INT64_MAX) {
		at.it_value.tv_sec = first_ns / 1000000000;
		at.it_value.tv_nsec = first_ns % 1000000000 + 1;
	}
	timerfd_settime(server->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

void weir_server_dispatch(struct weir_server *server)
{
	struct epoll_event event[EVENTS_MAX];
	int count = epoll_wait(server->epoll, event, EVENTS_MAX, 0);

	for (int i = 0; i < count; i++) {
		uint32_t about = event[i].data.u32;
		struct peer *peer = &server->peer[about & (PEERS_MAX - 1)];

		if (about == ABOUT_LISTENER)
			accept_peer(server);
		else if (about == ABOUT_TIMER)
			drop_the_silent(server);
		else if ((about & ABOUT_PIDFD) != 0 && peer->pidfd >= 0)
			died(server, peer);
		else if ((about & ABOUT_PIDFD) == 0 && peer->socket >= 0)
			receive(server, peer);
	}
	set_timer(server);
}

int weir_server_fd(const struct weir_server *server)
{
	return server->epoll;
}

void weir_server_stats(const struct weir_server *server, struct weir_server_stats *stats)
{
	*stats = server->stats;
	stats->readers = count_readers(server);
}

uint32_t weir_server_readers(const struct weir_server *server, struct weir_server_reader *readers)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (server->peer[i].attached && !has_left(server, &server->peer[i]) && count < WEIR_READERS_MAX)
			readers[count++] = (struct weir_server_reader){
				.number = server->peer[i].number,
				.pid = server->peer[i].pid,
				.end = server->peer[i].end,
			};
	return count;
}

void weir_server_set_ring(struct weir_server *server, struct weir_ring *ring)
{
	server->ring = ring;
	server->stats.retire = false;
	for (uint32_t i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &server->peer[i];

		peer->attached = false;
		if (peer->socket < 0 && peer->pidfd >= 0)
			forget(peer); /* it hung up; with the old ring its pins are gone, too */
		else if (peer->hello)
			attach(server, peer);
	}
}

int weir_server_create(struct weir_server **server, const struct weir_server_config *config, int *owner_pid)
{
	struct weir_server *made = calloc(1, sizeof(*made));
	int r;

	if (made == NULL)
		return -ENOMEM;
	made->config = *config;
	made->config.path = NULL;
	if (made->config.mode == 0)
		made->config.mode = MODE_DEFAULT;
	if (made->config.hello_ns == 0)
		made->config.hello_ns = HELLO_DEFAULT_NS;
	made->listen.fd = made->epoll = made->timer = -1;
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		made->peer[i].socket = made->peer[i].pidfd = -1;
	made->epoll = epoll_create1(EPOLL_CLOEXEC);
	made->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (made->epoll < 0 || made->timer < 0) {
		r = -errno;
		goto fail;
	}
	r = listen_open(&made->listen, config->path, made->config.mode, PEERS_MAX, owner_pid);
	if (r < 0 || (r = watch(made, made->listen.fd, ABOUT_LISTENER)) < 0 ||
		(r = watch(made, made->timer, ABOUT_TIMER)) < 0)
		goto fail;
	*server = made;
	return 0;
fail:
	weir_server_free(&made);
	return r;
}

void weir_server_free(struct weir_server **server)
{
	struct weir_server *old = *server;

	if (old == NULL)
		return;
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		forget(&old->peer[i]);
	listen_close(&old->listen);
	segment_close(&old->timer);
	segment_close(&old->epoll);
	free(old);
	*server = NULL;
}
