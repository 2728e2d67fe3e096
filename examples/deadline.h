/* SPDX-License-Identifier: MIT */
#ifndef DEADLINE_H
#define DEADLINE_H

#include <stdint.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)

/* Weir's deadlines are absolute, on CLOCK_MONOTONIC. */
static inline int64_t in_ns(int64_t ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec + ns;
}

#endif
