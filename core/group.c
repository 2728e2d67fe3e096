/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define PERIOD_NS (10 * CLOCK_S)
#define INTENSITY 5

const char *weir_group_state_name(enum weir_group_state state)
{
	static const char *const name[] = { "up", "restarting", "stopping", "stopped", "failed" };

	return (size_t)state < sizeof(name) / sizeof(name[0]) ? name[state] : "?";
}

static void set_state(struct weir_group *group, enum weir_group_state to, const char *reason)
{
	enum weir_group_state from = group->state;

	if (from == to)
		return;
	group->state = to;
	frontend_emit(group->frontend,
		&(struct weir_event){
			.type = WEIR_EVENT_GROUP_STATE, .group = group, .from = from, .to = to, .reason = reason });
}

static uint32_t index_of(const struct weir_group *group, const struct weir_child *child)
{
	uint32_t i = 0;

	while (group->child[i] != child)
		i++;
	return i;
}

static void refresh(struct weir_group *group)
{
	for (uint32_t i = 0; i < group->count; i++) {
		group->member[i].state = group->child[i]->state;
		group->member[i].is_unkillable =
			group->child[i]->state == WEIR_CHILD_FAILED && group->child[i]->pid != 0;
	}
}

static bool is_quiet(const struct weir_group *group)
{
	for (uint32_t i = 0; i < group->count; i++)
		if (group->child[i]->pid != 0 || group->child[i]->spawning != 0)
			return false;
	return true;
}

/* --- moving ------------------------------------------------------------------------------------------------------ */

static void take_step(struct weir_group *group, struct plan_next next)
{
	struct weir_child *child = group->child[next.member];
	bool comes_back = group->member[next.member].start;

	if (next.step == PLAN_START) {
		group->member[next.member].start = false;
		process_apply(child, SUPERVISE_START, "");
	} else if (comes_back) {
		process_apply(child, SUPERVISE_RECYCLE, "another member of its group is started again");
	} else {
		process_apply(child, SUPERVISE_STOP, "its group ends");
	}
}

static void end_all(struct weir_group *group, enum weir_group_state to, const char *reason)
{
	plan_end(group->member, group->count);
	group->pause.due_ns = CLOCK_NEVER;
	set_state(group, to, reason);
}

static void start_all(struct weir_group *group)
{
	group->history = (struct supervise_history){ 0 };
	group->deaths = (struct supervise_deaths){ 0 };
	for (uint32_t i = 0; i < group->count; i++) {
		group->child[i]->history = (struct supervise_history){ 0 };
		group->member[i].stop = false;
		group->member[i].start = true;
	}
	set_state(group, WEIR_GROUP_UP, "start was asked for");
}

static void take_request(struct weir_group *group)
{
	enum child_request request = group->request;

	group->request = CHILD_REQUEST_NONE;
	if (request == CHILD_REQUEST_STOP && group->state < WEIR_GROUP_STOPPING)
		end_all(group, WEIR_GROUP_STOPPING, "stop was asked for");
	else if (request == CHILD_REQUEST_START)
		start_all(group);
}

void group_step(struct weir_group *group)
{
	struct plan_next next;

	take_request(group);
	for (;;) {
		bool paused = group->pause.due_ns != CLOCK_NEVER;

		refresh(group);
		next = plan_next(group->member, group->count, group->config.strategy, paused);
		if (next.step != PLAN_STOP && next.step != PLAN_START)
			break;
		take_step(group, next);
	}
	if (next.step != PLAN_REST)
		return;
	if (group->state == WEIR_GROUP_RESTARTING)
		set_state(group, WEIR_GROUP_UP, "all members are started again");
	else if (group->state == WEIR_GROUP_STOPPING)
		set_state(group, WEIR_GROUP_STOPPED, "stop was asked for");
}

static void on_pause_over(void *data)
{
	frontend_kick(((struct weir_group *)data)->frontend);
}

static void fail(struct weir_group *group, const struct weir_child *child, const char *reason)
{
	char why[CHILD_REASON_BYTES + ZYGOTE_NAME_BYTES];

	snprintf(why, sizeof(why), "%s: %s", child->name, reason);
	end_all(group, WEIR_GROUP_FAILED, why);
}

static void restart(struct weir_group *group, uint32_t dead, const char *reason)
{
	char why[CHILD_REASON_BYTES + ZYGOTE_NAME_BYTES];
	struct weir_child *child = group->child[dead];

	/* It was this group that made room for another life of its. */
	if (group->config.strategy == WEIR_ONE_FOR_ONE || (child->recycled && group->member[dead].start))
		return;
	snprintf(why, sizeof(why), "%s: %s", child->name, reason);
	plan_restart(group->member, group->count, group->config.strategy, dead);
	group->pause.due_ns = clock_ns() + (child->recycled ? 0 : process_backoff_ns(&group->history));
	set_state(group, WEIR_GROUP_RESTARTING, why);
}

void group_child_changed(struct weir_child *child, enum supervise_event event, const char *reason)
{
	struct weir_group *group = child->group;
	bool is_over = group->state >= WEIR_GROUP_STOPPING;
	bool is_unkillable = event == SUPERVISE_TIMEOUT && child->state == WEIR_CHILD_FAILED;

	if (!is_over && event == SUPERVISE_DEAD_AGAIN)
		restart(group, index_of(group, child), reason);
	else if (!is_over && child->config.restart != WEIR_RESTART_TEMPORARY &&
		 (event == SUPERVISE_DEAD_FAILED || (is_unkillable && group->config.strategy != WEIR_ONE_FOR_ONE)))
		fail(group, child, reason);
	frontend_kick(group->frontend);
}

void group_excuse(struct weir_child *child)
{
	const struct plan_member *member;

	if (child->group == NULL)
		return;
	member = &child->group->member[index_of(child->group, child)];
	child->recycled |= member->stop && member->start;
	child->stop_wanted |= member->stop && !member->start;
}

bool group_starts(const struct weir_child *child)
{
	return child->group != NULL && child->group->config.strategy != WEIR_ONE_FOR_ONE;
}

/* --- members ----------------------------------------------------------------------------------------------------- */

int group_join(struct weir_group *group, struct weir_child *child)
{
	struct plan_member *member = realloc(group->member, (group->count + 1) * sizeof(*member));
	struct weir_child **list;

	if (member == NULL)
		return -ENOMEM;
	group->member = member;
	list = realloc(group->child, (group->count + 1) * sizeof(struct weir_child *));
	if (list == NULL)
		return -ENOMEM;
	group->child = list;
	group->child[group->count] = child;
	group->member[group->count++] = (struct plan_member){
		.restart = child->config.restart,
		.start = group->state < WEIR_GROUP_STOPPING,
	};
	return 0;
}

int group_start_member(struct weir_child *child)
{
	struct weir_group *group = child->group;

	if (group->state >= WEIR_GROUP_STOPPING)
		return -EBUSY;
	group->member[index_of(group, child)].start = true;
	return 0;
}

void group_keep_stopped(struct weir_child *child)
{
	child->group->member[index_of(child->group, child)].start = false;
}

/* --- the group --------------------------------------------------------------------------------------------------- */

int weir_group_create(struct weir_frontend *frontend, struct weir_group **group, const struct weir_group_config *config)
{
	struct weir_group *made;

	if (config->name == NULL || config->strategy > WEIR_ONE_FOR_ALL ||
		config->intensity > SUPERVISE_INTENSITY_MAX || config->period_ns < 0)
		return -EINVAL;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	made->name = strdup(config->name);
	if (made->name == NULL) {
		free(made);
		return -ENOMEM;
	}
	made->frontend = frontend;
	made->config = *config;
	if (made->config.intensity == 0)
		made->config.intensity = INTENSITY;
	if (made->config.period_ns == 0)
		made->config.period_ns = PERIOD_NS;
	made->pause = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = on_pause_over, .data = made };
	loop_add_timer(frontend->loop, &made->pause);
	made->next = frontend->group_list;
	frontend->group_list = made;
	*group = made;
	return 0;
}

void group_free_all(struct weir_frontend *frontend)
{
	while (frontend->group_list != NULL) {
		struct weir_group *old = frontend->group_list;

		frontend->group_list = old->next;
		free(old->child);
		free(old->member);
		free(old->name);
		free(old);
	}
}

const char *weir_group_name(const struct weir_group *group)
{
	return group->name;
}

void *weir_group_data(const struct weir_group *group)
{
	return group->config.data;
}

enum weir_group_state weir_group_state(const struct weir_group *group)
{
	return group->state;
}

void weir_group_stop(struct weir_group *group)
{
	group->request = CHILD_REQUEST_STOP;
	frontend_kick(group->frontend);
}

int weir_group_start(struct weir_group *group)
{
	if (group->state < WEIR_GROUP_STOPPED || group->request != CHILD_REQUEST_NONE || !is_quiet(group))
		return -EBUSY;
	group->request = CHILD_REQUEST_START;
	frontend_kick(group->frontend);
	return 0;
}
