/* SPDX-License-Identifier: MIT */
#include "../holdings.h"
#include "obedient.h"
#include "stream_backends.h"

/* Nothing may grow with the number of restarts. */

#define RESTARTS 60
#define KILLS	 15 /* of three children, each with its back-off */

static const struct weir_child_config often = { .intensity = 64, .period_ns = 1 };

static void restarts_of_a_child_leave_nothing_behind(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child_config config = often;
	struct weir_child *child;
	struct holdings before;

	config.backend = "obedient";
	child = fixture_add(fixture, config);
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	before = hold();
	while (weir_child_restarts(child) < RESTARTS) {
		for (int i = 0; i < 4; i++) {
			uint32_t restarts = weir_child_restarts(child);

			kill(weir_child_pid(child), SIGKILL);
			UNTIL(fixture,
				weir_child_restarts(child) > restarts && weir_child_state(child) == WEIR_CHILD_RUNNING);
		}
		/* Out of the back-off. */
		weir_child_stop(child);
		fixture_await(fixture, child, WEIR_CHILD_DONE);
		assert_int_equal(weir_child_start(child), 0);
		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	}
	fixture_run(fixture, SECOND / 5); /* orphans are swept with the tick */
	assert_same(&before, "after restarts");
}

static void starts_and_stops_leave_nothing_behind(void **state)
{
	int cycles = getenv("WEIR_LONG") != NULL ? 10000 : 200;
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(fixture, (struct weir_child_config){ .backend = "obedient" });
	struct holdings before;
	long kib = 0;

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	before = hold();
	for (int i = 0; i < cycles; i++) {
		if (i == cycles / 10)
			kib = resident_kib();
		weir_child_stop(child);
		fixture_await(fixture, child, WEIR_CHILD_DONE);
		assert_int_equal(weir_child_start(child), 0);
		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	}
	fixture_run(fixture, SECOND / 5);
	assert_same(&before, "after starts and stops");
	printf("# %d starts and stops: %ld KiB more than after a tenth of them\n", cycles, resident_kib() - kib);
#ifndef __SANITIZE_ADDRESS__
	assert_true(resident_kib() - kib < 1024);
#endif
}

static void restarts_of_writer_and_readers_leave_nothing_behind(void **state)
{
	static const struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	struct fixture *fixture = *state;
	struct weir_child_config config = often;
	struct weir_child *child[3];
	struct weir_stream *stream;
	struct weir_stream_stats stats;
	struct holdings before;
	uint32_t input;

	config.backend = "source";
	config.args = "0 1000 0 0";
	child[0] = fixture_add(fixture, config);
	config.backend = "sink";
	config.args = "semaphore";
	child[1] = fixture_add(fixture, config);
	child[2] = fixture_add(fixture, config);
	assert_int_equal(weir_stream_create(fixture->frontend, &stream,
				 &(struct weir_stream_config){ .name = "s", .writer = child[0] }),
		0);
	for (int i = 1; i < 3; i++)
		assert_int_equal(weir_stream_add_reader(stream, child[i], &policy, &input), 0);
	UNTIL(fixture, weir_stream_state(stream) == WEIR_STREAM_LIVE);
	for (int i = 1; i < 3; i++)
		fixture_await(fixture, child[i], WEIR_CHILD_RUNNING);
	before = hold();
	for (int i = 0; i < KILLS; i++) {
		struct weir_child *victim = child[i % 3];
		uint32_t restarts = weir_child_restarts(victim);

		kill(weir_child_pid(victim), SIGKILL);
		UNTIL(fixture,
			weir_child_restarts(victim) > restarts && weir_child_state(victim) == WEIR_CHILD_RUNNING);
	}
	weir_stream_stats(stream, &stats);
	UNTIL(fixture, stats.generations > KILLS / 3 && weir_stream_state(stream) == WEIR_STREAM_LIVE &&
			       (weir_stream_stats(stream, &stats), 1));
	fixture_run(fixture, SECOND / 2);
	assert_same(&before, "after restarts");
}

static void frontends_leave_nothing_behind(void **state)
{
	struct holdings before = { 0 };

	for (int i = 0; i < 10; i++) {
		struct fixture *fixture = NULL;
		struct weir_child *child;

		assert_int_equal(fixture_setup((void **)&fixture), 0);
		child = fixture_add(fixture, (struct weir_child_config){ .backend = "obedient" });
		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
		fixture_teardown((void **)&fixture);
		if (i == 0)
			before = hold();
	}
	assert_same(&before, "after frontends");
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(restarts_of_a_child_leave_nothing_behind),
		WITH_FRONTEND(starts_and_stops_leave_nothing_behind),
		WITH_FRONTEND(restarts_of_writer_and_readers_leave_nothing_behind),
		cmocka_unit_test(frontends_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_obedient(run, stream_backends);
}
