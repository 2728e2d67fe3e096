/* SPDX-License-Identifier: MIT */
/* Processes are forked at the very beginning and kept. When the program needs one it takes it from the cache, activates
 * it, talks with it, and puts it back, to be used again later. */
#include "deadline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/pool.h>

#define WORKERS 3

enum { ADD = WEIR_MESSAGE_USER };

/* --- backend: sums up numbers while it is active ----------------------------------------------------------------- */

struct adder_back {
	int uses, sum;
};

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct adder_back *own = state;
	int number;

	switch (message->type) {
	case WEIR_COMMAND_ACTIVATE:
		own->sum = 0;
		printf("activated for the %d. time\n", ++own->uses);
		return 0;
	case WEIR_COMMAND_DEACTIVATE: printf("deactivated with sum %d\n", own->sum); return 0;
	case ADD:
		if (message->size != sizeof(number))
			return -EINVAL;
		memcpy(&number, message->data, sizeof(number));
		own->sum += number;
		return weir_back_reply(back, message, 0, &own->sum, sizeof(own->sum));
	default: return -ENOSYS;
	}
}

static const struct weir_backend adder = {
	.abi = WEIR_BACKEND_ABI,
	.name = "adder",
	.state_bytes = sizeof(struct adder_back),
	.enter = enter_back,
	.command = command_back,
};

/* --- frontend ---------------------------------------------------------------------------------------------------- */

static struct weir_frontend *frontend;

static void on_event(void *data, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_OUTPUT)
		printf("%s: %s\n", weir_child_name(event->child), event->text);
}

static int use(struct weir_pool *pool, int from, int *pid)
{
	struct weir_child *worker;
	int r, sum = 0;

	r = weir_pool_activate(pool, &worker);
	if (r < 0)
		return r;
	*pid = weir_child_pid(worker);
	for (int number = from; r == 0 && number < from + 3; number++) {
		size_t size = sizeof(sum);

		r = weir_child_call(worker, ADD, &number, sizeof(number), &sum, &size, in_ns(5 * SECOND_NS));
	}
	printf("front: %s says %d\n", weir_child_name(worker), sum);
	weir_pool_deactivate(pool, worker);
	return r;
}

static int await_all(struct weir_pool *pool)
{
	struct weir_pool_counters counters;
	int r = 0;

	do {
		r = weir_frontend_dispatch(frontend, in_ns(10 * SECOND_NS));
		weir_pool_counters(pool, &counters);
	} while (r == 0 && counters.idle < WORKERS);
	return r;
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &adder, NULL };
	int r = weir_init(&(struct weir_init_config){ .backends = backends }), first, second;
	struct weir_pool *pool;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (r == 0)
		r = weir_frontend_create(&frontend, &(struct weir_frontend_config){ .event = on_event });
	if (r == 0)
		r = weir_pool_create(frontend, &pool,
			&(struct weir_pool_config){ .name = "cache", .backend = "adder", .workers = WORKERS });
	if (r == 0)
		r = await_all(pool);
	if (r == 0)
		r = use(pool, 1, &first);
	/* A real program would do other things here, start threads for instance. */
	if (r == 0)
		r = use(pool, 10, &second);
	if (r == 0) {
		printf("front: %s process\n", first == second ? "the same" : "another");
		weir_pool_close(pool);
		r = weir_pool_join(pool, in_ns(10 * SECOND_NS));
	}
	weir_frontend_free(&frontend);
	if (r < 0)
		fprintf(stderr, "cached-workers: %s\n", strerror(-r));
	return r < 0;
}
