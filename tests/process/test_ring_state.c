/* SPDX-License-Identifier: MIT */
/* Runs the built ring-state beside a ring that this process serves. */
#include "../unit/ring_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/socket.h>

/* What ring-state prints for this path, while we serve. */
static int run(const char *path, struct weir_server *server, char *text, size_t size)
{
	char program[512];
	size_t used = 0;
	int out[2], status;
	ssize_t got = 1;
	pid_t pid;

	snprintf(program, sizeof(program), "%s/examples/ring-state", getenv("WEIR_BUILD"));
	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		execl(program, "ring-state", path, NULL);
		_exit(127);
	}
	close(out[1]);
	while (got > 0 && used < size - 1) {
		struct pollfd fd[2] = { { .fd = out[0], .events = POLLIN }, { .fd = -1, .events = POLLIN } };

		if (server != NULL)
			fd[1].fd = weir_server_fd(server);
		assert_true(poll(fd, 2, 10000) > 0);
		if (server != NULL)
			weir_server_dispatch(server);
		if (fd[0].revents != 0) {
			got = read(out[0], text + used, size - 1 - used);
			used += got > 0 ? (size_t)got : 0;
		}
	}
	text[used] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void ring_state_lists_geometry_readers_policies_and_counters(void **state)
{
	struct weir_ring_config config = fixture_config(16);
	struct weir_server_config server_config = { .path = "@weir-test-ring-state" };
	struct weir_server *server;
	struct weir_frame held;
	char text[4096];
	struct fixture f;

	config.untrusted = true;
	fixture_open(&f, &config);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 3, .max_held = 2 });
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_LATEST, .every_nth = 5 });
	fixture_publish_many(&f, 12);
	held = fixture_acquire(&f, 0, 10);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	assert_int_equal(run(server_config.path, server, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "GRAY8 64x4, 16 slots"));
	assert_non_null(strstr(text, "published 12"));
	assert_non_null(strstr(text, "drop-oldest depth 3"));
	assert_non_null(strstr(text, "cursor 11 held 1/2 delivered 1 overtaken 9"));
	assert_non_null(strstr(text, "latest depth 1 every 5"));
	assert_int_equal(weir_reader_release(f.reader[0], &held), 0);
	weir_server_free(&server);
	fixture_close(&f);
}

static void ring_state_says_when_nobody_serves(void **state)
{
	char text[4096];

	assert_int_equal(run("@weir-test-nobody", NULL, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "No ring is served at @weir-test-nobody"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_state_lists_geometry_readers_policies_and_counters),
		cmocka_unit_test(ring_state_says_when_nobody_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
