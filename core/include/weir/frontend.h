/* SPDX-License-Identifier: MIT */
#ifndef WEIR_FRONTEND_H
#define WEIR_FRONTEND_H

/* The frontend is your program's side of its processes: it starts children, talks to them, and supervises their lives,
 * from one loop. weir_init() comes first in main(), before any thread: it forks the zygote, from which all children
 * are forked. Afterwards the program may start what threads it likes.
 *
 *     static const struct weir_backend *const backends[] = { &player, NULL }; // weir/backend.h
 *
 *     weir_init(&(struct weir_init_config){ .backends = backends }); // children never come back from it
 *     weir_frontend_create(&frontend, &(struct weir_frontend_config){ .event = on_event });
 *     weir_child_add(frontend, &child, &(struct weir_child_config){ .name = "left", .backend = "player" });
 *     while (weir_child_state(child) != WEIR_CHILD_RUNNING) // or WEIR_CHILD_FAILED
 *         weir_frontend_dispatch(frontend, deadline_ns);
 *     weir_child_call(child, PLAY, "a.mp4", 6, NULL, NULL, deadline_ns); // the backend's command() gets it
 *     weir_frontend_free(&frontend);
 *
 * Rules as in weir/frame.h; strings in config structs are copied, too. Deadlines are absolute, CLOCK_MONOTONIC, in
 * nanoseconds; 0 (or any that has passed): do not wait. Thread rule: the thread that called weir_init(), for everything
 * here. From within an event function everything may be called but weir_frontend_dispatch() and weir_frontend_free()
 * (both assert), and what waits for an answer (-EDEADLK). Link with `pkg-config --libs weir`. */

#include <weir/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_frontend;
struct weir_child;
struct weir_group; /* weir/group.h */

struct weir_init_config {
	const struct weir_backend *const *backends; /* of this program, NULL terminated; or NULL. Not copied */
	const char *const
		*preload; /* plugins ("gst/decoder") to load into the zygote, NULL terminated; or NULL. Not copied */
};

/* Must be the first call in main(). -EBUSY: this process has more than one thread; weir_init_error() names them.
 * Ignores SIGPIPE and SIGXFSZ (and leave SIGCHLD alone, or nobody knows how children ended), opens /dev/null in place
 * of a closed stdin, stdout or stderr, and makes this process a subreaper: orphaned descendants become its children.
 * (Of those, Weir kills and reaps what belonged to a dead child, and reaps any other that has been dead for 5 s: wait
 * for children of your own before that.) If the zygote dies the program is started again as one (/proc/self/exe), as it
 * is for WEIR_SPAWN_EXEC; there weir_init() does not return. If it is process 1, that stays behind to forward signals
 * and to reap, and the program goes on as its child. A second call does nothing, but a fork of the program (daemon())
 * needs one of its own, before it has a frontend. Blocks for one fork. */
int weir_init(const struct weir_init_config *config);

/* Why weir_init() failed, for people; "" if it did not. */
const char *weir_init_error(void);

enum weir_child_state {
	WEIR_CHILD_IDLE = 0, /* not started yet */
	WEIR_CHILD_STARTING, /* forked, enter() has not returned */
	WEIR_CHILD_RUNNING,
	WEIR_CHILD_STOPPING,	/* asked to stop */
	WEIR_CHILD_TERMINATING, /* sent SIGTERM */
	WEIR_CHILD_KILLING,	/* sent SIGKILL */
	WEIR_CHILD_BACKOFF,	/* dead; is started again after a pause */
	WEIR_CHILD_DONE,	/* ended and is not to be started again */
	WEIR_CHILD_FAILED,	/* died too often, or could not be started */
};
const char *weir_child_state_name(enum weir_child_state state); /* "running", … */

enum weir_restart {
	WEIR_RESTART_PERMANENT = 0, /* always, unless it was stopped */
	WEIR_RESTART_TRANSIENT = 1, /* unless it ended with status 0 */
	WEIR_RESTART_TEMPORARY = 2, /* never */
};

enum weir_spawn {
	/* Forked from the zygote, with what is preloaded there. All such children have the same addresses and the same
	 * stack cookie: who takes one over knows those of the others. */
	WEIR_SPAWN_FORK = 0,
	/* The program is executed again, without arguments, and becomes the child in weir_init(): with a layout of its
	 * own. That takes 2 ms more, and loads again what was preloaded (a decoder's first picture: 85 ms, not 22).
	 * The same children come of it as long as weir_init() is first in main() and gets the same backends. */
	WEIR_SPAWN_EXEC = 1,
};

/* 0: none, or as inherited. */
struct weir_limits {
	uint64_t memory_bytes;	/* of its own, without rings; over it: ended with WEIR_END_MEMORY */
	uint64_t address_bytes; /* RLIMIT_AS: counts rings, too */
	uint64_t file_bytes;	/* RLIMIT_FSIZE: writes beyond it fail with EFBIG */
	uint32_t cpu_s;		/* RLIMIT_CPU: SIGXCPU, a second later SIGKILL */
	uint32_t files;		/* RLIMIT_NOFILE */
	int32_t oom_score_adj;	/* whom the kernel takes first when memory runs out: up to 1000; below 0 needs root */
	bool core_dumps;	/* false: none; a core with rings in it delays the death of a process by a second */
};

struct weir_child_config {
	const char *name;    /* required; up to 63 bytes; shown in ps and in every message; need not be the only one */
	const char *backend; /* required; a name in weir_init_config.backends, or a plugin "gst/decoder", or a path */
	const char *args;    /* for enter(); up to 32 KiB; never shown in ps or logs */
	uint32_t restart;    /* enum weir_restart */
	uint32_t spawn;	     /* enum weir_spawn */
	struct weir_group *group; /* or NULL: on its own */
	int64_t ready_ns;	  /* deadline for enter(); default 10 s */
	int64_t stop_ns,
		term_ns;    /* how long after the stop message SIGTERM follows, then SIGKILL; default 300, 200 ms */
	uint32_t intensity; /* more deaths than this within period_ns: FAILED; default 5, at most 64. A group has its
			       own */
	int64_t period_ns;  /* default 10 s */
	int64_t hang_ns;    /* no progress for so long (weir_back_work()): SIGTERM, and so on; default: never. At least
			       0.2 s: an idle one goes round its loop every 0.1 s */
	/* Stopped and started again, which is no death, when it has read so many frames, has run for so long, or has so
	 * much memory of its own; 0: never. */
	uint64_t recycle_frames, recycle_bytes;
	int64_t recycle_ns;
	/* A child that dies three times at one position (weir_back_set_position()), but not of a SIGKILL or SIGTERM
	 * from outside, is FAILED; with true it is started again and told, by weir_back_is_poison(), to leave that one
	 * out; up to 16 of them. */
	bool skip_poison;
	struct weir_limits limits;
	void *data; /* yours; weir_child_data() */
};

/* How a process ended. */
enum weir_end_kind {
	WEIR_END_NONE = 0, /* it has not; or nobody knows */
	WEIR_END_EXIT,	   /* code: its exit status */
	WEIR_END_SIGNAL,   /* code: the signal's number */
	WEIR_END_TIMEOUT,  /* not ready in time */
	WEIR_END_HANG,
	WEIR_END_MEMORY,
	WEIR_END_PROTOCOL, /* it sent what is no message, or closed its pipe */
	WEIR_END_START,	   /* could not be started */
	WEIR_END_POISON,   /* it always dies at the same position */
	WEIR_END_JOB,	   /* killed with its job, which was late, cancelled or dropped (weir/pool.h) */
};

struct weir_end {
	uint32_t kind; /* enum weir_end_kind */
	int32_t code;
};

enum weir_event_type {
	WEIR_EVENT_CHILD_STATE = 1, /* child, from, to, reason */
	WEIR_EVENT_MESSAGE,	    /* child, message: an event of its backend */
	WEIR_EVENT_OUTPUT,	    /* child, text: a line that it printed; without an event function it is logged */
	WEIR_EVENT_GROUP_STATE,	    /* group, from, to, reason */
	WEIR_EVENT_STREAM_STATE,    /* stream, from, to, reason */
	WEIR_EVENT_SIGNAL,	    /* signal_number: SIGINT, SIGTERM or SIGHUP came: to end is up to the program */
	WEIR_EVENT_TICK,	    /* every tick_ns */
};

struct weir_stream;

/* What it points to is valid during the call only, but for the handles. */
struct weir_event {
	enum weir_event_type type;
	struct weir_child *child;   /* or NULL */
	struct weir_stream *stream; /* or NULL */
	struct weir_group *group;   /* or NULL */
	int from, to;
	const char *reason;		    /* why, for people: "exit status 3", "killed by SIGSEGV", … */
	struct weir_end end;		    /* with CHILD_STATE: how its last process ended */
	const struct weir_message *message; /* its data is aligned for any structure */
	const char *text;
	int signal_number;
};

struct weir_frontend_config {
	void (*event)(void *data, const struct weir_event *event); /* called from weir_frontend_dispatch() only */
	void *data;
	int64_t tick_ns;  /* for WEIR_EVENT_TICK; default none */
	bool own_signals; /* true: leave SIGINT, SIGTERM and SIGHUP to the program; false: they become events */
	/* Where NOTIFY_SOCKET says so systemd is told READY=1 (all children that were added run), WATCHDOG=1 (as long
	 * as weir_frontend_dispatch() is called) and STOPPING=1. true: leave that to the program. */
	bool own_notify;
	/* A directory of control groups, version 2, that belongs to this program; "": the one in which it runs; NULL:
	 * none. In it each child gets a group of its own: then all that descends from it ends with it, and
	 * limits.memory_bytes is kept by the kernel. What cannot be written there is done without, with a warning. */
	const char *cgroup;
};

/* One at a time; config NULL: all defaults. -EPERM: weir_init() was not called in this process; -EBUSY: there is one;
 * -ECHILD: the zygote dies again and again; -EMFILE, -ENOMEM, -EAGAIN. Signals that are to become events are blocked in
 * this thread: create the frontend before other threads, or block them there. */
int weir_frontend_create(struct weir_frontend **frontend, const struct weir_frontend_config *config);

/* Stops all children (stop, TERM, KILL, in reverse order of their start), waits for their ends and frees everything;
 * weir_child and weir_stream handles become invalid. Blocks for at most the largest stop_ns + term_ns + 1 s. */
void weir_frontend_free(struct weir_frontend **frontend);

/* Waits for something to happen, at most until deadline_ns, and handles what has happened, calling config.event. One
 * poll() inside. 0, or -ETIMEDOUT: nothing happened until the deadline. */
int weir_frontend_dispatch(struct weir_frontend *frontend, int64_t deadline_ns);

/* For a program that has a loop of its own: this descriptor is readable (POLLIN) when there is something to do, timers
 * included; then call weir_frontend_dispatch() with deadline 0, once. It is the frontend's, and the same for its life.
 */
int weir_frontend_fd(struct weir_frontend *frontend);

/* Adds a child; the next dispatch starts it. The child belongs to the frontend, and lives as long as that. Does not
 * wait for it: see WEIR_EVENT_CHILD_STATE. -EINVAL: config (a name is missing, or too long); -ENOMEM. A backend that
 * does not exist, and whatever else keeps it from starting, shows as FAILED, with the reason. */
int weir_child_add(struct weir_frontend *frontend, struct weir_child **child, const struct weir_child_config *config);

const char *weir_child_name(const struct weir_child *child);
void *weir_child_data(const struct weir_child *child);
enum weir_child_state weir_child_state(const struct weir_child *child);
int weir_child_pid(const struct weir_child *child);	      /* 0 while there is no process */
uint32_t weir_child_restarts(const struct weir_child *child); /* starts after the first one */

/* Stops a child: it goes to DONE, with an event; one that is in DONE or FAILED stays there. Returns at once: the next
 * dispatch does it. A child that is in DONE or FAILED, and has no process any more, can be started again, else
 * -EBUSY. */
void weir_child_stop(struct weir_child *child);
int weir_child_start(struct weir_child *child);

/* Sends a command; no answer, and no error if the child ends before it has read it. A child that is STARTING reads it
 * when enter() has returned. -EAGAIN: the child does not read its pipe, which is full (64 KiB); -ENOTCONN: there is no
 * process now, as before the first dispatch; -EMSGSIZE: size; -EINVAL: type is one of Weir's own. Does not block. */
int weir_child_send(struct weir_child *child, uint32_t type, const void *data, size_t size);

/* Calls a command and waits for the answer, handling everything else meanwhile (as a dispatch, with events). The answer
 * is copied into buffer, *size is its room and then its length; NULL, NULL: none is wanted. The backend's status (0 or
 * -errno; what came with an error is copied, too), or -ETIMEDOUT, -ENOTCONN (no process, or it died), -ENOSYS (unknown
 * command), -EMSGSIZE (data, or buffer too small), -EINVAL (type); *size is untouched then. Not from within an event
 * function (-EDEADLK). */
int weir_child_call(struct weir_child *child, uint32_t type, const void *data, size_t data_size, void *buffer,
	size_t *size, int64_t deadline_ns);

#ifdef __cplusplus
}
#endif
#endif
