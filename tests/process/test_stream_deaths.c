/* SPDX-License-Identifier: MIT */
#include "stream_scene.h"

/* Writers and readers that die, stand still or never come. */

static void dead_writer_is_followed_by_the_next_generation(void **state)
{
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ 0 });
	struct report report;
	struct weir_reader_stats stats;
	int pid[2];

	add_sink(&scene, 0, "eventfd", &lossless);
	add_sink(&scene, 1, "semaphore", &latest);
	await_published(&scene, 100);
	for (int i = 0; i < 2; i++)
		pid[i] = weir_child_pid(scene.sink[i]);
	for (uint64_t generation = 2; generation < 6; generation++) {
		kill(weir_child_pid(scene.source), SIGKILL);
		UNTIL(scene.fixture, stream_stats(&scene).generations == generation);
		await_published(&scene, 100);
	}
	assert_int_equal(fixture_count(scene.fixture, scene.stream, WEIR_STREAM_STALE), 4);
	ASSERT_HAS(fixture_reason(scene.fixture, scene.stream, WEIR_STREAM_STALE), "source: killed by SIGKILL");
	weir_child_stop(scene.source);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(weir_child_pid(scene.sink[i]), pid[i]);
		report = ask(scene.sink[i]);
		assert_int_equal(report.wrong, 0);
		assert_int_equal(report.unsaid, 0);
		assert_int_equal(report.formats, 5);
		assert_int_equal(report.ends, 1);
		stats = reader_stats(&scene, i);
		assert_adds_up(&stats);
		assert_int_equal(stats.delivered, report.frames);
		assert_int_equal(stats.pending, 0);
	}
	/* Not even what the dead writers had just published. */
	stats = reader_stats(&scene, 0);
	assert_int_equal(stats.delivered, stats.published);
}

static void dead_reader_comes_back_and_its_loss_is_counted(void **state)
{
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ 0 });
	struct weir_reader_stats stats, other;

	add_sink(&scene, 0, "eventfd", &lossless);
	add_sink(&scene, 1, "semaphore 100", &lossless);
	await_published(&scene, 100);
	for (uint32_t i = 1; i <= 4; i++) {
		kill(weir_child_pid(scene.sink[1]), SIGKILL);
		UNTIL(scene.fixture, weir_child_restarts(scene.sink[1]) == i);
		fixture_await(scene.fixture, scene.sink[1], WEIR_CHILD_RUNNING);
		await_published(&scene, 100);
		stats = reader_stats(&scene, 1);
		assert_adds_up(&stats);
	}
	assert_true(ask(scene.sink[1]).frames > 0);
	assert_int_equal(ask(scene.sink[1]).wrong, 0);
	weir_child_stop(scene.source);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	other = reader_stats(&scene, 0);
	stats = reader_stats(&scene, 1);
	assert_int_equal(other.missed, 0);
	assert_int_equal(other.delivered, stream_stats(&scene).published);
	assert_int_equal(ask(scene.sink[0]).frames, other.delivered);
	assert_adds_up(&stats);
	/* 100 ms of each start, at 1 ms a frame, if the machine keeps up at all. */
	assert_true(stats.missed >= 40);
	assert_true(stats.delivered > 100);
	assert_int_equal(stream_stats(&scene).generations, 1);
}

static void stopped_reader_delays_nobody_and_holds_few_rings(void **state)
{
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ 0 });
	struct weir_reader_stats stats;
	uint64_t before;

	add_sink(&scene, 0, "eventfd", &latest);
	add_sink(&scene, 1, "semaphore", &latest);
	await_published(&scene, 100);
	kill(weir_child_pid(scene.sink[1]), SIGSTOP);
	before = reader_stats(&scene, 0).delivered;
	UNTIL(scene.fixture, reader_stats(&scene, 0).delivered > before + 200);
	/* Five generations go by meanwhile: it gets the two that it was sent, and the latest ones. */
	for (uint64_t generation = 2; generation <= 6; generation++) {
		kill(weir_child_pid(scene.source), SIGKILL);
		UNTIL(scene.fixture, stream_stats(&scene).generations == generation);
		await_published(&scene, 20);
	}
	kill(weir_child_pid(scene.sink[1]), SIGCONT);
	before = reader_stats(&scene, 1).delivered;
	UNTIL(scene.fixture, reader_stats(&scene, 1).delivered > before + 20);
	assert_int_equal(ask(scene.sink[1]).wrong, 0);
	assert_in_range(ask(scene.sink[1]).formats, 3, 5);
	stats = reader_stats(&scene, 1);
	assert_adds_up(&stats);
	assert_true(stats.missed > 0);
}

/* A sink that has just come back, and whose writer has not looked since. */
static void leave_sink_ungranted(struct scene *scene)
{
	add_sink(scene, 0, "eventfd", &latest);
	await_published(scene, 20);
	send_int(scene->source, ORDER_PAUSE, 2);
	kill(weir_child_pid(scene->sink[0]), SIGKILL);
	UNTIL(scene->fixture, weir_child_restarts(scene->sink[0]) == 1);
	fixture_await(scene->fixture, scene->sink[0], WEIR_CHILD_RUNNING);
	UNTIL(scene->fixture, ask(scene->sink[0]).formats == 1);
}

static void reader_that_was_never_granted_gets_the_next_generation(void **state)
{
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ 0 });

	leave_sink_ungranted(&scene);
	send_int(scene.source, ORDER_CHANGE, 0);
	send_int(scene.source, ORDER_PAUSE, 0);
	UNTIL(scene.fixture, ask(scene.sink[0]).generation_frames > 20);
	assert_int_equal(ask(scene.sink[0]).formats, 2);
}

static void reader_that_was_never_granted_gets_the_end(void **state)
{
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ 0 });

	leave_sink_ungranted(&scene);
	send_int(scene.source, ORDER_FINISH, 0);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	assert_int_equal(ask(scene.sink[0]).ends, 1);
}

static void stalled_reader_is_evicted_and_the_stream_goes_on(void **state)
{
	static const struct weir_policy impatient = {
		.mode = WEIR_POLICY_LOSSLESS, .stall_ns = SECOND / 10, .on_stall = WEIR_STALL_EVICT
	};
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ 0 });

	add_sink(&scene, 0, "eventfd", &lossless);
	add_sink(&scene, 1, "eventfd", &impatient);
	await_published(&scene, 20);
	send_int(scene.sink[1], ORDER_DAWDLE, 900);
	UNTIL(scene.fixture, reader_stats(&scene, 1).stalled);
	await_published(&scene, 300);
	assert_false(reader_stats(&scene, 0).stalled);
	UNTIL(scene.fixture, reader_stats(&scene, 1).missed > 0);
	weir_child_stop(scene.source);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	assert_int_equal(reader_stats(&scene, 0).missed, 0);
	assert_int_equal(stream_stats(&scene).stalled, 1);
}

static void writer_that_fails_before_its_first_frame_ends_the_stream(void **state)
{
	struct scene scene = set_scene(*state, "nonsense", (struct weir_stream_config){ 0 });

	add_sink(&scene, 0, "eventfd", &lossless);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	assert_int_equal(weir_stream_state(scene.stream), WEIR_STREAM_FAILED);
	assert_string_equal(fixture_reason(scene.fixture, scene.stream, WEIR_STREAM_FAILED),
		"source: could not start: Invalid argument");
	assert_int_equal(ask(scene.sink[0]).ends, 1);
}

/* The memory of rings that a process has mapped, up to max inodes. */
static uint32_t list_rings(int pid, unsigned long *inode, uint32_t max)
{
	char path[64], line[512];
	uint32_t count = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps != NULL && count < max && fgets(line, sizeof(line), maps) != NULL)
		count += strstr(line, "/dev/shm/") != NULL && sscanf(line, "%*s %*s %*s %*s %lu", &inode[count]) == 1;
	if (maps != NULL)
		fclose(maps);
	return count;
}

static bool has_ring_of(int pid, const unsigned long *known, uint32_t knowns)
{
	unsigned long inode[64];
	uint32_t count = list_rings(pid, inode, 64);

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < knowns; j++)
			if (inode[i] == known[j])
				return true;
	return false;
}

static void restarted_writer_gets_the_spare_ring(void **state)
{
	for (int spare = 0; spare < 2; spare++) {
		struct fixture *fixture = *state;
		struct scene scene =
			set_scene(fixture, "0 1000 0 0", (struct weir_stream_config){ .spare = spare != 0 });
		unsigned long inode[64];
		uint32_t count;

		await_published(&scene, 200); /* longer than a tick */
		count = list_rings(getpid(), inode, 64);
		assert_true(has_ring_of(weir_child_pid(scene.source), inode, count));
		kill(weir_child_pid(scene.source), SIGKILL);
		UNTIL(fixture, stream_stats(&scene).generations == 2);
		await_published(&scene, 10);
		assert_int_equal(has_ring_of(weir_child_pid(scene.source), inode, count), spare);
		weir_child_stop(scene.source);
		UNTIL(fixture, weir_stream_finished(scene.stream));
	}
}

static void reader_that_dies_during_asynchronous_io_retires_the_generation(void **state)
{
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ 0 });
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .async_io = true };
	struct report report;

	add_sink(&scene, 0, "eventfd", &lossless);
	add_sink(&scene, 1, "eventfd", &policy);
	await_published(&scene, 10);
	send_int(scene.sink[1], ORDER_DAWDLE, 50); /* so it always holds a frame */
	ask(scene.sink[1]);			   /* it has heard that */
	await_published(&scene, 20);
	kill(weir_child_pid(scene.sink[1]), SIGKILL);
	UNTIL(scene.fixture, stream_stats(&scene).generations == 2);
	await_published(&scene, 100);
	send_int(scene.source, ORDER_FINISH, 0);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	report = ask(scene.sink[0]);
	assert_int_equal(report.frames, stream_stats(&scene).published);
	assert_int_equal(report.wrong, 0);
	assert_int_equal(report.formats, 2);
	assert_int_equal(fixture_count(scene.fixture, scene.stream, WEIR_STREAM_STALE), 0);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(dead_writer_is_followed_by_the_next_generation),
		WITH_FRONTEND(dead_reader_comes_back_and_its_loss_is_counted),
		WITH_FRONTEND(stopped_reader_delays_nobody_and_holds_few_rings),
		WITH_FRONTEND(reader_that_was_never_granted_gets_the_next_generation),
		WITH_FRONTEND(reader_that_was_never_granted_gets_the_end),
		WITH_FRONTEND(stalled_reader_is_evicted_and_the_stream_goes_on),
		WITH_FRONTEND(writer_that_fails_before_its_first_frame_ends_the_stream),
		WITH_FRONTEND(restarted_writer_gets_the_spare_ring),
		WITH_FRONTEND(reader_that_dies_during_asynchronous_io_retires_the_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_with(run, stream_backends);
}
