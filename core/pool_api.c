/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define QUEUE	       1024
#define STOP_NS	       (10 * CLOCK_S)
#define NAME_MAX_BYTES 56

static uint32_t count_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return CPU_COUNT(&set) < WEIR_POOL_WORKERS_MAX ? (uint32_t)CPU_COUNT(&set) : WEIR_POOL_WORKERS_MAX;
}

static int fill(struct weir_pool_config *filled, const struct weir_pool_config *config)
{
	struct weir_pool_config made = *config;

	if (made.name == NULL || made.backend == NULL || strlen(made.name) > NAME_MAX_BYTES)
		return -EINVAL;
	if (made.workers == 0)
		made.workers = count_processors();
	if (made.queue == 0)
		made.queue = QUEUE;
	if (made.attempts == 0)
		made.attempts = 1;
	if (made.retry == 0)
		made.retry = WEIR_RETRY_LOST;
	if (made.stop_ns == 0)
		made.stop_ns = STOP_NS;
	if (made.workers > WEIR_POOL_WORKERS_MAX || made.ahead > WEIR_POOL_AHEAD_MAX)
		return -EINVAL;
	*filled = made;
	return 0;
}

/* Frees the pool itself; its workers are the frontend's. */
static void destroy(struct weir_pool *pool)
{
	jobs_finish(&pool->jobs);
	if (pool->args != NULL)
		explicit_bzero(pool->args, strlen(pool->args));
	free(pool->args);
	free(pool->backend);
	free(pool->name);
	free(pool);
}

int weir_pool_create(struct weir_frontend *frontend, struct weir_pool **pool, const struct weir_pool_config *config)
{
	struct weir_pool_config filled;
	struct weir_pool *made;
	int r = fill(&filled, config);

	if (r < 0)
		return r;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	made->frontend = frontend;
	made->name = strdup(filled.name);
	made->backend = strdup(filled.backend);
	made->args = strdup(filled.args != NULL ? filled.args : "");
	if (made->name == NULL || made->backend == NULL || made->args == NULL) {
		destroy(made);
		return -ENOMEM;
	}
	filled.name = made->name;
	filled.backend = made->backend;
	filled.args = made->args;
	jobs_init(&made->jobs, &filled, 0, clock_ns());
	pool_init(made);
	loop_add_timer(frontend->loop, &made->timer);
	made->next = frontend->pools;
	frontend->pools = made;
	r = weir_pool_resize(made, filled.workers);
	if (r < 0) {
		weir_pool_free(&made);
		return r;
	}
	pool_kick(made);
	*pool = made;
	return 0;
}

void weir_pool_free(struct weir_pool **pool)
{
	struct weir_pool *old = *pool;

	if (old == NULL)
		return;
	*pool = NULL;
	assert(!old->freed);
	old->freed = true;
	for (uint32_t i = 0; i < WEIR_POOL_WORKERS_MAX; i++) {
		struct weir_child *child = old->worker[i].child;

		if (child == NULL)
			continue;
		child->owner = NULL;
		child->buried = true;
		weir_child_stop(child);
	}
	old->frontend->burials = true;
	frontend_kick(old->frontend);
}

void pool_free_all(struct weir_frontend *frontend)
{
	for (struct weir_pool *pool = frontend->pools; pool != NULL; pool = pool->next) {
		struct weir_pool *old = pool;

		if (!old->freed)
			weir_pool_free(&old);
	}
}

void pool_bury(struct weir_frontend *frontend, bool all)
{
	struct weir_pool **at = &frontend->pools;

	while (*at != NULL) {
		struct weir_pool *pool = *at;

		if (!all && (!pool->freed || pool->visitors > 0)) {
			at = &pool->next;
			continue;
		}
		*at = pool->next;
		loop_remove_timer(frontend->loop, &pool->timer);
		destroy(pool);
	}
}

/* --- jobs -------------------------------------------------------------------------------------------------------- */

/* 0: something has happened; -ETIMEDOUT, even if something has; -ESHUTDOWN: the program has freed the pool meanwhile.
 */
static int visit(struct weir_pool *pool, int64_t deadline_ns)
{
	int r;

	pool->visitors++;
	r = weir_frontend_dispatch(pool->frontend, deadline_ns);
	pool->visitors--;
	if (pool->freed) {
		pool->frontend->burials = true;
		return -ESHUTDOWN;
	}
	return clock_ns() >= deadline_ns ? -ETIMEDOUT : r;
}

int weir_pool_submit(
	struct weir_pool *pool, struct weir_job **job, const struct weir_job_config *config, int64_t deadline_ns)
{
	bool may_wait = deadline_ns != 0 && !pool->frontend->dispatching;
	struct weir_job *made;
	int r = 0;

	while (r == 0 && may_wait && jobs_are_full(&pool->jobs))
		r = visit(pool, deadline_ns);
	if (r == -ESHUTDOWN)
		return r;
	r = jobs_submit(&pool->jobs, &made, config, clock_ns());
	if (r < 0)
		return r == -EAGAIN && may_wait ? -ETIMEDOUT : r;
	pool_kick(pool);
	if (job != NULL)
		*job = made;
	return 0;
}

static int submit_all(struct weir_pool *pool, const struct weir_job_config *jobs, size_t count, int64_t deadline_ns)
{
	for (size_t i = 0; i < count; i++) {
		struct weir_job *job;
		int r = weir_pool_submit(pool, &job, &jobs[i], deadline_ns);

		if (r == -EEXIST) {
			pool->map_failed++;
			continue;
		}
		if (r < 0)
			return r;
		job->map = pool->map_number;
		pool->map_pending++;
	}
	return 0;
}

int weir_pool_map(
	struct weir_pool *pool, const struct weir_job_config *jobs, size_t count, size_t *failed, int64_t deadline_ns)
{
	int r;

	if (pool->frontend->dispatching)
		return -EDEADLK;
	if (++pool->map_number == 0) /* that is for jobs of no map */
		pool->map_number++;
	pool->map_pending = pool->map_failed = 0;
	r = submit_all(pool, jobs, count, deadline_ns);
	while (r == 0 && pool->map_pending > 0) {
		r = visit(pool, deadline_ns);
		if (r == -ETIMEDOUT && pool->map_pending == 0)
			r = 0;
	}
	if (r == 0 && failed != NULL)
		*failed = pool->map_failed;
	return r;
}

void weir_pool_cancel(struct weir_pool *pool, struct weir_job *job)
{
	jobs_cancel(&pool->jobs, job, clock_ns());
	pool_kick(pool);
}

/* --- the pool ---------------------------------------------------------------------------------------------------- */

int weir_pool_resize(struct weir_pool *pool, uint32_t workers)
{
	uint32_t old = pool->jobs.size;

	if (workers == 0 || workers > WEIR_POOL_WORKERS_MAX)
		return -EINVAL;
	pool->jobs.size = workers;
	for (uint32_t i = old; i < workers; i++) {
		int r = pool_start_worker(pool, i);

		/* -EBUSY: one that was to leave is still there, and will come back. */
		if (r < 0 && r != -EBUSY) {
			pool->jobs.size = i > 0 ? i : old;
			return r;
		}
	}
	pool_kick(pool);
	return 0;
}

void weir_pool_close(struct weir_pool *pool)
{
	jobs_close(&pool->jobs);
	pool_kick(pool);
}

void weir_pool_stop(struct weir_pool *pool)
{
	jobs_stop(&pool->jobs, "the pool was stopped", clock_ns());
	pool_kick(pool);
}

int weir_pool_join(struct weir_pool *pool, int64_t deadline_ns)
{
	int r = 0;

	if (pool->frontend->dispatching)
		return -EDEADLK;
	if (!pool->jobs.closed)
		return -EBUSY;
	while (r == 0 && !pool->jobs.finished)
		r = visit(pool, deadline_ns);
	return r == -ETIMEDOUT && pool->jobs.finished ? 0 : r;
}

int weir_pool_activate(struct weir_pool *pool, struct weir_child **worker)
{
	uint32_t index;

	if (!jobs_take(&pool->jobs, &index))
		return -EAGAIN;
	*worker = pool->worker[index].child;
	/* At once: what the program sends next comes behind it. */
	pool->jobs.worker[index].activated = true;
	control_send(*worker, WEIR_COMMAND_ACTIVATE, 0, NULL, 0);
	return 0;
}

void weir_pool_deactivate(struct weir_pool *pool, struct weir_child *worker)
{
	const struct pool_worker *own = worker->owned;

	assert(own->pool == pool);
	if (jobs_put_back(&pool->jobs, own->index))
		control_send(worker, WEIR_COMMAND_DEACTIVATE, 0, NULL, 0);
	pool_kick(pool);
}

void weir_pool_counters(const struct weir_pool *pool, struct weir_pool_counters *counters)
{
	const struct jobs *jobs = &pool->jobs;

	*counters = jobs->counters;
	counters->waiting = jobs->waiting.count;
	for (uint32_t i = 0; i < jobs->used; i++) {
		const struct jobs_worker *worker = &jobs->worker[i];

		counters->sent += worker->sent.count;
		counters->workers += worker->state == JOBS_READY;
		counters->idle += worker->state == JOBS_READY && worker->sent.count == 0 && !worker->taken;
		counters->active += worker->taken;
	}
	counters->budget_left_ns =
		jobs->config.budget_ns > 0 ? jobs->config.budget_ns - (clock_ns() - jobs->created_ns) : INT64_MAX;
}
