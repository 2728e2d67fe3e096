/* SPDX-License-Identifier: MIT */
#include <weir/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "handover.h"
#include "segment.h"

#define HELLO_DEFAULT_NS INT64_C(1000000000)
#define MODE_DEFAULT	 0600
#define EVENTS_MAX	 16
/* Peers of which nothing is known yet; more are refused. */
#define PEERS_MAX (2 * WEIR_READERS_MAX)

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
};

struct weir_server {
	struct weir_server_config config;
	struct sockaddr_un address;
	dev_t device;
	ino_t inode; /* of our socket file; 0: abstract */
	int listener, epoll, timer;
	struct weir_ring *ring; /* borrowed */
	struct weir_server_stats stats;
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

static void died(struct weir_server *server, struct peer *peer)
{
	if (peer->attached) {
		server->stats.retire |= weir_ring_reap(server->ring, peer->end) == 1;
		server->stats.readers--;
	}
	forget(peer);
}

/* Attaches a peer that has said hello to the ring, and sends it the descriptors. */
static void attach(struct weir_server *server, struct peer *peer)
{
	struct handover message = { .type = HANDOVER_RING };
	struct weir_ring_fds fds;
	bool attached = false;
	int r = 0;

	if (server->ring == NULL)
		return;
	if (peer->want.observe) {
		r = weir_ring_observer_fds(server->ring, &fds);
	} else {
		if (server->config.max_readers != 0 && server->stats.readers >= server->config.max_readers)
			r = -EBUSY;
		if (peer->want.policy.async_io != 0 && !server->config.async_io)
			r = -EPERM;
		if (r == 0)
			r = weir_ring_attach(server->ring, &peer->want.policy, &peer->end);
		attached = r == 0;
		if (r == 0)
			r = weir_ring_reader_fds(server->ring, peer->end, &fds);
	}
	if (r == 0) {
		r = handover_send(peer->socket, &message, &fds);
		weir_ring_fds_close(&fds);
	}
	if (r < 0) {
		if (attached) /* nothing of the ring has reached it */
			weir_ring_reap(server->ring, peer->end);
		refuse(server, peer, r);
		return;
	}
	if (!peer->want.observe) {
		peer->attached = true;
		server->stats.readers++;
	}
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
	int socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), pidfd = -1;

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
	peer->hello_deadline_ns = clock_now_ns() + server->config.hello_ns;
	if (watch(server, socket, (uint32_t)(peer - server->peer)) < 0 ||
		watch(server, pidfd, (uint32_t)(peer - server->peer) | ABOUT_PIDFD) < 0)
		refuse(server, peer, -ENOMEM);
}

static void receive(struct weir_server *server, struct peer *peer)
{
	struct handover message;
	int r = handover_receive(peer->socket, &message, NULL);

	if (r == -EAGAIN)
		return;
	/* After its hello a peer has nothing to say. */
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
}

void weir_server_set_ring(struct weir_server *server, struct weir_ring *ring)
{
	server->ring = ring;
	server->stats.readers = 0;
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

/* --- the path ------------------------------------------------------------------------------------------------------
 */

/* -EADDRINUSE if somebody listens there; 0 if nobody does. */
static int probe(const struct sockaddr_un *address, socklen_t length, int *owner_pid)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;
	struct ucred credentials = { 0 };
	socklen_t bytes = sizeof(credentials);

	if (fd < 0)
		return -errno;
	/* EAGAIN: its backlog is full, but it lives. Another kind of socket (EPROTOTYPE) is somebody's, too. */
	if (connect(fd, (const struct sockaddr *)address, length) == 0 || errno == EAGAIN || errno == EPROTOTYPE) {
		r = -EADDRINUSE;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) == 0 && owner_pid != NULL)
			*owner_pid = credentials.pid;
	} else if (errno != ECONNREFUSED && errno != ENOENT) {
		r = -errno; /* we do not know: it may live */
	}
	close(fd);
	return r;
}

/* Two that take over the same stale file would each remove the other's: one at a time, by a lock on the folder. */
static int lock_folder(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	flock(fd, LOCK_EX);
	return fd;
}

static int bind_file(struct weir_server *server, socklen_t length, int *owner_pid)
{
	const char *path = server->address.sun_path;
	struct stat st;
	int folder = lock_folder(path), r;

	if (folder < 0)
		return folder;
	r = probe(&server->address, length, owner_pid);
	if (r == 0 && lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			r = -EADDRINUSE;
		else if (unlink(path) < 0)
			r = -errno;
	}
	if (r == 0 && bind(server->listener, (struct sockaddr *)&server->address, length) < 0)
		r = -errno;
	else if (r == 0 && (chmod(path, server->config.mode) < 0 || stat(path, &st) < 0 ||
				   listen(server->listener, PEERS_MAX) < 0)) {
		r = -errno;
		unlink(path); /* nobody else can have put one there: we hold the lock */
	}
	if (r == 0) {
		server->device = st.st_dev;
		server->inode = st.st_ino;
	}
	close(folder);
	return r;
}

static int bind_abstract(struct weir_server *server, socklen_t length, int *owner_pid)
{
	if (bind(server->listener, (struct sockaddr *)&server->address, length) < 0) {
		int r = -errno;

		if (r == -EADDRINUSE)
			probe(&server->address, length, owner_pid);
		return r;
	}
	return listen(server->listener, PEERS_MAX) < 0 ? -errno : 0;
}

int weir_server_create(struct weir_server **server, const struct weir_server_config *config, int *owner_pid)
{
	struct weir_server *made = calloc(1, sizeof(*made));
	socklen_t length;
	int r;

	if (made == NULL)
		return -ENOMEM;
	made->config = *config;
	made->config.path = NULL;
	if (made->config.mode == 0)
		made->config.mode = MODE_DEFAULT;
	if (made->config.hello_ns == 0)
		made->config.hello_ns = HELLO_DEFAULT_NS;
	made->listener = made->epoll = made->timer = -1;
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		made->peer[i].socket = made->peer[i].pidfd = -1;
	r = handover_address(&made->address, &length, config->path);
	if (r < 0)
		goto fail;
	made->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	made->epoll = epoll_create1(EPOLL_CLOEXEC);
	made->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (made->listener < 0 || made->epoll < 0 || made->timer < 0) {
		r = -errno;
		goto fail;
	}
	r = config->path[0] == '@' ? bind_abstract(made, length, owner_pid) : bind_file(made, length, owner_pid);
	if (r < 0 || (r = watch(made, made->listener, ABOUT_LISTENER)) < 0 ||
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
	struct stat st;

	if (old == NULL)
		return;
	if (old->inode != 0 && lstat(old->address.sun_path, &st) == 0 && st.st_dev == old->device &&
		st.st_ino == old->inode)
		unlink(old->address.sun_path);
	for (uint32_t i = 0; i < PEERS_MAX; i++)
		forget(&old->peer[i]);
	segment_close(&old->listener);
	segment_close(&old->timer);
	segment_close(&old->epoll);
	free(old);
	*server = NULL;
}
