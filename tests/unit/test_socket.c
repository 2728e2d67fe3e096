/* SPDX-License-Identifier: MIT */
#include "socket_fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

/* With --no-peer-pidfd and --no-pidfd the same tests run where the kernel gives no pidfd of a socket's peer, or none at
 * all. */

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

static void hang_up_and_hold(struct weir_client *client, struct weir_reader *reader)
{
	weir_client_free(&client);
	hold(NULL, reader);
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

/* Hangs up, lets go of its frame, and takes what comes. */
static void hang_up_and_go_on(struct weir_client *client, struct weir_reader *reader)
{
	struct weir_frame frame = { .sequence = 1 };
	int r;

	weir_client_free(&client);
	weir_reader_release(reader, &frame);
	for (uint64_t taken = 0; taken < 3;) {
		r = weir_reader_acquire_until(reader, &frame, in_ms(5000));
		if (r < 0)
			_exit(-r);
		taken++;
		weir_reader_release(reader, &frame);
	}
	_exit(42);
}

static void who_hung_up_reads_on_without_being_waited_for(void **state)
{
	const struct weir_policy policies[] = { LATEST, DROP_OLDEST_3,
		{ .mode = WEIR_POLICY_LOSSLESS, .stall_ns = INT64_C(60000000000), .on_stall = WEIR_STALL_EVICT } };
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;

	for (int i = 0; i < 3; i++) {
		int ready[2], status = 0;
		pid_t pid;

		fixture_open(&f, &config_16);
		assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
		weir_server_set_ring(server, f.ring);
		pid = start_peer(policies[i], ready, hang_up_and_go_on);
		serve_peer(&f, server, ready[0]);
		SERVE_UNTIL(server,
			(fixture_publish(&f), poll(NULL, 0, 1), status != 0) || waitpid(pid, &status, WNOHANG) == pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 42);
		close(ready[0]), close(ready[1]);
		weir_server_free(&server);
		fixture_close(&f);
	}
}

/* A lossless reader that lives, hangs up or dies, while its ring is no longer served or the server is gone. */
static void a_ring_hears_of_its_readers_until_it_is_dropped(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = INT64_C(60000000000) };
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct weir_end_stats end;
	struct fixture f, g;

	for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
		int ready[2];
		pid_t pid;

		fixture_open(&f, &config_16);
		fixture_open(&g, &config_16);
		assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
		weir_server_set_ring(server, f.ring);
		pid = start_peer(policy, ready, hangs_up != 0 ? hang_up_and_hold : hold);
		serve_peer(&f, server, ready[0]);
		fixture_publish_many(&f, 1);
		if (hangs_up == 0)
			assert_false(weir_writer_drained(f.writer));
		weir_server_next_ring(server, g.ring);
		if (hangs_up == 0)
			end_peer(pid, ready);
		SERVE_UNTIL(server, weir_writer_drained(f.writer));
		assert_int_equal(weir_ring_end_stats(f.ring, 0, &end), 0);
		assert_int_equal(end.attached, hangs_up != 0); /* it may still read */
		if (hangs_up != 0)
			end_peer(pid, ready);
		SERVE_UNTIL(server,
			(weir_writer_attend(f.writer), weir_ring_end_stats(f.ring, 0, &end)) == 0 && !end.attached);
		weir_server_drop_ring(server);
		fixture_close(&f);
		weir_server_free(&server);
		fixture_close(&g);
	}
}

static void a_server_that_ends_leaves_nobody_waited_for(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = INT64_C(60000000000) };
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct weir_end_stats end;
	struct fixture f;

	for (int dead = 0; dead < 2; dead++) {
		int ready[2];
		pid_t pid;

		fixture_open(&f, &config_16);
		assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
		weir_server_set_ring(server, f.ring);
		pid = start_peer(policy, ready, hold);
		serve_peer(&f, server, ready[0]);
		if (dead != 0)
			end_peer(pid, ready);
		weir_server_free(&server);
		fixture_publish_many(&f, 100);
		assert_int_equal(weir_ring_end_stats(f.ring, 0, &end), 0);
		assert_int_equal(end.attached, dead == 0); /* what the living one holds is its own */
		if (dead == 0)
			end_peer(pid, ready);
		fixture_close(&f);
	}
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
	struct weir_server_config server_config = { .path = path, .max_readers = 1 };
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
	int status = 0;
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
	SERVE_UNTIL(server, waitpid(pid, &status, WNOHANG) == pid || status != 0);
	assert_int_equal(WEXITSTATUS(status), 42);
	SERVE_UNTIL(server, weir_server_readers(server, readers) == 0);
	assert_true(notes <= 200);
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
	SERVE_UNTIL(server, stats_of(server).readers == 0);
	weir_writer_attend(f.writer);
	policy.stall_ns = 5000000; /* less than allowed */
	pid = start_peer(policy, ready, hold);
	serve_peer(&f, server, ready[0]);
	assert_int_equal(weir_ring_end_stats(f.ring, 1, &end), 0);
	assert_int_equal(end.policy.stall_ns, 5000000);
	end_peer(pid, ready);
	weir_server_free(&server);
	fixture_close(&f);
}

/* A peer that never says hello; it closes its socket and ends when it is told to. */
static pid_t start_silent(int told[2])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	pid_t parent = getpid(), pid;
	char byte;

	strcpy(address.sun_path, path);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, told), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
			write(told[1], "c", 1) < 0 || read(told[1], &byte, 1) < 0)
			_exit(1);
		close(fd);
		if (write(told[1], "h", 1) < 0 || read(told[1], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(told[0], &byte, 1), 1);
	return pid;
}

/* Its hang-up, a newcomer that gets its place, and its death: all in one look at the sockets. */
static void a_peers_death_does_not_hit_the_next_one_in_its_place(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int told[2], fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct weir_server *server;
	pid_t silent;
	char byte;

	strcpy(address.sun_path, path);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	silent = start_silent(told);
	weir_server_dispatch(server);
	weir_server_dispatch(server); /* the listener is not ready: only now does epoll count it as such */
	assert_int_equal(write(told[0], "h", 1), 1);
	assert_int_equal(read(told[0], &byte, 1), 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(write(told[0], "d", 1), 1);
	assert_int_equal(result_of(silent), 0);
	weir_server_dispatch(server);
	assert_int_equal(stats_of(server).refused, 1);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0), 0);
	close(fd), close(told[0]), close(told[1]);
	weir_server_free(&server);
}

static int forbid(bool pidfd_open_too)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, pidfd_open_too ? __NR_pidfd_open : -1u, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_getsockopt, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])), /* the low half */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 77, 0, 1),				    /* SO_PEERPIDFD */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unrelated_process_reads_and_its_death_frees_its_slots),
		cmocka_unit_test(a_bare_hang_up_forfeits_the_wait_but_not_the_pins),
		cmocka_unit_test(who_hung_up_reads_on_without_being_waited_for),
		cmocka_unit_test(a_ring_hears_of_its_readers_until_it_is_dropped),
		cmocka_unit_test(a_server_that_ends_leaves_nobody_waited_for),
		cmocka_unit_test(the_next_generation_is_announced_on_the_same_socket),
		cmocka_unit_test(a_server_without_a_ring_keeps_its_peers_waiting),
		cmocka_unit_test(readers_that_left_use_up_no_ends_for_ever),
		cmocka_unit_test(a_note_reaches_the_server_and_a_flood_ends_the_peer),
		cmocka_unit_test(a_server_limits_how_long_it_waits_for_lossless_readers),
		cmocka_unit_test(a_peers_death_does_not_hit_the_next_one_in_its_place),
	};

	if (argc > 1 && forbid(strcmp(argv[1], "--no-pidfd") == 0) < 0)
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
