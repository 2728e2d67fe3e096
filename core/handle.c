/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define READY_NS  (10 * CLOCK_S)
#define STOP_NS	  (300 * CLOCK_MS)
#define TERM_NS	  (200 * CLOCK_MS)
#define PERIOD_NS (10 * CLOCK_S)
#define INTENSITY 5

const char *weir_child_state_name(enum weir_child_state state)
{
	static const char *const name[] = { "idle", "starting", "running", "stopping", "terminating", "killing",
		"backoff", "done", "failed" };

	return (size_t)state < sizeof(name) / sizeof(name[0]) ? name[state] : "?";
}

static void set_default(int64_t *ns, int64_t fallback_ns)
{
	if (*ns == 0)
		*ns = fallback_ns;
}

static int fill(struct weir_child_config *filled, const struct weir_child_config *config)
{
	struct weir_child_config made = *config;

	if (made.group != NULL && (made.intensity != 0 || made.period_ns != 0))
		return -EINVAL;
	if (made.name == NULL || made.backend == NULL || made.name[0] == '\0' || made.backend[0] == '\0')
		return -EINVAL;
	if (made.args == NULL)
		made.args = "";
	if (strlen(made.name) >= ZYGOTE_NAME_BYTES || strlen(made.backend) >= ZYGOTE_PATH_BYTES ||
		strlen(made.args) >= ZYGOTE_ARGS_BYTES)
		return -EINVAL;
	set_default(&made.ready_ns, READY_NS);
	set_default(&made.stop_ns, STOP_NS);
	set_default(&made.term_ns, TERM_NS);
	set_default(&made.period_ns, PERIOD_NS);
	if (made.intensity == 0)
		made.intensity = INTENSITY;
	if (made.restart > WEIR_RESTART_TEMPORARY || made.spawn > WEIR_SPAWN_EXEC ||
		made.intensity > SUPERVISE_INTENSITY_MAX || made.ready_ns < 0 || made.stop_ns < 0 || made.term_ns < 0 ||
		made.period_ns < 0 || (made.hang_ns != 0 && made.hang_ns < 2 * WEIR_WAIT_BOUND_NS) ||
		made.recycle_ns < 0 || made.limits.oom_score_adj < -1000 || made.limits.oom_score_adj > 1000)
		return -EINVAL;
	*filled = made;
	return 0;
}

void child_free(struct weir_child *child)
{
	if (child->owner != NULL && child->owner->bury != NULL)
		child->owner->bury(child);
	if (child->args != NULL)
		explicit_bzero(child->args, strlen(child->args));
	output_finish(child);
	cgroup_forget(&child->frontend->cgroups, child->cgroup_name);
	free(child->args);
	free(child->backend);
	free(child);
}

void child_remove(struct weir_child *child)
{
	struct weir_frontend *frontend = child->frontend;

	process_release(child);
	loop_remove_timer(frontend->loop, &child->timer);
	loop_remove_timer(frontend->loop, &child->watch);
	*(child->previous != NULL ? &child->previous->next : &frontend->first_child) = child->next;
	*(child->next != NULL ? &child->next->previous : &frontend->last_child) = child->previous;
	child_free(child);
}

static void name_cgroup(struct weir_child *child)
{
	snprintf(child->cgroup_name, sizeof(child->cgroup_name), "%s-%u", child->name, child->number);
	for (char *at = child->cgroup_name; *at != '\0'; at++)
		if (*at == '/' || *at == '.' || *at <= ' ')
			*at = '_';
}

int weir_child_add(struct weir_frontend *frontend, struct weir_child **child, const struct weir_child_config *config)
{
	struct weir_child_config filled;
	struct weir_child *made;
	int r = fill(&filled, config);

	if (r < 0)
		return r;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	made->frontend = frontend;
	made->config = filled;
	snprintf(made->name, sizeof(made->name), "%s", filled.name);
	made->number = frontend->last_child != NULL ? frontend->last_child->number + 1 : 0;
	name_cgroup(made);
	made->backend = strdup(filled.backend);
	made->args = strdup(filled.args);
	if (made->backend == NULL || made->args == NULL) {
		child_free(made);
		return -ENOMEM;
	}
	made->group = filled.group;
	if (made->group != NULL && group_join(made->group, made) < 0) {
		child_free(made);
		return -ENOMEM;
	}
	process_init(made);
	loop_add_timer(frontend->loop, &made->timer);
	loop_add_timer(frontend->loop, &made->watch);
	made->previous = frontend->last_child;
	if (made->previous != NULL)
		made->previous->next = made;
	else
		frontend->first_child = made;
	frontend->last_child = made;
	if (made->group == NULL)
		made->request = CHILD_REQUEST_START;
	frontend_kick(frontend);
	*child = made;
	return 0;
}

const char *weir_child_name(const struct weir_child *child)
{
	return child->name;
}

void *weir_child_data(const struct weir_child *child)
{
	return child->config.data;
}

enum weir_child_state weir_child_state(const struct weir_child *child)
{
	return child->state;
}

int weir_child_pid(const struct weir_child *child)
{
	return child->pid;
}

uint32_t weir_child_restarts(const struct weir_child *child)
{
	return child->starts > 0 ? child->starts - 1 : 0;
}

void weir_child_stop(struct weir_child *child)
{
	child->request = CHILD_REQUEST_STOP;
	if (child->group != NULL)
		group_keep_stopped(child);
	frontend_kick(child->frontend);
}

int weir_child_start(struct weir_child *child)
{
	bool ended = child->state == WEIR_CHILD_DONE || child->state == WEIR_CHILD_FAILED;

	if (!ended || child->pid != 0 || child->request != CHILD_REQUEST_NONE)
		return -EBUSY;
	if (child->group != NULL && group_start_member(child) < 0)
		return -EBUSY;
	if (child->group == NULL)
		child->request = CHILD_REQUEST_START;
	frontend_kick(child->frontend);
	return 0;
}
