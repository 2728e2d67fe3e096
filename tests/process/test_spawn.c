/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <sys/wait.h>

#include "test_backends.h"

static struct weir_child *add_running(struct fixture *fixture, const char *name)
{
	struct weir_child *child =
		fixture_add(fixture, (struct weir_child_config){ .name = name, .backend = "obedient" });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	return child;
}

static int call(struct weir_child *child, uint32_t order, int value)
{
	return weir_child_call(child, order, &value, sizeof(value), NULL, NULL, now_ns() + PATIENCE_S * SECOND);
}

static void send_order(struct weir_child *child, uint32_t order, int value)
{
	assert_int_equal(weir_child_send(child, order, &value, sizeof(value)), 0);
}

/* --- spawning ---------------------------------------------------------------------------------------------------- */

static void child_gets_a_clean_process(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "a rather long name");
	struct facts facts;
	size_t size = sizeof(facts);

	assert_int_equal(
		weir_child_call(child, ORDER_FACTS, NULL, 0, &facts, &size, now_ns() + PATIENCE_S * SECOND), 0);
	assert_int_equal(facts.pid, weir_child_pid(child));
	assert_int_equal(facts.parent, getpid());
	assert_int_equal(facts.group, facts.pid);
	assert_int_equal(facts.fds, 6);
	assert_int_equal(facts.blocked, 0);
	assert_int_equal(facts.core_limit, 0);
	assert_string_equal(facts.comm, "a rather long n");
	ASSERT_HAS(facts.cmdline, ": a rather long name");
}

static void call_returns_what_the_backend_replied(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "echo");
	static char data[WEIR_MESSAGE_BYTES_MAX], buffer[WEIR_MESSAGE_BYTES_MAX];
	size_t size = sizeof(buffer);

	memset(data, 'x', sizeof(data));
	for (int i = 0; i < 100; i++) {
		data[17] = (char)i;
		size = sizeof(buffer);
		assert_int_equal(weir_child_call(child, ORDER_ECHO, data, sizeof(data), buffer, &size,
					 now_ns() + PATIENCE_S * SECOND),
			0);
		assert_int_equal(size, sizeof(data));
		assert_memory_equal(buffer, data, sizeof(data));
	}
	size = 3;
	assert_int_equal(
		weir_child_call(child, ORDER_ECHO, data, 4, buffer, &size, now_ns() + PATIENCE_S * SECOND), -EMSGSIZE);
	assert_int_equal(weir_child_call(child, ORDER_ECHO, data, sizeof(data) + 1, NULL, NULL, 0), -EMSGSIZE);
}

static void call_returns_the_commands_status(void **state)
{
	struct weir_child *child = add_running(*state, "status");

	assert_int_equal(call(child, ORDER_STATUS, -EILSEQ), -EILSEQ);
	assert_int_equal(call(child, ORDER_STATUS, 0), 0);
}

static void unknown_command_returns_enosys(void **state)
{
	assert_int_equal(call(add_running(*state, "unknown"), 9999, 0), -ENOSYS);
}

static void types_of_weirs_own_cannot_be_sent(void **state)
{
	struct weir_child *child = add_running(*state, "own types");

	assert_int_equal(weir_child_send(child, WEIR_COMMAND_END, NULL, 0), -EINVAL);
}

static void call_that_is_not_answered_times_out(void **state)
{
	struct weir_child *child = add_running(*state, "sleeper");

	assert_int_equal(weir_child_call(child, ORDER_SLEEP, NULL, 0, NULL, NULL, now_ns() + SECOND / 5), -ETIMEDOUT);
}

static void call_to_a_child_that_dies_returns_enotconn(void **state)
{
	struct weir_child *child = add_running(*state, "mortal");

	assert_int_equal(call(child, ORDER_SIGNAL, SIGSEGV), -ENOTCONN);
}

static int nested_call_status;

static void call_from_event(struct fixture *fixture, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_CHILD_STATE && event->to == WEIR_CHILD_RUNNING)
		nested_call_status = call(event->child, ORDER_STATUS, 0);
}

static void call_from_within_an_event_is_refused(void **state)
{
	struct fixture *fixture = *state;

	fixture->hook = call_from_event;
	add_running(fixture, "nested");
	assert_int_equal(nested_call_status, -EDEADLK);
}

static void commands_are_refused_when_the_pipe_is_full(void **state)
{
	struct weir_child *child = add_running(*state, "full");
	static const char data[4000];
	int r = 0;

	send_order(child, ORDER_SLEEP, 0);
	for (int i = 0; i < 100 && r == 0; i++)
		r = weir_child_send(child, ORDER_ECHO, data, sizeof(data));
	assert_int_equal(r, -EAGAIN);
}

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
		{ .backend = "obedient" },
		{ .name = "x" },
		{ .name = "0123456789012345678901234567890123456789012345678901234567890123", .backend = "obedient" },
		{ .name = "x", .backend = "obedient", .restart = 3 },
		{ .name = "x", .backend = "obedient", .intensity = 1000 },
		{ .name = "x", .backend = "obedient", .ready_ns = -1 },
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

/* --- output and floods ------------------------------------------------------------------------------------------- */

static void output_comes_line_by_line_before_the_death(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(
		fixture, (struct weir_child_config){ .backend = "obedient", .restart = WEIR_RESTART_TEMPORARY });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	send_order(child, ORDER_PRINT, 3);
	send_order(child, ORDER_EXIT, 1);
	fixture_await(fixture, child, WEIR_CHILD_FAILED);
	assert_string_equal(fixture->output, "line 0\nline 1\nline 2\n");
}

static void excess_output_is_cut_and_counted(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "chatterbox");
	unsigned cut = 0, in_all = 0;

	send_order(child, ORDER_PRINT, 5000);
	assert_int_equal(call(child, ORDER_STATUS, 0), 0);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	for (char *line = strtok(fixture->output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		if (sscanf(line, "(%u lines more were cut", &cut) == 1)
			in_all += cut;
		else
			in_all++;
	}
	assert_int_equal(in_all, 5000);
	assert_true(cut > 0);
}

static void flooding_child_does_not_delay_others(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *flooder = add_running(fixture, "flooder"), *other = add_running(fixture, "other");

	send_order(flooder, ORDER_FLOOD, 1000000);
	UNTIL(fixture, fixture->messages > 10000);
	for (int i = 0; i < 20; i++)
		assert_int_equal(call(other, ORDER_STATUS, 0), 0);
	weir_child_stop(flooder);
	fixture_await(fixture, flooder, WEIR_CHILD_DONE);
}

/* --- the zygote -------------------------------------------------------------------------------------------------- */

static int find_zygote(void)
{
	char path[64], comm[32];
	FILE *children;
	int pid, found = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	assert_non_null(children);
	while (fscanf(children, "%d", &pid) == 1) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(comm, sizeof(comm), file) != NULL && strcmp(comm, "zygote\n") == 0)
			found = pid;
		fclose(file);
	}
	fclose(children);
	return found;
}

static void terminal_signals_do_not_reach_the_zygote(void **state)
{
	int zygote = 0;

	UNTIL((struct fixture *)*state, (zygote = find_zygote()) != 0);
	assert_int_equal(getpgid(zygote), zygote);
}

static void death_of_the_zygote_hurts_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "bystander");
	int pid = weir_child_pid(child);

	for (int i = 0; i < 3; i++) {
		int zygote = 0;

		UNTIL(fixture, (zygote = find_zygote()) != 0);
		kill(zygote, SIGKILL);
		UNTIL(fixture, is_gone(zygote));
		/* Asked for while there is none. */
		add_running(fixture, "successor");
		assert_int_equal(weir_child_pid(child), pid);
		assert_int_equal(call(child, ORDER_STATUS, 0), 0);
	}
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_BACKOFF), 0);
}

static void stopped_zygote_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	int zygote = 0;

	UNTIL(fixture, (zygote = find_zygote()) != 0);
	kill(zygote, SIGSTOP);
	add_running(fixture, "late");
	assert_true(is_gone(zygote));
}

static void signals_become_events(void **state)
{
	struct fixture *fixture = *state;

	kill(getpid(), SIGHUP);
	UNTIL(fixture, fixture->signal_number == SIGHUP);
}

static void second_frontend_is_refused(void **state)
{
	struct weir_frontend *second = NULL;

	assert_int_equal(weir_frontend_create(&second, NULL), -EBUSY);
	assert_null(second);
}

#define WITH_FRONTEND(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	static const struct weir_init_config init = { .backends = test_backends };
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(child_gets_a_clean_process),
		WITH_FRONTEND(call_returns_what_the_backend_replied),
		WITH_FRONTEND(call_returns_the_commands_status),
		WITH_FRONTEND(unknown_command_returns_enosys),
		WITH_FRONTEND(types_of_weirs_own_cannot_be_sent),
		WITH_FRONTEND(call_that_is_not_answered_times_out),
		WITH_FRONTEND(call_to_a_child_that_dies_returns_enotconn),
		WITH_FRONTEND(call_from_within_an_event_is_refused),
		WITH_FRONTEND(commands_are_refused_when_the_pipe_is_full),
		WITH_FRONTEND(killed_child_is_started_again),
		WITH_FRONTEND(exit_reasons_are_told_in_words),
		WITH_FRONTEND(transient_child_that_succeeds_is_done),
		WITH_FRONTEND(backend_that_cannot_enter_fails_with_its_reason),
		WITH_FRONTEND(crash_loop_ends_in_failed),
		WITH_FRONTEND(backend_that_does_not_get_ready_is_killed),
		WITH_FRONTEND(unknown_backend_fails_at_once_and_says_where_it_looked),
		WITH_FRONTEND(bad_configs_are_refused),
		WITH_FRONTEND(stopped_child_leaves_and_is_done),
		WITH_FRONTEND(child_that_does_not_listen_gets_sigterm),
		WITH_FRONTEND(child_that_ignores_sigterm_is_killed),
		WITH_FRONTEND(busy_child_is_ended),
		WITH_FRONTEND(stopped_process_is_ended),
		WITH_FRONTEND(child_can_be_stopped_while_it_starts),
		WITH_FRONTEND(grandchildren_go_with_the_child),
		WITH_FRONTEND(output_comes_line_by_line_before_the_death),
		WITH_FRONTEND(excess_output_is_cut_and_counted),
		WITH_FRONTEND(flooding_child_does_not_delay_others),
		WITH_FRONTEND(terminal_signals_do_not_reach_the_zygote),
		WITH_FRONTEND(death_of_the_zygote_hurts_nobody),
		WITH_FRONTEND(stopped_zygote_is_replaced),
		WITH_FRONTEND(signals_become_events),
		WITH_FRONTEND(second_frontend_is_refused),
	};

	if (weir_init(&init) < 0) {
		fprintf(stderr, "%s\n", weir_init_error());
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
