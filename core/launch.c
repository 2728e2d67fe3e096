/* SPDX-License-Identifier: MIT */
#include <weir/launch.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "frontend.h"
#include "launch.h"

#define LIMIT_NS (60 * CLOCK_S)

/* Belongs to its child, and goes with it. */
struct launch {
	struct weir_launch_config config;
	struct weir_child *child;
	struct loop_timer timer;
	bool answered, late, reaped;
	int status, exit_code, signal_number;
	char data[];
};

/* --- what becomes of it ------------------------------------------------------------------------------------------ */

static void time_out(void *data)
{
	struct launch *launch = data;
	struct weir_child *child = launch->child;

	launch->late = true;
	process_blame(child, WEIR_END_TIMEOUT, "over its limit of %.3g s", (double)launch->config.limit_ns / 1e9);
	child->config.stop_ns = 1; /* it has been given its time: SIGTERM follows at once */
	if (child->state == WEIR_CHILD_STOPPING)
		child->timer.due_ns = 0;
	else
		weir_child_stop(child);
}

static int take_reply(struct weir_child *child, const struct weir_message *message)
{
	struct launch *launch = child->owned;

	if (launch->answered || launch->config.argv != NULL)
		return -EPROTO;
	launch->answered = true;
	launch->status = message->status < 0 ? message->status : 0;
	weir_child_stop(child);
	return 0;
}

static void take_death(struct weir_child *child, const siginfo_t *info, const char *reason)
{
	struct launch *launch = child->owned;

	launch->reaped = info->si_pid != 0;
	if (child->is_command && child->exit_seen)
		return; /* it says why it has not become the other program */
	if (info->si_code == CLD_EXITED)
		launch->exit_code = info->si_status;
	else
		launch->signal_number = info->si_status;
}

static void finish(struct launch *launch, const char *reason)
{
	struct weir_child *child = launch->child;
	struct weir_launch_result result = {
		.name = child->name,
		.user = launch->config.user,
		.late = launch->late,
		.status = launch->status,
		.exit_code = launch->exit_code,
		.signal_number = launch->signal_number,
		.reason = launch->status < 0 ? strerror(-launch->status) : reason,
	};

	result.success = launch->reaped && launch->exit_code == 0 && !launch->late && launch->status == 0 &&
			 (launch->answered || launch->config.argv != NULL);
	launch->timer.due_ns = CLOCK_NEVER;
	child->buried = child->frontend->burials = true;
	if (launch->config.ended != NULL && !child->frontend->muted)
		launch->config.ended(launch->config.user, &result);
}

static void take_change(struct weir_child *child, const char *reason)
{
	struct launch *launch = child->owned;
	struct weir_message job = {
		.type = WEIR_COMMAND_JOB, .id = 1, .data = launch->data, .size = (uint32_t)launch->config.size
	};

	if (child->state == WEIR_CHILD_RUNNING && launch->config.argv == NULL) {
		child->last_call = job.id;
		message_send(child->commands, &job); /* its pipe is empty */
	}
	if (child->state == WEIR_CHILD_STOPPING && launch->answered)
		child->timer.due_ns = CLOCK_NEVER; /* leave() has what is left of the limit */
	if (child->state == WEIR_CHILD_DONE || child->state == WEIR_CHILD_FAILED)
		finish(launch, reason);
}

static void bury(struct weir_child *child)
{
	struct launch *launch = child->owned;

	loop_remove_timer(child->frontend->loop, &launch->timer);
	explicit_bzero(launch->data, launch->config.size);
	free(launch);
}

static const struct child_owner owner = {
	.reply = take_reply,
	.dead = take_death,
	.changed = take_change,
	.bury = bury,
};

/* --- launching --------------------------------------------------------------------------------------------------- */

static int encode(char *text, size_t room, const char *const *argv)
{
	size_t used = 0;

	for (; *argv != NULL; argv++) {
		int got = snprintf(text + used, room - used, "%zu:%s", strlen(*argv), *argv);

		if (got < 0 || (size_t)got >= room - used)
			return -E2BIG;
		used += (size_t)got;
	}
	return 0;
}

static int add_child(struct weir_frontend *frontend, struct launch *launch)
{
	const struct weir_launch_config *config = &launch->config;
	struct weir_child_config child = {
		.name = config->name,
		.backend = config->backend,
		.args = config->args,
		.restart = WEIR_RESTART_TEMPORARY,
		.ready_ns = config->limit_ns,
		.term_ns = config->term_ns,
	};
	char *text = NULL;
	int r = 0;

	if (config->argv != NULL) {
		text = malloc(ZYGOTE_ARGS_BYTES);
		if (text == NULL)
			return -ENOMEM;
		child.backend = LAUNCH_EXEC_NAME;
		child.args = text;
		r = encode(text, ZYGOTE_ARGS_BYTES, config->argv);
	}
	if (r == 0)
		r = weir_child_add(frontend, &launch->child, &child);
	if (text != NULL)
		explicit_bzero(text, ZYGOTE_ARGS_BYTES);
	free(text);
	return r;
}

int weir_launch(struct weir_frontend *frontend, const struct weir_launch_config *config)
{
	struct launch *launch;
	int r;

	if ((config->argv == NULL) == (config->backend == NULL) || (config->argv != NULL && config->argv[0] == NULL) ||
		config->limit_ns < 0)
		return -EINVAL;
	if (config->size > WEIR_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	launch = calloc(1, sizeof(*launch) + config->size);
	if (launch == NULL)
		return -ENOMEM;
	launch->config = *config;
	launch->exit_code = -1;
	if (config->size > 0)
		memcpy(launch->data, config->data, config->size);
	if (config->limit_ns == 0)
		launch->config.limit_ns = LIMIT_NS;
	r = add_child(frontend, launch);
	if (r < 0) {
		free(launch);
		return r;
	}
	launch->child->owner = &owner;
	launch->child->owned = launch;
	launch->child->is_command = config->argv != NULL;
	launch->timer = (struct loop_timer){
		.due_ns = clock_after(clock_ns(), launch->config.limit_ns), .fn = time_out, .data = launch
	};
	loop_add_timer(frontend->loop, &launch->timer);
	return 0;
}
