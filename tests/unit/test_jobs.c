/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "jobs.h"

/* A pool without processes: time is a number, and workers do what the test says. */

struct bench {
	struct jobs jobs;
	int64_t now_ns;
	uint32_t ticket;
	char log[4096]; /* what was done, a word for each: s0 sent to worker 0, k killed, l leaves, t told, a activated,
			 * =done:0 reported with its status, !1 event */
};

static void setup_with(struct bench *bench, struct weir_pool_config config, uint32_t workers)
{
	if (config.queue == 0)
		config.queue = 8;
	if (config.attempts == 0)
		config.attempts = 1;
	if (config.retry == 0)
		config.retry = WEIR_RETRY_LOST;
	*bench = (struct bench){ .now_ns = 1000 * CLOCK_S };
	jobs_init(&bench->jobs, &config, workers, bench->now_ns);
	for (uint32_t i = 0; i < workers; i++) {
		jobs_worker_coming(&bench->jobs, i);
		jobs_worker_ready(&bench->jobs, i);
	}
}

static void note(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct bench *bench, const char *format, ...)
{
	size_t used = strlen(bench->log);
	va_list args;

	if (used > 0)
		bench->log[used++] = ' ';
	va_start(args, format);
	vsnprintf(bench->log + used, sizeof(bench->log) - used, format, args);
	va_end(args);
}

static void note_end(struct bench *bench, struct weir_job *job)
{
	note(bench, "=%s:%d", weir_job_end_name((enum weir_job_end)job->end), job->status);
	jobs_free_one(job);
}

/* Does all that is to be done now. */
static void pump(struct bench *bench)
{
	struct jobs_action action;

	for (int i = 0; i < 1000; i++) {
		jobs_next(&bench->jobs, bench->now_ns, &action);
		switch (action.what) {
		case JOBS_NOTHING: return;
		case JOBS_REPORT: note_end(bench, action.job); break;
		case JOBS_SEND:
			note(bench, "s%u", action.worker);
			jobs_sent(&bench->jobs, action.worker, ++bench->ticket, bench->now_ns);
			break;
		case JOBS_TELL: note(bench, "t%u", action.worker); break;
		case JOBS_KILL: note(bench, "k%u", action.worker); break;
		case JOBS_LEAVE: note(bench, "l%u", action.worker); break;
		case JOBS_ACTIVATE: note(bench, "a%u", action.worker); break;
		case JOBS_EVENT: note(bench, "!%d", action.event); break;
		}
	}
	fail_msg("it does not come to rest: %s", bench->log);
}

#define DONE_SO_FAR(bench, text)                                                                                       \
	do {                                                                                                           \
		pump(bench);                                                                                           \
		assert_string_equal((bench)->log, text);                                                               \
		(bench)->log[0] = '\0';                                                                                \
	} while (0)

static struct weir_job *submit_with(struct bench *bench, struct weir_job_config config)
{
	struct weir_job *job = NULL;

	assert_int_equal(jobs_submit(&bench->jobs, &job, &config, bench->now_ns), 0);
	return job;
}

static struct weir_job *submit(struct bench *bench)
{
	return submit_with(bench, (struct weir_job_config){ 0 });
}

/* The worker answers the job that it runs. */
static void reply(struct bench *bench, uint32_t worker, int status)
{
	struct weir_job *first = bench->jobs.worker[worker].sent.first, *job;

	assert_non_null(first);
	if (jobs_reply(&bench->jobs, worker, first->ticket, status, bench->now_ns, &job) == 1)
		note_end(bench, job);
}

static void die(struct bench *bench, uint32_t worker)
{
	jobs_worker_dead(&bench->jobs, worker, false, "killed by SIGTEST", bench->now_ns);
}

static void return_to_life(struct bench *bench, uint32_t worker)
{
	jobs_worker_ready(&bench->jobs, worker);
}

static void finish(struct bench *bench)
{
	const struct weir_pool_counters *count = &bench->jobs.counters;
	uint64_t here = bench->jobs.waiting.count;

	for (uint32_t i = 0; i < bench->jobs.used; i++)
		here += bench->jobs.worker[i].sent.count;
	assert_int_equal(
		count->submitted, here + count->done + count->late + count->lost + count->cancelled + count->dropped);
	assert_int_equal(count->done, count->succeeded + count->failed);
	jobs_finish(&bench->jobs);
}

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

/* --- limits ------------------------------------------------------------------------------------------------------ */

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

/* --- workers ----------------------------------------------------------------------------------------------------- */

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
		cmocka_unit_test(limits_count_from_the_beginning_of_a_job),
		cmocka_unit_test(a_job_has_limits_of_its_own_or_none),
		cmocka_unit_test(an_answer_that_was_quicker_than_the_kill_wins),
		cmocka_unit_test(a_budget_that_is_used_up_stops_the_pool),
		cmocka_unit_test(a_stall_is_said_once_until_a_job_ends),
		cmocka_unit_test(only_the_job_that_ran_is_lost_and_the_others_keep_their_order),
		cmocka_unit_test(a_worker_that_leaves_between_jobs_loses_none),
		cmocka_unit_test(a_lost_job_is_tried_again_as_often_as_is_allowed),
		cmocka_unit_test(what_is_tried_again_is_chosen_by_retry),
		cmocka_unit_test(workers_that_cannot_be_started_break_the_pool),
		cmocka_unit_test(answers_that_nobody_waits_for_are_passed_over),
		cmocka_unit_test(a_cancelled_job_ends_once_wherever_it_is),
		cmocka_unit_test(a_cancelled_job_that_was_sent_is_killed_when_it_begins),
		cmocka_unit_test(a_closed_pool_does_what_waits_and_then_lets_its_workers_leave),
		cmocka_unit_test(a_stopped_pool_drops_what_waits_and_kills_what_runs),
		cmocka_unit_test(a_worker_is_recycled_after_so_many_jobs_and_gets_no_more_ahead),
		cmocka_unit_test(a_smaller_pool_lets_the_last_workers_leave_when_they_are_idle),
		cmocka_unit_test(a_worker_that_was_stopped_gets_nothing_more),
		cmocka_unit_test(an_active_worker_gets_no_jobs_and_is_activated_again_after_its_death),
		cmocka_unit_test(a_worker_whose_pipe_is_full_is_tried_again_later),
		cmocka_unit_test(any_order_of_events_accounts_for_all_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
