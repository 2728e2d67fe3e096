/* SPDX-License-Identifier: MIT */
#include "jobs_fixture.h"

/* --- deaths ------------------------------------------------------------------------------------------------------ */

static void only_the_job_that_ran_is_lost_and_the_others_keep_their_order(void **state)
{
	struct weir_job *job[4];
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .ahead = 2 }, 1);
	for (int i = 0; i < 4; i++)
		job[i] = submit(&bench);
	DONE_SO_FAR(&bench, "s0 s0 s0");
	die(&bench, 0);
	DONE_SO_FAR(&bench, "=lost:-107");
	for (struct weir_job *at = bench.jobs.waiting.first, **expected = job + 1; at != NULL; at = at->next)
		assert_ptr_equal(at, *expected++);
	assert_int_equal(bench.jobs.waiting.count, 3);
	return_to_life(&bench, 0);
	DONE_SO_FAR(&bench, "s0 s0 s0");
	assert_int_equal(job[1]->begun, 1);
	assert_int_equal(job[2]->begun, 0);
	assert_int_equal(bench.jobs.counters.retried, 0);
	finish(&bench);
}

static void a_worker_that_leaves_between_jobs_loses_none(void **state)
{
	struct weir_job *first;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .ahead = 1 }, 1);
	first = submit(&bench);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0 s0");
	assert_false(jobs_worker_dead(&bench.jobs, 0, true, "stopped", bench.now_ns));
	DONE_SO_FAR(&bench, "");
	assert_ptr_equal(bench.jobs.waiting.first, first);
	return_to_life(&bench, 0);
	DONE_SO_FAR(&bench, "s0 s0");
	assert_int_equal(first->begun, 1);
	assert_int_equal(bench.jobs.counters.retried, 0);
	finish(&bench);
}

static void a_lost_job_is_tried_again_as_often_as_is_allowed(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .attempts = 3 }, 1);
	submit_with(&bench, (struct weir_job_config){ .key = "same" });
	for (int i = 0; i < 2; i++) {
		DONE_SO_FAR(&bench, "s0");
		die(&bench, 0);
		return_to_life(&bench, 0);
	}
	DONE_SO_FAR(&bench, "s0");
	die(&bench, 0);
	DONE_SO_FAR(&bench, "=lost:-107");
	assert_int_equal(bench.jobs.counters.retried, 2);
	finish(&bench);
}

static void what_is_tried_again_is_chosen_by_retry(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .attempts = 2, .retry = WEIR_RETRY_LATE | WEIR_RETRY_FAILED }, 1);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0");
	die(&bench, 0); /* not chosen */
	return_to_life(&bench, 0);
	DONE_SO_FAR(&bench, "=lost:-107");
	submit(&bench);
	DONE_SO_FAR(&bench, "s0");
	reply(&bench, 0, -5);
	DONE_SO_FAR(&bench, "s0");
	reply(&bench, 0, -5);
	DONE_SO_FAR(&bench, "=done:-5");
	submit_with(&bench, (struct weir_job_config){ .hard_ns = 1 });
	DONE_SO_FAR(&bench, "s0");
	bench.now_ns++;
	DONE_SO_FAR(&bench, "k0");
	die(&bench, 0);
	return_to_life(&bench, 0);
	DONE_SO_FAR(&bench, "s0");
	finish(&bench);
}

static void workers_that_cannot_be_started_break_the_pool(void **state)
{
	struct weir_job *job;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .attempts = 9 }, 2);
	for (int i = 0; i < 3; i++)
		submit(&bench);
	DONE_SO_FAR(&bench, "s0 s1");
	die(&bench, 0);
	jobs_worker_broken(&bench.jobs, 0, "why", bench.now_ns);
	DONE_SO_FAR(&bench, "");
	die(&bench, 1);
	jobs_worker_broken(&bench.jobs, 1, "why", bench.now_ns);
	DONE_SO_FAR(&bench, "=dropped:-125 =dropped:-125 =dropped:-125 !4");
	assert_int_equal(jobs_submit(&bench.jobs, &job, &(struct weir_job_config){ 0 }, bench.now_ns), -ECHILD);
	jobs_close(&bench.jobs);
	DONE_SO_FAR(&bench, "!5");
	finish(&bench);
}

static void answers_that_nobody_waits_for_are_passed_over(void **state)
{
	struct weir_job *job;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .ahead = 1 }, 1);
	assert_int_equal(jobs_reply(&bench.jobs, 0, 77, 0, bench.now_ns, &job), 0); /* no job at all */
	bench.ticket = 0xfffffffe;
	submit(&bench);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0 s0");
	assert_int_equal(jobs_reply(&bench.jobs, 0, 0xfffffffe, 0, bench.now_ns, &job), 0); /* an older call */
	assert_int_equal(jobs_reply(&bench.jobs, 0, 0, 0, bench.now_ns, &job), -EPROTO);    /* the later job first */
	reply(&bench, 0, 7); /* a status above 0 is none */
	reply(&bench, 0, 0);
	DONE_SO_FAR(&bench, "=done:0 =done:0");
	finish(&bench);
}

/* --- and other turns of their lives ------------------------------------------------------------------------------ */

static void a_worker_is_recycled_after_so_many_jobs_and_gets_no_more_ahead(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .ahead = 3, .max_jobs = 2 }, 1);
	for (int i = 0; i < 3; i++)
		submit(&bench);
	DONE_SO_FAR(&bench, "s0 s0");
	reply(&bench, 0, 0);
	DONE_SO_FAR(&bench, "=done:0");
	reply(&bench, 0, 0);
	DONE_SO_FAR(&bench, "=done:0 l0");
	assert_true(jobs_worker_dead(&bench.jobs, 0, true, "stopped", bench.now_ns));
	assert_int_equal(bench.jobs.counters.recycled, 1);
	assert_int_equal(bench.jobs.counters.deaths, 0);
	return_to_life(&bench, 0);
	DONE_SO_FAR(&bench, "s0");
	finish(&bench);
}

static void a_smaller_pool_lets_the_last_workers_leave_when_they_are_idle(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ 0 }, 3);
	for (int i = 0; i < 3; i++)
		submit(&bench);
	DONE_SO_FAR(&bench, "s0 s1 s2");
	bench.jobs.size = 1;
	submit(&bench);
	DONE_SO_FAR(&bench, "");
	reply(&bench, 2, 0);
	DONE_SO_FAR(&bench, "=done:0 l2");
	reply(&bench, 0, 0);
	DONE_SO_FAR(&bench, "=done:0 s0");
	finish(&bench);
}

static void a_worker_that_was_stopped_gets_nothing_more(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ 0 }, 2);
	jobs_worker_ending(&bench.jobs, 0, false);
	submit(&bench);
	submit(&bench);
	DONE_SO_FAR(&bench, "s1");
	die(&bench, 0);
	jobs_worker_gone(&bench.jobs, 0);
	DONE_SO_FAR(&bench, "");
	finish(&bench);
}

static void an_active_worker_gets_no_jobs_and_is_activated_again_after_its_death(void **state)
{
	struct bench bench;
	uint32_t worker;

	setup_with(&bench, (struct weir_pool_config){ 0 }, 1);
	assert_true(jobs_take(&bench.jobs, &worker));
	assert_int_equal(worker, 0);
	assert_false(jobs_take(&bench.jobs, &worker));
	submit(&bench);
	DONE_SO_FAR(&bench, "a0");
	die(&bench, 0);
	DONE_SO_FAR(&bench, "");
	return_to_life(&bench, 0);
	DONE_SO_FAR(&bench, "a0");
	assert_true(jobs_put_back(&bench.jobs, 0));
	DONE_SO_FAR(&bench, "s0");
	assert_false(jobs_take(&bench.jobs, &worker)); /* it has a job */
	finish(&bench);
}

static void a_worker_whose_pipe_is_full_is_tried_again_later(void **state)
{
	struct jobs_action action;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ 0 }, 1);
	submit(&bench);
	jobs_next(&bench.jobs, bench.now_ns, &action);
	assert_int_equal(action.what, JOBS_SEND);
	jobs_sent(&bench.jobs, 0, 7, bench.now_ns);
	jobs_not_sent(&bench.jobs, 0, 1, bench.now_ns);
	assert_int_equal(action.job->begun, 0);
	DONE_SO_FAR(&bench, "");
	bench.now_ns = jobs_due_ns(&bench.jobs);
	DONE_SO_FAR(&bench, "s0");
	finish(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_job_that_ran_is_lost_and_the_others_keep_their_order),
		cmocka_unit_test(a_worker_that_leaves_between_jobs_loses_none),
		cmocka_unit_test(a_lost_job_is_tried_again_as_often_as_is_allowed),
		cmocka_unit_test(what_is_tried_again_is_chosen_by_retry),
		cmocka_unit_test(workers_that_cannot_be_started_break_the_pool),
		cmocka_unit_test(answers_that_nobody_waits_for_are_passed_over),
		cmocka_unit_test(a_worker_is_recycled_after_so_many_jobs_and_gets_no_more_ahead),
		cmocka_unit_test(a_smaller_pool_lets_the_last_workers_leave_when_they_are_idle),
		cmocka_unit_test(a_worker_that_was_stopped_gets_nothing_more),
		cmocka_unit_test(an_active_worker_gets_no_jobs_and_is_activated_again_after_its_death),
		cmocka_unit_test(a_worker_whose_pipe_is_full_is_tried_again_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
