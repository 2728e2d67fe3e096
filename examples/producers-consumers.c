/* SPDX-License-Identifier: MIT */
/* Two producers make items, three consumers work on them; between them there is a queue with room for eight.
 *
 *	producer --items--> this, with the queue --jobs--> consumer (a pool's worker)
 *	         <--wishes-                      <-results-
 *
 * Back-pressure: a producer makes only as many items as it was asked for, and it is asked for another one when one has
 * been consumed. In the middle of it all one producer is killed: it is started again and asked for what is missing.
 * One consumer is shut down on purpose, and stays away. When the producers have finished the pool is closed: the
 * consumers finish the queue and leave. Nothing is lost, nothing is done twice. */
#include "deadline.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <weir/pool.h>

#define PRODUCERS 2
#define ITEMS	  200 /* of each */
#define WINDOW	  4   /* items of one producer on their way at a time */

enum { MAKE = WEIR_MESSAGE_USER, ITEM };

struct range {
	int first, count;
};

/* --- backend: producer ------------------------------------------------------------------------------------------- */

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int make_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct range range;
	int r = 0;

	if (message->type != MAKE || message->size != sizeof(range))
		return -ENOSYS;
	memcpy(&range, message->data, sizeof(range));
	for (int i = range.first; r == 0 && i < range.first + range.count; i++)
		r = weir_back_event(back, ITEM, &i, sizeof(i));
	return r;
}

static const struct weir_backend producer = {
	.abi = WEIR_BACKEND_ABI,
	.name = "producer",
	.enter = enter_back,
	.command = make_back,
};

/* --- backend: consumer ------------------------------------------------------------------------------------------- */

static int consume_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	if (message->type != WEIR_COMMAND_JOB)
		return -ENOSYS;
	++*(int *)state;
	return 0;
}

static void leave_consumer_back(struct weir_back *back, void *state, int reason)
{
	printf("consumed %d items\n", *(int *)state);
}

static const struct weir_backend consumer = {
	.abi = WEIR_BACKEND_ABI,
	.name = "consumer",
	.state_bytes = sizeof(int),
	.enter = enter_back,
	.command = consume_back,
	.leave = leave_consumer_back,
};

/* --- frontend ---------------------------------------------------------------------------------------------------- */

struct producer {
	struct weir_child *child;
	int asked, came, consumed; /* numbers of items; each consumed once: seen */
	unsigned char seen[ITEMS];
};

static struct {
	struct weir_frontend *frontend;
	struct weir_pool *pool;
	struct producer producer[PRODUCERS];
	int most_waiting, consumed, twice;
} app;

static void ask(struct producer *one)
{
	struct range range = { .first = one->asked };
	int up_to = one->consumed + WINDOW < ITEMS ? one->consumed + WINDOW : ITEMS;

	range.count = up_to - one->asked;
	if (range.count > 0 && weir_child_send(one->child, MAKE, &range, sizeof(range)) == 0)
		one->asked = up_to;
}

static void on_item(struct producer *one, int number)
{
	struct weir_pool_counters counters;

	if (number != one->came) /* of its life before */
		return;
	one->came++;
	weir_pool_submit(app.pool, NULL,
		&(struct weir_job_config){
			.data = &number, .size = sizeof(number), .user = &one->seen[number], .attempts = 3 },
		0);
	weir_pool_counters(app.pool, &counters);
	if ((int)counters.waiting > app.most_waiting)
		app.most_waiting = (int)counters.waiting;
	if (one == app.producer && one->came == ITEMS / 2)
		kill(weir_child_pid(one->child), SIGKILL);
}

static void on_consumed(void *data, const struct weir_job_result *result)
{
	unsigned char *seen = result->user;
	struct producer *one = &app.producer[seen >= app.producer[1].seen && seen < app.producer[1].seen + ITEMS];

	if (result->status != 0)
		return;
	app.twice += *seen;
	*seen = 1;
	one->consumed++;
	if (++app.consumed == ITEMS / 2)
		weir_child_stop(result->worker);
	ask(one);
}

static void on_event(void *data, const struct weir_event *event)
{
	struct producer *one = event->child != NULL ? weir_child_data(event->child) : NULL;
	int number;

	if (event->type == WEIR_EVENT_OUTPUT)
		printf("%s: %s\n", weir_child_name(event->child), event->text);
	if (one == NULL)
		return;
	if (event->type == WEIR_EVENT_MESSAGE && event->message->type == ITEM) {
		memcpy(&number, event->message->data, sizeof(number));
		on_item(one, number);
	}
	if (event->type == WEIR_EVENT_CHILD_STATE && event->to == WEIR_CHILD_BACKOFF)
		printf("%s: %s; started again\n", weir_child_name(event->child), event->reason);
	if (event->type == WEIR_EVENT_CHILD_STATE && event->to == WEIR_CHILD_RUNNING) {
		one->asked = one->came; /* what a dead one was asked for is asked for again */
		ask(one);
	}
}

static int add_producer(int i)
{
	char name[32];

	snprintf(name, sizeof(name), "producer-%d", i + 1);
	return weir_child_add(app.frontend, &app.producer[i].child,
		&(struct weir_child_config){ .name = name, .backend = "producer", .data = &app.producer[i] });
}

static int run(void)
{
	struct weir_pool_config config = {
		.name = "consumer", .backend = "consumer", .workers = 3, .queue = 8, .ended = on_consumed
	};
	int r = weir_pool_create(app.frontend, &app.pool, &config);
	int64_t deadline_ns = in_ns(30 * SECOND_NS);

	for (int i = 0; r == 0 && i < PRODUCERS; i++)
		r = add_producer(i);
	while (r == 0 && (app.producer[0].came < ITEMS || app.producer[1].came < ITEMS))
		r = weir_frontend_dispatch(app.frontend, deadline_ns);
	if (r < 0)
		return r;
	puts("front: the producers have finished");
	weir_pool_close(app.pool);
	return weir_pool_join(app.pool, deadline_ns);
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &producer, &consumer, NULL };
	int r = weir_init(&(struct weir_init_config){ .backends = backends });

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (r == 0)
		r = weir_frontend_create(&app.frontend, &(struct weir_frontend_config){ .event = on_event });
	if (r == 0)
		r = run();
	if (r < 0)
		fprintf(stderr, "producers-consumers: %s\n", strerror(-r));
	printf("front: %d of %d items consumed, %d twice, at most %s in the queue\n", app.consumed, PRODUCERS * ITEMS,
		app.twice, app.most_waiting <= 8 ? "8" : "too many");
	weir_frontend_free(&app.frontend);
	return r < 0 || app.consumed != PRODUCERS * ITEMS || app.twice != 0;
}
