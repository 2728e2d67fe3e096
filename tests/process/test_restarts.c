/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <dirent.h>

#include "stream_backends.h"
#include "test_backends.h"

/* Nothing may grow with the number of restarts. */

#define RESTARTS 60
#define KILLS	 15 /* of three children, each with its back-off */

struct holdings {
	int fds, maps, children;
};

static int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	assert_non_null(directory);
	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

static int count_lines(const char *path, const char *with)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	int count = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, with) != NULL;
	fclose(file);
	return count;
}

static int count_children(void)
{
	char path[64];
	FILE *file;
	int count = 0, pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	assert_non_null(file);
	while (fscanf(file, "%d", &pid) == 1)
		count++;
	fclose(file);
	return count;
}

/* Mappings of memory that is shared: the heap of a sanitizer is not our business. */
static struct holdings hold(void)
{
	return (struct holdings){
		.fds = count_entries("/proc/self/fd"),
		.maps = count_lines("/proc/self/maps", "rw-s") + count_lines("/proc/self/maps", "r--s"),
		.children = count_children(),
	};
}

static void assert_same(const struct holdings *before)
{
	struct holdings now = hold();

	assert_int_equal(now.fds, before->fds);
	assert_int_equal(now.maps, before->maps);
	assert_int_equal(now.children, before->children);
}

static const struct weir_child_config often = { .intensity = 64, .period_ns = 1 };

static void restarts_of_a_child_leave_nothing_behind(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child_config config = often;
	struct weir_child *child;
	struct holdings before;

	config.backend = "obedient";
	child = fixture_add(fixture, config);
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	before = hold();
	while (weir_child_restarts(child) < RESTARTS) {
		for (int i = 0; i < 4; i++) {
			uint32_t restarts = weir_child_restarts(child);

			kill(weir_child_pid(child), SIGKILL);
			UNTIL(fixture,
				weir_child_restarts(child) > restarts && weir_child_state(child) == WEIR_CHILD_RUNNING);
		}
		/* Out of the back-off. */
		weir_child_stop(child);
		fixture_await(fixture, child, WEIR_CHILD_DONE);
		assert_int_equal(weir_child_start(child), 0);
		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	}
	fixture_run(fixture, SECOND / 5); /* orphans are swept with the tick */
	assert_same(&before);
}

/* Resident memory of this process in KiB. */
static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void starts_and_stops_leave_nothing_behind(void **state)
{
	int cycles = getenv("WEIR_LONG") != NULL ? 10000 : 200;
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(fixture, (struct weir_child_config){ .backend = "obedient" });
	struct holdings before;
	long kib = 0;

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	before = hold();
	for (int i = 0; i < cycles; i++) {
		if (i == cycles / 10)
			kib = resident_kib();
		weir_child_stop(child);
		fixture_await(fixture, child, WEIR_CHILD_DONE);
		assert_int_equal(weir_child_start(child), 0);
		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	}
	fixture_run(fixture, SECOND / 5);
	assert_same(&before);
	printf("# %d starts and stops: %ld KiB more than after a tenth of them\n", cycles, resident_kib() - kib);
#ifndef __SANITIZE_ADDRESS__ /* it keeps what was freed */
	assert_true(resident_kib() - kib < 1024);
#endif
}

static void restarts_of_writer_and_readers_leave_nothing_behind(void **state)
{
	static const struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	struct fixture *fixture = *state;
	struct weir_child_config config = often;
	struct weir_child *child[3];
	struct weir_stream *stream;
	struct weir_stream_stats stats;
	struct holdings before;
	uint32_t input;

	config.backend = "source";
	config.args = "0 1000 0 0";
	child[0] = fixture_add(fixture, config);
	config.backend = "sink";
	config.args = "semaphore";
	child[1] = fixture_add(fixture, config);
	child[2] = fixture_add(fixture, config);
	assert_int_equal(weir_stream_create(fixture->frontend, &stream,
				 &(struct weir_stream_config){ .name = "s", .writer = child[0] }),
		0);
	for (int i = 1; i < 3; i++)
		assert_int_equal(weir_stream_add_reader(stream, child[i], &policy, &input), 0);
	UNTIL(fixture, weir_stream_state(stream) == WEIR_STREAM_LIVE);
	for (int i = 1; i < 3; i++)
		fixture_await(fixture, child[i], WEIR_CHILD_RUNNING);
	before = hold();
	for (int i = 0; i < KILLS; i++) {
		struct weir_child *victim = child[i % 3];
		uint32_t restarts = weir_child_restarts(victim);

		kill(weir_child_pid(victim), SIGKILL);
		UNTIL(fixture,
			weir_child_restarts(victim) > restarts && weir_child_state(victim) == WEIR_CHILD_RUNNING);
	}
	weir_stream_stats(stream, &stats);
	UNTIL(fixture, stats.generations > KILLS / 3 && weir_stream_state(stream) == WEIR_STREAM_LIVE &&
			       (weir_stream_stats(stream, &stats), 1));
	fixture_run(fixture, SECOND / 2);
	assert_same(&before);
}

static void frontends_leave_nothing_behind(void **state)
{
	struct holdings before = { 0 };

	for (int i = 0; i < 10; i++) {
		struct fixture *fixture = NULL;
		struct weir_child *child;

		assert_int_equal(fixture_setup((void **)&fixture), 0);
		child = fixture_add(fixture, (struct weir_child_config){ .backend = "obedient" });
		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
		fixture_teardown((void **)&fixture);
		if (i == 0)
			before = hold();
	}
	assert_same(&before);
}

#define WITH_FRONTEND(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	static const struct weir_backend *backends[8];
	const struct weir_init_config init = { .backends = backends };
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(restarts_of_a_child_leave_nothing_behind),
		WITH_FRONTEND(starts_and_stops_leave_nothing_behind),
		WITH_FRONTEND(restarts_of_writer_and_readers_leave_nothing_behind),
		cmocka_unit_test(frontends_leave_nothing_behind),
	};
	size_t count = 0;

	for (size_t i = 0; test_backends[i] != NULL; i++)
		backends[count++] = test_backends[i];
	for (size_t i = 0; stream_backends[i] != NULL; i++)
		backends[count++] = stream_backends[i];
	if (weir_init(&init) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
