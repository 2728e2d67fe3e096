/* SPDX-License-Identifier: MIT */
#ifndef SOCKET_FIXTURE_H
#define SOCKET_FIXTURE_H

/* Peers in processes of their own, for a server in this one. */

#include "ring_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/socket.h>

#include "../seccomp.h"
#include "handover.h"

static char folder[] = "/tmp/weir-socket-XXXXXX";
static char path[64];

static inline int setup(void **state)
{
	fixture_setup(state);
	config_16.untrusted = true;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/ring", folder);
	return 0;
}

static inline int teardown(void **state)
{
	return rmdir(folder); /* fails if anything was left */
}

static inline int64_t in_ms(int64_t ms)
{
	return fixture_now_ns() + ms * 1000000;
}

/* Dispatches until the condition holds, at most 5 s. */
#define SERVE_UNTIL(server, condition)                                                                                 \
	do {                                                                                                           \
		int64_t end_ns = in_ms(5000);                                                                          \
		while (!(condition) && fixture_now_ns() < end_ns) {                                                    \
			poll(&(struct pollfd){ .fd = weir_server_fd(server), .events = POLLIN }, 1, 10);               \
			weir_server_dispatch(server);                                                                  \
		}                                                                                                      \
		assert_true(condition);                                                                                \
	} while (0)

static inline struct weir_server_stats stats_of(const struct weir_server *server)
{
	struct weir_server_stats stats;

	weir_server_stats(server, &stats);
	return stats;
}

/* A peer in a process of its own: connects, takes a reader, acquires one frame and holds it; then runs `then`. */
static inline pid_t start_peer(
	struct weir_policy policy, int ready[2], void (*then)(struct weir_client *, struct weir_reader *))
{
	pid_t parent = getpid(), pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct weir_client_config config = { .path = path, .policy = policy };
		struct weir_client *client;
		struct weir_reader *reader;
		struct weir_frame frame;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || weir_client_connect(&client, &config, in_ms(5000)) < 0 ||
			weir_client_take_reader(client, &reader) < 0)
			_exit(1);
		while (weir_reader_acquire(reader, &frame) != 0)
			weir_reader_wait(reader, in_ms(5000));
		if (write(ready[1], &frame.sequence, sizeof(frame.sequence)) < 0)
			_exit(1);
		then(client, reader);
		_exit(0);
	}
	return pid;
}

static inline void hold(struct weir_client *client, struct weir_reader *reader)
{
	for (;;)
		pause();
}

static inline void hang_up_and_hold(struct weir_client *client, struct weir_reader *reader)
{
	weir_client_free(&client);
	hold(NULL, reader);
}

static inline void serve_peer(struct fixture *f, struct weir_server *server, int ready)
{
	SERVE_UNTIL(server, stats_of(server).readers == 1);
	fixture_publish_many(f, 1);
	assert_int_equal(poll(&(struct pollfd){ .fd = ready, .events = POLLIN }, 1, 5000), 1);
}

static inline void end_peer(pid_t pid, int ready[2])
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static inline pid_t start_connect(struct weir_policy policy, bool observe)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct weir_client_config config = { .path = path, .policy = policy, .observe = observe };
		struct weir_client *client;
		struct weir_ring *ring;
		struct weir_ring_stats ring_stats;
		int r;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(99);
		r = weir_client_connect(&client, &config, in_ms(5000));
		if (r == 0 && observe) {
			r = weir_client_take_observer(client, &ring);
			if (r == 0)
				weir_ring_stats(ring, &ring_stats), r = -(int)ring_stats.published;
		}
		_exit(-r);
	}
	return pid;
}

static inline int result_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* A peer of a few words, in this process. */
static inline int connect_raw(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static inline void say(int fd, uint32_t type)
{
	struct handover message = { .type = type, .policy = LATEST };

	assert_int_equal(handover_send(fd, &message, NULL), 0);
}

static inline bool is_hung_up(int fd)
{
	struct handover message;
	struct weir_ring_fds fds = { 0 };
	int r;

	while ((r = handover_receive(fd, &message, &fds)) == 0)
		weir_ring_fds_close(&fds);
	return r == -EPIPE;
}

/* With --no-peer-pidfd and --no-pidfd the same tests run where the kernel gives no pidfd of a socket's peer, or none at
 * all. 0 or -errno. */
static inline int obey_arguments(int argc, char **argv)
{
	bool none = argc > 1 && strcmp(argv[1], "--no-pidfd") == 0;
	struct sock_filter filter[] = {
		FILTER_CALL,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, none ? __NR_pidfd_open : -1u, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_getsockopt, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])), /* the low half */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 77, 0, 1),				    /* SO_PEERPIDFD */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
		FILTER_ALLOW,
	};

	return argc > 1 ? FILTER(filter) : 0;
}

/* A ring, its server, and one peer as above that holds the first frame; returns the peer. */
static inline pid_t serve_one(struct fixture *fixture, struct weir_server **server, struct weir_policy policy,
	int ready[2], void (*then)(struct weir_client *, struct weir_reader *))
{
	struct weir_server_config config = { .path = path };
	pid_t pid;

	fixture_open(fixture, &config_16);
	assert_int_equal(weir_server_create(server, &config, NULL), 0);
	weir_server_set_ring(*server, fixture->ring);
	pid = start_peer(policy, ready, then);
	serve_peer(fixture, *server, ready[0]);
	return pid;
}

#endif
