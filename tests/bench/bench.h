/* SPDX-License-Identifier: MIT */
#ifndef BENCH_H
#define BENCH_H

/* The harness of the benchmarks. A group is a list of contenders that run one after the other in every round
 * (A,B,C, A,B,C…), and of rows, each of which sets one of them beside another, or beside a bar. A contender makes its
 * own processes and ends them: nothing is left over from round to round. Its figure is what one round measured. */

#include <errno.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include "ticks.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NO_PEER		UINT32_MAX
#define CONTENDERS_MAX	12
#define ROUNDS_MAX	32

struct contender {
	const char *name;
	/* Measures once. 0, or -errno with bench_fail(); -ENOPKG: the peer is not installed. NULL: not built in. */
	int (*run)(double *figure, uint32_t argument);
	uint32_t argument;
};

struct row {
	const char *name;
	uint32_t ours, peer; /* contenders of the group; NO_PEER */
	double bar,
		bar_ratio; /* wanted: at most; of the median, and of the median of each round's ours/peer; 0: none */
};

struct group {
	const char *name;
	const char *unit;
	uint32_t rounds, quick_rounds;
	const struct contender *contenders;
	uint32_t contender_count;
	const struct row *rows;
	uint32_t row_count;
};

/* What a program measures, NULL terminated; and what it does first of all (0 or -errno). */
extern const struct group *const bench_groups[];
int bench_begin(void);

extern const struct group handover_group, copy_group, roundtrip_group, paced_group, publish_group, dirty_group,
	wake_group, recovery_group, recovery_peer_group, memory_group;

/* --- numbers ------------------------------------------------------------------------------------------------------ */

struct spread {
	double min, p10, median, p90;
};

/* Sorts the values. */
struct spread spread_of(double *values, uint32_t count);

struct figures {
	const struct group *group;
	uint32_t rounds;
	double value[CONTENDERS_MAX][ROUNDS_MAX];
	bool absent[CONTENDERS_MAX];
};

enum verdict { VERDICT_NONE, VERDICT_OK, VERDICT_MISSED, VERDICT_ABSENT };

struct result {
	const struct figures *figures;
	const struct row *row;
	const char *peer; /* its name, or NULL */
	struct spread ours, theirs, ratio;
	enum verdict verdict;
};

enum style { STYLE_TABLE, STYLE_MARKDOWN };

void report_head(enum style style, FILE *json);
void report_row(enum style style, const struct result *result, FILE *json);
void report_group(enum style style, const struct group *group);

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* Shared by all processes of one contender; zeroed before each. */
struct page {
	alignas(64) _Atomic uint32_t met;
	alignas(64) _Atomic uint32_t sent;
	alignas(64) _Atomic uint32_t done;
	alignas(64) _Atomic int64_t time_ns;
	alignas(64) double figure; /* what the run measured */
	char why[200];
	alignas(64) char scratch[4096]; /* for the contender */
};
extern struct page *page;

struct job {
	int (*run_back)(void *context, uint32_t index);
	uint32_t cpu; /* 0 or 1: the first or second that we may run on */
	uint32_t index;
};

int bench_init(bool quick);

/* How often to do something: less in a quick run. */
uint32_t bench_count(uint32_t full, uint32_t quick);

/* Runs the jobs, each in a process of its own, pinned, and waits for all. If one fails the others are killed. */
int bench_run(double *figure, const struct job *jobs, uint32_t count, void *context);

/* The same for two that most contenders need: writer_back on the first CPU, reader_back on the second. */
int bench_pair(
	double *figure, int (*writer_back)(void *, uint32_t), int (*reader_back)(void *, uint32_t), void *context);

/* Forks; the child dies with us and after a minute at the latest. bench_end kills it and reaps it. */
pid_t bench_fork(void);
void bench_end(pid_t pid);

void bench_pin_back(uint32_t cpu);

/* Waits until all of so many processes have come here. */
void bench_meet_back(uint32_t count);

/* Says what went wrong; returns -EIO. */
int bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory of the kind that a ring is made of (shared, pages of 4 KiB), all present. */
void *bench_shared(size_t bytes);

static inline int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void sleep_until_ns(int64_t until_ns);

/* One turn of a busy loop. On a machine with something else to do it lets go of the CPU now and then. */
static inline void spin_once(uint32_t *turns)
{
	relax();
	if (++*turns % 8192 == 0)
		sched_yield();
}

/* --- peers -------------------------------------------------------------------------------------------------------- */

int iceoryx_handover(double *figure, uint32_t copies);
int iceoryx_roundtrip(double *figure, uint32_t busy);
int iceoryx_paced(double *figure, uint32_t unused);
int iceoryx_recovery(double *figure, uint32_t unused);
int zmq_copy(double *figure, uint32_t unused);
int zmq_roundtrip(double *figure, uint32_t unused);
int zmq_paced(double *figure, uint32_t unused);

#ifdef HAVE_ICEORYX
#define ICEORYX(run) run
#else
#define ICEORYX(run) NULL
#endif
#ifdef HAVE_ZMQ
#define ZMQ(run) run
#else
#define ZMQ(run) NULL
#endif

#endif
