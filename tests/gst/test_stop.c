/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <errno.h>
#include <string.h>

#include <gst/check/gstharness.h>

#include "clip.h"

#define SECOND_NS INT64_C(1000000000)

/* Waits until the sink stands still because the reader takes nothing. */
static void wait_until_blocked(struct rig *rig)
{
	struct weirsink_stats before, after;
	int still = 0;

	weirsink_stats(rig->sink, &after);
	for (int i = 0; i < 400 && still < 4; i++) {
		before = after;
		g_usleep(50000);
		weirsink_stats(rig->sink, &after);
		still = after.frames > 0 && after.frames == before.frames ? still + 1 : 0;
	}
	assert_int_equal(still, 4);
	assert_int_equal(after.dropped, 0);
}

static void assert_stops_while_blocked(const char *source)
{
	struct rig rig = { 0 };

	rig_open(&rig, source);
	wait_until_blocked(&rig);
	assert_true(rig_stop_ns(&rig) < SECOND_NS);
	rig_close(&rig);
}

static void stop_ends_a_wait_for_a_stopped_lossless_reader(void **state)
{
	gchar *source;

	/* Upstream waits in the allocator; the sink waits with a picture to copy; with both in different threads. */
	assert_stops_while_blocked("videotestsrc ! video/x-raw,width=64,height=64");
	assert_stops_while_blocked("videotestsrc ! video/x-raw,width=64,height=64 ! identity drop-allocation=true");
	assert_stops_while_blocked("videotestsrc ! video/x-raw,width=64,height=64 ! queue max-size-buffers=2");
	assert_stops_while_blocked("videotestsrc ! video/x-raw,width=64,height=64 ! queue");
	source = g_strdup_printf("filesrc location=%s ! decodebin ! videoconvert", clip_path("h264.mp4"));
	assert_stops_while_blocked(source);
	g_free(source);
	source = g_strdup_printf("filesrc location=%s ! avidemux ! jpegdec ! videoconvert", clip_path("jpeg.avi"));
	assert_stops_while_blocked(source);
	g_free(source);
}

static void a_hundred_stops_and_starts_while_blocked_end_in_time(void **state)
{
	struct rig rig = { 0 };

	rig_open(&rig, "videotestsrc ! video/x-raw,width=64,height=64 ! queue max-size-buffers=2");
	wait_until_blocked(&rig);
	for (int i = 0; i < 100; i++) {
		assert_true(rig_stop_ns(&rig) < SECOND_NS);
		gst_element_set_state(rig.pipeline, GST_STATE_PLAYING);
		g_usleep(1000 * (i % 7));
	}
	rig_close(&rig);
}

static void stop_ends_a_wait_for_a_ring(void **state)
{
	struct rig rig = { .want_status = 1 };

	rig_open(&rig, "videotestsrc ! video/x-raw,width=64,height=64");
	g_usleep(100000);
	assert_true(rig_stop_ns(&rig) < SECOND_NS);
	rig_close(&rig);
}

static void a_pause_while_blocked_loses_nothing(void **state)
{
	struct weir_frame frame;
	struct rig rig = { 0 };

	rig_open(&rig, "videotestsrc num-buffers=60 ! video/x-raw,width=64,height=64 ! identity drop-allocation=true");
	wait_until_blocked(&rig);
	gst_element_set_state(rig.pipeline, GST_STATE_PAUSED);
	g_usleep(50000);
	gst_element_set_state(rig.pipeline, GST_STATE_PLAYING);
	for (uint64_t sequence = 1; sequence <= 60; sequence++) {
		assert_int_equal(rig_next(&rig, 0, &frame), 0);
		assert_int_equal(frame.sequence, sequence);
		assert_int_equal(frame.pts_ns, (sequence - 1) * SECOND_NS / 30);
		weir_reader_release(rig.reader[0], &frame);
	}
	assert_int_equal(rig_next(&rig, 0, &frame), -ENODATA);
	rig_close(&rig);
}

static gint pushed; /* pushes that have returned */

static gpointer push_one(gpointer data)
{
	GstHarness *harness = data;
	GstFlowReturn flow = gst_harness_push(harness, gst_harness_create_buffer(harness, 256));

	g_atomic_int_inc(&pushed);
	return GINT_TO_POINTER(flow);
}

static void flush_ends_a_wait_and_frames_go_on_after_it(void **state)
{
	struct weir_frame frame;
	struct rig rig = { 0 };
	GstHarness *harness;
	GstSegment segment;
	GThread *thread;
	int64_t start_ns;

	rig_open_sink(&rig);
	harness = gst_harness_new_with_element(GST_ELEMENT(rig.sink), "sink", NULL);
	gst_harness_set_src_caps_str(harness, "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1");
	/* The slots that a lossless reader with a backlog holds back, and then one frame more. */
	for (;;) {
		g_atomic_int_set(&pushed, 0);
		thread = g_thread_new("push", push_one, harness);
		while (g_atomic_int_get(&pushed) == 0 && rig_stats(&rig, 0).claim_waits == 0)
			g_usleep(1000);
		if (rig_stats(&rig, 0).claim_waits > 0)
			break;
		assert_int_equal(GPOINTER_TO_INT(g_thread_join(thread)), GST_FLOW_OK);
	}
	start_ns = g_get_monotonic_time() * 1000;
	gst_harness_push_event(harness, gst_event_new_flush_start());
	assert_int_equal(GPOINTER_TO_INT(g_thread_join(thread)), GST_FLOW_FLUSHING);
	assert_true(g_get_monotonic_time() * 1000 - start_ns < SECOND_NS);
	gst_harness_push_event(harness, gst_event_new_flush_stop(TRUE));
	gst_segment_init(&segment, GST_FORMAT_TIME);
	gst_harness_push_event(harness, gst_event_new_segment(&segment));
	while (weir_reader_acquire(rig.reader[0], &frame) == 0)
		weir_reader_release(rig.reader[0], &frame);
	assert_int_equal(GPOINTER_TO_INT(push_one(harness)), GST_FLOW_OK);
	assert_int_equal(weir_reader_acquire(rig.reader[0], &frame), 0);
	gst_harness_teardown(harness);
	rig_close(&rig);
}

static void a_lossy_sink_drops_and_counts_when_no_slot_is_free(void **state)
{
	struct weirsink_stats stats = { 0 };
	struct weir_frame frame;
	struct rig rig = { .lossy = true };
	uint64_t lost = 0, last = 0;

	/* A lossless reader that does not read leaves a sink that may not wait without slots. */
	rig_open(&rig, "videotestsrc num-buffers=100 ! video/x-raw,width=64,height=64");
	for (int i = 0; i < 1000 && stats.frames + stats.dropped < 100; i++) {
		g_usleep(10000);
		weirsink_stats(rig.sink, &stats);
	}
	assert_int_equal(stats.frames + stats.dropped, 100);
	assert_true(stats.dropped > 0);
	rig_close(&rig);

	rig = (struct rig){ .lossy = true };
	rig_open(&rig, "videotestsrc is-live=true num-buffers=60 ! video/x-raw,width=64,height=64,framerate=100/1");
	g_usleep(400000);
	while (rig_next(&rig, 0, &frame) == 0) {
		lost += frame.dropped_before;
		last = frame.sequence;
		weir_reader_release(rig.reader[0], &frame);
	}
	weirsink_stats(rig.sink, &stats);
	assert_int_equal(lost, rig_stats(&rig, 0).source_lost);
	assert_true(lost > 0);
	assert_int_equal(last, stats.frames);
	assert_true(last + lost <= 60);
	rig_close(&rig);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop_ends_a_wait_for_a_stopped_lossless_reader),
		cmocka_unit_test(a_hundred_stops_and_starts_while_blocked_end_in_time),
		cmocka_unit_test(stop_ends_a_wait_for_a_ring),
		cmocka_unit_test(a_pause_while_blocked_loses_nothing),
		cmocka_unit_test(flush_ends_a_wait_and_frames_go_on_after_it),
		cmocka_unit_test(a_lossy_sink_drops_and_counts_when_no_slot_is_free),
	};

	gst_init(&argc, &argv);
	return cmocka_run_group_tests(tests, clip_setup, clip_teardown);
}
