/* SPDX-License-Identifier: MIT */
/* Peers that do not keep to the rules, as their server sees them. */
#include "socket_fixture.h"

#include "handover.h"
#include "ring.h"

static void a_policy_that_does_not_fit_is_refused_with_the_reason(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;
	int ready[2];
	pid_t pid, holder;

	fixture_open(&f, &config_16);
	server_config.max_readers = 0; /* as many as there are ends */
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = start_connect((struct weir_policy){ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 15 }, false);
	SERVE_UNTIL(server, stats_of(server).refused == 1);
	assert_int_equal(result_of(pid), -ENOSPC);
	weir_server_free(&server);
	server_config.max_readers = 1;
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

static void a_refusal_says_how_many_slots_would_do(void **state)
{
	struct weir_refusal refusal = { 0 };
	struct weir_client_config config = {
		.path = path, .policy = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 15 }, .refusal = &refusal
	};
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;
	int told[2];
	pid_t pid;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct weir_client *client;
		int r;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		r = weir_client_connect(&client, &config, in_ms(5000));
		if (write(told[1], &refusal, sizeof(refusal)) < 0)
			_exit(99);
		_exit(-r);
	}
	SERVE_UNTIL(server, stats_of(server).refused == 1);
	assert_int_equal(result_of(pid), -ENOSPC);
	assert_int_equal(read(told[0], &refusal, sizeof(refusal)), sizeof(refusal));
	assert_int_equal(refusal.slots_needed, weir_ring_slots_needed(f.ring, &config.policy));
	assert_int_equal(refusal.slots_had, 16);
	close(told[0]), close(told[1]);
	weir_server_free(&server);
	fixture_close(&f);
}

static void a_peer_that_says_the_wrong_thing_or_too_much_is_dropped(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct weir_end_stats end;
	struct fixture f;
	int fd;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	for (uint32_t type = 0; type < 6; type++) {
		fd = connect_raw();
		say(fd, type);
		if (type == HANDOVER_HELLO) {
			SERVE_UNTIL(server, stats_of(server).readers == 1);
			say(fd, HANDOVER_HELLO); /* once more */
		}
		SERVE_UNTIL(server, is_hung_up(fd));
		close(fd);
	}
	assert_int_equal(stats_of(server).refused, 5);
	weir_writer_attend(f.writer); /* that one is no longer waited for, but may still read: we live */
	assert_int_equal(weir_ring_end_stats(f.ring, 0, &end), 0);
	assert_true(end.attached);
	weir_server_set_ring(server, NULL); /* nothing is known of it any more */
	weir_server_free(&server);
	fixture_close(&f);
}

/* A process that hands its socket on and ends: it is the process that counts. */
static void a_dead_peer_is_gone_whoever_holds_its_socket(void **state)
{
	struct weir_server_config server_config = { .path = path, .hello_ns = INT64_C(60000000000) };
	struct weir_server *server;
	struct fixture f;
	int told[2];

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	for (int greets = 0; greets < 2; greets++) {
		pid_t holder = 0, pid;

		assert_int_equal(pipe2(told, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			int fd = connect_raw();

			if (greets != 0)
				say(fd, HANDOVER_HELLO);
			holder = fork();
			if (holder == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				pause();
			}
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (write(told[1], &holder, sizeof(holder)) < 0)
				_exit(1);
			for (;;)
				pause();
		}
		SERVE_UNTIL(server, poll(&(struct pollfd){ .fd = told[0], .events = POLLIN }, 1, 0) == 1);
		assert_int_equal(read(told[0], &holder, sizeof(holder)), sizeof(holder));
		SERVE_UNTIL(server, stats_of(server).readers == (uint32_t)greets);
		end_peer(pid, told);
		SERVE_UNTIL(server, stats_of(server).readers == 0);
		kill(holder, SIGKILL);
	}
	assert_int_equal(stats_of(server).accepted, 1);
	weir_server_free(&server);
	fixture_close(&f);
}

static void a_note_that_nobody_wants_is_taken(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;
	int fd, silent;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	fd = connect_raw();
	silent = connect_raw();
	say(fd, HANDOVER_HELLO);
	weir_server_dispatch(server);
	weir_server_dispatch(server);
	weir_server_set_ring(server, f.ring); /* for those that have said hello */
	assert_int_equal(stats_of(server).readers, 1);
	say(fd, HANDOVER_NOTE);
	weir_server_dispatch(server);
	assert_false(is_hung_up(fd));
	assert_false(is_hung_up(silent));
	close(fd), close(silent);
	weir_server_free(&server);
	fixture_close(&f);
}

static pid_t connect_as_nobody(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct weir_client_config config = { .path = "@weir-test-anybody" };
		struct weir_client *client;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(99);
		_exit(-weir_client_connect(&client, &config, in_ms(5000)));
	}
	return pid;
}

static void another_user_is_refused_unless_that_is_wanted(void **state)
{
	struct fixture f;

	if (geteuid() != 0)
		return; /* there is no other user that we could be */
	fixture_open(&f, &config_16);
	for (int any = 0; any < 2; any++) {
		struct weir_server_config server_config = { .path = "@weir-test-anybody", .any_user = any != 0 };
		struct weir_server *server;
		pid_t pid;

		assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
		weir_server_set_ring(server, f.ring);
		pid = connect_as_nobody();
		SERVE_UNTIL(server, stats_of(server).refused + stats_of(server).accepted == 1);
		assert_int_equal(result_of(pid), any != 0 ? 0 : -EACCES);
		weir_server_free(&server);
	}
	fixture_close(&f);
}

static void an_observer_is_shown_what_the_readers_count(void **state)
{
	struct handover message = { .type = HANDOVER_HELLO, .observe = 1 };
	struct weir_server_config server_config = { .path = path };
	struct weir_ring_fds fds = { 0 };
	struct weir_end_stats end = { 0 };
	struct weir_server *server;
	struct weir_ring *observer;
	struct fixture f;
	int fd;

	fixture_open(&f, &config_16);
	fixture_join(&f, LATEST);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	fd = connect_raw();
	assert_int_equal(handover_send(fd, &message, NULL), 0);
	SERVE_UNTIL(server, poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 1);
	assert_int_equal(handover_receive(fd, &message, &fds), 0);
	for (uint32_t i = RING_FD_ENDS; i < fds.count; i++)
		assert_int_equal(fds.fd[i], -1); /* a reader's page could be opened once more, for writing */
	assert_int_equal(weir_ring_observe(&observer, &fds), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		fixture_publish_many(&f, 1);
		fixture_take(&f, 0, i);
		SERVE_UNTIL(server, weir_ring_end_stats(observer, f.end[0], &end) == 0 && end.delivered == i);
	}
	weir_ring_free(&observer);
	close(fd);
	weir_server_free(&server);
	fixture_close(&f);
}

static void a_peer_that_hung_up_is_forgotten_with_the_ring(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f, g;
	int fd;

	fixture_open(&f, &config_16);
	fixture_open(&g, &config_16);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	fd = connect_raw();
	say(fd, HANDOVER_HELLO);
	SERVE_UNTIL(server, stats_of(server).readers == 1);
	close(fd);
	poll(&(struct pollfd){ .fd = weir_server_fd(server), .events = POLLIN }, 1, 1000);
	weir_server_dispatch(server);
	assert_int_equal(stats_of(server).readers, 1); /* it may still read */
	weir_server_set_ring(server, g.ring);
	assert_int_equal(stats_of(server).readers, 0);
	assert_int_equal(stats_of(server).accepted, 1);
	weir_server_free(&server);
	fixture_close(&f);
	fixture_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_that_does_not_fit_is_refused_with_the_reason),
		cmocka_unit_test(a_refusal_says_how_many_slots_would_do),
		cmocka_unit_test(peers_that_break_the_rules_are_dropped_and_harm_nobody),
		cmocka_unit_test(a_peer_that_says_the_wrong_thing_or_too_much_is_dropped),
		cmocka_unit_test(a_dead_peer_is_gone_whoever_holds_its_socket),
		cmocka_unit_test(a_note_that_nobody_wants_is_taken),
		cmocka_unit_test(another_user_is_refused_unless_that_is_wanted),
		cmocka_unit_test(an_observer_is_shown_what_the_readers_count),
		cmocka_unit_test(a_peer_that_hung_up_is_forgotten_with_the_ring),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
