/* SPDX-License-Identifier: MIT */
#ifndef PLAN_H
#define PLAN_H

/* What a group does next, decided from the states of its members. No system call and no clock in here. */

#include <stdbool.h>
#include <stdint.h>

#include <weir/group.h>

struct plan_member {
	enum weir_child_state state;
	uint32_t restart;   /* enum weir_restart */
	bool stop, start;   /* it is to be stopped first; it is to be started then */
	bool is_unkillable; /* FAILED, but its process is still there */
};

enum plan_step { PLAN_REST, PLAN_WAIT, PLAN_STOP, PLAN_START };

struct plan_next {
	enum plan_step step;
	uint32_t member; /* of PLAN_STOP and PLAN_START */
};

/* A member has died and is to be restarted: marks all that go with it. */
void plan_restart(struct plan_member *members, uint32_t count, enum weir_strategy strategy, uint32_t dead);

/* All are to end, for good. */
void plan_end(struct plan_member *members, uint32_t count);

/* The next step; clears marks that are fulfilled. paused: nothing is started now. */
struct plan_next plan_next(struct plan_member *members, uint32_t count, enum weir_strategy strategy, bool paused);

#endif
