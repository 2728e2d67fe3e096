/* SPDX-License-Identifier: MIT */
#include "pool_backends.h"

#define MS (SECOND / 1000)

static bool has_event(const struct crew *crew, enum weir_pool_event event)
{
	return (crew->events & 1u << event) != 0;
}

/* --- jobs and results -------------------------------------------------------------------------------------------- */

static void each_job_of_a_map_ends_with_its_own_result(void **state)
{
	struct crew *crew = *state;
	struct weir_job_config jobs[200];
	char text[200][32];
	size_t failed = 99;

	crew_create(crew, (struct weir_pool_config){ .workers = 2, .ahead = 3, .queue = 7 });
	for (size_t i = 0; i < 200; i++) {
		snprintf(text[i], sizeof(text[i]), i % 50 == 49 ? "fail 5" : "echo %zu", i);
		jobs[i] = (struct weir_job_config){
			.data = text[i], .size = strlen(text[i]) + 1, .user = (void *)(uintptr_t)i
		};
	}
	assert_int_equal(weir_pool_map(crew->pool, jobs, 200, &failed, now_ns() + PATIENCE_S * SECOND), 0);
	assert_int_equal(failed, 4);
	assert_int_equal(crew->ended, 200);
	for (size_t i = 0; i < 200; i++) {
		const struct outcome *outcome = &crew->outcome[i];

		assert_int_equal(outcome->end, WEIR_JOB_DONE);
		if (outcome->user % 50 == 49)
			assert_int_equal(outcome->status, -5);
		else
			assert_string_equal(outcome->text, text[outcome->user]);
	}
}

static void a_map_that_takes_too_long_returns_and_its_jobs_go_on(void **state)
{
	struct crew *crew = *state;
	const struct weir_job_config jobs[] = { { .data = "sleep 300", .size = 10 }, { .data = "pid", .size = 4 } };
	size_t failed = 99;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	assert_int_equal(weir_pool_map(crew->pool, jobs, 2, &failed, now_ns() + 50 * MS), -ETIMEDOUT);
	assert_int_equal(failed, 99);
	crew_await(crew, 2);
	assert_int_equal(weir_pool_map(crew->pool, jobs + 1, 1, &failed, now_ns() + PATIENCE_S * SECOND), 0);
	assert_int_equal(failed, 0);
}

/* Here a timer is always due. */
static void a_deadline_holds_even_if_something_happens_all_the_time(void **state)
{
	struct weir_frontend_config busy = { .tick_ns = 1 };
	const struct weir_job_config job = { .data = "sleep 2000", .size = 11 };
	struct crew *crew = *state;

	weir_frontend_free(&crew->fixture->frontend);
	assert_int_equal(weir_frontend_create(&crew->fixture->frontend, &busy), 0);
	crew_create(crew, (struct weir_pool_config){ .workers = 1, .queue = 1 });
	crew_do(crew, "pid");
	assert_int_equal(weir_pool_map(crew->pool, &job, 1, NULL, now_ns() + 50 * MS), -ETIMEDOUT);
	crew_submit(crew, "pid");
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &job, now_ns() + 50 * MS), -ETIMEDOUT);
	weir_pool_close(crew->pool);
	assert_int_equal(weir_pool_join(crew->pool, now_ns() + 50 * MS), -ETIMEDOUT);
	assert_int_equal(crew->ended, 1);
	weir_pool_stop(crew->pool);
	assert_int_equal(weir_pool_join(crew->pool, now_ns() + PATIENCE_S * SECOND), 0);
}

static void workers_are_kept_from_job_to_job(void **state)
{
	struct crew *crew = *state;
	char pid[64];

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	snprintf(pid, sizeof(pid), "%s", crew_do(crew, "pid")->text);
	assert_int_equal(crew->outcome[0].worker_pid, atoi(pid));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(crew_do(crew, "fail 3")->status, -3); /* a failure is nothing to die of */
		assert_string_equal(crew_do(crew, "pid")->text, pid);
	}
	assert_int_equal(crew_counters(crew).deaths, 0);
	assert_int_equal(crew_counters(crew).failed, 5);
}

static void a_full_queue_lets_the_submitter_wait(void **state)
{
	struct weir_job_config config = { .data = "sleep 100", .size = 10 };
	struct crew *crew = *state;
	struct weir_job *hanging;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .queue = 1 });
	crew_do(crew, "pid");
	hanging = crew_submit(crew, "hang");
	UNTIL(crew->fixture, crew_counters(crew).sent == 1);
	crew_submit(crew, "pid");
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, 0), -EAGAIN);
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, now_ns() + 50 * MS), -ETIMEDOUT);
	assert_int_equal(crew_counters(crew).submitted, 3);
	weir_pool_cancel(crew->pool, hanging);
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, now_ns() + PATIENCE_S * SECOND), 0);
	assert_int_equal(crew_counters(crew).refused, 2); /* what got in after a while was not */
	crew_await(crew, 4);
	assert_true(has_event(crew, WEIR_POOL_ROOM));
}

static void submit_from_callback(struct crew *crew, const struct weir_job_result *result)
{
	struct weir_job_config config = { .data = "pid", .size = 4 };

	if (crew->ended > 1)
		return;
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, now_ns() + SECOND), 0);
	/* The queue has room for one; and waiting is not possible here. */
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, now_ns() + SECOND), -EAGAIN);
	assert_int_equal(weir_pool_map(crew->pool, &config, 1, NULL, 0), -EDEADLK);
	weir_pool_close(crew->pool);
	assert_int_equal(weir_pool_join(crew->pool, now_ns()), -EDEADLK);
}

static void callbacks_may_submit_but_not_wait(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .queue = 1 });
	crew->hook = submit_from_callback;
	crew_submit(crew, "pid");
	crew_await(crew, 2);
	crew->hook = NULL;
	assert_int_equal(weir_pool_join(crew->pool, now_ns() + PATIENCE_S * SECOND), 0);
	assert_int_equal(crew->ended, 2);
}

static void a_job_whose_key_waits_or_runs_is_refused(void **state)
{
	struct weir_job_config config = { .data = "pid", .size = 4, .key = "one" };
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	crew_submit_with(crew, "sleep 50", (struct weir_job_config){ .key = "one" });
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, 0), -EEXIST);
	crew_await(crew, 1);
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, 0), 0);
	crew_await(crew, 2);
}

/* --- deaths and limits ------------------------------------------------------------------------------------------- */

static void a_death_loses_the_job_that_ran_and_says_why(void **state)
{
	struct crew *crew = *state;
	char pid[64];
	const struct outcome *outcome;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	snprintf(pid, sizeof(pid), "%s", crew_do(crew, "pid")->text);
	outcome = crew_do(crew, "signal 11");
	assert_int_equal(outcome->end, WEIR_JOB_LOST);
	assert_int_equal(outcome->status, -ENOTCONN);
	ASSERT_HAS(outcome->reason, "SIGSEGV");
	outcome = crew_do(crew, "pid");
	assert_int_equal(outcome->status, 0);
	assert_string_not_equal(outcome->text, pid);
	assert_int_equal(crew_counters(crew).deaths, 1);
}

static void deaths_from_jobs_do_not_wear_out_a_worker(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	for (int i = 0; i < 20; i++) /* the default intensity is 5 in 10 s */
		assert_int_equal(crew_do(crew, "signal 9")->end, WEIR_JOB_LOST);
	assert_int_equal(crew_do(crew, "pid")->status, 0);
}

static void what_a_dead_worker_had_answered_is_not_lost(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .ahead = 2 });
	crew_submit(crew, "echo 1");
	crew_submit(crew, "answer-signal 9");
	crew_submit(crew, "echo 2"); /* is done in the next process, or it had begun and is lost too */
	crew_await(crew, 3);
	assert_int_equal(crew->outcome[1].end, WEIR_JOB_DONE);
	assert_string_equal(crew->outcome[1].text, "answer-signal 9");
	assert_int_equal(crew_counters(crew).submitted, 3);
	assert_int_equal(crew_counters(crew).deaths, 1);
}

static void a_job_that_kills_is_tried_again_only_so_often(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 2, .attempts = 3 });
	crew_submit(crew, "signal 9");
	crew_submit(crew, "fail 4"); /* not lost: not tried again */
	crew_await(crew, 2);
	for (size_t i = 0; i < 2; i++) {
		bool lost = crew->outcome[i].end == WEIR_JOB_LOST;

		assert_int_equal(crew->outcome[i].attempts, lost ? 3 : 1);
	}
	assert_int_equal(crew_counters(crew).retried, 2);
	assert_int_equal(crew_counters(crew).deaths, 3);
}

static void a_job_over_its_limit_is_killed_and_its_worker_replaced(const char *job, struct crew *crew)
{
	const struct outcome *outcome;
	char pid[64];

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .hard_ns = 100 * MS });
	snprintf(pid, sizeof(pid), "%s", crew_do(crew, "pid")->text);
	outcome = crew_do(crew, job);
	assert_int_equal(outcome->end, WEIR_JOB_LATE);
	assert_int_equal(outcome->status, -ETIMEDOUT);
	ASSERT_HAS(outcome->reason, "limit of 0.1 s");
	assert_true(outcome->ran_ns >= 100 * MS);
	assert_true(is_gone(atoi(pid)));
	assert_string_not_equal(crew_do(crew, "pid")->text, pid);
}

static void a_hanging_job_is_killed_at_its_limit(void **state)
{
	a_job_over_its_limit_is_killed_and_its_worker_replaced("hang", *state);
}

/* Row 5 of the fault matrix. */
static void a_stopped_worker_is_killed_at_the_limit_of_its_job(void **state)
{
	a_job_over_its_limit_is_killed_and_its_worker_replaced("stop", *state);
}

static void time_in_the_queue_does_not_count(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .ahead = 2, .hard_ns = SECOND });
	for (int i = 0; i < 4; i++) /* the last one ends 1.1 s after it was sent */
		crew_submit(crew, "sleep 370");
	crew_await(crew, 4);
	assert_int_equal(crew_counters(crew).succeeded, 4);
}

static void a_job_is_told_at_its_soft_limit_and_may_end_in_order(void **state)
{
	struct crew *crew = *state;
	const struct outcome *outcome;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .soft_ns = 50 * MS, .hard_ns = 9 * SECOND });
	outcome = crew_do(crew, "patient");
	assert_int_equal(outcome->end, WEIR_JOB_DONE);
	assert_string_equal(outcome->text, "late");
	assert_int_equal(crew_do(crew, "late?")->status, 0); /* the next one is not */
	assert_int_equal(crew_counters(crew).told, 1);
	assert_int_equal(crew_counters(crew).deaths, 0);
}

static void a_running_job_is_cancelled_with_its_worker(void **state)
{
	struct crew *crew = *state;
	struct weir_job *running, *waiting;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	running = crew_submit(crew, "hang");
	waiting = crew_submit(crew, "echo no");
	UNTIL(crew->fixture, crew_counters(crew).sent == 1);
	weir_pool_cancel(crew->pool, waiting);
	weir_pool_cancel(crew->pool, running);
	crew_await(crew, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(crew->outcome[i].end, WEIR_JOB_CANCELLED);
	assert_int_equal(crew_do(crew, "pid")->status, 0);
	assert_int_equal(crew_counters(crew).deaths, 1);
}

static void a_worker_that_answers_what_was_not_asked_is_ended(void **state)
{
	struct crew *crew = *state;
	const struct outcome *outcome;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .ahead = 1 });
	outcome = crew_do(crew, "forge");
	assert_int_equal(outcome->end, WEIR_JOB_LOST);
	ASSERT_HAS(outcome->reason, "protocol error");
	assert_int_equal(crew_do(crew, "pid")->status, 0);
}

static void a_stall_is_noticed(void **state)
{
	struct crew *crew = *state;
	struct weir_job *job;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .stall_ns = 50 * MS });
	job = crew_submit(crew, "hang");
	UNTIL(crew->fixture, has_event(crew, WEIR_POOL_STALLED));
	weir_pool_cancel(crew->pool, job);
	crew_await(crew, 1);
}

static void a_budget_ends_everything(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .budget_ns = 200 * MS });
	assert_true(crew_counters(crew).budget_left_ns <= 200 * MS);
	crew_submit(crew, "hang");
	crew_submit(crew, "pid");
	UNTIL(crew->fixture, has_event(crew, WEIR_POOL_FINISHED));
	assert_true(has_event(crew, WEIR_POOL_BUDGET));
	assert_int_equal(crew->ended, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(crew->outcome[i].end, WEIR_JOB_DROPPED);
		ASSERT_HAS(crew->outcome[i].reason, "budget of 0.2 s");
	}
}

static void workers_that_cannot_start_fail_the_pool(void **state)
{
	struct weir_job_config config = { 0 };
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 2, .args = "broken" });
	crew_submit(crew, "pid");
	UNTIL(crew->fixture, has_event(crew, WEIR_POOL_FAILED));
	ASSERT_HAS(crew->reason, "could not start");
	assert_int_equal(crew->ended, 1);
	assert_int_equal(crew->outcome[0].end, WEIR_JOB_DROPPED);
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, 0), -ECHILD);
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &labourer, NULL };
	const struct weir_init_config init = { .backends = backends };
#define CREW(test) cmocka_unit_test_setup_teardown(test, crew_setup, crew_teardown)
	const struct CMUnitTest tests[] = {
		CREW(each_job_of_a_map_ends_with_its_own_result),
		CREW(a_map_that_takes_too_long_returns_and_its_jobs_go_on),
		CREW(a_deadline_holds_even_if_something_happens_all_the_time),
		CREW(workers_are_kept_from_job_to_job),
		CREW(a_full_queue_lets_the_submitter_wait),
		CREW(callbacks_may_submit_but_not_wait),
		CREW(a_job_whose_key_waits_or_runs_is_refused),
		CREW(a_death_loses_the_job_that_ran_and_says_why),
		CREW(deaths_from_jobs_do_not_wear_out_a_worker),
		CREW(what_a_dead_worker_had_answered_is_not_lost),
		CREW(a_job_that_kills_is_tried_again_only_so_often),
		CREW(a_hanging_job_is_killed_at_its_limit),
		CREW(a_stopped_worker_is_killed_at_the_limit_of_its_job),
		CREW(time_in_the_queue_does_not_count),
		CREW(a_job_is_told_at_its_soft_limit_and_may_end_in_order),
		CREW(a_running_job_is_cancelled_with_its_worker),
		CREW(a_worker_that_answers_what_was_not_asked_is_ended),
		CREW(a_stall_is_noticed),
		CREW(a_budget_ends_everything),
		CREW(workers_that_cannot_start_fail_the_pool),
	};

	if (weir_init(&init) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
