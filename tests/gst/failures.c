/* SPDX-License-Identifier: MIT */
#include "failures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../holdings.h"

#define RATE 60

static char folder[] = "/tmp/weir-failures-XXXXXX";
char failures_path[64];

int failures_setup(void **state)
{
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(failures_path, sizeof(failures_path), "%s/cam0", folder);
	return 0;
}

int failures_teardown(void **state)
{
	return rmdir(folder);
}

int failures_clean_up(void **state)
{
	runner_clean_up(state);
	unlink(failures_path);
	return 0;
}

void failures_assert_nothing_is_left(void)
{
	struct stat st;

	assert_int_equal(stat(failures_path, &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(count_shm_names(), 0);
}

struct failures_window failures_open_window(const struct runner *reader, const struct runner *producer)
{
	return (struct failures_window){
		.reader = reader->counters,
		.producer = producer->counters,
		.buffers = reader->counters->buffers,
		.skipped = reader->counters->skipped,
		.produced = producer->counters->buffers,
		.start_ns = runner_now_ns(),
	};
}

void failures_close_window(const struct failures_window *window)
{
	double seconds = (double)(runner_now_ns() - window->start_ns) / 1e9;
	uint64_t buffers = window->reader->buffers - window->buffers;
	uint64_t skipped = window->reader->skipped - window->skipped;
	uint64_t produced = window->producer->buffers - window->produced;

	if (getenv("RUNNER_VERBOSE") != NULL)
		fprintf(stderr, "# %.2f s: %u produced, %u read, %u skipped\n", seconds, (unsigned)produced,
			(unsigned)buffers, (unsigned)skipped);
	/* A busy machine may be late, but a producer that somebody blocks stands still. */
	assert_true((double)produced >= seconds * RATE * 0.7);
	assert_true((double)buffers >= 0.99 * (double)(buffers + skipped));
	assert_true(buffers + 5 >= produced * 99 / 100);
}

void failures_start_two(struct runner *producer, struct runner *healthy, const char *sink_properties)
{
	runner_start(producer, NULL, SOURCE " ! weirsink name=p socket-path=%s %s", failures_path, sink_properties);
	RUNNER_AWAIT(producer, c->buffers > 0);
	runner_start(healthy, NULL, HEALTHY, failures_path);
	RUNNER_AWAIT(healthy, c->buffers > 0);
}
