/* SPDX-License-Identifier: MIT */
#include "pace.h"

#include <glib.h>

#define NAP_MIN_NS  200000
#define NAP_MAX_NS  2000000
#define FLAT_OUT_NS 1000000
#define AHEAD_NS    1000000
#define AHEAD_MIN   4

void pace_note(struct pace *pace, int64_t now_ns)
{
	if (pace->claimed_ns != 0)
		pace->interval_ns += (now_ns - pace->claimed_ns - pace->interval_ns) / 16;
	pace->claimed_ns = now_ns;
}

int64_t pace_full_ns(const struct pace *pace, uint32_t slot_count)
{
	int64_t ns = pace->interval_ns * slot_count / 8;

	return ns < NAP_MIN_NS ? 0 : MIN(ns, NAP_MAX_NS);
}

int64_t pace_ahead_ns(const struct pace *pace, uint64_t backlog)
{
	uint64_t most;

	if (pace->interval_ns <= 0 || pace->interval_ns > FLAT_OUT_NS)
		return 0;
	most = MAX(AHEAD_NS / pace->interval_ns, AHEAD_MIN);
	return backlog < most ? 0 : MIN(pace->interval_ns * (int64_t)(backlog - most / 2), NAP_MAX_NS);
}
