/* SPDX-License-Identifier: MIT */
#include "ring_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/socket.h>

static char folder[] = "/tmp/weir-socket-XXXXXX";
static char path[64];
static struct weir_ring_config config_16;

static int setup(void **state)
{
	config_16 = fixture_config(16);
	config_16.untrusted = true;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/ring", folder);
	return 0;
}

static int teardown(void **state)
{
	return rmdir(folder); /* fails if anything was left */
}

static int64_t in_ms(int64_t ms)
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

static struct weir_server_stats stats_of(const struct weir_server *server)
{
	struct weir_server_stats stats;

	weir_server_stats(server, &stats);
	return stats;
}

/* A peer in a process of its own: connects, takes a reader, acquires one frame and holds it; then runs `then`. */
static pid_t start_peer(
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

static void hold(struct weir_client *client, struct weir_reader *reader)
{
	for (;;)
		pause();
}

static void hang_up_and_hold(struct weir_client *client, struct weir_reader *reader)
{
	weir_client_free(&client);
	hold(NULL, reader);
}

static void serve_peer(struct fixture *f, struct weir_server *server, int ready)
{
	SERVE_UNTIL(server, stats_of(server).readers == 1);
	fixture_publish_many(f, 1);
	assert_int_equal(poll(&(struct pollfd){ .fd = ready, .events = POLLIN }, 1, 5000), 1);
}

static void end_peer(pid_t pid, int ready[2])
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static void an_unrelated_process_reads_and_its_death_frees_its_slots(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = INT64_C(60000000000) };
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;
	int ready[2];
	pid_t pid;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = start_peer(policy, ready, hold);
	serve_peer(&f, server, ready[0]);
	while (fixture_publish(&f) == 0)
		;
	assert_int_equal(fixture_publish(&f), -EAGAIN); /* it is waited for */
	end_peer(pid, ready);
	SERVE_UNTIL(server, stats_of(server).readers == 0);
	fixture_publish_many(&f, 100);
	weir_server_free(&server);
	fixture_close(&f);
}

static void a_bare_hang_up_forfeits_the_wait_but_not_the_pins(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = INT64_C(60000000000) };
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct weir_end_stats end;
	struct fixture f;
	int ready[2];
	pid_t pid;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = start_peer(policy, ready, hang_up_and_hold);
	serve_peer(&f, server, ready[0]);
	while (fixture_publish(&f) == 0)
		;
	SERVE_UNTIL(server, fixture_publish(&f) == 0);
	fixture_publish_many(&f, 100); /* nobody waits for it */
	assert_int_equal(weir_ring_end_stats(f.ring, 0, &end), 0);
	assert_int_equal(end.held, 1);
	assert_true(end.attached);
	end_peer(pid, ready);
	SERVE_UNTIL(server, stats_of(server).readers == 0);
	weir_server_free(&server);
	fixture_close(&f);
}

static pid_t start_connect(struct weir_policy policy, bool observe)
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

static int result_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void a_policy_that_does_not_fit_is_refused_with_the_reason(void **state)
{
	struct weir_server_config server_config = { .path = path, .max_readers = 1 };
	struct weir_server *server;
	struct fixture f;
	int ready[2];
	pid_t pid, holder;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = start_connect((struct weir_policy){ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 15 }, false);
	SERVE_UNTIL(server, stats_of(server).refused == 1);
	assert_int_equal(result_of(pid), -ENOSPC);
	pid = start_connect((struct weir_policy){ .mode = 77 }, false);
	SERVE_UNTIL(server, stats_of(server).refused == 2);
	assert_int_equal(result_of(pid), -EINVAL);
	holder = start_peer((struct weir_policy){ .mode = WEIR_POLICY_LATEST }, ready, hold);
	serve_peer(&f, server, ready[0]);
	pid = start_connect((struct weir_policy){ .mode = WEIR_POLICY_LATEST }, false);
	SERVE_UNTIL(server, stats_of(server).refused == 3);
	assert_int_equal(result_of(pid), -EBUSY);
	pid = start_connect((struct weir_policy){ 0 }, true); /* an observer needs no end */
	SERVE_UNTIL(server, stats_of(server).accepted == 2);
	assert_int_equal(result_of(pid), -1);
	end_peer(holder, ready);
	weir_server_free(&server);
	fixture_close(&f);
}

static void follow_to_the_next_generation(struct weir_client *client, struct weir_reader *reader)
{
	struct weir_reader *next = NULL;
	struct weir_frame frame;

	while (next == NULL && weir_client_dispatch(client) == 0)
		if (weir_client_take_reader(client, &next) < 0)
			poll(&(struct pollfd){ .fd = weir_client_fd(client), .events = POLLIN }, 1, 100);
	if (next == NULL || weir_reader_generation(next) != 2)
		_exit(1);
	while (weir_reader_acquire(next, &frame) != 0)
		weir_reader_wait(next, in_ms(5000));
	_exit(frame.sequence == 1 ? 42 : 1);
}

static void the_next_generation_is_announced_on_the_same_socket(void **state)
{
	struct weir_ring_config second = config_16;
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f, g;
	int ready[2];
	pid_t pid;

	second.generation = 2;
	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = start_peer((struct weir_policy){ .mode = WEIR_POLICY_LOSSLESS }, ready, follow_to_the_next_generation);
	serve_peer(&f, server, ready[0]);
	fixture_open(&g, &second);
	weir_server_set_ring(server, g.ring);
	fixture_close(&f);
	fixture_publish_many(&g, 1);
	assert_int_equal(result_of(pid), -42);
	close(ready[0]), close(ready[1]);
	weir_server_free(&server);
	fixture_close(&g);
}

static void a_stale_path_is_taken_over_and_a_live_one_names_its_owner(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server, *second;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), owner = 0;

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd); /* as a killed server leaves it */
	assert_int_equal(weir_server_create(&server, &server_config, &owner), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(weir_server_create(&second, &server_config, &owner), -EADDRINUSE);
	assert_int_equal(owner, getpid());

	/* What is not ours any more is not removed. */
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	weir_server_free(&server);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -EADDRINUSE); /* a file, not a socket */
	assert_int_equal(unlink(path), 0);

	server_config.path = "@weir-test-abstract";
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	assert_int_equal(weir_server_create(&second, &server_config, &owner), -EADDRINUSE);
	weir_server_free(&server);
	server_config.path = "/nonexistent-folder/ring";
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -ENOENT);
	server_config.path = "";
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -EINVAL);
}

static void peers_that_break_the_rules_are_dropped_and_harm_nobody(void **state)
{
	struct weir_server_config server_config = { .path = path, .hello_ns = 50000000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct weir_server *server;
	struct fixture f;
	char garbage[4096] = "WEIR";
	int fd[3], ready[2];
	pid_t pid;

	strcpy(address.sun_path, path);
	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	for (int i = 0; i < 3; i++) { /* half a message; garbage with our magic; nothing */
		fd[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd[i], (struct sockaddr *)&address, sizeof(address)), 0);
		if (i < 2)
			assert_int_equal(
				send(fd[i], garbage, i == 0 ? 3 : sizeof(garbage), 0), i == 0 ? 3 : sizeof(garbage));
	}
	SERVE_UNTIL(server, stats_of(server).refused == 3);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	pid = start_peer((struct weir_policy){ .mode = WEIR_POLICY_LATEST }, ready, hold);
	serve_peer(&f, server, ready[0]);
	end_peer(pid, ready);
	weir_server_free(&server);
	fixture_close(&f);
}

/* A program that connects and goes again and again, as one does that shows a camera from time to time. */
static void join_and_leave(int times)
{
	struct weir_client_config config = { .path = path };
	struct weir_client *client;
	struct weir_reader *reader;

	for (int i = 0; i < times; i++) {
		if (weir_client_connect(&client, &config, in_ms(5000)) < 0 ||
			weir_client_take_reader(client, &reader) < 0)
			_exit(1);
		weir_client_free(&client);
		weir_reader_free(&reader);
	}
	_exit(42);
}

static void readers_that_left_use_up_no_ends_for_ever(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_ring_config next = config_16;
	struct weir_server *server;
	struct fixture f[8];
	unsigned rings = 1;
	pid_t pid;

	fixture_open(&f[0], &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f[0].ring);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		join_and_leave(20);
	}
	for (int64_t end_ns = in_ms(10000); stats_of(server).accepted < 20 && fixture_now_ns() < end_ns;) {
		poll(&(struct pollfd){ .fd = weir_server_fd(server), .events = POLLIN }, 1, 10);
		weir_server_dispatch(server);
		if (!stats_of(server).retire)
			continue;
		assert_true(rings < 8);
		next.generation = rings + 1;
		fixture_open(&f[rings], &next);
		weir_server_set_ring(server, f[rings++].ring);
	}
	assert_int_equal(stats_of(server).accepted, 20);
	assert_int_equal(stats_of(server).refused, 0);
	assert_int_equal(result_of(pid), -42);
	assert_true(rings > 1); /* no end was given to another while who had it may still write there */
	weir_server_free(&server);
	for (unsigned i = 0; i < rings; i++)
		fixture_close(&f[i]);
}

static uint32_t noted[200];
static unsigned notes;

static void take_note(void *data, uint32_t note)
{
	noted[notes++] = note;
}

static void a_note_reaches_the_server_and_a_flood_ends_the_peer(void **state)
{
	struct weir_server_config server_config = { .path = path, .note = take_note };
	struct weir_server_reader readers[WEIR_READERS_MAX];
	struct weir_server *server;
	struct fixture f;
	pid_t pid;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct weir_client_config config = { .path = path };
		struct weir_client *client;
		int r;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (weir_client_connect(&client, &config, in_ms(5000)) < 0)
			_exit(1);
		for (uint32_t i = 0; i < 1000000; i++)
			if ((r = weir_client_note(client, 1000 + i)) == -EPIPE)
				_exit(42);
			else if (r == -EAGAIN)
				poll(NULL, 0, 1);
		_exit(2);
	}
	SERVE_UNTIL(server, notes > 0);
	assert_int_equal(noted[0], 1000);
	assert_int_equal(weir_server_readers(server, readers), 1);
	assert_int_equal(readers[0].pid, pid);
	assert_int_equal(readers[0].number, 1);
	assert_int_equal(readers[0].end, 0);
	SERVE_UNTIL(server, weir_server_readers(server, readers) == 0);
	assert_true(notes <= 200);
	assert_int_equal(result_of(pid), -42);
	weir_server_free(&server);
	fixture_close(&f);
}

static void a_server_limits_how_long_it_waits_for_lossless_readers(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = INT64_C(3600000000000) };
	struct weir_server_config server_config = { .path = path, .stall_max_ns = 20000000 };
	struct weir_end_stats end;
	struct weir_server *server;
	struct fixture f;
	int ready[2];
	pid_t pid;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = start_peer(policy, ready, hold);
	serve_peer(&f, server, ready[0]);
	assert_int_equal(weir_ring_end_stats(f.ring, 0, &end), 0);
	assert_int_equal(end.policy.stall_ns, 20000000);
	end_peer(pid, ready);
	weir_server_free(&server);
	fixture_close(&f);
}

static void connecting_to_nobody_says_so(void **state)
{
	struct weir_client_config config = { .path = path };
	struct weir_client *client;

	assert_int_equal(weir_client_connect(&client, &config, in_ms(1000)), -ENOENT);
	config.path = NULL;
	assert_int_equal(weir_client_connect(&client, &config, in_ms(1000)), -EINVAL);
}

static void a_server_without_a_ring_keeps_its_peers_waiting(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;
	pid_t pid;

	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	pid = start_connect((struct weir_policy){ .mode = WEIR_POLICY_LATEST }, false);
	for (int i = 0; i < 20; i++) {
		weir_server_dispatch(server);
		poll(NULL, 0, 5);
	}
	assert_int_equal(stats_of(server).accepted, 0);
	fixture_open(&f, &config_16);
	weir_server_set_ring(server, f.ring);
	SERVE_UNTIL(server, stats_of(server).accepted == 1);
	assert_int_equal(result_of(pid), 0);
	weir_server_free(&server);
	fixture_close(&f);
}

static void a_ring_that_its_server_could_shrink_is_refused(void **state)
{
	struct weir_ring_config config = config_16;
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;
	pid_t pid;

	config.untrusted = false;
	config.backing = WEIR_BACKING_POSIX;
	fixture_open(&f, &config);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = start_connect((struct weir_policy){ .mode = WEIR_POLICY_LATEST }, false);
	SERVE_UNTIL(server, stats_of(server).accepted == 1);
	assert_int_equal(result_of(pid), -EPROTO);
	weir_server_free(&server);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unrelated_process_reads_and_its_death_frees_its_slots),
		cmocka_unit_test(a_bare_hang_up_forfeits_the_wait_but_not_the_pins),
		cmocka_unit_test(a_policy_that_does_not_fit_is_refused_with_the_reason),
		cmocka_unit_test(the_next_generation_is_announced_on_the_same_socket),
		cmocka_unit_test(a_stale_path_is_taken_over_and_a_live_one_names_its_owner),
		cmocka_unit_test(peers_that_break_the_rules_are_dropped_and_harm_nobody),
		cmocka_unit_test(readers_that_left_use_up_no_ends_for_ever),
		cmocka_unit_test(a_note_reaches_the_server_and_a_flood_ends_the_peer),
		cmocka_unit_test(a_server_limits_how_long_it_waits_for_lossless_readers),
		cmocka_unit_test(connecting_to_nobody_says_so),
		cmocka_unit_test(a_server_without_a_ring_keeps_its_peers_waiting),
		cmocka_unit_test(a_ring_that_its_server_could_shrink_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
