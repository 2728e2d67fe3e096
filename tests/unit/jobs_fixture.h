/* SPDX-License-Identifier: MIT */
#ifndef JOBS_FIXTURE_H
#define JOBS_FIXTURE_H

/* A pool without processes: time is a number, and workers do what the test says. */

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "jobs.h"

struct bench {
	struct jobs jobs;
	int64_t now_ns;
	uint32_t ticket;
	char log[4096]; /* what was done, a word for each: s0 sent to worker 0, k killed, l leaves, t told, a activated,
			 * =done:0 reported with its status, !1 event */
};

static inline void setup_with(struct bench *bench, struct weir_pool_config config, uint32_t workers)
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

static inline void note(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void note(struct bench *bench, const char *format, ...)
{
	size_t used = strlen(bench->log);
	va_list args;

	if (used > 0)
		bench->log[used++] = ' ';
	va_start(args, format);
	vsnprintf(bench->log + used, sizeof(bench->log) - used, format, args);
	va_end(args);
}

static inline void note_end(struct bench *bench, struct weir_job *job)
{
	note(bench, "=%s:%d", weir_job_end_name((enum weir_job_end)job->end), job->status);
	jobs_free_one(job);
}

/* Does all that is to be done now. */
static inline void pump(struct bench *bench)
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

static inline struct weir_job *submit_with(struct bench *bench, struct weir_job_config config)
{
	struct weir_job *job = NULL;

	assert_int_equal(jobs_submit(&bench->jobs, &job, &config, bench->now_ns), 0);
	return job;
}

static inline struct weir_job *submit(struct bench *bench)
{
	return submit_with(bench, (struct weir_job_config){ 0 });
}

/* The worker answers the job that it runs. */
static inline void reply(struct bench *bench, uint32_t worker, int status)
{
	struct weir_job *first = bench->jobs.worker[worker].sent.first, *job;

	assert_non_null(first);
	if (jobs_reply(&bench->jobs, worker, first->ticket, status, bench->now_ns, &job) == 1)
		note_end(bench, job);
}

static inline void die(struct bench *bench, uint32_t worker)
{
	jobs_worker_dead(&bench->jobs, worker, false, "killed by SIGTEST", bench->now_ns);
}

static inline void return_to_life(struct bench *bench, uint32_t worker)
{
	jobs_worker_ready(&bench->jobs, worker);
}

static inline void finish(struct bench *bench)
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

#endif
