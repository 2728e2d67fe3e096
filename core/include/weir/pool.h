/* SPDX-License-Identifier: MIT */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

/* A pool is worker processes that wait for jobs: forked early, kept, and replaced when they die. A worker is an
 * ordinary backend (weir/backend.h). Its enter() opens what all its jobs need, once per process. Its command() gets
 * each job as a message; the status and the data of weir_back_reply(), or the code that command() returns, are the
 * job's result. Its leave() flushes and closes: after the stop of the pool, before recycling, and on SIGTERM (the job
 * that runs is finished first); only a kill skips it. A job that fails leaves its worker in place.
 *
 *     weir_init(&(struct weir_init_config){ .backends = backends });
 *     weir_frontend_create(&frontend, NULL);
 *     config = (struct weir_pool_config){ .name = "hash", .backend = "hash", .ended = ended };
 *     weir_pool_create(frontend, &pool, &config);
 *     job = (struct weir_job_config){ .data = path, .size = strlen(path) + 1 };
 *     weir_pool_submit(pool, NULL, &job, deadline_ns); // and more
 *     weir_pool_close(pool);
 *     weir_pool_join(pool, deadline_ns); // ended() is called for each job, from within
 *
 * No lock is shared with a worker: each has pipes of its own, and what a dead one had still written is read before its
 * job is declared lost. Every job ends exactly once. Threads and rules as in weir/frontend.h. */

#include <weir/frontend.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_POOL_WORKERS_MAX 64
#define WEIR_POOL_AHEAD_MAX   15

struct weir_pool;
struct weir_job; /* from weir_pool_submit() until the pool's ended() has returned for it */

enum weir_job_end {
	WEIR_JOB_DONE = 0,  /* the worker answered, with success or not */
	WEIR_JOB_LATE,	    /* killed: it ran for hard_ns */
	WEIR_JOB_LOST,	    /* its worker died; it may have done some of it */
	WEIR_JOB_CANCELLED, /* by weir_pool_cancel() */
	WEIR_JOB_DROPPED,   /* the pool was stopped, its budget is used up, or no worker can be started */
};
const char *weir_job_end_name(enum weir_job_end end); /* "done", … */

struct weir_job_result {
	struct weir_job *job;
	void *user;	    /* of its configuration; so is key */
	const char *key;    /* or NULL */
	uint32_t end;	    /* enum weir_job_end */
	int status;	    /* 0: a success. The worker's -errno; -ETIMEDOUT late, -ENOTCONN lost, -ECANCELED others */
	const char *reason; /* why, for people; "" if it is done */
	const void *data;   /* the reply's; valid during the callback only */
	size_t size;	    /* of data in bytes */
	struct weir_child *worker; /* that had it last; NULL: it never began */
	uint32_t attempts;	   /* how often it began */
	int64_t waited_ns, ran_ns; /* until it began last, and from then on */
};

enum weir_pool_event {
	WEIR_POOL_ROOM = 1, /* after a submit that was refused: half of the queue is free */
	WEIR_POOL_STALLED,  /* there is work, and none of it has ended for stall_ns */
	WEIR_POOL_BUDGET,   /* budget_ns is used up: the pool stops */
	WEIR_POOL_FAILED,   /* no worker can be kept alive; all jobs are dropped. reason says why */
	WEIR_POOL_FINISHED, /* closed or stopped, all jobs have ended, all workers have left */
};

enum weir_retry { /* a job begins again, up to attempts times, after … */
	WEIR_RETRY_LOST = 1 << 0,
	WEIR_RETRY_LATE = 1 << 1,
	WEIR_RETRY_FAILED = 1 << 2, /* done, but with a status that is not 0 */
};

struct weir_pool_config {
	const char *name;    /* required; workers are called NAME-1 and so on; up to 56 bytes */
	const char *backend; /* required; and args: as in struct weir_child_config, for each worker */
	const char *args;
	uint32_t workers;   /* default: as many as there are processors for this process */
	uint32_t queue;	    /* so many jobs may wait; default 1024 */
	uint32_t ahead;	    /* jobs that are sent to a worker before it has finished the one before. 0: the next job
			     * goes to whoever is idle first. For jobs of microseconds 15 gives ten times as many per
			     * second; but a job that is sent waits for the one that runs there. At most
			     * WEIR_POOL_AHEAD_MAX */
	uint32_t attempts;  /* of each job, at most; default 1: a job whose worker died is not done twice */
	uint32_t retry;	    /* enum weir_retry; default WEIR_RETRY_LOST */
	int64_t soft_ns;    /* a job that runs for so long is told (weir_job_late()); default none */
	int64_t hard_ns;    /* and after so long it is killed, and its worker replaced; default none */
	int64_t budget_ns;  /* for everything, from weir_pool_create() on; default none */
	int64_t stall_ns;   /* for WEIR_POOL_STALLED; default none */
	uint32_t max_jobs;  /* a worker is replaced by a new process after so many; default never */
	uint64_t max_bytes; /* or when it has more memory of its own than this after a job; default never */
	int64_t ready_ns, stop_ns, term_ns; /* as in struct weir_child_config; but stop_ns is 10 s by default */
	/* Called from weir_frontend_dispatch() only, and from what calls that: submit, map and join. May be NULL. */
	void (*ended)(void *data, const struct weir_job_result *result);
	void (*event)(void *data, enum weir_pool_event event, const char *reason);
	void *data;
};

/* The next dispatch forks the workers. The pool belongs to the frontend, which frees it if you do not. -EINVAL: config;
 * -ENOMEM. Workers that die while they have a job are replaced at once and without end; those that die otherwise as
 * children of the default intensity, then WEIR_POOL_FAILED. */
int weir_pool_create(struct weir_frontend *frontend, struct weir_pool **pool, const struct weir_pool_config *config);

/* Drops all jobs, without a callback, and stops the workers. Does not wait: the dispatches that follow do that, or
 * weir_frontend_free(). */
void weir_pool_free(struct weir_pool **pool);

struct weir_job_config {
	uint32_t type;	  /* of the message that command() gets; default WEIR_COMMAND_JOB */
	const void *data; /* copied. What is larger than WEIR_MESSAGE_BYTES_MAX goes into a file, of which the name is
			   * sent here, or through a ring (weir/stream.h) */
	size_t size;
	const char *key;	  /* copied; up to 255 bytes; or NULL */
	uint32_t attempts, retry; /* these four: 0: as in the pool's configuration; limits: -1: none */
	int64_t soft_ns, hard_ns;
	void *user;
};

/* Adds a job behind all others. *job (job may be NULL) is for weir_pool_cancel(). When the queue is full it waits until
 * deadline_ns, dispatching; with deadline_ns 0 and in a callback it refuses at once.
 * -EAGAIN: full (and WEIR_POOL_ROOM follows); -ETIMEDOUT: full until the deadline; -EEXIST: a job with this key waits
 * or runs; -ESHUTDOWN: closed or stopped; -ECHILD: WEIR_POOL_FAILED; -EMSGSIZE; -EINVAL; -ENOMEM. */
int weir_pool_submit(
	struct weir_pool *pool, struct weir_job **job, const struct weir_job_config *config, int64_t deadline_ns);

/* Submits all and waits until they have ended; one that fails does not end the others. *failed (may be NULL): how many
 * of them ended with another status than 0, or were refused. -ETIMEDOUT: some have not ended, or were not submitted any
 * more; cancel them or leave them. Else as weir_pool_submit(). Not in a callback (-EDEADLK). */
int weir_pool_map(
	struct weir_pool *pool, const struct weir_job_config *jobs, size_t count, size_t *failed, int64_t deadline_ns);

/* One that waits never begins. One that runs, or (with ahead) lies in the worker's pipe when its turn comes, is killed
 * with its worker, which is replaced. ended() follows in any case; an answer that was quicker wins. */
void weir_pool_cancel(struct weir_pool *pool, struct weir_job *job);

/* Grows at once; shrinks as workers become idle. -EINVAL: 0 or over WEIR_POOL_WORKERS_MAX; -ENOMEM. */
int weir_pool_resize(struct weir_pool *pool, uint32_t workers);

/* The producers have finished: no more jobs are taken; those that wait are done; then the workers leave. */
void weir_pool_close(struct weir_pool *pool);

/* No more jobs are taken, those that wait are dropped, those that run are killed; then the workers leave. */
void weir_pool_stop(struct weir_pool *pool);

/* Waits until the pool has FINISHED. -EBUSY: it was neither closed nor stopped; -ETIMEDOUT; -EDEADLK: in a callback. */
int weir_pool_join(struct weir_pool *pool, int64_t deadline_ns);

/* Takes an idle worker out of the pool for the program's own use, with weir_child_call() and weir_child_send(): its
 * command() gets WEIR_COMMAND_ACTIVATE first. If it dies, a new one is activated in its place; and so it stays until
 * weir_pool_deactivate() puts it back: command() gets WEIR_COMMAND_DEACTIVATE. -EAGAIN: none is idle (yet).
 * A worker that the program stops with weir_child_stop() stays away until weir_child_start(), and jobs wait if it was
 * the last one. A pool that is closed or stopped stops those that are taken, too. */
int weir_pool_activate(struct weir_pool *pool, struct weir_child **worker);
void weir_pool_deactivate(struct weir_pool *pool, struct weir_child *worker);

/* submitted = waiting + sent + done + late + lost + cancelled + dropped; done = succeeded + failed. */
struct weir_pool_counters {
	uint64_t submitted, waiting, sent, done, succeeded, failed, late, lost, cancelled, dropped;
	uint64_t retried, refused, told; /* began again; queue full or same key; soft limits */
	uint64_t deaths, recycled;	 /* of workers: died or killed; replaced after max_jobs or max_bytes */
	uint32_t workers, idle, active;	 /* processes that are ready; of them without work; taken by the program */
	int64_t last_end_ns;		 /* when a job ended last, or 0 */
	int64_t budget_left_ns;		 /* INT64_MAX: there is no budget */
};
void weir_pool_counters(const struct weir_pool *pool, struct weir_pool_counters *counters);

/* In a worker, during a job: its soft limit has passed, so finish early. The telling interrupts a blocking system call
 * of the job (EINTR, by SIGUSR1). Any thread. */
bool weir_job_late(const struct weir_back *back);

#ifdef __cplusplus
}
#endif
#endif
