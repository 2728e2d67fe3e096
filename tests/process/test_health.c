/* SPDX-License-Identifier: MIT */
#include "obedient.h"

#include "stream_backends.h"

/* Children that run, but do not fare well: hung (row 5), grown (row 21), worn out, poisoned. */

#define MIB	1048576u
#define HANG_NS (SECOND / 5)

static struct weir_end last_end;

static void note_end(struct fixture *fixture, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_CHILD_STATE &&
		(event->to == WEIR_CHILD_BACKOFF || event->to == WEIR_CHILD_DONE || event->to == WEIR_CHILD_FAILED))
		last_end = event->end;
}

static struct weir_child *add_with(struct fixture *fixture, struct weir_child_config config)
{
	struct weir_child *child;

	fixture->hook = note_end;
	config.name = config.backend = "obedient";
	child = fixture_add(fixture, config);
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	return child;
}

/* Until it has been started so often again, and runs. */
static void await_restarts(struct fixture *fixture, struct weir_child *child, uint32_t restarts)
{
	UNTIL(fixture, weir_child_restarts(child) == restarts && weir_child_state(child) == WEIR_CHILD_RUNNING);
}

/* --- hangs (row 5) ----------------------------------------------------------------------------------------------- */

static void hung_child_is_ended_whatever_it_does(void **state)
{
	static const uint32_t hang[] = { 0, ORDER_SPIN, ORDER_DEADLOCK, ORDER_BLOCK, ORDER_SLEEP }; /* 0: stopped */
	struct fixture *fixture = *state;
	struct weir_child *child =
		add_with(fixture, (struct weir_child_config){ .hang_ns = HANG_NS, .intensity = 60, .period_ns = 1 });

	for (uint32_t i = 0; i < sizeof(hang) / sizeof(hang[0]); i++) {
		if (hang[i] == 0)
			kill(weir_child_pid(child), SIGSTOP);
		else
			send_order(child, hang[i], 0);
		await_restarts(fixture, child, i + 1);
		assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_BACKOFF), "hung: no progress for 0.2 s");
		assert_int_equal(last_end.kind, WEIR_END_HANG);
	}
	/* The one that blocked all signals took SIGKILL; SIGCONT wakes the stopped one for its SIGTERM. */
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_KILLING), 1);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_STOPPING), 0);
}

static void idle_child_is_not_hung(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_with(fixture, (struct weir_child_config){ .hang_ns = HANG_NS });

	fixture_run(fixture, 5 * HANG_NS);
	assert_int_equal(weir_child_restarts(child), 0);
	assert_int_equal(weir_child_state(child), WEIR_CHILD_RUNNING);
}

static void reader_asleep_on_its_semaphore_is_not_hung(void **state)
{
	static const struct weir_policy latest = { .mode = WEIR_POLICY_LATEST };
	struct fixture *fixture = *state;
	struct weir_child *source =
		fixture_add(fixture, (struct weir_child_config){ .backend = "source", .args = "0 1000 0 0" });
	struct weir_child *reader = fixture_add(
		fixture, (struct weir_child_config){ .backend = "sink", .args = "semaphore", .hang_ns = HANG_NS });
	struct weir_stream *stream;
	uint32_t input;
	int pause = 1;

	assert_int_equal(weir_stream_create(fixture->frontend, &stream,
				 &(struct weir_stream_config){ .name = "s", .writer = source }),
		0);
	assert_int_equal(weir_stream_add_reader(stream, reader, &latest, &input), 0);
	UNTIL(fixture, weir_stream_state(stream) == WEIR_STREAM_LIVE);
	weir_child_send(source, ORDER_PAUSE, &pause, sizeof(pause));
	fixture_run(fixture, 5 * HANG_NS);
	assert_int_equal(weir_child_restarts(reader), 0);
}

static void long_work_that_says_so_is_not_hung(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_with(fixture, (struct weir_child_config){ .hang_ns = HANG_NS });

	assert_int_equal(call(child, ORDER_TOIL, 700), 0);
	assert_int_equal(weir_child_restarts(child), 0);
}

static void thread_that_stands_still_is_hung_while_it_has_work(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_with(fixture, (struct weir_child_config){ .hang_ns = HANG_NS });

	for (int i = 0; i < 8; i++) {
		assert_int_equal(call(child, ORDER_WORK, 1), 0);
		fixture_run(fixture, HANG_NS / 4);
	}
	assert_int_equal(call(child, ORDER_WORK, 0), 0);
	fixture_run(fixture, 3 * HANG_NS);
	assert_int_equal(weir_child_restarts(child), 0);
	assert_int_equal(call(child, ORDER_WORK, 1), 0);
	await_restarts(fixture, child, 1);
	assert_int_equal(last_end.kind, WEIR_END_HANG);
}

/* --- recycling --------------------------------------------------------------------------------------------------- */

static void worn_out_child_is_recycled(struct fixture *fixture, struct weir_child *child, const char *reason)
{
	await_restarts(fixture, child, 1);
	ASSERT_HAS(fixture_reason(fixture, child, WEIR_CHILD_STOPPING), reason);
	/* Its leave() ran, and it was no death. */
	assert_int_equal(fixture->message_type[0], EVENT_LEFT);
	assert_int_equal(last_end.kind, WEIR_END_EXIT);
	assert_int_equal(last_end.code, 0);
}

static void child_is_recycled_by_age(void **state)
{
	struct weir_child *child = add_with(*state, (struct weir_child_config){ .recycle_ns = SECOND / 5 });

	worn_out_child_is_recycled(*state, child, "recycled after 0.2 s");
	/* Ever again: more often than a child may die. */
	await_restarts(*state, child, 7);
}

static void child_is_recycled_by_memory(void **state)
{
	struct weir_child *child = add_with(*state, (struct weir_child_config){ .recycle_bytes = UINT64_C(192) << 20 });

	fixture_run(*state, SECOND / 2);
	assert_int_equal(weir_child_restarts(child), 0);
	assert_int_equal(call(child, ORDER_ALLOCATE, 200), 0);
	worn_out_child_is_recycled(*state, child, " MiB of memory");
}

static void child_is_recycled_by_frames(void **state)
{
	static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 60 * SECOND };
	struct fixture *fixture = *state;
	struct weir_child *source =
		fixture_add(fixture, (struct weir_child_config){ .backend = "source", .args = "0 1000 0 0" });
	struct weir_child *reader = fixture_add(
		fixture, (struct weir_child_config){ .backend = "sink", .args = "eventfd", .recycle_frames = 100 });
	struct weir_reader_stats stats;
	struct weir_stream *stream;
	uint32_t input;

	assert_int_equal(weir_stream_create(fixture->frontend, &stream,
				 &(struct weir_stream_config){ .name = "s", .writer = source }),
		0);
	assert_int_equal(weir_stream_add_reader(stream, reader, &lossless, &input), 0);
	await_restarts(fixture, reader, 3);
	assert_int_equal(weir_stream_reader_stats(stream, reader, &stats), 0);
	assert_true(stats.delivered >= 300);
	assert_int_equal(
		stats.published, stats.delivered + stats.overtaken + stats.skipped + stats.missed + stats.pending);
	ASSERT_HAS(fixture_reason(fixture, reader, WEIR_CHILD_STOPPING), "recycled after 1");
}

static void temporary_child_is_done_when_worn_out(void **state)
{
	struct weir_child *child = add_with(
		*state, (struct weir_child_config){ .recycle_ns = SECOND / 10, .restart = WEIR_RESTART_TEMPORARY });

	fixture_await(*state, child, WEIR_CHILD_DONE);
}

/* --- limits ------------------------------------------------------------------------------------------------------ */

static void limits_hold_in_the_child(void **state)
{
	struct weir_child *child =
		add_with(*state, (struct weir_child_config){ .limits = { .address_bytes = UINT64_C(1) << 46,
								     .file_bytes = MIB,
								     .cpu_s = 77,
								     .files = 99,
								     .oom_score_adj = 500 } });
	struct facts facts;
	size_t size = sizeof(facts);

	assert_int_equal(
		weir_child_call(child, ORDER_FACTS, NULL, 0, &facts, &size, now_ns() + PATIENCE_S * SECOND), 0);
	assert_true(facts.address_limit == UINT64_C(1) << 46);
	assert_int_equal(facts.file_limit, MIB);
	assert_int_equal(facts.cpu_limit, 77);
	assert_int_equal(facts.files_limit, 99);
	assert_int_equal(facts.oom_score_adj, 500);
	/* Not SIGXFSZ: an error like any other. */
	assert_int_equal(call(child, ORDER_OVERWRITE, 0), -EFBIG);
}

static void limit_that_cannot_be_set_fails_the_child(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(
		fixture, (struct weir_child_config){ .backend = "obedient", .limits = { .files = UINT32_MAX } });

	fixture_await(fixture, child, WEIR_CHILD_FAILED);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_FAILED), "cannot set its limits");
}

static void child_that_takes_too_much_memory_is_ended(void **state)
{
	struct weir_child *child =
		add_with(*state, (struct weir_child_config){ .limits = { .memory_bytes = UINT64_C(192) << 20 } });

	send_order(child, ORDER_ALLOCATE, 200);
	await_restarts(*state, child, 1);
	assert_int_equal(last_end.kind, WEIR_END_MEMORY);
	ASSERT_HAS(fixture_reason(*state, child, WEIR_CHILD_BACKOFF), "its limit is 192 MiB");
}

static void cpu_limit_is_a_reason(void **state)
{
	struct weir_child *child = add_with(*state, (struct weir_child_config){ .limits = { .cpu_s = 1 } });

	send_order(child, ORDER_SPIN, 0);
	await_restarts(*state, child, 1);
	assert_int_equal(last_end.kind, WEIR_END_SIGNAL);
	assert_int_equal(last_end.code, SIGXCPU);
}

/* --- poison ------------------------------------------------------------------------------------------------------ */

static void die_at(struct fixture *fixture, struct weir_child *child, int position)
{
	assert_int_equal(call(child, ORDER_POSITION, position), 0);
	send_order(child, ORDER_SIGNAL, SIGSEGV);
	UNTIL(fixture, weir_child_state(child) != WEIR_CHILD_RUNNING);
}

static void child_that_always_dies_at_one_position_fails(void **state)
{
	struct weir_child *child = add_with(*state, (struct weir_child_config){ .intensity = 50 });

	for (int i = 0; i < 2; i++) { /* elsewhere each time */
		die_at(*state, child, 100 + i);
		fixture_await(*state, child, WEIR_CHILD_RUNNING);
	}
	for (int i = 0; i < 3; i++) {
		fixture_await(*state, child, WEIR_CHILD_RUNNING);
		die_at(*state, child, 42);
	}
	fixture_await(*state, child, WEIR_CHILD_FAILED);
	assert_string_equal(fixture_reason(*state, child, WEIR_CHILD_FAILED),
		"died 3 times at position 42 of its input: killed by SIGSEGV");
	assert_int_equal(last_end.kind, WEIR_END_POISON);
}

/* Whoever kills from outside does not read the input. */
static void kill_at_one_position_is_no_poison(void **state)
{
	struct weir_child *child = add_with(*state, (struct weir_child_config){ .intensity = 50 });

	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(call(child, ORDER_POSITION, 42), 0);
		kill(weir_child_pid(child), SIGKILL);
		await_restarts(*state, child, i + 1);
	}
}

static void poison_is_skipped_on_request(void **state)
{
	struct weir_child *child = add_with(*state, (struct weir_child_config){ .intensity = 50, .skip_poison = true });

	assert_int_equal(call(child, ORDER_IS_POISON, 42), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(call(child, ORDER_IS_POISON, 42), 0);
		die_at(*state, child, 42);
		fixture_await(*state, child, WEIR_CHILD_RUNNING);
	}
	assert_int_equal(call(child, ORDER_IS_POISON, 42), -EBADMSG);
	assert_int_equal(call(child, ORDER_IS_POISON, 43), 0);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(hung_child_is_ended_whatever_it_does),
		WITH_FRONTEND(idle_child_is_not_hung),
		WITH_FRONTEND(reader_asleep_on_its_semaphore_is_not_hung),
		WITH_FRONTEND(long_work_that_says_so_is_not_hung),
		WITH_FRONTEND(thread_that_stands_still_is_hung_while_it_has_work),
		WITH_FRONTEND(child_is_recycled_by_age),
		WITH_FRONTEND(child_is_recycled_by_memory),
		WITH_FRONTEND(child_is_recycled_by_frames),
		WITH_FRONTEND(temporary_child_is_done_when_worn_out),
		WITH_FRONTEND(limits_hold_in_the_child),
		WITH_FRONTEND(limit_that_cannot_be_set_fails_the_child),
		WITH_FRONTEND(child_that_takes_too_much_memory_is_ended),
		WITH_FRONTEND(cpu_limit_is_a_reason),
		WITH_FRONTEND(child_that_always_dies_at_one_position_fails),
		WITH_FRONTEND(kill_at_one_position_is_no_poison),
		WITH_FRONTEND(poison_is_skipped_on_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_obedient(run, stream_backends);
}
