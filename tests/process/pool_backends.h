/* SPDX-License-Identifier: MIT */
#ifndef POOL_BACKENDS_H
#define POOL_BACKENDS_H

/* A pool of workers that do what their jobs say, and everything that became of the jobs. */

#include <weir/pool.h>

#include "process.h"

/* "labourer" takes jobs of text, a word and a number: "pid" (replies with it), "echo" (replies with its text),
 * "fail N", "sleep MS", "hang", "stop" (SIGSTOP), "signal N" (raises it), "answer-signal N" (replies first),
 * "patient" (until it is late), "late?" (fails if it is), "eat MIB", "forge" (answers what was never asked).
 * It prints "enter ARGS" and "leave"; with the args "quiet" it does not, with "broken" enter() fails, with "lingering"
 * leave() never returns. Commands that are no jobs: LABOURER_STATE replies with an int: 1 if it is active. */
#define LABOURER_STATE 300
extern const struct weir_backend labourer;

#define RESULTS_MAX 4096

struct outcome {
	uint32_t end;
	int status, worker_pid;
	uint32_t attempts;
	size_t user; /* of its configuration */
	char reason[128], text[64];
	int64_t ran_ns;
};

struct crew {
	struct fixture *fixture;
	struct weir_pool *pool;
	struct outcome outcome[RESULTS_MAX];
	size_t ended;
	uint32_t events;  /* a bit for each enum weir_pool_event */
	char reason[128]; /* of the last event */
	void (*hook)(struct crew *crew, const struct weir_job_result *result);
};

int crew_setup(void **state);
int crew_teardown(void **state);

/* Fills in what every pool needs. */
void crew_create(struct crew *crew, struct weir_pool_config config);
struct weir_job *crew_submit(struct crew *crew, const char *text);
struct weir_job *crew_submit_with(struct crew *crew, const char *text, struct weir_job_config config);
/* Dispatches until so many jobs have ended. */
void crew_await(struct crew *crew, size_t ended);
/* Runs one job to its end. */
struct outcome *crew_do(struct crew *crew, const char *text);
struct weir_pool_counters crew_counters(const struct crew *crew);

#endif
