/* SPDX-License-Identifier: MIT */
/* Jobs that do nothing, for tests/bench/pool: prints how many of them two workers do in a second.
 * Usage: pool-jobs COUNT AHEAD */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/pool.h>

#define SECOND_NS INT64_C(1000000000)
#define WARM_UP	  200

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	return weir_back_reply(back, message, 0, message->data, message->size);
}

static const struct weir_backend echo = {
	.abi = WEIR_BACKEND_ABI,
	.name = "echo",
	.enter = enter_back,
	.command = command_back,
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* As with the peers the result of each job is looked at. */
static void on_ended(void *data, const struct weir_job_result *result)
{
	uint64_t number;

	if (result->status != 0 || result->size != sizeof(number))
		return;
	memcpy(&number, result->data, sizeof(number));
	*(uint64_t *)data += number;
}

static int do_jobs(struct weir_frontend *frontend, struct weir_pool *pool, uint64_t count)
{
	int64_t deadline_ns = now_ns() + 60 * SECOND_NS;
	struct weir_pool_counters counters;
	uint64_t wanted;
	int r = 0;

	weir_pool_counters(pool, &counters);
	wanted = counters.done + count;
	for (uint64_t i = 0; r == 0 && i < count; i++)
		r = weir_pool_submit(
			pool, NULL, &(struct weir_job_config){ .data = &i, .size = sizeof(i) }, deadline_ns);
	for (; r == 0 && counters.done < wanted; weir_pool_counters(pool, &counters))
		r = weir_frontend_dispatch(frontend, deadline_ns);
	return r;
}

int main(int argc, char **argv)
{
	static const struct weir_backend *const backends[] = { &echo, NULL };
	uint64_t count = argc > 2 ? strtoull(argv[1], NULL, 10) : 0, sum = 0;
	struct weir_pool_config config = {
		.name = "echo", .backend = "echo", .workers = 2, .ended = on_ended, .data = &sum
	};
	struct weir_frontend *frontend;
	struct weir_pool *pool;
	int64_t begun_ns;

	config.ahead = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
	if (weir_init(&(struct weir_init_config){ .backends = backends }) < 0 ||
		weir_frontend_create(&frontend, NULL) < 0 || weir_pool_create(frontend, &pool, &config) < 0)
		return 1;
	if (do_jobs(frontend, pool, WARM_UP) < 0)
		return 1;
	sum = 0;
	begun_ns = now_ns();
	if (do_jobs(frontend, pool, count) < 0 || sum != count * (count - 1) / 2)
		return 1;
	printf("%.0f\n", (double)count * 1e9 / (double)(now_ns() - begun_ns));
	weir_frontend_free(&frontend);
	return 0;
}
