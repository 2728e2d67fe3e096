/* SPDX-License-Identifier: MIT */
#include "stream_scene.h"

static void every_frame_comes_once_to_each_lossless_reader(void **state)
{
	struct scene scene = set_scene(*state, "3000 100 0 0", (struct weir_stream_config){ 0 });
	struct weir_reader_stats stats;

	add_sink(&scene, 0, "eventfd", &lossless);
	add_sink(&scene, 1, "semaphore", &lossless);
	add_sink(&scene, 2, "eventfd 300", &lossless); /* slow to start: the others wait for it, nothing is lost */
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	assert_int_equal(weir_stream_state(scene.stream), WEIR_STREAM_ENDED);
	assert_string_equal(fixture_reason(scene.fixture, scene.stream, WEIR_STREAM_ENDED), "all frames are out");
	assert_int_equal(stream_stats(&scene).published, 3000);
	assert_int_equal(stream_stats(&scene).generations, 1);
	for (int i = 0; i < 3; i++) {
		struct report report = ask(scene.sink[i]);

		assert_int_equal(report.frames, 3000);
		assert_int_equal(report.wrong, 0);
		assert_int_equal(report.unsaid, 0);
		assert_int_equal(report.formats, 1);
		assert_int_equal(report.ends, 1);
		stats = reader_stats(&scene, i);
		assert_int_equal(stats.delivered, 3000);
		assert_int_equal(stats.missed, 0);
		assert_adds_up(&stats);
	}
	assert_true(reader_stats(&scene, 0).woken_eventfd > 0);
	assert_int_equal(reader_stats(&scene, 0).woken_semaphore, 0);
	assert_true(reader_stats(&scene, 1).woken_semaphore > 0);
	assert_int_equal(reader_stats(&scene, 1).woken_eventfd, 0);
	fixture_await(scene.fixture, scene.source, WEIR_CHILD_DONE);
}

static void sealed_rings_are_handed_out_too(void **state)
{
	struct scene scene =
		set_scene(*state, "200 1000 0 0", (struct weir_stream_config){ .backing = WEIR_BACKING_SEALED });

	add_sink(&scene, 0, "eventfd", &lossless);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	assert_int_equal(ask(scene.sink[0]).frames, 200);
	assert_int_equal(ask(scene.sink[0]).wrong, 0);
}

static void new_format_is_a_new_generation_without_loss(void **state)
{
	struct scene scene = set_scene(*state, "600 200 300 0", (struct weir_stream_config){ 0 });

	add_sink(&scene, 0, "eventfd", &lossless);
	add_sink(&scene, 1, "semaphore", &lossless);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	assert_int_equal(stream_stats(&scene).generations, 2);
	assert_int_equal(stream_stats(&scene).published, 600);
	assert_int_equal(stream_stats(&scene).format.width, 128);
	for (int i = 0; i < 2; i++) {
		struct report report = ask(scene.sink[i]);

		assert_int_equal(report.frames, 600);
		assert_int_equal(report.wrong, 0);
		assert_int_equal(report.formats, 2);
		assert_int_equal(report.ends, 1);
	}
	/* The end of the first ring was not the end of the stream. */
	assert_int_equal(fixture_count(scene.fixture, scene.stream, WEIR_STREAM_ENDED), 1);
	assert_int_equal(fixture_count(scene.fixture, scene.stream, WEIR_STREAM_STALE), 0);
}

static void commands_reach_a_reader_that_is_never_idle(void **state)
{
	struct scene scene = set_scene(*state, "0 500 0 0", (struct weir_stream_config){ 0 });

	add_sink(&scene, 0, "eventfd", &latest);
	add_sink(&scene, 1, "semaphore", &latest);
	for (int i = 0; i < 2; i++) {
		fixture_await(scene.fixture, scene.sink[i], WEIR_CHILD_RUNNING);
		send_int(scene.sink[i], ORDER_DAWDLE, 5);
	}
	await_published(&scene, 200);
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask(scene.sink[i % 2]).wrong, 0);
}

static void reader_can_be_added_while_the_stream_is_live(void **state)
{
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ .slot_count = 32 });
	struct weir_reader_stats stats;

	add_sink(&scene, 0, "eventfd", &lossless);
	await_published(&scene, 50);
	add_sink(&scene, 1, "semaphore", &lossless);
	UNTIL(scene.fixture, reader_stats(&scene, 1).delivered > 50);
	stats = reader_stats(&scene, 1);
	assert_adds_up(&stats);
	assert_true(stats.published < stream_stats(&scene).published);
	assert_int_equal(ask(scene.sink[1]).unsaid, 0);
}

static void stream_without_frames_is_stale_until_they_come_again(void **state)
{
	struct scene scene = set_scene(*state, "0 2000 0 0", (struct weir_stream_config){ .stale_ns = SECOND / 2 });

	add_sink(&scene, 0, "eventfd", &latest);
	UNTIL(scene.fixture, weir_stream_state(scene.stream) == WEIR_STREAM_LIVE);
	send_int(scene.source, ORDER_PAUSE, 1);
	UNTIL(scene.fixture, weir_stream_state(scene.stream) == WEIR_STREAM_STALE);
	assert_string_equal(fixture_reason(scene.fixture, scene.stream, WEIR_STREAM_STALE), "no frame for 0.5 s");
	send_int(scene.source, ORDER_PAUSE, 0);
	UNTIL(scene.fixture, weir_stream_state(scene.stream) == WEIR_STREAM_LIVE);
	/* What the source says counts at once. */
	send_int(scene.source, ORDER_PAUSE, 1);
	send_int(scene.source, ORDER_TELL, WEIR_SOURCE_LOST);
	UNTIL(scene.fixture, weir_stream_state(scene.stream) == WEIR_STREAM_STALE);
	assert_string_equal(fixture_reason(scene.fixture, scene.stream, WEIR_STREAM_STALE), "as told");
	send_int(scene.source, ORDER_TELL, WEIR_SOURCE_LIVE);
	send_int(scene.source, ORDER_PAUSE, 0);
	UNTIL(scene.fixture, weir_stream_state(scene.stream) == WEIR_STREAM_LIVE);
	assert_int_equal(fixture_count(scene.fixture, scene.stream, WEIR_STREAM_STALE), 2);
	assert_int_equal(fixture_count(scene.fixture, scene.stream, WEIR_STREAM_LIVE), 3);
}

static void failed_source_ends_the_stream_with_its_reason(void **state)
{
	struct scene scene = set_scene(*state, "0 1000 0 0", (struct weir_stream_config){ 0 });

	add_sink(&scene, 0, "eventfd", &latest);
	await_published(&scene, 10);
	send_int(scene.source, ORDER_TELL, WEIR_SOURCE_FAILED);
	weir_child_stop(scene.source);
	UNTIL(scene.fixture, weir_stream_finished(scene.stream));
	assert_int_equal(weir_stream_state(scene.stream), WEIR_STREAM_FAILED);
	assert_string_equal(fixture_reason(scene.fixture, scene.stream, WEIR_STREAM_FAILED), "as told");
	assert_int_equal(ask(scene.sink[0]).ends, 1);
}

static void impossible_ring_fails_the_stream_and_tells_the_writer(void **state)
{
	/* Slots smaller than a frame. */
	struct scene scene = set_scene(*state, "0 1000 0 1", (struct weir_stream_config){ 0 });

	UNTIL(scene.fixture, weir_stream_state(scene.stream) == WEIR_STREAM_FAILED);
	ASSERT_HAS(fixture_reason(scene.fixture, scene.stream, WEIR_STREAM_FAILED), "no such ring is possible: ");
	fixture_await(scene.fixture, scene.source, WEIR_CHILD_FAILED);
	assert_string_equal(
		fixture_reason(scene.fixture, scene.source, WEIR_CHILD_FAILED), "gave up: Invalid argument");
}

static void bad_streams_and_readers_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct scene scene = set_scene(fixture, "0 1000 0 0", (struct weir_stream_config){ .slot_count = 6 });
	struct weir_policy deep = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 5 }, bad = { .mode = 7 };
	struct weir_stream_config twice = { .name = "twice", .writer = scene.source };
	struct weir_stream *second = NULL;
	struct weir_reader_stats stats;
	uint32_t input = 99;
	struct weir_child *sink = fixture_add(fixture, (struct weir_child_config){ .backend = "sink", .args = "" });

	assert_int_equal(weir_stream_create(fixture->frontend, &second, &twice), -EINVAL);
	assert_null(second);
	assert_int_equal(weir_stream_add_reader(scene.stream, sink, &bad, &input), -EINVAL);
	assert_int_equal(weir_stream_add_reader(scene.stream, sink, &deep, &input), -ENOSPC);
	assert_int_equal(weir_stream_add_reader(scene.stream, scene.source, &latest, &input), -EINVAL);
	assert_int_equal(weir_stream_reader_stats(scene.stream, sink, &stats), -ENOENT);
	assert_int_equal(input, 99);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(every_frame_comes_once_to_each_lossless_reader),
		WITH_FRONTEND(sealed_rings_are_handed_out_too),
		WITH_FRONTEND(new_format_is_a_new_generation_without_loss),
		WITH_FRONTEND(commands_reach_a_reader_that_is_never_idle),
		WITH_FRONTEND(reader_can_be_added_while_the_stream_is_live),
		WITH_FRONTEND(stream_without_frames_is_stale_until_they_come_again),
		WITH_FRONTEND(failed_source_ends_the_stream_with_its_reason),
		WITH_FRONTEND(impossible_ring_fails_the_stream_and_tells_the_writer),
		WITH_FRONTEND(bad_streams_and_readers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_with(run, stream_backends);
}
