/* SPDX-License-Identifier: MIT */
#include "jobs_fixture.h"

static void limits_count_from_the_beginning_of_a_job(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .soft_ns = CLOCK_S, .hard_ns = 2 * CLOCK_S, .ahead = 1 }, 1);
	submit(&bench);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0 s0");
	bench.now_ns += CLOCK_S - 1;
	DONE_SO_FAR(&bench, "");
	reply(&bench, 0, 0); /* now the second one begins, though it was sent long ago */
	DONE_SO_FAR(&bench, "=done:0");
	assert_int_equal(jobs_due_ns(&bench.jobs), bench.now_ns + CLOCK_S);
	bench.now_ns += CLOCK_S;
	DONE_SO_FAR(&bench, "t0");
	assert_int_equal(jobs_due_ns(&bench.jobs), bench.now_ns + CLOCK_S);
	bench.now_ns += CLOCK_S;
	DONE_SO_FAR(&bench, "k0");
	assert_true(jobs_due_ns(&bench.jobs) == CLOCK_NEVER);
	die(&bench, 0);
	DONE_SO_FAR(&bench, "=late:-110");
	finish(&bench);
}

static void a_job_has_limits_of_its_own_or_none(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .hard_ns = CLOCK_S }, 2);
	submit_with(&bench, (struct weir_job_config){ .hard_ns = 3 * CLOCK_S });
	submit_with(&bench, (struct weir_job_config){ .hard_ns = -1 });
	DONE_SO_FAR(&bench, "s0 s1");
	bench.now_ns += 2 * CLOCK_S;
	DONE_SO_FAR(&bench, "");
	bench.now_ns += 1000 * CLOCK_S;
	DONE_SO_FAR(&bench, "k0");
	finish(&bench);
}

static void the_largest_limit_is_none(void **state)
{
	struct bench bench;

	setup_with(&bench,
		(struct weir_pool_config){
			.soft_ns = INT64_MAX, .hard_ns = INT64_MAX, .budget_ns = INT64_MAX, .stall_ns = INT64_MAX },
		1);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0");
	bench.now_ns += 1000000 * CLOCK_S;
	DONE_SO_FAR(&bench, "");
	assert_true(jobs_due_ns(&bench.jobs) == CLOCK_NEVER);
	finish(&bench);
}

static void an_answer_that_was_quicker_than_the_kill_wins(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .hard_ns = CLOCK_S }, 1);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0");
	bench.now_ns += CLOCK_S;
	DONE_SO_FAR(&bench, "k0");
	reply(&bench, 0, 0);
	submit(&bench);
	DONE_SO_FAR(&bench, "=done:0"); /* and nothing is sent to it any more */
	die(&bench, 0);
	return_to_life(&bench, 0);
	DONE_SO_FAR(&bench, "s0");
	finish(&bench);
}

static void a_budget_that_is_used_up_stops_the_pool(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .budget_ns = CLOCK_S }, 1);
	submit(&bench);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0");
	assert_int_equal(jobs_due_ns(&bench.jobs), bench.now_ns + CLOCK_S);
	bench.now_ns += CLOCK_S;
	DONE_SO_FAR(&bench, "!3 =dropped:-125 k0");
	die(&bench, 0);
	DONE_SO_FAR(&bench, "=dropped:-125 l0");
	jobs_worker_gone(&bench.jobs, 0);
	DONE_SO_FAR(&bench, "!5");
	assert_true(jobs_due_ns(&bench.jobs) == CLOCK_NEVER);
	finish(&bench);
}

static void a_stall_is_said_once_until_a_job_ends(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .stall_ns = CLOCK_S }, 1);
	bench.now_ns += 10 * CLOCK_S;
	DONE_SO_FAR(&bench, ""); /* no work, no stall */
	submit(&bench);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0");
	bench.now_ns = jobs_due_ns(&bench.jobs);
	DONE_SO_FAR(&bench, "!2");
	bench.now_ns += 10 * CLOCK_S;
	DONE_SO_FAR(&bench, "");
	reply(&bench, 0, 0);
	DONE_SO_FAR(&bench, "=done:0 s0");
	bench.now_ns += CLOCK_S;
	DONE_SO_FAR(&bench, "!2");
	finish(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_count_from_the_beginning_of_a_job),
		cmocka_unit_test(a_job_has_limits_of_its_own_or_none),
		cmocka_unit_test(the_largest_limit_is_none),
		cmocka_unit_test(an_answer_that_was_quicker_than_the_kill_wins),
		cmocka_unit_test(a_budget_that_is_used_up_stops_the_pool),
		cmocka_unit_test(a_stall_is_said_once_until_a_job_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
