/* SPDX-License-Identifier: MIT */
/* What becomes of the readers of a ring that is served no longer, and of the server that has none. */
#include "socket_fixture.h"

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
	struct weir_server *server;
	struct weir_end_stats end;
	struct fixture f;

	for (int dead = 0; dead < 2; dead++) {
		int ready[2];
		pid_t pid;

		pid = serve_one(&f, &server, policy, ready, hold);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_hears_of_its_readers_until_it_is_dropped),
		cmocka_unit_test(a_server_that_ends_leaves_nobody_waited_for),
		cmocka_unit_test(the_next_generation_is_announced_on_the_same_socket),
		cmocka_unit_test(a_server_without_a_ring_keeps_its_peers_waiting),
		cmocka_unit_test(readers_that_left_use_up_no_ends_for_ever),
	};

	if (obey_arguments(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
