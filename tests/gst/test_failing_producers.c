/* SPDX-License-Identifier: MIT */
/* Producers that die, come late, change or end. */
#include "failures.h"

#include <stdio.h>
#include <string.h>

#include "../holdings.h"

static void a_killed_producer_comes_back_under_its_path_and_its_readers_go_on(void **state)
{
	struct runner producer, healthy;
	struct failures_window window;
	uint64_t disconts;

	failures_start_two(&producer, &healthy, "");
	for (int i = 0; i < 3; i++) {
		runner_kill(&producer);
		assert_int_equal(count_shm_names(), 0);
		disconts = healthy.counters->disconts;
		runner_start(&producer, NULL, SOURCE " ! weirsink name=p socket-path=%s", failures_path);
		RUNNER_AWAIT(&healthy, c->disconts > disconts);
	}
	RUNNER_AWAIT(&producer, c->buffers > 10);
	window = failures_open_window(&healthy, &producer);
	runner_sleep_ms(500);
	failures_close_window(&window);
	/* Still on this pipeline's clock. */
	assert_true(healthy.counters->lag_ns > -1000000000 && healthy.counters->lag_ns < 1000000000);
	assert_int_equal(healthy.counters->failed, 0);
	runner_stop(&healthy);
	runner_stop(&producer);
	failures_assert_nothing_is_left();
}

static void a_second_producer_under_a_live_path_is_told_whose_it_is(void **state)
{
	struct runner producer, healthy, second;
	char expected[64];

	failures_start_two(&producer, &healthy, "");
	runner_start(&second, NULL, SOURCE " ! weirsink name=p socket-path=%s", failures_path);
	RUNNER_AWAIT(&second, c->failed);
	snprintf(expected, sizeof(expected), "served by process %d", (int)producer.pid);
	assert_non_null(strstr(second.counters->error, expected));
	runner_kill(&second);
	runner_stop(&healthy);
	runner_stop(&producer);
	failures_assert_nothing_is_left();
}

static void readers_wait_for_a_producer_that_is_not_there_yet(void **state)
{
	struct runner producer, early, impatient;

	runner_start(&early, NULL, READER, failures_path);
	runner_start(&impatient, NULL, "weirsrc socket-path=%s reconnect=false ! fakesink", failures_path);
	RUNNER_AWAIT(&impatient, c->failed);
	assert_non_null(strstr(impatient.counters->error, "start a weirsink"));
	runner_kill(&impatient);
	runner_start(&producer, NULL, SOURCE " ! weirsink name=p socket-path=%s", failures_path);
	RUNNER_AWAIT(&early, c->buffers > 10);
	runner_stop(&producer);
	runner_stop(&early); /* while it waits again */
	failures_assert_nothing_is_left();
}

/* shmsink locks itself up here, and never gets to NULL. */
static void a_change_of_caps_passes(void **state)
{
	struct runner producer, reader;

	runner_start(&reader, NULL,
		"weirsrc socket-path=%s leaky-type=none is-live=false ! videoconvert ! fakesink name=p sync=false",
		failures_path);
	runner_start(&producer, NULL,
		"videotestsrc num-buffers=30 ! video/x-raw,width=640,height=360 ! concat name=c videotestsrc "
		"num-buffers=30 ! video/x-raw,width=320,height=180 ! c. c. ! weirsink name=p socket-path=%s "
		"sync=false wait-for-connection=true enable-last-sample=true",
		failures_path);
	RUNNER_AWAIT(&reader, c->eos);
	assert_int_equal(reader.counters->buffers, 60);
	assert_int_equal(reader.counters->caps, 2);
	runner_join(&reader);
	runner_join(&producer);
	failures_assert_nothing_is_left();
}

/* shmsink and shmsrc lock each other up here within a second. */
static void many_small_buffers_pass_to_two_readers(void **state)
{
	struct runner producer, reader[2];

	for (int i = 0; i < 2; i++)
		runner_start(&reader[i], NULL,
			"weirsrc socket-path=%s leaky-type=none max-buffers=16 ! fakesink name=p sync=false",
			failures_path);
	runner_start(&producer, NULL,
		"fakesrc sizetype=fixed sizemax=1024 filltype=nothing ! weirsink name=p socket-path=%s sync=false",
		failures_path);
	for (int i = 0; i < 2; i++) {
		RUNNER_AWAIT(&reader[i], c->buffers > 50000);
		assert_int_equal(reader[i].counters->disconts, 1);
		runner_stop(&reader[i]);
	}
	runner_stop(&producer);
	failures_assert_nothing_is_left();
}

/* The reader's sink keeps the last buffer; shmsink waits for it for ever. */
static void the_end_of_the_stream_crosses_and_the_producer_ends(void **state)
{
	struct runner producer, reader;

	runner_start(&reader, NULL,
		"weirsrc socket-path=%s leaky-type=none ! fakesink name=p sync=false enable-last-sample=true",
		failures_path);
	runner_start(&producer, NULL,
		"videotestsrc num-buffers=50 ! weirsink name=p socket-path=%s sync=false wait-for-connection=true",
		failures_path);
	RUNNER_AWAIT(&producer, c->eos);
	RUNNER_AWAIT(&reader, c->eos);
	assert_int_equal(reader.counters->buffers, 50);
	runner_join(&producer);
	runner_join(&reader);
	failures_assert_nothing_is_left();
}

static void a_small_shared_memory_file_system_is_no_matter(void **state)
{
	struct runner producer, reader;

	runner_start(&producer, "exec unshare -m sh -c 'mount -t tmpfs -o size=1M tmpfs /dev/shm && exec \"$@\"' sh",
		"videotestsrc is-live=true ! video/x-raw,format=NV12,width=1920,height=1080,framerate=20/1 ! "
		"weirsink name=p socket-path=%s",
		failures_path);
	runner_start(&reader, NULL, READER, failures_path);
	RUNNER_AWAIT(&reader, c->buffers > 20);
	runner_stop(&reader);
	runner_stop(&producer);
	failures_assert_nothing_is_left();
}

static void caps_and_times_need_no_typing(void **state)
{
	struct runner producer, reader;

	runner_start(&producer, NULL, SOURCE " ! weirsink name=p socket-path=%s", failures_path);
	RUNNER_AWAIT(&producer, c->buffers > 60);
	runner_start(&reader, NULL,
		"weirsrc socket-path=%s ! videoconvert ! video/x-raw,format=RGB ! fakesink name=p "
		"sync=true",
		failures_path);
	RUNNER_AWAIT(&reader, c->buffers > 60);
	/* Played in time by a pipeline that began a second later. */
	assert_true(reader.counters->lag_ns > -1000000000 && reader.counters->lag_ns < 1000000000);
	assert_int_equal(reader.counters->bytes, reader.counters->buffers * 640 * 360 * 3);
	runner_stop(&reader);
	runner_stop(&producer);
	failures_assert_nothing_is_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			a_killed_producer_comes_back_under_its_path_and_its_readers_go_on, failures_clean_up),
		cmocka_unit_test_teardown(a_second_producer_under_a_live_path_is_told_whose_it_is, failures_clean_up),
		cmocka_unit_test_teardown(readers_wait_for_a_producer_that_is_not_there_yet, failures_clean_up),
		cmocka_unit_test_teardown(a_change_of_caps_passes, failures_clean_up),
		cmocka_unit_test_teardown(many_small_buffers_pass_to_two_readers, failures_clean_up),
		cmocka_unit_test_teardown(the_end_of_the_stream_crosses_and_the_producer_ends, failures_clean_up),
		cmocka_unit_test_teardown(a_small_shared_memory_file_system_is_no_matter, failures_clean_up),
		cmocka_unit_test_teardown(caps_and_times_need_no_typing, failures_clean_up),
	};

	return cmocka_run_group_tests(tests, failures_setup, failures_teardown);
}
