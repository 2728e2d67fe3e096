/* SPDX-License-Identifier: MIT */
#ifndef CLOCK_H
#define CLOCK_H

/* Time is CLOCK_MONOTONIC in nanoseconds, deadlines are absolute. */

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_MS    INT64_C(1000000)
#define CLOCK_S	    INT64_C(1000000000)
#define CLOCK_NEVER INT64_MAX

static inline int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * CLOCK_S + now.tv_nsec;
}

/* Programs say INT64_MAX when they mean "no limit". */
static inline int64_t clock_after(int64_t begun_ns, int64_t ns)
{
	return ns > CLOCK_NEVER - begun_ns ? CLOCK_NEVER : begun_ns + ns;
}

/* ppoll() with a deadline. An interruption counts as a time-out: callers look at the clock and come back. */
static inline int clock_poll(struct pollfd *fds, nfds_t count, int64_t deadline_ns)
{
	int64_t now_ns = clock_ns(), left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	struct timespec timeout;
	int r;

	timeout = (struct timespec){ .tv_sec = left_ns / CLOCK_S, .tv_nsec = left_ns % CLOCK_S };
	r = ppoll(fds, count, &timeout, NULL);
	return r < 0 && errno == EINTR ? 0 : r;
}

static inline void clock_sleep(int64_t ns)
{
	struct timespec pause = { .tv_sec = ns / CLOCK_S, .tv_nsec = ns % CLOCK_S };

	nanosleep(&pause, NULL);
}

#endif
