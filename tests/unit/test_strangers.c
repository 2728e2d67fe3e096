/* SPDX-License-Identifier: MIT */
#include "socket_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

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

static void connecting_to_nobody_says_so(void **state)
{
	struct weir_client_config config = { .path = path };
	struct weir_client *client;

	assert_int_equal(weir_client_connect(&client, &config, in_ms(1000)), -ENOENT);
	config.path = NULL;
	assert_int_equal(weir_client_connect(&client, &config, in_ms(1000)), -EINVAL);
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
		cmocka_unit_test(a_policy_that_does_not_fit_is_refused_with_the_reason),
		cmocka_unit_test(a_stale_path_is_taken_over_and_a_live_one_names_its_owner),
		cmocka_unit_test(peers_that_break_the_rules_are_dropped_and_harm_nobody),
		cmocka_unit_test(connecting_to_nobody_says_so),
		cmocka_unit_test(a_ring_that_its_server_could_shrink_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
