/* SPDX-License-Identifier: MIT */
/* More peers than a server has room for. */
#include "socket_fixture.h"

#include <sys/resource.h>

#include "server.h"

static void a_peer_that_goes_before_its_answer_takes_no_end(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;
	int fd;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	for (int i = 0; i < 20; i++) { /* more than there are ends */
		fd = connect_raw();
		say(fd, HANDOVER_HELLO);
		close(fd);
		SERVE_UNTIL(server, stats_of(server).refused == (uint64_t)i + 1);
		assert_int_equal(stats_of(server).readers, 0);
		weir_writer_attend(f.writer);
	}
	assert_int_equal(stats_of(server).accepted, 0);
	weir_server_free(&server);
	fixture_close(&f);
}

/* An end that nobody will release: what a server may do is to tell who waits for it. */
static void a_crowd_is_told_that_there_is_no_room(void **state)
{
	struct weir_server_config server_config = { .path = path, .hello_ns = INT64_C(60000000000) };
	struct weir_server *server;
	struct handover message;
	struct weir_ring_fds fds;
	int fd[80], told = 0;

	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	for (int i = 0; i < 80; i++) {
		fd[i] = connect_raw();
		weir_server_dispatch(server);
	}
	SERVE_UNTIL(server, stats_of(server).refused == 80 - 2 * WEIR_READERS_MAX);
	for (int i = 0; i < 80; i++) {
		if (handover_receive(fd[i], &message, &fds) == 0) {
			assert_int_equal(message.type, HANDOVER_REFUSE);
			assert_int_equal(message.status, -EBUSY);
			told++;
		}
		close(fd[i]);
	}
	assert_int_equal(told, 80 - 2 * WEIR_READERS_MAX);
	SERVE_UNTIL(server, stats_of(server).refused == 80);
	weir_server_free(&server);
}

/* Silent ones, then such as wait for a ring: newcomers get in, and the only one of another process is not sent away. */
static void a_crowd_of_one_process_keeps_no_other_out(void **state)
{
	struct weir_server_config server_config = { .path = path, .hello_ns = INT64_C(60000000000) };
	struct weir_server *server;
	struct fixture f;
	int fd[80];
	pid_t pid = -1;

	fixture_open(&f, &config_16);
	for (int greets = 0; greets < 2; greets++) {
		assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
		for (int i = 0; i < 80; i++) {
			if (greets != 0 && i == 8) {
				pid = start_connect(LATEST, true);
				SERVE_UNTIL(server, server->peer[8].hello);
			}
			fd[i] = connect_raw();
			if (greets != 0)
				say(fd[i], HANDOVER_HELLO);
			weir_server_dispatch(server);
		}
		if (greets == 0)
			pid = start_connect(LATEST, true);
		SERVE_UNTIL(server, server->peers == 81);
		poll(NULL, 0, 10); /* so that it says hello */
		weir_server_dispatch(server);
		weir_server_set_ring(server, f.ring);
		SERVE_UNTIL(server, stats_of(server).accepted > 0);
		assert_int_equal(result_of(pid), 0);
		for (int i = 0; i < 80; i++)
			close(fd[i]);
		weir_server_free(&server);
	}
	fixture_close(&f);
}

static void a_server_without_descriptors_sleeps_until_it_has_some(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct rlimit limit, none;
	struct weir_server *server;
	int fd, lowest, turns = 0;
	int64_t until_ns;

	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	fd = connect_raw();
	lowest = dup(fd);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (until_ns = in_ms(500); fixture_now_ns() < until_ns; turns++) {
		poll(&(struct pollfd){ .fd = weir_server_fd(server), .events = POLLIN }, 1, 100);
		weir_server_dispatch(server);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_in_range(turns, 1, 50);
	assert_int_equal(server->peers, 0);
	SERVE_UNTIL(server, server->peers == 1);
	close(fd);
	weir_server_free(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_that_goes_before_its_answer_takes_no_end),
		cmocka_unit_test(a_crowd_is_told_that_there_is_no_room),
		cmocka_unit_test(a_crowd_of_one_process_keeps_no_other_out),
		cmocka_unit_test(a_server_without_descriptors_sleeps_until_it_has_some),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
