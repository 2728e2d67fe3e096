/* SPDX-License-Identifier: MIT */
/* The smallest two-process program. The functions of the frontend (player_…) hide the fork from the rest of the
 * program; those that end in _back run on the other side of it. The second half runs the same backend without any fork,
 * as a unit test would. */
#include "deadline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/frontend.h>

enum { PING = WEIR_MESSAGE_USER };

/* --- backend ----------------------------------------------------------------------------------------------------- */

struct player_back {
	int pings;
};

struct pong {
	int number, pid;
};

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct player_back *own = state;
	struct pong pong = { .number = ++own->pings, .pid = getpid() };

	if (message->type != PING)
		return -ENOSYS;
	return weir_back_reply(back, message, 0, &pong, sizeof(pong));
}

static void leave_back(struct weir_back *back, void *state, int reason)
{
	printf("back: bye after %d pings\n", ((struct player_back *)state)->pings);
}

static const struct weir_backend player = {
	.abi = WEIR_BACKEND_ABI,
	.name = "player",
	.state_bytes = sizeof(struct player_back),
	.enter = enter_back,
	.command = command_back,
	.leave = leave_back,
};

/* --- frontend ---------------------------------------------------------------------------------------------------- */

static struct weir_frontend *frontend;

static void on_event(void *data, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_OUTPUT)
		puts(event->text);
	if (event->type == WEIR_EVENT_CHILD_STATE && event->to >= WEIR_CHILD_DONE)
		printf("front: %s is %s: %s\n", weir_child_name(event->child),
			weir_child_state_name((enum weir_child_state)event->to), event->reason);
}

static struct weir_child *player_start(void)
{
	struct weir_child *child = NULL;

	weir_child_add(frontend, &child, &(struct weir_child_config){ .name = "ponger", .backend = "player" });
	return child;
}

static int player_ping(struct weir_child *child)
{
	struct pong pong;
	size_t size = sizeof(pong);
	int r;

	/* -ENOTCONN: it is still being started. */
	while ((r = weir_child_call(child, PING, NULL, 0, &pong, &size, in_ns(5 * SECOND_NS))) == -ENOTCONN)
		weir_frontend_dispatch(frontend, in_ns(5 * SECOND_NS));
	if (r == 0)
		printf("front: pong %d from %s process\n", pong.number, pong.pid == getpid() ? "this" : "another");
	return r;
}

static void player_stop(struct weir_child *child)
{
	weir_child_stop(child);
	while (weir_child_state(child) != WEIR_CHILD_DONE)
		weir_frontend_dispatch(frontend, in_ns(SECOND_NS));
}

static int play(void)
{
	struct weir_child *child;
	int r = weir_frontend_create(&frontend, &(struct weir_frontend_config){ .event = on_event });

	if (r < 0)
		return r;
	child = player_start();
	for (int i = 0; r == 0 && i < 3; i++)
		r = player_ping(child);
	player_stop(child);
	weir_frontend_free(&frontend);
	return r;
}

/* --- without a fork ---------------------------------------------------------------------------------------------- */

static void on_message(void *data, const struct weir_message *message)
{
	struct pong pong;

	memcpy(&pong, message->data, sizeof(pong));
	printf("front: pong %d from %s process\n", pong.number, pong.pid == getpid() ? "this" : "another");
}

static int play_alone(void)
{
	struct weir_back *back;
	int r = weir_back_create_local(&back, &player, "", on_message, NULL);

	if (r < 0)
		return r;
	for (int i = 0; r == 0 && i < 2; i++)
		r = weir_back_local_command(back, PING, NULL, 0);
	weir_back_local_free(&back);
	return r;
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &player, NULL };
	int r = weir_init(&(struct weir_init_config){ .backends = backends });

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (r < 0) {
		fprintf(stderr, "ping-pong: %s\n", weir_init_error());
		return 1;
	}
	r = play();
	if (r == 0)
		r = play_alone();
	if (r < 0)
		fprintf(stderr, "ping-pong: %s\n", strerror(-r));
	return r < 0;
}
