/* SPDX-License-Identifier: MIT */
#ifndef GROUP_H
#define GROUP_H

/* Groups of children, for process.c, handle.c and frontend.c. */

#include "frontend.h"
#include "plan.h"

struct weir_group {
	struct weir_group *next;
	struct weir_frontend *frontend;
	char *name;
	struct weir_group_config config; /* with defaults filled in; its name is not kept */
	enum weir_group_state state;
	enum child_request request; /* of the program; looked at in group_step(), as events come from a dispatch only */
	struct plan_member *member; /* count of them; child is the same list */
	struct weir_child **child;
	uint32_t count;
	struct supervise_deaths deaths;
	struct supervise_history history; /* of members that restart together */
	struct loop_timer pause;	  /* set: nothing is started before */
};

/* -ENOMEM. */
int group_join(struct weir_group *group, struct weir_child *child);
/* -EBUSY: the group has ended. */
int group_start_member(struct weir_child *child);
/* It is being stopped by the program. */
void group_keep_stopped(struct weir_child *child);
/* Does what is to be done by now. */
void group_step(struct weir_group *group);
void group_free_all(struct weir_frontend *frontend);

/* It is dead: if the group was about to stop it anyway, that is no death of its own. */
void group_excuse(struct weir_child *child);
/* True if its group decides when it is started again. */
bool group_starts(const struct weir_child *child);
/* After the child's own event. */
void group_child_changed(struct weir_child *child, enum supervise_event event, const char *reason);

#endif
