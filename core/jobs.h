/* SPDX-License-Identifier: MIT */
#ifndef JOBS_H
#define JOBS_H

/* The jobs of a pool and who has which: what happens is told to the functions here, and jobs_next() says what is to be
 * done about it. No system call, no clock and no process in here: pool.c has those. */

#include <stddef.h>

#include <weir/pool.h>

#define JOBS_REASON_BYTES 160
#define JOBS_KEY_BYTES	  256

struct weir_job {
	struct weir_job *previous, *next; /* in its list */
	struct weir_job *same;		  /* next with this hash of its key */
	struct weir_job_config config;	  /* defaults filled in; data and key point into bytes */
	uint32_t hash;
	bool waits, keyed;
	bool told, cancelled, killed; /* killed: end says why */
	uint32_t begun;		      /* how often */
	uint32_t ticket;	      /* the number of the message that carries it */
	uint32_t map;		      /* number of the weir_pool_map() that it belongs to, or 0 */
	int worker;		      /* that had it last, or -1 */
	int64_t submitted_ns, begun_ns, ended_ns;
	uint32_t end;
	int status;
	char reason[JOBS_REASON_BYTES];
	char bytes[];
};

struct job_list {
	struct weir_job *first, *last;
	uint32_t count;
};

enum jobs_worker_state {
	JOBS_ABSENT = 0, /* no process, and none will come by itself */
	JOBS_COMING,	 /* is being started */
	JOBS_READY,
	JOBS_KILLED,  /* a kill was asked for */
	JOBS_LEAVING, /* a stop was asked for, by us or by the program */
	JOBS_BROKEN,  /* cannot be started any more */
};

struct jobs_worker {
	enum jobs_worker_state state;
	struct job_list sent;  /* the first one runs, the others lie in the pipe */
	uint32_t done;	       /* jobs of this process */
	int64_t full_until_ns; /* its pipe: until then, or until it answers */
	bool recycle;	       /* is to leave as soon as it is idle */
	bool taken, activated;
};

struct jobs {
	struct weir_pool_config config; /* with defaults filled in */
	uint32_t size;			/* workers that are wanted */
	uint32_t used;			/* places that ever had one */
	struct jobs_worker worker[WEIR_POOL_WORKERS_MAX];
	struct job_list waiting, ended;
	struct weir_job **bucket; /* of jobs with keys */
	uint32_t buckets, keys;
	bool closed, stopped, broken, finished;
	bool room_wanted, stall_said, broken_said;
	int64_t created_ns, progress_ns;
	char reason[JOBS_REASON_BYTES]; /* why it was stopped or is broken */
	struct weir_pool_counters counters;
};

enum jobs_what {
	JOBS_NOTHING = 0,
	JOBS_REPORT, /* job: has ended; the caller owns it now */
	JOBS_SEND,   /* job, worker: then jobs_sent(), and jobs_not_sent() if that turns out to be wrong */
	JOBS_TELL,   /* job, worker: its soft limit has passed */
	JOBS_KILL,   /* worker; reason */
	JOBS_LEAVE,  /* worker: stop it in order */
	JOBS_ACTIVATE,
	JOBS_EVENT, /* event, reason */
};

struct jobs_action {
	enum jobs_what what;
	uint32_t worker;
	struct weir_job *job;
	enum weir_pool_event event;
	const char *reason;
};

/* config has its defaults. */
void jobs_init(struct jobs *jobs, const struct weir_pool_config *config, uint32_t size, int64_t now_ns);
void jobs_finish(struct jobs *jobs); /* frees all jobs */

/* jobs_submit() would say -EAGAIN. */
bool jobs_are_full(const struct jobs *jobs);
/* Errors as weir_pool_submit(). */
int jobs_submit(struct jobs *jobs, struct weir_job **job, const struct weir_job_config *config, int64_t now_ns);
void jobs_cancel(struct jobs *jobs, struct weir_job *job, int64_t now_ns);
void jobs_close(struct jobs *jobs);
void jobs_stop(struct jobs *jobs, const char *reason, int64_t now_ns);
void jobs_free_one(struct weir_job *job);

void jobs_worker_coming(struct jobs *jobs, uint32_t worker);
void jobs_worker_ready(struct jobs *jobs, uint32_t worker);
/* It was asked to stop, or is killed, and not because jobs_next() said so. */
void jobs_worker_ending(struct jobs *jobs, uint32_t worker, bool killed);
/* Its process has ended; another one comes, unless one of the next two follows. in_order: it had left between two jobs,
 * so that what was sent to it and not answered never began. True: it died of a job, or had done one. */
bool jobs_worker_dead(struct jobs *jobs, uint32_t worker, bool in_order, const char *reason, int64_t now_ns);
/* It was stopped, and stays away. */
void jobs_worker_gone(struct jobs *jobs, uint32_t worker);
/* It cannot be started any more. */
void jobs_worker_broken(struct jobs *jobs, uint32_t worker, const char *reason, int64_t now_ns);

void jobs_sent(struct jobs *jobs, uint32_t worker, uint32_t ticket, int64_t now_ns);
/* The last ones, so many, did not get there after all. */
void jobs_not_sent(struct jobs *jobs, uint32_t worker, uint32_t count, int64_t now_ns);

/* 1: *job has ended, and the caller owns it now; 0: nothing more to do; -EPROTO: no such job was sent before others. */
int jobs_reply(struct jobs *jobs, uint32_t worker, uint32_t ticket, int status, int64_t now_ns, struct weir_job **job);

/* True: the worker was idle, and is the program's now. */
bool jobs_take(struct jobs *jobs, uint32_t *worker);
/* True: the worker has to be told. */
bool jobs_put_back(struct jobs *jobs, uint32_t worker);

/* The next thing to be done now; again and again, until it is JOBS_NOTHING. */
void jobs_next(struct jobs *jobs, int64_t now_ns, struct jobs_action *action);
/* When jobs_next() has something to say though nothing happens. */
int64_t jobs_due_ns(const struct jobs *jobs);

/* --- between the files of jobs --- */

void job_list_add(struct job_list *list, struct weir_job *job);
void job_list_add_first(struct job_list *list, struct weir_job *job);
void job_list_remove(struct job_list *list, struct weir_job *job);
int job_make(struct weir_job **job, const struct jobs *jobs, const struct weir_job_config *config);
struct weir_job *job_with_key(const struct jobs *jobs, const struct weir_job *like);
int job_key_add(struct jobs *jobs, struct weir_job *job);
void job_key_remove(struct jobs *jobs, struct weir_job *job);

#endif
