/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <errno.h>
#include <string.h>

#include <gst/app/gstappsink.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#define SECOND_NS INT64_C(1000000000)

/* --- what is in a frame ---------------------------------------------------------------------------------------- */

/* Compares what one sees of a picture; the padding between rows is nobody's business. */
static void assert_same_picture(const struct weir_format *format, const uint8_t *data, const GstVideoFrame *reference)
{
	for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES(reference); plane++) {
		const uint8_t *expected = GST_VIDEO_FRAME_PLANE_DATA(reference, plane);
		guint pixel_bytes = GST_VIDEO_FRAME_COMP_PSTRIDE(reference, plane);
		guint row_bytes = GST_VIDEO_FRAME_COMP_WIDTH(reference, plane) * pixel_bytes;

		for (gint row = 0; row < GST_VIDEO_FRAME_COMP_HEIGHT(reference, plane); row++)
			assert_memory_equal(data + format->plane[plane].offset_bytes +
						    (size_t)row * format->plane[plane].stride_bytes,
				expected + row * GST_VIDEO_FRAME_PLANE_STRIDE(reference, plane), row_bytes);
	}
}

static void check_against_appsink(const char *source)
{
	gchar *description = g_strdup_printf("%s ! appsink name=out sync=false", source);
	GstElement *pipeline = gst_parse_launch(description, NULL);
	GstElement *out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
	struct rig rig = { 0 };
	struct weir_frame frame;
	GstVideoInfo info;

	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	rig_open(&rig, source);
	while (rig_next(&rig, 0, &frame) == 0) {
		GstSample *sample = gst_app_sink_try_pull_sample(GST_APP_SINK(out), 10 * GST_SECOND);
		GstVideoFrame reference;

		assert_non_null(sample);
		assert_true(gst_video_info_from_caps(&info, gst_sample_get_caps(sample)));
		assert_true(gst_video_frame_map(&reference, &info, gst_sample_get_buffer(sample), GST_MAP_READ));
		assert_int_equal(weir_format_check(rig_format(&rig, 0)), 0);
		assert_same_picture(rig_format(&rig, 0), frame.data, &reference);
		gst_video_frame_unmap(&reference);
		gst_sample_unref(sample);
		weir_reader_release(rig.reader[0], &frame);
	}
	assert_int_equal(rig_stats(&rig, 0).published, 4);
	rig_close(&rig);
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(out);
	gst_object_unref(pipeline);
	g_free(description);
}

static void pictures_of_odd_sizes_equal_those_of_appsink_in_every_format(void **state)
{
	static const char *const formats[] = { "I420", "NV12", "GRAY8", "RGB" };
	static const int sizes[][2] = { { 320, 240 }, { 321, 241 }, { 17, 5 }, { 3, 3 }, { 1, 1 } };

	for (unsigned f = 0; f < G_N_ELEMENTS(formats); f++)
		for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++) {
			gchar *source = g_strdup_printf("videotestsrc num-buffers=4 pattern=smpte75 ! "
							"video/x-raw,format=%s,width=%d,height=%d",
				formats[f], sizes[s][0], sizes[s][1]);

			check_against_appsink(source);
			g_free(source);
		}
}

static void the_ring_says_what_the_caps_say(void **state)
{
	struct rig rig = { 0 };
	struct weir_format expected;

	rig_open(
		&rig, "videotestsrc num-buffers=1 ! video/x-raw,format=NV12,width=322,height=240,framerate=30000/1001");
	assert_int_equal(rig_drain(&rig, 0), 1);
	assert_int_equal(weir_format_video(&expected, WEIR_PIXEL_NV12, 322, 240), 0);
	assert_int_equal(rig_format(&rig, 0)->payload_bytes, expected.payload_bytes);
	assert_memory_equal(rig_format(&rig, 0)->plane, expected.plane, sizeof(expected.plane));
	assert_int_equal(rig_format(&rig, 0)->rate_num, 30000);
	assert_int_equal(rig_format(&rig, 0)->rate_den, 1001);
	assert_non_null(strstr(rig_format(&rig, 0)->caps, "format=(string)NV12"));
	rig_close(&rig);
}

static void times_and_flags_are_those_of_the_buffers(void **state)
{
	struct rig rig = { 0 };
	GstBuffer *buffer;
	GstHarness *harness;
	struct weir_frame frame;
	int64_t before_ns;

	rig_open_sink(&rig);
	harness = gst_harness_new_with_element(GST_ELEMENT(rig.sink), "sink", NULL);
	gst_harness_set_src_caps_str(harness, "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1");
	before_ns = g_get_monotonic_time() * 1000;
	buffer = gst_harness_create_buffer(harness, 256);
	GST_BUFFER_PTS(buffer) = 7 * SECOND_NS;
	GST_BUFFER_DURATION(buffer) = SECOND_NS / 10;
	GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_CORRUPTED);
	GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
	assert_int_equal(gst_harness_push(harness, buffer), GST_FLOW_OK);
	buffer = gst_harness_create_buffer(harness, 256);
	GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_GAP);
	assert_int_equal(gst_harness_push(harness, buffer), GST_FLOW_OK);

	assert_int_equal(weir_reader_acquire(rig.reader[0], &frame), 0);
	assert_int_equal(frame.pts_ns, 7 * SECOND_NS);
	assert_int_equal(frame.duration_ns, SECOND_NS / 10);
	assert_true(frame.dts_ns == WEIR_TIME_NONE);
	assert_int_equal(frame.flags, WEIR_FRAME_KEY | WEIR_FRAME_CORRUPT | WEIR_FRAME_DISCONTINUITY);
	assert_true(frame.capture_ns >= before_ns && frame.capture_ns <= g_get_monotonic_time() * 1000 + 1000);
	assert_true(ABS(frame.wall_ns - g_get_real_time() * 1000) < 5 * SECOND_NS);
	weir_reader_release(rig.reader[0], &frame);
	assert_int_equal(weir_reader_acquire(rig.reader[0], &frame), 0);
	assert_true(frame.pts_ns == WEIR_TIME_NONE);
	assert_int_equal(frame.flags, WEIR_FRAME_KEY | WEIR_FRAME_GAP);
	gst_harness_teardown(harness);
	rig_close(&rig);
}

static void the_capture_time_of_a_live_source_is_when_it_stamped_the_frame(void **state)
{
	struct rig rig = { 0 };
	struct weir_frame frame;

	/* The queue holds each frame back for some 300 ms: time to tell one from the other. */
	rig_open(&rig, "videotestsrc is-live=true num-buffers=20 ! video/x-raw,width=64,height=64,framerate=20/1 ! "
		       "queue min-threshold-time=300000000 max-size-time=0 max-size-bytes=0 max-size-buffers=0");
	assert_int_equal(rig_next(&rig, 0, &frame), 0);
	assert_true(frame.pts_ns != WEIR_TIME_NONE);
	assert_true(frame.capture_ns == (int64_t)gst_element_get_base_time(rig.pipeline) + frame.pts_ns);
	assert_true(g_get_monotonic_time() * 1000 - frame.capture_ns > SECOND_NS / 20);
	rig_close(&rig);
}

static void a_pause_does_not_make_frames_old(void **state)
{
	struct rig rig = { 0 };
	struct weir_frame frame;
	int64_t before_ns;

	rig_open(&rig, "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=20/1");
	assert_int_equal(rig_next(&rig, 0, &frame), 0);
	weir_reader_release(rig.reader[0], &frame);
	gst_element_set_state(rig.pipeline, GST_STATE_PAUSED);
	g_usleep(300000);
	before_ns = g_get_monotonic_time() * 1000;
	gst_element_set_state(rig.pipeline, GST_STATE_PLAYING);
	/* What waited while it was paused is older. */
	for (int i = 0; i < 15; i++) {
		assert_int_equal(rig_next(&rig, 0, &frame), 0);
		weir_reader_release(rig.reader[0], &frame);
	}
	assert_true(frame.capture_ns > before_ns);
	assert_true(frame.capture_ns == (int64_t)gst_element_get_base_time(rig.pipeline) + frame.pts_ns);
	rig_close(&rig);
}

/* --- generations ----------------------------------------------------------------------------------------------- */

static void new_caps_end_the_ring_and_begin_another(void **state)
{
	struct rig rig = { 0 };

	rig_open(&rig, "videotestsrc num-buffers=7 ! video/x-raw,format=I420,width=320,height=240 ! concat name=c "
		       "videotestsrc num-buffers=5 ! video/x-raw,format=RGB,width=160,height=120 ! c. c. ! identity");
	assert_int_equal(rig_drain(&rig, 0), 7);
	assert_int_equal(rig_drain(&rig, 1), 5);
	assert_int_equal(rig_format(&rig, 0)->width, 320);
	assert_int_equal(rig_format(&rig, 1)->width, 160);
	assert_int_equal(rig_format(&rig, 1)->pixel, WEIR_PIXEL_RGB);
	rig_close(&rig);
}

static void the_same_caps_after_a_restart_go_on_in_the_same_ring(void **state)
{
	struct rig rig = { 0 };
	struct weir_frame frame;
	uint64_t last = 0;
	bool marked = false;

	rig_open(&rig, "videotestsrc ! video/x-raw,width=64,height=64");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(rig_next(&rig, 0, &frame), 0);
		weir_reader_release(rig.reader[0], &frame);
	}
	rig_stop_ns(&rig);
	last = rig_stats(&rig, 0).published;
	gst_element_set_state(rig.pipeline, GST_STATE_PLAYING);
	while (!marked) {
		assert_int_equal(rig_next(&rig, 0, &frame), 0);
		marked = frame.sequence == last + 1;
		if (marked)
			assert_true((frame.flags & WEIR_FRAME_DISCONTINUITY) != 0);
		weir_reader_release(rig.reader[0], &frame);
	}
	assert_int_equal(rig.rings, 1);
	rig_close(&rig);
}

static void a_refused_ring_is_an_error_with_its_reason(void **state)
{
	struct rig rig = { .want_status = -ENOSPC };
	gchar *text;
	GstBus *bus;

	rig_open(&rig, "videotestsrc ! video/x-raw,format=I420,width=64,height=48");
	bus = gst_element_get_bus(rig.pipeline);
	text = rig_error(bus);
	assert_non_null(strstr(text, "64x48 I420"));
	assert_non_null(strstr(text, "No space left"));
	g_free(text);
	gst_object_unref(bus);
	rig_close(&rig);
}

static void a_frame_that_is_too_small_is_an_error(void **state)
{
	struct rig rig = { 0 };
	GstHarness *harness;

	rig_open_sink(&rig);
	harness = gst_harness_new_with_element(GST_ELEMENT(rig.sink), "sink", NULL);
	gst_harness_set_src_caps_str(harness, "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1");
	assert_int_equal(gst_harness_push(harness, gst_harness_create_buffer(harness, 255)), GST_FLOW_ERROR);
	assert_int_equal(rig_stats(&rig, 0).published, 0);
	gst_harness_teardown(harness);
	rig_close(&rig);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_of_odd_sizes_equal_those_of_appsink_in_every_format),
		cmocka_unit_test(the_ring_says_what_the_caps_say),
		cmocka_unit_test(times_and_flags_are_those_of_the_buffers),
		cmocka_unit_test(the_capture_time_of_a_live_source_is_when_it_stamped_the_frame),
		cmocka_unit_test(a_pause_does_not_make_frames_old),
		cmocka_unit_test(new_caps_end_the_ring_and_begin_another),
		cmocka_unit_test(the_same_caps_after_a_restart_go_on_in_the_same_ring),
		cmocka_unit_test(a_refused_ring_is_an_error_with_its_reason),
		cmocka_unit_test(a_frame_that_is_too_small_is_an_error),
	};

	gst_init(&argc, &argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
