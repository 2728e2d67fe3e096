/* SPDX-License-Identifier: MIT */
#include "../holdings.h"
#include "obedient.h"

/* --- ends and their reasons -------------------------------------------------------------------------------------- */

static void killed_child_is_started_again(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "victim");
	int pid = weir_child_pid(child);

	kill(pid, SIGKILL);
	UNTIL(fixture, weir_child_restarts(child) == 1);
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_BACKOFF), "killed by SIGKILL");
	assert_int_not_equal(weir_child_pid(child), pid);
	assert_int_equal(call(child, ORDER_STATUS, 0), 0);
}

static void exit_reasons_are_told_in_words(void **state)
{
	static const struct {
		int order, value;
		const char *reason;
	} end[] = {
		{ ORDER_EXIT, 3, "exit status 3" },
		{ ORDER_SIGNAL, SIGSEGV, "killed by SIGSEGV" },
		{ ORDER_SIGNAL, SIGABRT, "killed by SIGABRT" },
		{ ORDER_LEAVE, -ENOSPC, "gave up: No space left on device" },
		{ ORDER_GARBAGE, 0, "protocol error: not a message" },
		{ ORDER_FORGE, 77, "protocol error: bad message of type 77" },
		{ ORDER_FORGE, 48, "protocol error: bad message of type 48" },
		{ ORDER_CLOSE, 0, "closed its control pipe" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(end) / sizeof(end[0]); i++) {
		struct weir_child *child = fixture_add(
			fixture, (struct weir_child_config){
					 .name = "end", .backend = "obedient", .restart = WEIR_RESTART_TEMPORARY });

		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
		send_order(child, (uint32_t)end[i].order, end[i].value);
		fixture_await(fixture, child, WEIR_CHILD_FAILED);
		assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_FAILED), end[i].reason);
	}
}

static void transient_child_that_succeeds_is_done(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(
		fixture, (struct weir_child_config){ .backend = "obedient", .restart = WEIR_RESTART_TRANSIENT });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	send_order(child, ORDER_LEAVE, 0);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_DONE), "exit status 0");
	assert_int_equal(fixture->message_type[fixture->messages - 1], EVENT_LEFT);
	/* and can be started again */
	assert_int_equal(weir_child_start(child), 0);
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	assert_int_equal(weir_child_start(child), -EBUSY);
}

static void backend_that_cannot_enter_fails_with_its_reason(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child =
		fixture_add(fixture, (struct weir_child_config){ .backend = "failing", .args = "2", .intensity = 2 });

	fixture_await(fixture, child, WEIR_CHILD_FAILED);
	assert_string_equal(
		fixture_reason(fixture, child, WEIR_CHILD_FAILED), "could not start: No such file or directory");
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_BACKOFF), 2);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_RUNNING), 0);
}

static void crash_loop_ends_in_failed(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child =
		fixture_add(fixture, (struct weir_child_config){ .backend = "failing", .args = "die" });

	fixture_await(fixture, child, WEIR_CHILD_FAILED);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_BACKOFF), 5);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_FAILED), "killed by SIGABRT");
}

static void backend_that_does_not_get_ready_is_killed(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(fixture, (struct weir_child_config){ .backend = "failing",
								.args = "slow",
								.ready_ns = SECOND / 5,
								.restart = WEIR_RESTART_TEMPORARY });

	fixture_await(fixture, child, WEIR_CHILD_FAILED);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_FAILED), "did not get ready within 0.2 s");
}

static void the_largest_deadlines_are_none(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(fixture,
		(struct weir_child_config){
			.backend = "obedient", .ready_ns = INT64_MAX, .stop_ns = INT64_MAX, .term_ns = INT64_MAX });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	assert_int_equal(call(child, ORDER_STATUS, 0), 0);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_RUNNING), 1);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_TERMINATING), 0);
}

static void unknown_backend_fails_at_once_and_says_where_it_looked(void **state)
{
	static const struct {
		const char *backend, *reason;
	} unknown[] = {
		{ "nobody", "no backend nobody in this program" },
		{ "no/such", "no plugin no/such.so in " },
		{ "./no.so", "./no.so: cannot open shared object file" },
		{ "alien", "was built for version 3 of weir/backend.h" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct weir_child *child =
			fixture_add(fixture, (struct weir_child_config){ .backend = unknown[i].backend });

		fixture_await(fixture, child, WEIR_CHILD_FAILED);
		ASSERT_HAS(fixture_reason(fixture, child, WEIR_CHILD_FAILED), unknown[i].reason);
		assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_BACKOFF), 0);
	}
}

static void bad_configs_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child_config bad[] = {
		{ .backend = "obedient" }, { .name = "x" },
		{ .name = "0123456789012345678901234567890123456789012345678901234567890123", .backend = "obedient" },
		{ .name = "x", .backend = "obedient", .restart = 3 },
		{ .name = "x", .backend = "obedient", .intensity = 1000 },
		{ .name = "x", .backend = "obedient", .ready_ns = -1 },
		{ .name = "x", .backend = "obedient", .hang_ns = -1 },
		{ .name = "x", .backend = "obedient", .hang_ns = SECOND / 10 }, /* idle would be hung */
	};
	struct weir_child *child = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(weir_child_add(fixture->frontend, &child, &bad[i]), -EINVAL);
	assert_null(child);
}

/* --- stopping ---------------------------------------------------------------------------------------------------- */

static void stopped_child_leaves_and_is_done(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "polite");

	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_DONE), "stopped");
	assert_int_equal(fixture->message_type[fixture->messages - 1], EVENT_LEFT);
	assert_int_equal(fixture->message_value[fixture->messages - 1], WEIR_LEAVE_STOP);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_TERMINATING), 0);
	assert_int_equal(weir_child_pid(child), 0);
}

static void child_that_does_not_listen_gets_sigterm(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "sleeper");

	send_order(child, ORDER_SLEEP, 0);
	fixture_run(fixture, SECOND / 10);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_DONE), "killed by SIGTERM");
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_KILLING), 0);
}

static void child_that_ignores_sigterm_is_killed(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "deaf");

	assert_int_equal(call(child, ORDER_DEAF, 0), 0);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_DONE), "killed by SIGKILL");
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_TERMINATING), 1);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_KILLING), 1);
}

static void busy_child_is_ended(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "busy");

	send_order(child, ORDER_SPIN, 0);
	fixture_run(fixture, SECOND / 20);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
}

static void stopped_process_is_ended(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(
		fixture, (struct weir_child_config){ .backend = "obedient", .term_ns = PATIENCE_S * SECOND });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	kill(weir_child_pid(child), SIGSTOP);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	/* Awake again, it could heed the SIGTERM. */
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_DONE), "killed by SIGTERM");
}

static void child_can_be_stopped_while_it_starts(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child =
		fixture_add(fixture, (struct weir_child_config){ .backend = "failing", .args = "slow" });

	fixture_await(fixture, child, WEIR_CHILD_STARTING);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	child = fixture_add(fixture, (struct weir_child_config){ .backend = "failing", .args = "slow" });
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	assert_int_equal(weir_child_pid(child), 0);
	UNTIL(fixture, count_children() == 1); /* the zygote: nobody goes on starting */
}

static void grandchildren_go_with_the_child(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "grandparent");
	int grandchild = 0;
	size_t size = sizeof(grandchild);

	assert_int_equal(
		weir_child_call(child, ORDER_FORK, NULL, 0, &grandchild, &size, now_ns() + PATIENCE_S * SECOND), 0);
	assert_false(is_gone(grandchild));
	kill(weir_child_pid(child), SIGKILL);
	/* Reaped, too: not even a zombie is left. */
	UNTIL(fixture, kill(grandchild, 0) < 0 && errno == ESRCH);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(killed_child_is_started_again),
		WITH_FRONTEND(exit_reasons_are_told_in_words),
		WITH_FRONTEND(transient_child_that_succeeds_is_done),
		WITH_FRONTEND(backend_that_cannot_enter_fails_with_its_reason),
		WITH_FRONTEND(crash_loop_ends_in_failed),
		WITH_FRONTEND(backend_that_does_not_get_ready_is_killed),
		WITH_FRONTEND(the_largest_deadlines_are_none),
		WITH_FRONTEND(unknown_backend_fails_at_once_and_says_where_it_looked),
		WITH_FRONTEND(bad_configs_are_refused),
		WITH_FRONTEND(stopped_child_leaves_and_is_done),
		WITH_FRONTEND(child_that_does_not_listen_gets_sigterm),
		WITH_FRONTEND(child_that_ignores_sigterm_is_killed),
		WITH_FRONTEND(busy_child_is_ended),
		WITH_FRONTEND(stopped_process_is_ended),
		WITH_FRONTEND(child_can_be_stopped_while_it_starts),
		WITH_FRONTEND(grandchildren_go_with_the_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_obedient(run, NULL);
}
