/* SPDX-License-Identifier: MIT */
#ifndef WEIR_GROUP_H
#define WEIR_GROUP_H

/* Children that belong together: what happens to the others when one of them dies. The meaning is that of Erlang/OTP's
 * supervisors, one level of them. A child becomes a member by weir_child_config.group, in the order of
 * weir_child_add(). Rules and threads as weir/frontend.h. */

#include <weir/frontend.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_strategy {
	WEIR_ONE_FOR_ONE = 0,  /* only the one that died is started again; members start at once */
	WEIR_REST_FOR_ONE = 1, /* it, and those that were added after it */
	WEIR_ONE_FOR_ALL = 2,  /* all members */
};

/* The members that must restart with another one are stopped in reverse order, each when the one after it is gone;
 * after a pause that grows with the number of deaths they are started in order, each when the one before it is running.
 * As in OTP a temporary member is stopped but not started again, and a member of such a set that had ended before, or
 * was stopped by weir_child_stop(), is started. */
struct weir_group_config {
	const char *name;   /* required; for messages */
	uint32_t strategy;  /* enum weir_strategy */
	uint32_t intensity; /* more deaths than this of all members within period_ns: FAILED; default 5, at most 64 */
	int64_t period_ns;  /* default 10 s */
	void *data;	    /* yours; weir_group_data() */
};

enum weir_group_state {
	WEIR_GROUP_UP = 0,
	WEIR_GROUP_RESTARTING, /* members are stopped and started again */
	WEIR_GROUP_STOPPING,
	WEIR_GROUP_STOPPED,
	WEIR_GROUP_FAILED, /* a member died too often, or cannot be started: all others are stopped */
};
const char *weir_group_state_name(enum weir_group_state state); /* "up", … */

/* -EINVAL: config; -ENOMEM. The group belongs to the frontend. */
int weir_group_create(
	struct weir_frontend *frontend, struct weir_group **group, const struct weir_group_config *config);

const char *weir_group_name(const struct weir_group *group);
void *weir_group_data(const struct weir_group *group);
enum weir_group_state weir_group_state(const struct weir_group *group);

/* Stops all members in reverse order, each when the one after it is gone. Returns at once: the next dispatch begins
 * with it; see WEIR_EVENT_GROUP_STATE. */
void weir_group_stop(struct weir_group *group);

/* Starts all members of a group that is STOPPED or FAILED, in order, with its deaths forgotten. Returns at once, too.
 * -EBUSY: it is neither, or a process of a member is still there. */
int weir_group_start(struct weir_group *group);

#ifdef __cplusplus
}
#endif
#endif
