/* SPDX-License-Identifier: MIT */
#include "plan.h"

static bool is_up(const struct plan_member *member)
{
	return member->state == WEIR_CHILD_STARTING || member->state == WEIR_CHILD_RUNNING;
}

static bool is_ending(const struct plan_member *member)
{
	return member->state == WEIR_CHILD_STOPPING || member->state == WEIR_CHILD_TERMINATING ||
	       member->state == WEIR_CHILD_KILLING;
}

void plan_restart(struct plan_member *members, uint32_t count, enum weir_strategy strategy, uint32_t dead)
{
	uint32_t first = strategy == WEIR_ONE_FOR_ALL ? 0 : dead;
	uint32_t end = strategy == WEIR_ONE_FOR_ONE ? dead + 1 : count;

	for (uint32_t i = first; i < end; i++) {
		members[i].stop = i != dead;
		members[i].start = members[i].restart != WEIR_RESTART_TEMPORARY;
	}
}

void plan_end(struct plan_member *members, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		members[i].stop = true;
		members[i].start = false;
	}
}

/* One that waits for its next start must be told when there will be none. */
static bool needs_stop(const struct plan_member *member)
{
	return is_up(member) || (member->state == WEIR_CHILD_BACKOFF && !member->start);
}

struct plan_next plan_next(struct plan_member *members, uint32_t count, enum weir_strategy strategy, bool paused)
{
	bool more = false;

	for (uint32_t i = count; i-- > 0;) {
		if (!members[i].stop)
			continue;
		if (needs_stop(&members[i]))
			return (struct plan_next){ PLAN_STOP, i };
		if (is_ending(&members[i]))
			return (struct plan_next){ PLAN_WAIT, i };
		members[i].stop = false;
	}
	for (uint32_t i = 0; i < count; i++) {
		/* In order: the next one may need this one. */
		if (strategy != WEIR_ONE_FOR_ONE && members[i].state == WEIR_CHILD_STARTING)
			return (struct plan_next){ PLAN_WAIT, i };
		members[i].start &= !is_up(&members[i]) && !members[i].is_unkillable;
		if (members[i].start && !is_ending(&members[i]) && !paused)
			return (struct plan_next){ PLAN_START, i };
		more |= members[i].start;
	}
	return (struct plan_next){ more ? PLAN_WAIT : PLAN_REST, 0 };
}
