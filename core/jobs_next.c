/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include <stdio.h>

#include "clock.h"

/* What is to be done next. One thing at a time, because each changes what follows. */

static bool has_passed(int64_t begun_ns, int64_t limit_ns, int64_t now_ns)
{
	return limit_ns > 0 && now_ns - begun_ns >= limit_ns;
}

static void condemn(struct weir_job *job, enum weir_job_end end, const char *reason)
{
	job->killed = true;
	job->end = end;
	snprintf(job->reason, sizeof(job->reason), "%s", reason);
}

/* True: the job that runs there is to end now, or to be told. */
static bool judge(struct jobs *jobs, uint32_t i, int64_t now_ns, struct jobs_action *action)
{
	struct weir_job *job = jobs->worker[i].sent.first;
	char late[64];

	if (jobs->worker[i].state != JOBS_READY || job == NULL)
		return false;
	if (job->cancelled) {
		condemn(job, WEIR_JOB_CANCELLED, "cancelled");
	} else if (jobs->stopped) {
		condemn(job, WEIR_JOB_DROPPED, jobs->reason);
	} else if (has_passed(job->begun_ns, job->config.hard_ns, now_ns)) {
		snprintf(late, sizeof(late), "over its limit of %.3g s", (double)job->config.hard_ns / 1e9);
		condemn(job, WEIR_JOB_LATE, late);
	} else if (!job->told && has_passed(job->begun_ns, job->config.soft_ns, now_ns)) {
		job->told = true;
		jobs->counters.told++;
		*action = (struct jobs_action){ .what = JOBS_TELL, .worker = i, .job = job };
		return true;
	} else {
		return false;
	}
	jobs->worker[i].state = JOBS_KILLED;
	*action = (struct jobs_action){ .what = JOBS_KILL, .worker = i, .job = job, .reason = job->reason };
	return true;
}

static bool is_over(const struct jobs *jobs)
{
	if (!jobs->closed || jobs->waiting.count > 0)
		return false;
	for (uint32_t i = 0; i < jobs->used; i++)
		if (jobs->worker[i].sent.count > 0)
			return false;
	return true;
}

/* True: the worker is to leave, or to be activated. */
static bool move(struct jobs *jobs, uint32_t i, bool over, struct jobs_action *action)
{
	struct jobs_worker *worker = &jobs->worker[i];
	bool idle = worker->state == JOBS_READY && worker->sent.count == 0;

	action->worker = i;
	if ((worker->state == JOBS_COMING && (over || i >= jobs->size)) ||
		(idle && (over || (!worker->taken && (worker->recycle || i >= jobs->size))))) {
		worker->state = JOBS_LEAVING;
		action->what = JOBS_LEAVE;
		return true;
	}
	if (idle && worker->taken && !worker->activated) {
		worker->activated = true;
		action->what = JOBS_ACTIVATE;
		return true;
	}
	return false;
}

static bool may_have(const struct jobs *jobs, struct jobs_worker *worker, int64_t now_ns)
{
	uint32_t room = 1 + jobs->config.ahead;

	if (now_ns >= worker->full_until_ns)
		worker->full_until_ns = 0;
	if (worker->state != JOBS_READY || worker->taken || worker->recycle || worker->full_until_ns > 0)
		return false;
	if (jobs->config.max_jobs > 0 && jobs->config.max_jobs - worker->done < room)
		room = jobs->config.max_jobs - worker->done;
	return worker->sent.count < room;
}

static bool send(struct jobs *jobs, int64_t now_ns, struct jobs_action *action)
{
	int best = -1;

	if (jobs->waiting.count == 0)
		return false;
	for (uint32_t i = 0; i < jobs->size && i < jobs->used; i++)
		if (may_have(jobs, &jobs->worker[i], now_ns) &&
			(best < 0 || jobs->worker[i].sent.count < jobs->worker[best].sent.count))
			best = (int)i;
	if (best < 0)
		return false;
	*action = (struct jobs_action){ .what = JOBS_SEND, .worker = (uint32_t)best, .job = jobs->waiting.first };
	return true;
}

static bool is_stalled(const struct jobs *jobs, int64_t now_ns)
{
	bool work = jobs->waiting.count > 0;

	if (jobs->stall_said || !has_passed(jobs->progress_ns, jobs->config.stall_ns, now_ns))
		return false;
	for (uint32_t i = 0; i < jobs->used && !work; i++)
		work = jobs->worker[i].sent.count > 0;
	return work;
}

static bool has_left(const struct jobs *jobs)
{
	for (uint32_t i = 0; i < jobs->used; i++)
		if (jobs->worker[i].state != JOBS_ABSENT && jobs->worker[i].state != JOBS_BROKEN)
			return false;
	return true;
}

static bool tell(struct jobs_action *action, enum weir_pool_event event, const char *reason)
{
	*action = (struct jobs_action){ .what = JOBS_EVENT, .event = event, .reason = reason };
	return true;
}

static bool announce(struct jobs *jobs, bool over, int64_t now_ns, struct jobs_action *action)
{
	if (!over && !jobs->stopped && has_passed(jobs->created_ns, jobs->config.budget_ns, now_ns)) {
		char reason[64];

		snprintf(reason, sizeof(reason), "the budget of %.3g s is used up",
			(double)jobs->config.budget_ns / 1e9);
		jobs_stop(jobs, reason, now_ns);
		return tell(action, WEIR_POOL_BUDGET, jobs->reason);
	}
	if (jobs->broken && !jobs->broken_said) {
		jobs->broken_said = true;
		return tell(action, WEIR_POOL_FAILED, jobs->reason);
	}
	if (jobs->room_wanted && !jobs->closed && jobs->waiting.count <= jobs->config.queue / 2) {
		jobs->room_wanted = false;
		return tell(action, WEIR_POOL_ROOM, "");
	}
	if (is_stalled(jobs, now_ns)) {
		jobs->stall_said = true;
		return tell(action, WEIR_POOL_STALLED, "");
	}
	if (over && !jobs->finished && jobs->ended.count == 0 && has_left(jobs)) {
		jobs->finished = true;
		return tell(action, WEIR_POOL_FINISHED, jobs->reason);
	}
	return false;
}

void jobs_next(struct jobs *jobs, int64_t now_ns, struct jobs_action *action)
{
	bool over;

	*action = (struct jobs_action){ .what = JOBS_NOTHING };
	if (jobs->ended.first != NULL) {
		action->what = JOBS_REPORT;
		action->job = jobs->ended.first;
		job_list_remove(&jobs->ended, action->job);
		return;
	}
	over = is_over(jobs);
	if (announce(jobs, over, now_ns, action))
		return;
	for (uint32_t i = 0; i < jobs->used; i++)
		if (judge(jobs, i, now_ns, action) || move(jobs, i, over, action))
			return;
	send(jobs, now_ns, action);
}

static void sooner(int64_t *due_ns, int64_t begun_ns, int64_t limit_ns)
{
	int64_t end_ns = clock_after(begun_ns, limit_ns);

	if (limit_ns > 0 && end_ns < *due_ns)
		*due_ns = end_ns;
}

int64_t jobs_due_ns(const struct jobs *jobs)
{
	int64_t due_ns = CLOCK_NEVER;
	bool work = jobs->waiting.count > 0;

	if (jobs->ended.count > 0)
		return 0;
	for (uint32_t i = 0; i < jobs->used; i++) {
		const struct jobs_worker *worker = &jobs->worker[i];
		const struct weir_job *job = worker->sent.first;

		work |= job != NULL;
		if (worker->full_until_ns > 0 && jobs->waiting.count > 0)
			sooner(&due_ns, 0, worker->full_until_ns);
		if (job == NULL || worker->state != JOBS_READY)
			continue;
		sooner(&due_ns, job->begun_ns, job->config.hard_ns);
		if (!job->told)
			sooner(&due_ns, job->begun_ns, job->config.soft_ns);
	}
	if (!jobs->stopped && !is_over(jobs))
		sooner(&due_ns, jobs->created_ns, jobs->config.budget_ns);
	if (work && !jobs->stall_said)
		sooner(&due_ns, jobs->progress_ns, jobs->config.stall_ns);
	return due_ns;
}
