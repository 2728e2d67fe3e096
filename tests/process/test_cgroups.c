/* SPDX-License-Identifier: MIT */
#include "obedient.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "stream_backends.h"

/* Control groups, where they are writable: version 2 for killing (real, if the machine has it), version 1 for memory
 * (the same), version 2 for memory against a directory of plain files. */

#define LIMIT (UINT64_C(96) << 20)

static struct weir_end last_end;

static void note_end(struct fixture *fixture, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_CHILD_STATE && event->to == WEIR_CHILD_BACKOFF)
		last_end = event->end;
}

static struct fixture *set_up(const char *cgroup)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct weir_frontend_config config = { .event = fixture_event, .data = fixture, .cgroup = cgroup };

	fixture->hook = note_end;
	last_end = (struct weir_end){ 0 };
	assert_int_equal(weir_frontend_create(&fixture->frontend, &config), 0);
	return fixture;
}

static void tear_down(struct fixture *fixture)
{
	weir_frontend_free(&fixture->frontend);
	free(fixture);
}

/* Directories of ours in all hierarchies. */
static int count_left(void)
{
	char command[128];
	int count = -1;
	FILE *pipe;

	snprintf(command, sizeof(command), "find /sys/fs/cgroup -name 'weir-%d*' | wc -l", getpid());
	pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%d", &count), 1);
	pclose(pipe);
	return count;
}

static void whole_tree_goes_with_its_root(void **state)
{
	struct fixture *fixture = set_up("");
	struct weir_child *child = add_running(fixture, "x/y.z");
	int pids[2], how = ESCAPE_EXEC;
	size_t size = sizeof(pids);

	assert_int_equal(
		weir_child_call(child, ORDER_ESCAPE, &how, sizeof(how), pids, &size, now_ns() + PATIENCE_S * SECOND),
		0);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	for (int i = 0; i < 2; i++)
		UNTIL(fixture, kill(pids[i], 0) < 0 && errno == ESRCH);
	assert_int_equal(weir_child_start(child), 0);
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	tear_down(fixture);
	assert_int_equal(count_left(), 0);
}

/* Row 21. The ring is larger than what its writer may have. */
static void child_that_runs_out_of_memory_is_a_death_like_any_other(void **state)
{
	static const struct weir_policy latest = { .mode = WEIR_POLICY_LATEST };
	struct fixture *fixture = set_up("");
	struct weir_child *victim = fixture_add(
		fixture, (struct weir_child_config){
				 .name = "victim", .backend = "obedient", .limits = { .memory_bytes = LIMIT } });
	struct weir_child *source = fixture_add(fixture,
		(struct weir_child_config){
			.backend = "source", .args = "0 1000 0 16777216", .limits = { .memory_bytes = LIMIT } });
	struct weir_child *reader =
		fixture_add(fixture, (struct weir_child_config){ .backend = "sink", .args = "eventfd" });
	struct weir_stream_stats stats;
	struct weir_stream *stream;
	uint32_t input;

	assert_int_equal(weir_stream_create(fixture->frontend, &stream,
				 &(struct weir_stream_config){ .name = "s", .writer = source, .slot_count = 8 }),
		0);
	assert_int_equal(weir_stream_add_reader(stream, reader, &latest, &input), 0);
	fixture_await(fixture, victim, WEIR_CHILD_RUNNING);
	send_order(victim, ORDER_ALLOCATE, 120);
	UNTIL(fixture, weir_child_restarts(victim) == 1);
	assert_int_equal(last_end.kind, WEIR_END_MEMORY);
	ASSERT_HAS(fixture_reason(fixture, victim, WEIR_CHILD_BACKOFF), "out of memory");
	fixture_await(fixture, victim, WEIR_CHILD_RUNNING);
	/* What the frontend has touched first is the frontend's. */
	UNTIL(fixture, (weir_stream_stats(stream, &stats), stats.published > 500));
	assert_int_equal(weir_child_restarts(source), 0);
	tear_down(fixture);
	assert_int_equal(count_left(), 0);
}

/* --- version 2, of plain files ----------------------------------------------------------------------------------- */

static char root[] = "/tmp/weir-cgroup-XXXXXX";

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static const char *get(const char *name)
{
	static char text[256];
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "re");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static const char *ours(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "weir-%d%s", getpid(), name);
	return path;
}

static int make_root(void **state)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.kill", "memory.max", "memory.swap.max",
		"memory.oom.group" };
	char path[256];

	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/weir-%d", root, getpid());
	assert_int_equal(mkdir(path, 0755), 0);
	strcat(path, "/obedient-0");
	assert_int_equal(mkdir(path, 0755), 0);
	put("cgroup.subtree_control", "");
	put(ours("/cgroup.subtree_control"), "");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "/obedient-0/%s", files[i]);
		put(ours(name), "");
	}
	put(ours("/obedient-0/memory.events"), "low 0\nhigh 0\nmax 3\noom 1\noom_kill 4\noom_group_kill 0\n");
	return 0;
}

static int remove_root(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void version_2_is_told_limit_members_and_kill(void **state)
{
	struct fixture *fixture = set_up(root);
	struct weir_child *child = fixture_add(
		fixture, (struct weir_child_config){ .backend = "obedient", .limits = { .memory_bytes = LIMIT } });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	assert_string_equal(get("cgroup.subtree_control"), "+memory");
	assert_string_equal(get(ours("/cgroup.subtree_control")), "+memory");
	assert_string_equal(get(ours("/obedient-0/memory.max")), "100663296");
	assert_string_equal(get(ours("/obedient-0/memory.swap.max")), "0");
	assert_string_equal(get(ours("/obedient-0/memory.oom.group")), "1");
	assert_string_equal(get(ours("/obedient-0/cgroup.procs")), "0"); /* by the child: itself */
	assert_string_equal(get(ours("/obedient-0/cgroup.kill")), "");
	put(ours("/obedient-0/cgroup.procs"), "");
	kill(weir_child_pid(child), SIGKILL);
	UNTIL(fixture, weir_child_restarts(child) == 1);
	assert_int_equal(last_end.kind, WEIR_END_SIGNAL);
	assert_string_equal(get(ours("/obedient-0/cgroup.kill")), "1");
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	/* The same death, but the kernel says that it was for memory. */
	put(ours("/obedient-0/memory.events"), "low 0\nhigh 0\nmax 3\noom 1\noom_kill 5\noom_group_kill 0\n");
	kill(weir_child_pid(child), SIGKILL);
	UNTIL(fixture, weir_child_restarts(child) == 2);
	assert_int_equal(last_end.kind, WEIR_END_MEMORY);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_BACKOFF), "out of memory: its limit is 96 MiB");
	tear_down(fixture);
}

static void without_control_groups_everything_works(void **state)
{
	struct fixture *fixture = set_up("/proc/self/nowhere");
	struct weir_child *child = fixture_add(
		fixture, (struct weir_child_config){ .backend = "obedient", .limits = { .memory_bytes = LIMIT } });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	send_order(child, ORDER_ALLOCATE, 120);
	UNTIL(fixture, weir_child_restarts(child) == 1);
	assert_int_equal(last_end.kind, WEIR_END_MEMORY);
	tear_down(fixture);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_tree_goes_with_its_root),
		cmocka_unit_test(child_that_runs_out_of_memory_is_a_death_like_any_other),
		cmocka_unit_test_setup_teardown(version_2_is_told_limit_members_and_kill, make_root, remove_root),
		cmocka_unit_test(without_control_groups_everything_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_obedient(run, stream_backends);
}
