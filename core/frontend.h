/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_H
#define FRONTEND_H

/* What the files of the frontend's side share. All of it runs in the thread that called weir_init(). */

#include <signal.h>

#include <weir/frontend.h>
#include <weir/group.h>
#include <weir/stream.h>

#include "back.h"
#include "cgroup.h"
#include "loop.h"
#include "message.h"
#include "page.h"
#include "supervise.h"
#include "zygote.h"

#define CHILD_REASON_BYTES 320
#define CHILD_LINE_BYTES   1024
#define OUTPUT_TAIL	   8

struct stream_reader;

/* Lines that a child printed, cut into pieces and limited in number. */
struct output {
	char line[CHILD_LINE_BYTES];
	size_t used;
	int64_t window_ns; /* when the present second began */
	uint32_t lines;	   /* passed on in it */
	uint64_t cut;	   /* not passed on, not yet said */
	char *tail;	   /* the last of them, OUTPUT_TAIL places; NULL: none was cut yet */
	uint64_t tail_end; /* of all that was ever put there */
	uint32_t tail_lines;
};

struct call {
	uint32_t id; /* 0: no call is waiting */
	bool done;
	int status;
	void *buffer;
	size_t *size;
};

/* Who uses a child for a purpose of its own: a pool, a launch. Any function may be NULL. */
struct child_owner {
	/* To what no weir_child_call() waits for. 0, or -EPROTO. */
	int (*reply)(struct weir_child *child, const struct weir_message *message);
	/* Reaped; what follows from that is not decided yet. */
	void (*dead)(struct weir_child *child, const siginfo_t *info, const char *reason);
	/* Another state, after its event. */
	void (*changed)(struct weir_child *child, const char *reason);
	/* Is about to be freed. */
	void (*bury)(struct weir_child *child);
};

enum child_request { CHILD_REQUEST_NONE, CHILD_REQUEST_START, CHILD_REQUEST_STOP };

struct weir_child {
	struct weir_frontend *frontend;
	struct weir_child *previous, *next; /* in the order in which they were added */
	struct weir_group *group;	    /* or NULL */
	char name[ZYGOTE_NAME_BYTES];
	uint32_t number; /* in that order, from 0 on */
	char *backend, *args;
	struct weir_child_config config; /* with defaults filled in; its strings are not kept */

	enum weir_child_state state;
	enum child_request request;
	struct supervise_history history;
	struct supervise_deaths deaths;
	struct loop_timer timer;
	int64_t running_since_ns;
	uint32_t starts;
	uint32_t life;	   /* number of its present or last one */
	uint32_t spawning; /* the zygote has this order of its; or 0 */
	bool spawn_wanted; /* waits for the zygote to be ready */
	bool spawn_failed;
	bool stop_wanted;
	bool recycled;		    /* it was told to stop, to be started again */
	bool exit_seen;		    /* the child has said that it ends */
	bool exit_told, exit_final; /* and why, in reason */
	bool exit_unbegun;	    /* and that its backend has not begun */
	bool guilty;		    /* we kill it for what reason says */
	char reason[CHILD_REASON_BYTES];
	struct weir_end end; /* with guilty: what we kill it for; after its death: how it ended */

	const struct page *page; /* NULL: no process */
	struct supervise_pulse pulse;
	struct loop_timer watch;
	struct cgroup cgroup;
	char cgroup_name[ZYGOTE_NAME_BYTES + 16];
	int64_t watch_ns; /* how often it is looked at while it runs; 0: never */
	uint64_t poison[ZYGOTE_POISON_MAX];
	uint32_t poisons;

	int pid, pidfd; /* 0: no process; -1: nothing tells of its death */
	int commands, events, rings, output_fd;
	struct loop_source death, control, log;
	struct message_parser parser;
	int64_t share_since_ns;
	uint32_t share_bytes; /* read, less what it may have */
	struct output output;
	uint32_t last_call;
	struct call call;

	const struct child_owner *owner;	      /* or NULL */
	void *owned;				      /* the owner's */
	bool is_worker;				      /* of a pool: it does not die of SIGTERM, but leaves */
	bool is_command;			      /* it becomes another program, and closes its control pipe */
	bool buried;				      /* nobody wants it any more: freed when it has ended */
	struct weir_stream *writes[WEIR_OUTPUTS_MAX]; /* or NULL each */
	struct stream_reader *reads[BACK_INPUTS_MAX];
	uint32_t inputs;
};

/* A process that is dead or has been killed; it and its group are ours to reap. */
struct orphan {
	int pid;
	int64_t until_ns; /* then it is forgotten */
};

struct weir_frontend {
	struct weir_frontend_config config;
	struct loop *loop;
	struct weir_child *first_child, *last_child;
	struct weir_stream *streams;
	struct weir_group *group_list;
	struct weir_pool *pools;
	bool burials; /* a child or a pool is to be freed */
	struct loop_timer kick, tick, user_tick, zygote_deadline;
	struct loop_source zygote_death, zygote_control, signals;
	uint32_t unanswered; /* orders that the zygote has */
	int signal_fd;
	sigset_t old_signals;
	const struct weir_child *called; /* a call waits for it; or NULL */
	bool dispatching, muted;
	bool blind; /* there are no pidfds: have a look with each tick */
	struct cgroups cgroups;

	/* orphans.c */
	struct orphan *orphan;
	size_t orphans;
	bool must_look; /* for what a dead child may have left */
	bool unsure;	/* whether a process is such */
	int64_t unsure_until_ns;
	struct loop_timer look;
	int stranger; /* a dead child of ours that is nobody's, and since when it is known; or 0 */
	int64_t stranger_ns;

	/* notify.c */
	int notify_fd;
	struct loop_timer watchdog;
	int64_t watchdog_ns;
	bool notified_ready;
};

/* --- frontend.c --- */
void frontend_emit(struct weir_frontend *frontend, const struct weir_event *event);
/* Requests of children and waiting spawns are looked at in the next round. */
void frontend_kick(struct weir_frontend *frontend);
/* frontend_tick() comes within 50 ms. */
void frontend_want_tick(struct weir_frontend *frontend);

/* --- orphans.c --- */
void orphans_init(struct weir_frontend *frontend);
void orphans_expect(struct weir_frontend *frontend, int pid);
void orphans_tick(struct weir_frontend *frontend);
/* Has another look if that is due. */
bool orphans_are_gone(struct weir_frontend *frontend);

/* --- notify.c --- */
void notify_init(struct weir_frontend *frontend);
void notify_children(struct weir_frontend *frontend);
void notify_stopping(struct weir_frontend *frontend);

/* --- pool_api.c --- */
void pool_free_all(struct weir_frontend *frontend);
/* Frees the pools that the program has freed; or all. */
void pool_bury(struct weir_frontend *frontend, bool all);

/* --- handle.c --- */
void child_free(struct weir_child *child);
/* Takes it out of the frontend, and frees it. */
void child_remove(struct weir_child *child);

/* --- process.c: one child's life --- */
void process_init(struct weir_child *child);
void process_apply(struct weir_child *child, enum supervise_event event, const char *reason);
/* Has it died? */
void process_look(void *child);
void process_violation(struct weir_child *child, const char *what);
/* How long to wait before the next start. */
int64_t process_backoff_ns(const struct supervise_history *history);
/* Why it is going to be killed. The first one who says why is right. */
void process_blame(struct weir_child *child, enum weir_end_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Kills it for this reason; what it has written is still heard. */
void process_kill(struct weir_child *child, const char *reason);
/* Frees what belongs to the process; forgets it if it still runs. */
void process_release(struct weir_child *child);

/* --- spawn.c --- */
/* Orders a process if that is wanted and the zygote can take it. */
void spawn_try(struct weir_child *child);
/* It is to be stopped before it is there. */
void spawn_abandon(struct weir_child *child);
void spawn_answered(struct weir_frontend *frontend, const struct zygote_answer *answer);
/* What the zygote had not answered is ordered again. */
void spawn_zygote_gone(struct weir_frontend *frontend);

/* --- watch.c --- */
void watch_init(struct weir_child *child);
/* It runs from now on. */
void watch_begin(struct weir_child *child);
/* Memory of its own, without rings and files; 0: unknown. */
uint64_t watch_own_bytes(int pid);

/* --- control.c --- */
void control_readable(void *child);
/* This message does not count for the child's share. */
void control_forgive(struct weir_child *child, const struct weir_message *message);
/* What a dead child had written before. */
void control_drain(struct weir_child *child);
void control_fail_call(struct weir_child *child);
/* For a call, or a job. */
uint32_t control_next_id(struct weir_child *child);
int control_send(struct weir_child *child, uint32_t type, int status, const void *data, size_t size);

/* --- output.c --- */
void output_finish(struct weir_child *child);
void output_readable(void *child);
void output_drain(struct weir_child *child);
void output_tick(struct weir_child *child);

/* --- what streams need to know (stream.c) --- */
void stream_child_spawned(struct weir_child *child);
void stream_child_changed(struct weir_child *child, const char *reason); /* after its event */
void stream_child_dead(struct weir_child *child);			 /* reaped */
void stream_want_ring(struct weir_child *child, const struct message_want *want);
void stream_source(struct weir_child *child, const struct weir_source_status *status);
/* -EPROTO: it never had that. */
int stream_drained(struct weir_child *child, const struct message_input *input);
int stream_end_taken(struct weir_child *child, const struct message_input *input);
/* Returns the next stream. */
struct weir_stream *stream_tick(struct weir_stream *stream);
void stream_free_all(struct weir_frontend *frontend);

#endif
