/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "../holdings.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include <weir/pool.h>

/* Jobs that fail, hang and die, workers that are killed and stopped at random, jobs that are cancelled. Every job is
 * accounted for once, none begins more often than is said, and nothing grows. The schedule depends on the seed. */

#define JOBS_MAX       100000
#define WORKERS	       4
#define ATTEMPTS       2
#define LIMIT_NS       (SECOND / 8)
#define GROWTH_MAX_KIB 2048 /* more than after the first fifth */

struct order {
	uint32_t number, kind;
};

/* Shared with the workers: how often each job really began. */
static atomic_uchar *begun;

static struct {
	uint32_t jobs, submitted, ended, kills, wrong, overrun;
	uint64_t by_end[WEIR_JOB_DROPPED + 1];
	uint8_t seen[JOBS_MAX];
	struct weir_job *job[JOBS_MAX]; /* NULL: has ended */
	int pid[WORKERS];
	uint64_t random;
} storm;

static uint32_t draw(uint32_t below)
{
	storm.random ^= storm.random << 13;
	storm.random ^= storm.random >> 7;
	storm.random ^= storm.random << 17;
	return (uint32_t)(storm.random >> 32) % below;
}

/* --- the worker -------------------------------------------------------------------------------------------------- */

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct order order;
	int pid = getpid();

	if (message->type != WEIR_COMMAND_JOB || message->size != sizeof(order))
		return -ENOSYS;
	memcpy(&order, message->data, sizeof(order));
	atomic_fetch_add(&begun[order.number], 1);
	switch (order.kind) {
	case 0: return -EDOM;
	case 1: return raise(SIGKILL);
	case 2: _exit(0); /* no death in order */
	case 3:
		for (;;)
			pause();
	case 4: weir_back_reply(back, message, 0, &pid, sizeof(pid)); return raise(SIGKILL);
	case 5: usleep(2000); break;
	default: break;
	}
	return weir_back_reply(back, message, 0, &pid, sizeof(pid));
}

static const struct weir_backend hand = {
	.abi = WEIR_BACKEND_ABI,
	.name = "hand",
	.enter = enter_back,
	.command = command_back,
};

/* --- accounting -------------------------------------------------------------------------------------------------- */

static void on_ended(void *data, const struct weir_job_result *result)
{
	uint32_t number = (uint32_t)(uintptr_t)result->user;
	uint32_t really = atomic_load(&begun[number]);

	storm.ended++;
	storm.seen[number]++;
	storm.job[number] = NULL;
	storm.by_end[result->end]++;
	storm.overrun += really > result->attempts || result->attempts > ATTEMPTS;
	storm.wrong += (result->end == WEIR_JOB_DONE) != (result->status == 0 || result->status == -EDOM);
	storm.wrong += result->end == WEIR_JOB_DONE && really == 0;
	if (result->size == sizeof(int) && result->worker != NULL) {
		const char *name = weir_child_name(result->worker);

		memcpy(&storm.pid[name[strlen(name) - 1] - '1'], result->data, sizeof(int));
	}
}

static uint32_t choose_kind(void)
{
	uint32_t of_thousand = draw(1000);

	if (of_thousand < 30)
		return 0;
	if (of_thousand < 45)
		return 1 + of_thousand % 2;
	if (of_thousand < 50)
		return 3;
	if (of_thousand < 60)
		return 4;
	return of_thousand < 160 ? 5 : 6;
}

static void submit_one(struct weir_pool *pool)
{
	struct order order = { .number = storm.submitted, .kind = choose_kind() };
	struct weir_job_config config = {
		.data = &order, .size = sizeof(order), .user = (void *)(uintptr_t)order.number
	};

	assert_int_equal(weir_pool_submit(pool, &storm.job[order.number], &config, now_ns() + PATIENCE_S * SECOND), 0);
	storm.submitted++;
}

/* Kills or stops a worker, or cancels a job. A pid may be out of date, and then mean nothing any more. */
static void strike(struct weir_pool *pool, struct fixture *fixture)
{
	uint32_t worker = draw(WORKERS);
	uint32_t victim = storm.submitted - 1 - draw(storm.submitted < 100 ? storm.submitted : 100);
	int number = draw(4) == 0 ? SIGSTOP : SIGKILL;

	if (draw(4) == 0) {
		if (storm.job[victim] != NULL)
			weir_pool_cancel(pool, storm.job[victim]);
		return;
	}
	if (storm.pid[worker] != 0 && !is_gone(storm.pid[worker]) && kill(storm.pid[worker], number) == 0)
		storm.kills++;
	storm.pid[worker] = 0;
}

static void run(struct fixture *fixture, struct weir_pool *pool, uint32_t up_to)
{
	while (storm.submitted < up_to) {
		submit_one(pool);
		if (draw(15) == 0)
			strike(pool, fixture);
		if (draw(8) == 0)
			weir_frontend_dispatch(fixture->frontend, now_ns() + SECOND / 1000);
	}
	UNTIL(fixture, storm.ended == storm.submitted);
	fixture_run(fixture, SECOND / 4); /* orphans are swept, workers are back */
}

static void every_job_of_a_storm_is_accounted_for_and_nothing_grows(void **state)
{
	struct weir_pool_config config = {
		.name = "storm",
		.backend = "hand",
		.workers = WORKERS,
		.queue = 100,
		.ahead = 3,
		.attempts = ATTEMPTS,
		.hard_ns = LIMIT_NS,
		.max_jobs = 60,
		.ended = on_ended,
	};
	struct fixture *fixture = *state;
	struct weir_pool_counters count;
	struct holdings before;
	struct weir_pool *pool;
	long kib;

	assert_int_equal(weir_pool_create(fixture->frontend, &pool, &config), 0);
	run(fixture, pool, storm.jobs / 5);
	before = hold();
	kib = resident_kib();
	run(fixture, pool, storm.jobs);
	weir_pool_counters(pool, &count);
	printf("# %u jobs: %lu done, %lu late, %lu lost, %lu cancelled; begun again %lu; workers: %lu died (%u "
	       "struck), "
	       "%lu recycled\n",
		storm.jobs, (unsigned long)count.done, (unsigned long)count.late, (unsigned long)count.lost,
		(unsigned long)count.cancelled, (unsigned long)count.retried, (unsigned long)count.deaths, storm.kills,
		(unsigned long)count.recycled);
	kib = resident_kib() - kib;
	printf("# %d descriptors, %d mappings, %d processes; resident memory grew by %ld KiB\n", before.fds,
		before.maps, before.children, kib);
	assert_same(&before, "after the storm");
#ifndef __SANITIZE_ADDRESS__
	assert_true(kib <= GROWTH_MAX_KIB);
#endif
	for (uint32_t i = 0; i < storm.jobs; i++)
		assert_int_equal(storm.seen[i], 1);
	assert_int_equal(storm.wrong, 0);
	assert_int_equal(storm.overrun, 0);
	assert_int_equal(count.submitted, storm.jobs);
	assert_int_equal(count.done, storm.by_end[WEIR_JOB_DONE]);
	assert_int_equal(count.late, storm.by_end[WEIR_JOB_LATE]);
	assert_int_equal(count.lost, storm.by_end[WEIR_JOB_LOST]);
	assert_int_equal(count.cancelled, storm.by_end[WEIR_JOB_CANCELLED]);
	assert_true(count.deaths > 0 && storm.kills > 0 && count.done > storm.jobs / 2);
	weir_pool_close(pool);
	assert_int_equal(weir_pool_join(pool, now_ns() + PATIENCE_S * SECOND), 0);
}

int main(int argc, char **argv)
{
	static const struct weir_backend *const backends[] = { &hand, NULL };
	const struct weir_init_config init = { .backends = backends };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			every_job_of_a_storm_is_accounted_for_and_nothing_grows, fixture_setup, fixture_teardown),
	};

	begun = mmap(NULL, JOBS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (begun == MAP_FAILED || weir_init(&init) < 0)
		return 1;
	storm.jobs = getenv("WEIR_LONG") != NULL ? 10000 : 500;
	storm.random = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)now_ns();
	printf("# seed %llu\n", (unsigned long long)storm.random);
	storm.random = storm.random * 2654435761u | 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
