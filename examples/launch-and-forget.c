/* SPDX-License-Identifier: MIT */
/* Tasks that may be slow, dangerous or endless are launched with a time limit, and the program goes on at once. Whether
 * it wants to hear of their ends is up to it; here it does, to show them. */
#include "deadline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/launch.h>

/* --- backend: a function as a task ------------------------------------------------------------------------------- */

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	if (message->type != WEIR_COMMAND_JOB)
		return -ENOSYS;
	printf("counting to %s\n", (const char *)message->data);
	if (strcmp(message->data, "infinity") == 0)
		for (;;)
			pause();
	return 0;
}

static const struct weir_backend counter = {
	.abi = WEIR_BACKEND_ABI,
	.name = "counter",
	.enter = enter_back,
	.command = command_back,
};

/* --- frontend ---------------------------------------------------------------------------------------------------- */

static int left;

static void on_ended(void *user, const struct weir_launch_result *result)
{
	printf("%s: %s (%s)\n", result->name, result->success ? "succeeded" : "failed", result->reason);
	left--;
}

static void on_event(void *data, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_OUTPUT)
		printf("%s: %s\n", weir_child_name(event->child), event->text);
	if (event->type == WEIR_EVENT_TICK)
		++*(int *)data;
}

static int launch_command(struct weir_frontend *frontend, const char *name, const char *script, int64_t limit_ns)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	left++;
	return weir_launch(frontend,
		&(struct weir_launch_config){ .name = name, .argv = argv, .limit_ns = limit_ns, .ended = on_ended });
}

static int launch_function(struct weir_frontend *frontend, const char *name, const char *to, int64_t limit_ns)
{
	left++;
	return weir_launch(frontend, &(struct weir_launch_config){ .name = name,
					     .backend = "counter",
					     .data = to,
					     .size = strlen(to) + 1,
					     .limit_ns = limit_ns,
					     .ended = on_ended });
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &counter, NULL };
	int r = weir_init(&(struct weir_init_config){ .backends = backends }), ticks = 0;
	struct weir_frontend *frontend = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (r == 0)
		r = weir_frontend_create(&frontend,
			&(struct weir_frontend_config){ .event = on_event, .data = &ticks, .tick_ns = SECOND_NS / 50 });
	if (r == 0)
		r = launch_command(frontend, "greeting", "echo hello; sleep 0.1", 10 * SECOND_NS);
	if (r == 0)
		r = launch_command(frontend, "wrong", "exit 2", 10 * SECOND_NS);
	if (r == 0)
		r = launch_function(frontend, "short", "three", 10 * SECOND_NS);
	if (r == 0)
		r = launch_function(frontend, "endless", "infinity", SECOND_NS / 2);
	if (r == 0)
		puts("front: all are launched");
	/* The main loop: whatever the tasks do, it comes round every 20 ms. */
	while (r == 0 && left > 0)
		weir_frontend_dispatch(frontend, in_ns(SECOND_NS));
	printf("front: the loop went on meanwhile: %s\n", ticks > 5 ? "yes" : "no");
	weir_frontend_free(&frontend);
	if (r < 0)
		fprintf(stderr, "launch-and-forget: %s\n", strerror(-r));
	return r < 0;
}
