/* SPDX-License-Identifier: MIT */
#ifndef TEST_BACKENDS_H
#define TEST_BACKENDS_H

/* Backends that do what the tests tell them. */

#include <weir/backend.h>

/* Commands of "obedient". */
enum order {
	ORDER_ECHO = 256, /* replies with its data */
	ORDER_STATUS,	  /* returns the int in its data */
	ORDER_SIGNAL,	  /* raises that signal */
	ORDER_EXIT,	  /* _exit() with that status */
	ORDER_LEAVE,	  /* weir_back_exit() with that status */
	ORDER_SLEEP,	  /* sleeps for ever in its command */
	ORDER_SPIN,	  /* busy loop */
	ORDER_DEAF,	  /* ignores SIGTERM, then sleeps for ever */
	ORDER_GARBAGE,	  /* writes what is no message */
	ORDER_FORGE,	  /* writes a message of this type */
	ORDER_EVENT,	  /* sends an event of this type; returns what came of it */
	ORDER_PRINT,	  /* so many lines */
	ORDER_FORK,	  /* a grandchild that sleeps for ever; replies with its pid */
	ORDER_FLOOD,	  /* so many events, from then on with each tick */
	ORDER_CLOSE,	  /* closes its control pipe, and sleeps */
	ORDER_FACTS,	  /* replies with struct facts */
	ORDER_ESCAPE,	  /* forks what leaves its group: enum escape; replies with two pids */
	ORDER_DEADLOCK,	  /* locks a lock twice */
	ORDER_BLOCK,	  /* blocks all signals, then spins */
	ORDER_TOIL,	  /* for so many milliseconds, and says on its way that it goes on */
	ORDER_WORK,	  /* a thread begins work (1), never to end it; or has none (0) */
	ORDER_POSITION,	  /* is at this position */
	ORDER_IS_POISON,  /* returns whether this position is */
	ORDER_ALLOCATE,	  /* so many MiB */
	ORDER_OVERWRITE,  /* writes a MiB into a file in memory; returns its errno */
	ORDER_RECALL,	  /* -EEXIST if its memory holds a text, of which the data has the lowest bits turned round */
};

enum escape {
	ESCAPE_FORK,  /* a session of its own, and a child in another one */
	ESCAPE_EXEC,  /* the same, but another program */
	ESCAPE_DAEMON /* the same, orphaned at once */
};

#define EVENT_FLOOD 300
#define EVENT_LEFT  301 /* leave() was called with this reason */

struct facts {
	int pid, parent, group, fds, blocked, core_limit, oom_score_adj, wrong_cpus;
	uint64_t address_limit, file_limit, cpu_limit, files_limit;
	char comm[16], cmdline[256];
	uint64_t libc, stack; /* where they are */
	uint8_t cookie[16];   /* of which the stack's is made */
};

extern const struct weir_backend *const test_backends[];

#endif
