/* SPDX-License-Identifier: MIT */
#include "obedient.h"

#include <sys/wait.h>

/* What a child had forked, and what had left its process group: all of it ends with the child, and is reaped. What the
 * program itself has forked is left alone. */

static void let_escape(struct weir_child *child, int how, int pids[2])
{
	size_t size = 2 * sizeof(int);

	assert_int_equal(
		weir_child_call(child, ORDER_ESCAPE, &how, sizeof(how), pids, &size, now_ns() + PATIENCE_S * SECOND),
		0);
	assert_int_equal(size, 2 * sizeof(int));
	assert_false(is_gone(pids[0]) || is_gone(pids[1]));
}

/* Not even a zombie is left. */
static void await_gone(struct fixture *fixture, const int pids[2])
{
	for (int i = 0; i < 2; i++)
		UNTIL(fixture, kill(pids[i], 0) < 0 && errno == ESRCH);
}

static void grandchildren_that_left_the_group_go_with_a_killed_child(void **state)
{
	for (int how = ESCAPE_FORK; how <= ESCAPE_DAEMON; how++) {
		struct weir_child *child = add_running(*state, "parent");
		int pids[2];

		let_escape(child, how, pids);
		kill(weir_child_pid(child), SIGKILL);
		await_gone(*state, pids);
		weir_child_stop(child);
	}
}

static void grandchildren_that_left_the_group_go_with_a_stopped_child(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "parent");
	int pids[2];

	let_escape(child, ESCAPE_EXEC, pids);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	await_gone(fixture, pids);
}

/* Row 8: a grandchild holds all pipes of a dead child open; its death is seen all the same. */
static void grandchild_that_keeps_the_pipes_does_not_hide_a_death(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "parent");
	int pids[2];

	let_escape(child, ESCAPE_FORK, pids);
	kill(weir_child_pid(child), SIGKILL);
	UNTIL(fixture, weir_child_restarts(child) == 1);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_BACKOFF), "killed by SIGKILL");
	await_gone(fixture, pids);
}

static void orphan_of_a_living_child_lives(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *parent = add_running(fixture, "parent"), *other = add_running(fixture, "other");
	int pids[2];

	let_escape(parent, ESCAPE_DAEMON, pids);
	weir_child_stop(other); /* has the frontend look for strays */
	fixture_await(fixture, other, WEIR_CHILD_DONE);
	fixture_run(fixture, SECOND / 4);
	assert_false(is_gone(pids[0]) || is_gone(pids[1]));
	weir_child_stop(parent);
	await_gone(fixture, pids);
}

static void frontend_takes_strays_along(void **state)
{
	struct fixture *fixture = NULL;
	int pids[2];

	assert_int_equal(fixture_setup((void **)&fixture), 0);
	let_escape(add_running(fixture, "parent"), ESCAPE_EXEC, pids);
	fixture_teardown((void **)&fixture);
	assert_true(kill(pids[0], 0) < 0 && errno == ESRCH);
	assert_true(kill(pids[1], 0) < 0 && errno == ESRCH);
}

static int fork_sleeper(void)
{
	int pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

static void children_of_the_program_are_its_own(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "child");
	int sleeper = fork_sleeper(), dead = fork(), status;

	if (dead == 0)
		_exit(7);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	fixture_run(fixture, SECOND * 3 / 2);
	assert_int_equal(waitpid(dead, &status, 0), dead);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(kill(sleeper, 0), 0);
	kill(sleeper, SIGKILL);
	assert_int_equal(waitpid(sleeper, &status, 0), sleeper);
}

/* The program's own child leaves an orphan, which nobody waits for. */
static void orphans_of_the_program_are_reaped_after_a_while(void **state)
{
	int told[2], orphan, parent, status;

	assert_int_equal(pipe(told), 0);
	parent = fork();
	if (parent == 0) {
		orphan = fork_sleeper();
		_exit(write(told[1], &orphan, sizeof(orphan)) != sizeof(orphan));
	}
	assert_int_equal(read(told[0], &orphan, sizeof(orphan)), sizeof(orphan));
	assert_int_equal(waitpid(parent, &status, 0), parent);
	kill(orphan, SIGKILL);
	UNTIL((struct fixture *)*state, kill(orphan, 0) < 0 && errno == ESRCH);
	close(told[0]);
	close(told[1]);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(grandchildren_that_left_the_group_go_with_a_killed_child),
		WITH_FRONTEND(grandchildren_that_left_the_group_go_with_a_stopped_child),
		WITH_FRONTEND(grandchild_that_keeps_the_pipes_does_not_hide_a_death),
		WITH_FRONTEND(orphan_of_a_living_child_lives),
		cmocka_unit_test(frontend_takes_strays_along),
		WITH_FRONTEND(children_of_the_program_are_its_own),
		WITH_FRONTEND(orphans_of_the_program_are_reaped_after_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_obedient(run, NULL);
}
