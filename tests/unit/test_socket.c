/* SPDX-License-Identifier: MIT */
#include "socket_fixture.h"

static void an_unrelated_process_reads_and_its_death_frees_its_slots(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = INT64_C(60000000000) };
	struct weir_server *server;
	struct fixture f;
	int ready[2];
	pid_t pid;

	pid = serve_one(&f, &server, policy, ready, hold);
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
	struct weir_server *server;
	struct weir_end_stats end;
	struct fixture f;
	int ready[2];
	pid_t pid;

	pid = serve_one(&f, &server, policy, ready, hang_up_and_hold);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unrelated_process_reads_and_its_death_frees_its_slots),
		cmocka_unit_test(a_bare_hang_up_forfeits_the_wait_but_not_the_pins),
		cmocka_unit_test(who_hung_up_reads_on_without_being_waited_for),
		cmocka_unit_test(a_note_reaches_the_server_and_a_flood_ends_the_peer),
		cmocka_unit_test(a_server_limits_how_long_it_waits_for_lossless_readers),
		cmocka_unit_test(a_peers_death_does_not_hit_the_next_one_in_its_place),
	};

	if (obey_arguments(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
