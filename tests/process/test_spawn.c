/* SPDX-License-Identifier: MIT */
#include "obedient.h"

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
	assert_int_equal(facts.wrong_cpus, 0);
	assert_int_equal(facts.core_limit, 0); /* row 22: no core to be written before its death is seen */
	assert_string_equal(facts.comm, "a rather long n");
	ASSERT_HAS(facts.cmdline, ": a rather long name");
}

static int recall(struct weir_child *child, const char *text)
{
	char turned[32];
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++)
		turned[i] = (char)(text[i] ^ 1);
	return weir_child_call(child, ORDER_RECALL, turned, length, NULL, NULL, now_ns() + PATIENCE_S * SECOND);
}

/* They may hold a password, and all come from the same zygote. */
static void child_has_its_own_arguments_and_no_others(void **state)
{
	struct fixture *fixture = *state;
	const struct weir_child_config config = { .backend = "obedient", .args = "rtsp://me:sesame@camera" };
	struct weir_child *first = fixture_add(fixture, config), *second;

	fixture_await(fixture, first, WEIR_CHILD_RUNNING);
	second = add_running(fixture, "second");
	assert_int_equal(recall(first, "sesame@camera"), -EEXIST);
	assert_int_equal(recall(second, "sesame@camera"), 0);
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
	assert_int_equal(call(child, ORDER_EVENT, 100), -EINVAL);
	assert_int_equal(call(child, ORDER_EVENT, 48), -EINVAL); /* a message that there is */
	assert_int_equal(call(child, ORDER_EVENT, WEIR_MESSAGE_USER), 0);
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

/* Its pipe takes commands before it has a process; then it never gets one. */
static void call_to_a_child_that_does_not_come_to_be_returns_enotconn(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child =
		fixture_add(fixture, (struct weir_child_config){ .backend = "failing", .args = "slow" });

	fixture_await(fixture, child, WEIR_CHILD_STARTING);
	weir_child_stop(child);
	assert_int_equal(call(child, ORDER_STATUS, 0), -ENOTCONN);
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

/* It reads again, but says nothing that would wake the frontend, which has other reasons to do so once a second. */
static void call_goes_on_when_there_is_room_in_the_pipe_again(void **state)
{
	struct weir_child *child = add_running(*state, "full for a while");
	static const char data[WEIR_MESSAGE_BYTES_MAX];
	int64_t begun_ns = now_ns();

	for (int i = 0; i < 8; i++) {
		send_order(child, ORDER_TOIL, 20);
		while (weir_child_send(child, ORDER_STATUS, data, sizeof(data)) == 0)
			;
		assert_int_equal(weir_child_call(child, ORDER_STATUS, data, sizeof(data), NULL, NULL,
					 now_ns() + PATIENCE_S * SECOND),
			0);
	}
	assert_true(now_ns() - begun_ns < 5 * SECOND);
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
	const char *last = NULL;
	unsigned cut = 0, in_all = 0;

	send_order(child, ORDER_PRINT, 5000);
	assert_int_equal(call(child, ORDER_STATUS, 0), 0);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	for (char *line = strtok(fixture->output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		last = line;
		if (sscanf(line, "(%u lines more were cut", &cut) == 1)
			in_all += cut;
		else
			in_all++;
	}
	assert_int_equal(in_all, 5000);
	assert_true(cut > 0);
	/* What it said last is there. */
	ASSERT_HAS(fixture->output, "line 0");
	assert_string_equal(last, "line 4999");
}

/* Row 18; tests/bench/supervision measures it. */
static void flooding_child_does_not_delay_others(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *flooder = add_running(fixture, "flooder"), *other = add_running(fixture, "other");

	send_order(flooder, ORDER_FLOOD, 1000000);
	UNTIL(fixture, fixture->messages > 1000);
	for (int i = 0; i < 20; i++)
		assert_int_equal(call(other, ORDER_STATUS, 0), 0);
	weir_child_stop(flooder);
	fixture_await(fixture, flooder, WEIR_CHILD_DONE);
}

/* What is read from a flooder it writes again, on the processor that the answer needs; but it is read. */
static void flooding_child_is_read_seldom(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *flooder = add_running(fixture, "flooder"), *other = add_running(fixture, "other");
	size_t before, most;
	int64_t begin_ns;

	send_order(flooder, ORDER_FLOOD, 1000000);
	UNTIL(fixture, fixture->messages > 1000);
	before = fixture->messages;
	begin_ns = now_ns();
	assert_int_equal(call(other, ORDER_TOIL, 200), 0);
	/* 4 KiB of messages that have 28 bytes, and count for 512: it may have 16 KiB in 10 ms. */
	most = (size_t)((now_ns() - begin_ns) / (SECOND / 25) + 2) * 147;
	assert_in_range(fixture->messages - before, 147, most);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(child_gets_a_clean_process),
		WITH_FRONTEND(child_has_its_own_arguments_and_no_others),
		WITH_FRONTEND(call_returns_what_the_backend_replied),
		WITH_FRONTEND(call_returns_the_commands_status),
		WITH_FRONTEND(unknown_command_returns_enosys),
		WITH_FRONTEND(types_of_weirs_own_cannot_be_sent),
		WITH_FRONTEND(call_that_is_not_answered_times_out),
		WITH_FRONTEND(call_to_a_child_that_dies_returns_enotconn),
		WITH_FRONTEND(call_to_a_child_that_does_not_come_to_be_returns_enotconn),
		WITH_FRONTEND(call_from_within_an_event_is_refused),
		WITH_FRONTEND(commands_are_refused_when_the_pipe_is_full),
		WITH_FRONTEND(call_goes_on_when_there_is_room_in_the_pipe_again),
		WITH_FRONTEND(signals_become_events),
		WITH_FRONTEND(second_frontend_is_refused),
		WITH_FRONTEND(output_comes_line_by_line_before_the_death),
		WITH_FRONTEND(excess_output_is_cut_and_counted),
		WITH_FRONTEND(flooding_child_does_not_delay_others),
		WITH_FRONTEND(flooding_child_is_read_seldom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_obedient(run, NULL);
}
