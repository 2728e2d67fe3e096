/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "segment.h"

#define HELLO_DEFAULT_NS INT64_C(1000000000)
#define HELLO_MAX_NS	 INT64_C(3600000000000)
#define MODE_DEFAULT	 0600
#define EVENTS_MAX	 16

/* Where the kernel gives no pidfd (before 5.3, or a filter), processes that hung up are looked for so often. */
#define LOOK_NS INT64_C(100000000)

int server_watch(struct weir_server *server, int fd, uint64_t about)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = about };

	return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* It has not said hello, or it hung up and no pidfd will say when it is dead. */
static bool has_deadline(const struct peer *peer)
{
	return peer->number != 0 && (peer->socket >= 0 ? !peer->hello : peer->pidfd < 0);
}

static void look_after(struct weir_server *server, struct peer *peer, int64_t now_ns)
{
	peer->deadline_ns = now_ns + LOOK_NS;
	if (peer->socket >= 0)
		server_refuse(server, peer, -ETIMEDOUT);
	else if (kill(peer->pid, 0) < 0 && errno == ESRCH)
		server_died(server, peer);
}

static bool any_observer(const struct weir_server *server)
{
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (server->peer[i].hello && server->peer[i].want.observe)
			return true;
	return false;
}

/* When to do so again; 0: there is nobody to show them to. */
static int64_t show_counters(struct weir_server *server, int64_t now_ns)
{
	if (server->ring == NULL || !any_observer(server))
		return 0;
	if (now_ns >= server->show_ns) {
		weir_ring_show(server->ring);
		server->show_ns = now_ns + WEIR_WAIT_BOUND_NS;
	}
	return server->show_ns;
}

/* The timer runs while there is somebody to look after. */
static void look_after_peers(struct weir_server *server)
{
	int64_t now_ns = clock_now_ns(), first_ns = show_counters(server, now_ns);
	struct itimerspec at = { 0 };

	if (server->listen_ns != 0 && server->listen_ns <= now_ns)
		server->listen_ns =
			server_watch(server, server->listen.fd, ABOUT_LISTENER) < 0 ? now_ns + WEIR_WAIT_BOUND_NS : 0;
	if (server->listen_ns != 0 && (first_ns == 0 || server->listen_ns < first_ns))
		first_ns = server->listen_ns;
	for (uint32_t i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &server->peer[i];

		if (has_deadline(peer) && peer->deadline_ns <= now_ns)
			look_after(server, peer, now_ns);
		if (has_deadline(peer) && (first_ns == 0 || peer->deadline_ns < first_ns))
			first_ns = peer->deadline_ns;
	}
	at.it_value.tv_sec = first_ns / 1000000000;
	at.it_value.tv_nsec = first_ns % 1000000000;
	timerfd_settime(server->timer, TFD_TIMER_ABSTIME, &at, NULL); /* clears an expiration, too */
}

void weir_server_dispatch(struct weir_server *server)
{
	struct epoll_event event[EVENTS_MAX];
	int count = epoll_wait(server->epoll, event, EVENTS_MAX, 0);

	for (int i = 0; i < count; i++) {
		uint32_t about = (uint32_t)event[i].data.u64, number = (uint32_t)(event[i].data.u64 >> 32);
		struct peer *peer = &server->peer[about & (PEERS_MAX - 1)];

		if (about == ABOUT_LISTENER)
			server_accept(server);
		else if (about == ABOUT_TIMER || (uint32_t)peer->number != number)
			continue; /* see below; forgotten because of an event before this one */
		else if ((about & ABOUT_PIDFD) != 0)
			server_died(server, peer);
		else
			server_receive(server, peer);
	}
	look_after_peers(server);
}

int weir_server_fd(const struct weir_server *server)
{
	return server->epoll;
}

void weir_server_stats(const struct weir_server *server, struct weir_server_stats *stats)
{
	*stats = server->stats;
	stats->readers = server_count_readers(server);
}

uint32_t weir_server_readers(const struct weir_server *server, struct weir_server_reader *readers)
{
	uint32_t count = 0;

	/* Each has an end of its own, so there are no more than ends. */
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (server_is_reading(server, &server->peer[i]))
			readers[count++] = (struct weir_server_reader){
				.number = server->peer[i].number,
				.pid = server->peer[i].pid,
				.end = server->peer[i].end,
			};
	return count;
}

void weir_server_drop_ring(struct weir_server *server)
{
	for (uint32_t i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &server->peer[i];

		peer->kept = false;
		if (peer->socket < 0 && !peer->attached)
			server_forget(peer); /* it hung up; with the ring its pins are gone, too */
	}
	server->kept = NULL;
}

void weir_server_next_ring(struct weir_server *server, struct weir_ring *ring)
{
	weir_server_drop_ring(server);
	server->kept = server->ring;
	server->ring = ring;
	server->stats.retire = false;
	for (uint32_t i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &server->peer[i];

		peer->kept = peer->attached;
		peer->kept_end = peer->end;
		peer->attached = false;
	}
	/* Only now: readers of the old ring do not count against the new one. */
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		if (server->peer[i].hello && server->peer[i].socket >= 0)
			server_attach(server, &server->peer[i]);
}

void weir_server_set_ring(struct weir_server *server, struct weir_ring *ring)
{
	weir_server_next_ring(server, ring);
	weir_server_drop_ring(server);
}

/* Nobody will hear of its death any more. */
static void let_go(struct weir_server *server, struct peer *peer)
{
	struct pollfd pidfd = { .fd = peer->pidfd, .events = POLLIN };

	if (peer->number == 0)
		return;
	if (pidfd.fd >= 0 ? poll(&pidfd, 1, 0) == 1 : kill(peer->pid, 0) < 0 && errno == ESRCH)
		server_died(server, peer);
	else
		server_hung_up(server, peer);
	server_forget(peer);
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
	if (made->config.hello_ns <= 0)
		made->config.hello_ns = HELLO_DEFAULT_NS;
	if (made->config.hello_ns > HELLO_MAX_NS)
		made->config.hello_ns = HELLO_MAX_NS;
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
	if (r < 0 || (r = server_watch(made, made->listen.fd, ABOUT_LISTENER)) < 0 ||
		(r = server_watch(made, made->timer, ABOUT_TIMER)) < 0)
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
		let_go(old, &old->peer[i]);
	listen_close(&old->listen);
	segment_close(&old->timer);
	segment_close(&old->epoll);
	free(old);
	*server = NULL;
}
