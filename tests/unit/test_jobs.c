/* SPDX-License-Identifier: MIT */
#include "jobs_fixture.h"

/* --- the line ---------------------------------------------------------------------------------------------------- */

static void jobs_go_to_idle_workers_in_the_order_of_their_submission(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ 0 }, 2);
	for (int i = 0; i < 3; i++)
		submit(&bench);
	DONE_SO_FAR(&bench, "s0 s1");
	reply(&bench, 1, 0);
	DONE_SO_FAR(&bench, "=done:0 s1");
	reply(&bench, 0, -5);
	reply(&bench, 1, 0);
	DONE_SO_FAR(&bench, "=done:-5 =done:0");
	finish(&bench);
}

static void jobs_are_sent_ahead_only_when_all_have_work(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .ahead = 1 }, 2);
	for (int i = 0; i < 5; i++)
		submit(&bench);
	DONE_SO_FAR(&bench, "s0 s1 s0 s1");
	assert_int_equal(bench.jobs.waiting.count, 1);
	finish(&bench);
}

static void a_full_queue_refuses_and_says_when_half_of_it_is_free(void **state)
{
	struct weir_job *job = (struct weir_job *)state;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .queue = 2 }, 1);
	submit(&bench);
	DONE_SO_FAR(&bench, "s0");
	submit(&bench);
	submit(&bench);
	assert_int_equal(jobs_submit(&bench.jobs, &job, &(struct weir_job_config){ 0 }, bench.now_ns), -EAGAIN);
	assert_ptr_equal(job, state);
	DONE_SO_FAR(&bench, "");
	reply(&bench, 0, 0);
	DONE_SO_FAR(&bench, "=done:0 s0 !1");
	reply(&bench, 0, 0);
	DONE_SO_FAR(&bench, "=done:0 s0");
	assert_int_equal(bench.jobs.counters.refused, 1);
	finish(&bench);
}

static void a_key_is_taken_until_its_job_has_ended(void **state)
{
	struct weir_job_config config = { .key = "a" };
	struct weir_job *job;
	struct bench bench;
	char key[8];

	setup_with(&bench, (struct weir_pool_config){ .queue = 1000 }, 1);
	submit_with(&bench, config);
	assert_int_equal(jobs_submit(&bench.jobs, &job, &config, bench.now_ns), -EEXIST); /* it waits */
	DONE_SO_FAR(&bench, "s0");
	assert_int_equal(jobs_submit(&bench.jobs, &job, &config, bench.now_ns), -EEXIST); /* it runs */
	config.key = "b";
	submit_with(&bench, config);
	reply(&bench, 0, -1);
	config.key = "a";
	submit_with(&bench, config);
	config.key = key;
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		submit_with(&bench, config);
	}
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(jobs_submit(&bench.jobs, &job, &config, bench.now_ns), -EEXIST);
	}
	finish(&bench);
}

static void jobs_of_a_wrong_form_are_refused(void **state)
{
	struct weir_job_config big = { .data = state, .size = WEIR_MESSAGE_BYTES_MAX + 1 };
	struct weir_job_config own_type = { .type = WEIR_COMMAND_FORMAT };
	struct weir_job_config long_key = { 0 };
	char key[300];
	struct weir_job *job;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ 0 }, 1);
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	long_key.key = key;
	assert_int_equal(jobs_submit(&bench.jobs, &job, &big, bench.now_ns), -EMSGSIZE);
	assert_int_equal(jobs_submit(&bench.jobs, &job, &own_type, bench.now_ns), -EINVAL);
	assert_int_equal(jobs_submit(&bench.jobs, &job, &long_key, bench.now_ns), -EINVAL);
	assert_int_equal(bench.jobs.counters.submitted, 0);
	finish(&bench);
}

/* --- cancel, close, stop ----------------------------------------------------------------------------------------- */

static void a_cancelled_job_ends_once_wherever_it_is(void **state)
{
	struct weir_job *running, *sent, *waiting;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .ahead = 1, .attempts = 5 }, 1);
	running = submit(&bench);
	sent = submit(&bench);
	waiting = submit(&bench);
	DONE_SO_FAR(&bench, "s0 s0");
	jobs_cancel(&bench.jobs, waiting, bench.now_ns);
	jobs_cancel(&bench.jobs, sent, bench.now_ns);
	DONE_SO_FAR(&bench, "=cancelled:-125");
	jobs_cancel(&bench.jobs, running, bench.now_ns);
	jobs_cancel(&bench.jobs, running, bench.now_ns);
	DONE_SO_FAR(&bench, "k0");
	die(&bench, 0);
	DONE_SO_FAR(&bench, "=cancelled:-125 =cancelled:-125");
	finish(&bench);
}

static void a_cancelled_job_that_was_sent_is_killed_when_it_begins(void **state)
{
	struct weir_job *sent;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .ahead = 1 }, 1);
	submit(&bench);
	sent = submit(&bench);
	DONE_SO_FAR(&bench, "s0 s0");
	jobs_cancel(&bench.jobs, sent, bench.now_ns);
	reply(&bench, 0, 0);
	DONE_SO_FAR(&bench, "=done:0 k0");
	finish(&bench);
}

static void a_closed_pool_does_what_waits_and_then_lets_its_workers_leave(void **state)
{
	struct weir_job *job;
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .attempts = 2 }, 2);
	for (int i = 0; i < 3; i++)
		submit(&bench);
	jobs_close(&bench.jobs);
	assert_int_equal(jobs_submit(&bench.jobs, &job, &(struct weir_job_config){ 0 }, bench.now_ns), -ESHUTDOWN);
	DONE_SO_FAR(&bench, "s0 s1");
	die(&bench, 0); /* what it had is done again all the same */
	reply(&bench, 1, 0);
	DONE_SO_FAR(&bench, "=done:0 s1");
	reply(&bench, 1, 0);
	DONE_SO_FAR(&bench, "=done:0 s1");
	reply(&bench, 1, 0);
	DONE_SO_FAR(&bench, "=done:0 l0 l1"); /* worker 0 is still being started */
	jobs_worker_gone(&bench.jobs, 0);
	DONE_SO_FAR(&bench, "");
	die(&bench, 1);
	jobs_worker_gone(&bench.jobs, 1);
	DONE_SO_FAR(&bench, "!5");
	DONE_SO_FAR(&bench, "");
	assert_int_equal(bench.jobs.counters.deaths, 1);
	finish(&bench);
}

static void a_stopped_pool_drops_what_waits_and_kills_what_runs(void **state)
{
	struct bench bench;

	setup_with(&bench, (struct weir_pool_config){ .ahead = 1, .attempts = 2 }, 2);
	for (int i = 0; i < 5; i++)
		submit(&bench);
	DONE_SO_FAR(&bench, "s0 s1 s0 s1");
	jobs_stop(&bench.jobs, "enough", bench.now_ns);
	DONE_SO_FAR(&bench, "=dropped:-125 k0 k1");
	die(&bench, 0);
	die(&bench, 1);
	DONE_SO_FAR(&bench, "=dropped:-125 =dropped:-125 =dropped:-125 =dropped:-125 l0 l1");
	finish(&bench);
}

/* Whatever happens in whatever order: all jobs are accounted for, and the machine comes to rest. */
static void any_order_of_events_accounts_for_all_jobs(void **state)
{
	for (unsigned int seed = 1; seed <= 300; seed++) {
		struct weir_job *job;
		struct bench bench;
		unsigned int random = seed;
		uint32_t taken;

		setup_with(&bench,
			(struct weir_pool_config){ .ahead = seed % 4,
				.attempts = 1 + seed % 3,
				.max_jobs = seed % 5,
				.hard_ns = 50,
				.soft_ns = 20,
				.stall_ns = 100,
				.retry = 1 + seed % 7 },
			3);
		for (int i = 0; i < 400; i++) {
			uint32_t worker = (random = random * 1103515245 + 12345) / 65536 % 3;
			struct jobs_worker *one = &bench.jobs.worker[worker];

			bench.now_ns += worker * 7;
			switch ((random = random * 1103515245 + 12345) / 65536 % 10) {
			case 0:
				if (one->state != JOBS_COMING && one->state != JOBS_ABSENT)
					die(&bench, worker);
				break;
			case 1:
				if (one->sent.first != NULL)
					jobs_cancel(&bench.jobs, one->sent.last, bench.now_ns);
				break;
			case 2:
				if (jobs_take(&bench.jobs, &taken) && seed % 2 == 0)
					jobs_put_back(&bench.jobs, taken);
				break;
			case 3: jobs_put_back(&bench.jobs, worker); break;
			case 4:
			case 5:
				if (one->state == JOBS_COMING)
					return_to_life(&bench, worker);
				break;
			case 6:
			case 7:
				if (one->sent.first != NULL)
					reply(&bench, worker, worker == 1 ? -1 : 0);
				break;
			default: jobs_submit(&bench.jobs, &job, &(struct weir_job_config){ 0 }, bench.now_ns);
			}
			pump(&bench);
			bench.log[0] = '\0';
		}
		finish(&bench);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_go_to_idle_workers_in_the_order_of_their_submission),
		cmocka_unit_test(jobs_are_sent_ahead_only_when_all_have_work),
		cmocka_unit_test(a_full_queue_refuses_and_says_when_half_of_it_is_free),
		cmocka_unit_test(a_key_is_taken_until_its_job_has_ended),
		cmocka_unit_test(jobs_of_a_wrong_form_are_refused),
		cmocka_unit_test(a_cancelled_job_ends_once_wherever_it_is),
		cmocka_unit_test(a_cancelled_job_that_was_sent_is_killed_when_it_begins),
		cmocka_unit_test(a_closed_pool_does_what_waits_and_then_lets_its_workers_leave),
		cmocka_unit_test(a_stopped_pool_drops_what_waits_and_kills_what_runs),
		cmocka_unit_test(any_order_of_events_accounts_for_all_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
