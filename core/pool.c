/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include <weir/log.h>

#include "clock.h"

/* The hands of a pool: what jobs_next() says is done here, and what children do is told to jobs.c. */

void pool_kick(struct weir_pool *pool)
{
	pool->timer.due_ns = 0;
	loop_timers_changed(pool->frontend->loop);
}

/* --- telling the program ----------------------------------------------------------------------------------------- */

static void report(struct weir_pool *pool, struct weir_job *job, const struct weir_message *reply)
{
	struct weir_job_result result = {
		.job = job,
		.user = job->config.user,
		.key = job->config.key,
		.end = job->end,
		.status = job->status,
		.reason = job->reason,
		.data = reply != NULL ? reply->data : NULL,
		.size = reply != NULL ? reply->size : 0,
		.worker = job->begun > 0 ? pool->worker[job->worker].child : NULL,
		.attempts = job->begun,
		.waited_ns = (job->begun > 0 ? job->begun_ns : job->ended_ns) - job->submitted_ns,
		.ran_ns = job->begun > 0 ? job->ended_ns - job->begun_ns : 0,
	};

	if (job->map != 0 && job->map == pool->map_number) {
		pool->map_pending--;
		pool->map_failed += job->status != 0;
	}
	if (pool->jobs.config.ended != NULL)
		pool->jobs.config.ended(pool->jobs.config.data, &result);
	jobs_free_one(job);
}

static void tell(struct weir_pool *pool, const struct jobs_action *action)
{
	if (pool->jobs.config.event != NULL)
		pool->jobs.config.event(pool->jobs.config.data, action->event, action->reason);
}

/* --- doing ------------------------------------------------------------------------------------------------------- */

static void flush(struct weir_pool *pool, struct pool_worker *worker, int64_t now_ns)
{
	int r = worker->child->commands >= 0
			? message_send_some(worker->child->commands, worker->batch, worker->batched)
			: -ENOTCONN;

	if (r < 0)
		jobs_not_sent(&pool->jobs, worker->index, worker->batched, now_ns);
	worker->batched = 0;
	worker->batch_bytes = 0;
}

static void flush_all(struct weir_pool *pool, int64_t now_ns)
{
	for (uint32_t i = 0; i < pool->jobs.used; i++)
		if (pool->worker[i].batched > 0)
			flush(pool, &pool->worker[i], now_ns);
}

/* Jobs for one worker are written together, which spares it and us a system call for each. */
static void send_job(struct weir_pool *pool, struct pool_worker *worker, const struct weir_job *job, int64_t now_ns)
{
	size_t bytes = sizeof(struct message_header) + job->config.size;
	uint32_t ticket;

	if (worker->batched == MESSAGES_MAX || worker->batch_bytes + bytes > MESSAGE_BYTES)
		flush(pool, worker, now_ns);
	if (job != pool->jobs.waiting.first)
		return; /* that has put others before it */
	ticket = control_next_id(worker->child);
	worker->batch[worker->batched++] = (struct weir_message){
		.type = job->config.type,
		.id = ticket,
		.size = (uint32_t)job->config.size,
		.data = job->config.data,
	};
	worker->batch_bytes += bytes;
	jobs_sent(&pool->jobs, worker->index, ticket, now_ns);
}

/* The number of the job goes along: when the signal arrives another job may run. */
static void tell_late(const struct weir_child *child, uint32_t ticket)
{
	if (child->pid > 0) /* not reaped: it cannot mean another process */
		sigqueue(child->pid, SIGUSR1, (union sigval){ .sival_int = (int)ticket });
}

static void leave(struct weir_pool *pool, struct pool_worker *worker)
{
	struct weir_child *child = worker->child;

	worker->comes_back = !pool->jobs.closed || pool->jobs.waiting.count > 0;
	if (child->state == WEIR_CHILD_DONE || child->state == WEIR_CHILD_FAILED) {
		child->request = CHILD_REQUEST_NONE; /* it was to be started: no event would follow */
		jobs_worker_gone(&pool->jobs, worker->index);
	} else {
		weir_child_stop(child);
	}
}

static void pump(void *data)
{
	struct weir_pool *pool = data;
	int64_t now_ns = clock_ns();
	struct jobs_action action;

	do {
		struct pool_worker *worker;

		jobs_next(&pool->jobs, now_ns, &action);
		worker = &pool->worker[action.worker];
		switch (action.what) {
		case JOBS_REPORT: report(pool, action.job, NULL); break;
		case JOBS_EVENT: tell(pool, &action); break;
		case JOBS_SEND: send_job(pool, worker, action.job, now_ns); break;
		case JOBS_TELL: tell_late(worker->child, action.job->ticket); break;
		case JOBS_KILL: process_kill(worker->child, action.reason); break;
		case JOBS_LEAVE: leave(pool, worker); break;
		case JOBS_ACTIVATE: control_send(worker->child, WEIR_COMMAND_ACTIVATE, 0, NULL, 0); break;
		case JOBS_NOTHING: break;
		}
	} while (action.what != JOBS_NOTHING && !pool->freed);
	if (!pool->freed)
		flush_all(pool, now_ns);
	pool->timer.due_ns = pool->freed ? CLOCK_NEVER : jobs_due_ns(&pool->jobs);
}

/* --- what workers do --------------------------------------------------------------------------------------------- */

static int take_reply(struct weir_child *child, const struct weir_message *message)
{
	struct pool_worker *worker = child->owned;
	struct weir_pool *pool = worker->pool;
	struct weir_job *job;
	int r = jobs_reply(&pool->jobs, worker->index, message->id, message->status, clock_ns(), &job);

	if (r < 0)
		return r;
	if (pool->jobs.config.max_bytes > 0 && watch_own_bytes(child->pid) > pool->jobs.config.max_bytes)
		pool->jobs.worker[worker->index].recycle = true;
	pool_kick(pool);
	if (r == 1) {
		/* What was asked for is no flood: a pool with large results would stand still half of the time. */
		control_forgive(child, message);
		report(pool, job, message);
	}
	return 0;
}

static void take_death(struct weir_child *child, const siginfo_t *info, const char *reason)
{
	struct pool_worker *worker = child->owned;

	/* A job may be what kills its worker; that says nothing against the worker, nor does the death of one that was
	 * of use. */
	if (jobs_worker_dead(&worker->pool->jobs, worker->index, child->exit_seen, reason, clock_ns()))
		child->history.attempt = child->deaths.count = 0;
	pool_kick(worker->pool);
}

static void take_change(struct weir_child *child, const char *reason)
{
	struct pool_worker *worker = child->owned;
	struct jobs *jobs = &worker->pool->jobs;

	switch (child->state) {
	case WEIR_CHILD_STARTING:
	case WEIR_CHILD_BACKOFF: jobs_worker_coming(jobs, worker->index); break;
	case WEIR_CHILD_RUNNING: jobs_worker_ready(jobs, worker->index); break;
	case WEIR_CHILD_STOPPING:
	case WEIR_CHILD_TERMINATING:
	case WEIR_CHILD_KILLING: jobs_worker_ending(jobs, worker->index, child->state == WEIR_CHILD_KILLING); break;
	case WEIR_CHILD_FAILED: jobs_worker_broken(jobs, worker->index, reason, clock_ns()); break;
	case WEIR_CHILD_DONE:
		jobs_worker_gone(jobs, worker->index);
		if (worker->comes_back && worker->index < jobs->size)
			pool_start_worker(worker->pool, worker->index);
		worker->comes_back = false;
		break;
	case WEIR_CHILD_IDLE: break;
	}
	pool_kick(worker->pool);
}

static const struct child_owner owner = { .reply = take_reply, .dead = take_death, .changed = take_change };

int pool_start_worker(struct weir_pool *pool, uint32_t index)
{
	struct pool_worker *worker = &pool->worker[index];
	const struct weir_pool_config *config = &pool->jobs.config;
	char name[ZYGOTE_NAME_BYTES];
	int r = 0;

	if (worker->child == NULL) {
		struct weir_child_config child = {
			.name = name,
			.backend = pool->backend,
			.args = pool->args,
			.ready_ns = config->ready_ns,
			.stop_ns = config->stop_ns,
			.term_ns = config->term_ns,
		};

		snprintf(name, sizeof(name), "%.56s-%u", pool->name, index + 1);
		r = weir_child_add(pool->frontend, &worker->child, &child);
		if (r < 0)
			return r;
		*worker = (struct pool_worker){ .pool = pool, .child = worker->child, .index = index };
		worker->child->owner = &owner;
		worker->child->owned = worker;
		worker->child->is_worker = true;
	} else {
		r = weir_child_start(worker->child);
	}
	if (r == 0)
		jobs_worker_coming(&pool->jobs, index);
	return r;
}

void pool_init(struct weir_pool *pool)
{
	pool->timer = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = pump, .data = pool };
}
