/* SPDX-License-Identifier: MIT */
#ifndef RUNNER_H
#define RUNNER_H

/* Pipelines in processes of their own. Failures end the running test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

/* Written by the runner, read by the test. "p" is the element of that name; its sink pad is watched. */
struct runner_counters {
	_Atomic uint64_t buffers, bytes;
	_Atomic uint64_t first_offset, last_offset; /* of buffers at p */
	_Atomic uint64_t skipped;		    /* by jumps of the offset */
	_Atomic uint64_t disconts, caps;
	_Atomic uint64_t checksum; /* of all bytes, if p is named "sum" */
	_Atomic int64_t lag_ns;	   /* running time minus that of the last buffer */
	_Atomic int64_t stop_ns;   /* how long set_state(NULL) took; 0: not yet */
	_Atomic uint64_t decoded;  /* buffers at an element "decoded" */
	_Atomic uint32_t playing, eos, failed;
	char error[256];
};

struct runner {
	pid_t pid; /* 0: none */
	struct runner_counters *counters;
};

/* Starts a pipeline; prefix is a command that starts it ("unshare -m …"), or NULL. */
void runner_start(struct runner *runner, const char *prefix, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Waits until the condition on the counters `c` holds, at most 20 s. */
#define RUNNER_AWAIT(runner, condition)                                                                                \
	do {                                                                                                           \
		struct runner_counters *c = (runner)->counters;                                                        \
		int64_t end_ns = runner_now_ns() + 20000000000;                                                        \
		while (!(condition) && runner_now_ns() < end_ns)                                                       \
			runner_sleep_ms(5);                                                                            \
		if (!(condition))                                                                                      \
			fail_msg("%s: %s; %s", __func__, #condition, c->error);                                        \
	} while (0)

/* Interrupts it; it must have set its state to NULL within a second, and end well. */
void runner_stop(struct runner *runner);

/* Waits for its end by itself. */
void runner_join(struct runner *runner);
void runner_kill(struct runner *runner);

/* A test's teardown: kills what it left. */
int runner_clean_up(void **state);

int64_t runner_now_ns(void);
void runner_sleep_ms(int64_t ms);

#endif
