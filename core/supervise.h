/* SPDX-License-Identifier: MIT */
#ifndef SUPERVISE_H
#define SUPERVISE_H

/* The life of a child as a table: state × event → state and actions. No system call and no clock in here. */

#include <stdbool.h>
#include <stdint.h>

#include <weir/frontend.h>

#define SUPERVISE_STATES	(WEIR_CHILD_FAILED + 1)
#define SUPERVISE_INTENSITY_MAX 64
#define SUPERVISE_POISON	3 /* deaths at one position */

enum supervise_event {
	SUPERVISE_START,     /* the program wants it to run */
	SUPERVISE_STOP,	     /* the program wants it to end */
	SUPERVISE_READY,     /* it says so */
	SUPERVISE_CLOSING,   /* its pipe is closed: it is dying, or worse */
	SUPERVISE_VIOLATION, /* it sent what is no message, or took too much memory */
	SUPERVISE_TIMEOUT,   /* the deadline of the present state has passed */
	SUPERVISE_HANG,	     /* it makes no progress */
	SUPERVISE_RECYCLE,   /* it is to make room for another life of its own */
	/* It is dead and reaped (or could not be started). Which of the three: supervise_verdict(). */
	SUPERVISE_DEAD_AGAIN,
	SUPERVISE_DEAD_DONE,
	SUPERVISE_DEAD_FAILED,
	SUPERVISE_EVENTS
};

enum supervise_action {
	SUPERVISE_SPAWN = 1 << 0,
	SUPERVISE_SEND_STOP = 1 << 1,
	SUPERVISE_SEND_TERM = 1 << 2, /* and SIGCONT */
	SUPERVISE_SEND_KILL = 1 << 3, /* to the whole group */
	/* The deadline; a move without any of these leaves it as it is. */
	SUPERVISE_WAIT_READY = 1 << 4,
	SUPERVISE_WAIT_CLOSING = 1 << 5,
	SUPERVISE_WAIT_STOP = 1 << 6,
	SUPERVISE_WAIT_TERM = 1 << 7,
	SUPERVISE_WAIT_KILL = 1 << 8,
	SUPERVISE_WAIT_BACKOFF = 1 << 9,
	SUPERVISE_WAIT_NOTHING = 1 << 10,
};

struct supervise_move {
	enum weir_child_state state;
	uint32_t actions;
};

struct supervise_move supervise_move(enum weir_child_state state, enum supervise_event event);

/* The last deaths of a child, or of a group's members, for giving up. */
struct supervise_deaths {
	uint32_t count; /* the ring below keeps the last intensity + 1 */
	int64_t death_ns[SUPERVISE_INTENSITY_MAX + 1];
};

/* A child's own: for back-off, and for finding out what it dies of. */
struct supervise_history {
	uint32_t attempt;  /* deaths since it was last healthy */
	uint64_t position; /* at which it died last; 0: unknown */
	uint32_t deaths_there;
};

struct supervise_death {
	uint32_t restart;   /* enum weir_restart */
	uint32_t intensity; /* at most SUPERVISE_INTENSITY_MAX */
	int64_t period_ns;
	int64_t now_ns, running_since_ns; /* 0: was never running */
	bool stop_wanted;		  /* the program asked for it */
	bool recycled;			  /* Weir asked for it, and it is no fault of the child's */
	bool success;			  /* ended with status 0 */
	bool final;			  /* starting it again makes no sense */
};

/* Notes a death and says which of the three events it is. */
enum supervise_event supervise_verdict(
	struct supervise_history *history, struct supervise_deaths *deaths, const struct supervise_death *death);

/* Notes where in its input a child died of itself. True: for the third time in a row. */
bool supervise_is_poison(struct supervise_history *history, uint64_t position);

/* What was seen of a child's progress, and when. */
struct supervise_pulse {
	uint64_t turns, work;
	int64_t turns_ns, work_ns;
};
struct supervise_look {
	int64_t now_ns, limit_ns;
	uint64_t turns; /* changes as long as the main loop goes round, at least every WEIR_WAIT_BOUND_NS */
	uint64_t work;	/* changes as long as other threads make progress; the lowest bit: they have something to do */
};

/* Notes a look. True: no progress for limit_ns. */
bool supervise_is_hung(struct supervise_pulse *pulse, const struct supervise_look *look);

/* How long to wait before the next start: 0, 10, 20, 40 … 1000 ms, up to a quarter less by random. */
int64_t supervise_backoff_ns(const struct supervise_history *history, uint32_t random);

#endif
