/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define FULL_NS (10 * CLOCK_MS)

void jobs_init(struct jobs *jobs, const struct weir_pool_config *config, uint32_t size, int64_t now_ns)
{
	*jobs = (struct jobs){ .config = *config, .size = size, .created_ns = now_ns, .progress_ns = now_ns };
}

static void free_list(struct job_list *list)
{
	while (list->first != NULL) {
		struct weir_job *job = list->first;

		job_list_remove(list, job);
		jobs_free_one(job);
	}
}

void jobs_finish(struct jobs *jobs)
{
	free_list(&jobs->waiting);
	free_list(&jobs->ended);
	for (uint32_t i = 0; i < jobs->used; i++)
		free_list(&jobs->worker[i].sent);
	free(jobs->bucket);
	jobs->bucket = NULL;
	jobs->buckets = jobs->keys = 0;
}

/* --- a job's ways ------------------------------------------------------------------------------------------------ */

static uint64_t count_sent(const struct jobs *jobs)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < jobs->used; i++)
		count += jobs->worker[i].sent.count;
	return count;
}

static void wait_in_line(struct jobs *jobs, struct weir_job *job, bool first)
{
	job->waits = true;
	if (first)
		job_list_add_first(&jobs->waiting, job);
	else
		job_list_add(&jobs->waiting, job);
}

/* The first job of a worker is the one that runs: it begins when the one before is known to have ended. */
static void begin(struct jobs_worker *worker, int64_t now_ns)
{
	struct weir_job *job = worker->sent.first;

	if (job == NULL)
		return;
	job->begun++;
	job->begun_ns = now_ns;
	job->told = job->killed = false;
}

static void settle(struct jobs *jobs, struct weir_job *job, enum weir_job_end end, int status, int64_t now_ns)
{
	static const size_t counter[] = {
		[WEIR_JOB_DONE] = offsetof(struct weir_pool_counters, done),
		[WEIR_JOB_LATE] = offsetof(struct weir_pool_counters, late),
		[WEIR_JOB_LOST] = offsetof(struct weir_pool_counters, lost),
		[WEIR_JOB_CANCELLED] = offsetof(struct weir_pool_counters, cancelled),
		[WEIR_JOB_DROPPED] = offsetof(struct weir_pool_counters, dropped),
	};

	job_key_remove(jobs, job);
	job->end = end;
	job->status = status;
	job->ended_ns = now_ns;
	++*(uint64_t *)((char *)&jobs->counters + counter[end]);
	if (end == WEIR_JOB_DONE)
		++*(status == 0 ? &jobs->counters.succeeded : &jobs->counters.failed);
	jobs->counters.last_end_ns = jobs->progress_ns = now_ns;
	jobs->stall_said = false;
}

static void end_job(struct jobs *jobs, struct weir_job *job, enum weir_job_end end, const char *reason, int64_t now_ns)
{
	int status = end == WEIR_JOB_LATE ? -ETIMEDOUT : end == WEIR_JOB_LOST ? -ENOTCONN : -ECANCELED;

	settle(jobs, job, end, status, now_ns);
	if (reason != job->reason)
		snprintf(job->reason, sizeof(job->reason), "%s", reason);
	job_list_add(&jobs->ended, job);
}

static bool try_again(struct jobs *jobs, struct weir_job *job, enum weir_retry after)
{
	if (jobs->stopped || job->cancelled || (job->config.retry & (uint32_t)after) == 0 ||
		job->begun >= job->config.attempts)
		return false;
	jobs->counters.retried++;
	wait_in_line(jobs, job, false);
	return true;
}

static void drop_waiting(struct jobs *jobs, int64_t now_ns)
{
	while (jobs->waiting.first != NULL) {
		struct weir_job *job = jobs->waiting.first;

		job_list_remove(&jobs->waiting, job);
		job->waits = false;
		end_job(jobs, job, WEIR_JOB_DROPPED, jobs->reason, now_ns);
	}
}

/* --- what the program wants -------------------------------------------------------------------------------------- */

bool jobs_are_full(const struct jobs *jobs)
{
	return jobs->waiting.count >= jobs->config.queue && !jobs->broken && !jobs->closed;
}

int jobs_submit(struct jobs *jobs, struct weir_job **job, const struct weir_job_config *config, int64_t now_ns)
{
	struct weir_job *made;
	int r;

	if (jobs->broken || jobs->closed)
		return jobs->broken ? -ECHILD : -ESHUTDOWN;
	if (jobs_are_full(jobs)) {
		jobs->room_wanted = true;
		jobs->counters.refused++;
		return -EAGAIN;
	}
	r = job_make(&made, jobs, config);
	if (r < 0)
		return r;
	if (job_with_key(jobs, made) != NULL) {
		jobs->counters.refused++;
		r = -EEXIST;
		goto fail;
	}
	r = job_key_add(jobs, made);
	if (r < 0)
		goto fail;
	/* What stood still for want of work did not stall. */
	if (jobs->waiting.count == 0 && count_sent(jobs) == 0)
		jobs->progress_ns = now_ns;
	made->submitted_ns = now_ns;
	jobs->counters.submitted++;
	wait_in_line(jobs, made, false);
	*job = made;
	return 0;
fail:
	jobs_free_one(made);
	return r;
}

void jobs_cancel(struct jobs *jobs, struct weir_job *job, int64_t now_ns)
{
	job->cancelled = true; /* one that runs is found by jobs_next(), one that was sent when it begins */
	if (!job->waits)
		return;
	job_list_remove(&jobs->waiting, job);
	job->waits = false;
	end_job(jobs, job, WEIR_JOB_CANCELLED, "cancelled", now_ns);
}

void jobs_close(struct jobs *jobs)
{
	jobs->closed = true;
}

void jobs_stop(struct jobs *jobs, const char *reason, int64_t now_ns)
{
	if (jobs->stopped)
		return;
	jobs->closed = jobs->stopped = true;
	snprintf(jobs->reason, sizeof(jobs->reason), "%s", reason);
	drop_waiting(jobs, now_ns);
}

bool jobs_take(struct jobs *jobs, uint32_t *worker)
{
	for (uint32_t i = 0; i < jobs->size; i++) {
		struct jobs_worker *one = &jobs->worker[i];

		if (one->state != JOBS_READY || one->taken || one->recycle || one->sent.count > 0)
			continue;
		one->taken = true;
		*worker = i;
		return true;
	}
	return false;
}

bool jobs_put_back(struct jobs *jobs, uint32_t worker)
{
	struct jobs_worker *one = &jobs->worker[worker];
	bool tell = one->taken && one->activated && one->state == JOBS_READY;

	one->taken = one->activated = false;
	return tell;
}

/* --- what workers do --------------------------------------------------------------------------------------------- */

void jobs_worker_coming(struct jobs *jobs, uint32_t worker)
{
	jobs->worker[worker].state = JOBS_COMING;
	if (worker >= jobs->used)
		jobs->used = worker + 1;
}

void jobs_worker_ready(struct jobs *jobs, uint32_t worker)
{
	jobs->worker[worker].state = JOBS_READY;
	jobs->broken = jobs->broken_said = false;
}

void jobs_worker_ending(struct jobs *jobs, uint32_t worker, bool killed)
{
	enum jobs_worker_state *state = &jobs->worker[worker].state;

	if (*state == JOBS_READY || *state == JOBS_COMING)
		*state = killed ? JOBS_KILLED : JOBS_LEAVING;
}

/* Its jobs that had not begun go back to the head of the line; the one that ran ends, or tries again. */
static void return_jobs(
	struct jobs *jobs, struct jobs_worker *worker, bool in_order, const char *reason, int64_t now_ns)
{
	if (in_order && worker->sent.first != NULL)
		worker->sent.first->begun--;
	while (worker->sent.last != NULL) {
		struct weir_job *job = worker->sent.last;
		bool ran = job == worker->sent.first && !in_order;
		enum weir_job_end end = ran && job->killed ? job->end : WEIR_JOB_LOST;

		job_list_remove(&worker->sent, job);
		if (ran && !job->killed)
			snprintf(job->reason, sizeof(job->reason), "its worker died: %s", reason);
		if (jobs->stopped && !ran)
			end_job(jobs, job, WEIR_JOB_DROPPED, jobs->reason, now_ns);
		else if (job->cancelled && !ran)
			end_job(jobs, job, WEIR_JOB_CANCELLED, "cancelled", now_ns);
		else if (!ran)
			wait_in_line(jobs, job, true);
		else if ((end != WEIR_JOB_LATE && end != WEIR_JOB_LOST) ||
			 !try_again(jobs, job, end == WEIR_JOB_LATE ? WEIR_RETRY_LATE : WEIR_RETRY_LOST))
			end_job(jobs, job, end, job->reason, now_ns);
	}
}

bool jobs_worker_dead(struct jobs *jobs, uint32_t worker, bool in_order, const char *reason, int64_t now_ns)
{
	struct jobs_worker *one = &jobs->worker[worker];
	bool worked = (one->sent.count > 0 && !in_order) || one->done > 0;

	if (one->state == JOBS_LEAVING && one->recycle)
		jobs->counters.recycled++;
	else if (one->state != JOBS_LEAVING)
		jobs->counters.deaths++;
	return_jobs(jobs, one, in_order, reason, now_ns);
	*one = (struct jobs_worker){ .state = JOBS_COMING, .taken = one->taken };
	return worked;
}

void jobs_worker_gone(struct jobs *jobs, uint32_t worker)
{
	jobs->worker[worker].state = JOBS_ABSENT;
	jobs->worker[worker].taken = false;
}

void jobs_worker_broken(struct jobs *jobs, uint32_t worker, const char *reason, int64_t now_ns)
{
	jobs_worker_gone(jobs, worker);
	jobs->worker[worker].state = JOBS_BROKEN;
	for (uint32_t i = 0; i < jobs->size; i++)
		if (jobs->worker[i].state != JOBS_BROKEN && jobs->worker[i].state != JOBS_ABSENT)
			return;
	jobs->broken = true;
	if (!jobs->stopped)
		snprintf(jobs->reason, sizeof(jobs->reason), "no worker can be kept alive: %s", reason);
	drop_waiting(jobs, now_ns);
}

void jobs_sent(struct jobs *jobs, uint32_t worker, uint32_t ticket, int64_t now_ns)
{
	struct jobs_worker *one = &jobs->worker[worker];
	struct weir_job *job = jobs->waiting.first;

	job_list_remove(&jobs->waiting, job);
	job->waits = false;
	job->ticket = ticket;
	job->worker = (int)worker;
	job_list_add(&one->sent, job);
	if (one->sent.count == 1)
		begin(one, now_ns);
}

void jobs_not_sent(struct jobs *jobs, uint32_t worker, uint32_t count, int64_t now_ns)
{
	struct jobs_worker *one = &jobs->worker[worker];

	one->full_until_ns = now_ns + FULL_NS;
	for (; count > 0; count--) {
		struct weir_job *job = one->sent.last;

		if (job == one->sent.first)
			job->begun--;
		job_list_remove(&one->sent, job);
		wait_in_line(jobs, job, true);
	}
}

int jobs_reply(struct jobs *jobs, uint32_t worker, uint32_t ticket, int status, int64_t now_ns, struct weir_job **job)
{
	struct jobs_worker *one = &jobs->worker[worker];
	struct weir_job *first = one->sent.first;

	/* It does what it is told in the order in which it is told. An answer to something else, a call that nobody
	 * waits for any more, is older than the job. */
	if (first == NULL || (int32_t)(ticket - first->ticket) < 0)
		return 0;
	if (ticket != first->ticket)
		return -EPROTO;
	job_list_remove(&one->sent, first);
	one->full_until_ns = 0;
	one->done++;
	if (jobs->config.max_jobs > 0 && one->done >= jobs->config.max_jobs)
		one->recycle = true;
	begin(one, now_ns);
	if (status < 0 && try_again(jobs, first, WEIR_RETRY_FAILED))
		return 0;
	settle(jobs, first, WEIR_JOB_DONE, status < 0 ? status : 0, now_ns);
	first->reason[0] = '\0';
	*job = first;
	return 1;
}
