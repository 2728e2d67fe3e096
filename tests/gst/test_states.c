/* SPDX-License-Identifier: MIT */
/* Seeks, flushes, pauses, stops, and states up and down. */
#include "link.h"

#include "../holdings.h"

#define GRAY "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1"

/* --- seeks, latency, flushes ------------------------------------------------------------------------------------ */

static void seeks_are_refused_and_latency_is_answered(void **state)
{
	GstQuery *query = gst_query_new_seeking(GST_FORMAT_TIME);
	GstClockTime min, max;
	struct link link;
	gboolean yes;

	link_open(&link, GRAY, NULL, "processing-deadline=7000000");
	assert_true(gst_pad_peer_query(link.out->sinkpad, query));
	gst_query_parse_seeking(query, NULL, &yes, NULL, NULL);
	assert_false(yes);
	gst_query_unref(query);
	assert_false(
		gst_harness_push_upstream_event(link.out, gst_event_new_seek(1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH,
								  GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_NONE, 0)));
	query = gst_query_new_latency();
	assert_true(gst_pad_peer_query(link.out->sinkpad, query));
	gst_query_parse_latency(query, &yes, &min, &max);
	assert_true(yes);
	assert_int_equal(min, 7000000);
	assert_true(max == GST_CLOCK_TIME_NONE);
	gst_query_unref(query);
	gst_harness_teardown(link.out);

	/* Who is not waited for keeps 8 frames of 100 ms. */
	link.out = link_open_source(&link, "processing-deadline=7000000 leaky-type=downstream");
	link_await_clients(&link, 1);
	link_push(&link, link_buffer(256, 1));
	gst_buffer_unref(link_pull(link.out));
	query = gst_query_new_latency();
	assert_true(gst_pad_peer_query(link.out->sinkpad, query));
	gst_query_parse_latency(query, &yes, &min, &max);
	assert_int_equal(min, 7000000);
	assert_int_equal(max, 807000000);
	gst_query_unref(query);
	link_close(&link);
}

static void a_sink_that_plays_in_time_delays_its_readers(void **state)
{
	GstQuery *query = gst_query_new_latency();
	GstClockTime min;
	struct link link;
	GstBuffer *buffer;

	link_open_sink(&link, GRAY, NULL);
	gst_harness_use_systemclock(link.in);
	g_object_set(link.in->element, "sync", TRUE, NULL);
	gst_element_send_event(link.in->element, gst_event_new_latency(200 * GST_MSECOND));
	link.out = link_open_source(&link, "processing-deadline=0");
	link_await_clients(&link, 1);
	buffer = link_buffer(256, 1);
	GST_BUFFER_PTS(buffer) = 0;
	link_push(&link, buffer);
	gst_buffer_unref(link_pull(link.out));
	assert_true(gst_pad_peer_query(link.out->sinkpad, query));
	gst_query_parse_latency(query, NULL, &min, NULL);
	assert_int_equal(min, 200 * GST_MSECOND);
	gst_query_unref(query);
	link_close(&link);
}

static gpointer push_until_refused(gpointer data)
{
	struct link *link = data;

	while (gst_harness_push(link->in, link_buffer(256, 1)) == GST_FLOW_OK)
		;
	return NULL;
}

static void a_flush_ends_a_wait_for_a_reader_that_takes_nothing(void **state)
{
	struct link link;
	GstSegment segment;
	GThread *thread;
	guint64 before, now = 0;

	link_open(&link, GRAY, "stall-timeout=60000000000", NULL);
	gst_element_set_state(link.out->element, GST_STATE_PAUSED);
	thread = g_thread_new("pusher", push_until_refused, &link);
	do {
		before = now;
		g_usleep(50000);
		now = link_stat(link.in->element, "rendered");
	} while (now == 0 || now != before);
	gst_harness_push_event(link.in, gst_event_new_flush_start());
	g_thread_join(thread);
	gst_harness_push_event(link.in, gst_event_new_flush_stop(TRUE));
	gst_segment_init(&segment, GST_FORMAT_TIME);
	gst_harness_push_event(link.in, gst_event_new_segment(&segment));
	gst_element_set_state(link.out->element, GST_STATE_PLAYING);
	gst_event_unref(link_pull_event(link.out, GST_EVENT_FLUSH_STOP));
	link_push(&link, link_buffer(256, 2));
	link_close(&link);
}

static void waits_of_any_kind_end_within_a_second(void **state)
{
	static const char *const pipelines[] = {
		"weirsrc socket-path=@weir-nobody ! fakesink",
		"videotestsrc ! weirsink socket-path=@weir-waits wait-for-connection=true",
		"fakesrc ! weirsink socket-path=@weir-waits2 sync=true",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(pipelines); i++) {
		GstElement *pipeline = gst_parse_launch(pipelines[i], NULL);
		gint64 start_us;

		gst_element_set_state(pipeline, GST_STATE_PLAYING);
		g_usleep(200000);
		start_us = g_get_monotonic_time();
		gst_element_set_state(pipeline, GST_STATE_NULL);
		assert_true(g_get_monotonic_time() - start_us < G_USEC_PER_SEC);
		gst_object_unref(pipeline);
	}
}

/* --- states ----------------------------------------------------------------------------------------------------- */

static void a_hundred_times_up_and_down_leave_nothing(void **state)
{
	static const GstState ups[] = { GST_STATE_READY, GST_STATE_PAUSED, GST_STATE_PLAYING };
	GstElement *sink = gst_parse_launch("videotestsrc ! video/x-raw,width=32,height=32 ! weirsink "
					    "socket-path=@weir-updown sync=false",
		NULL);
	GstElement *source = gst_parse_launch("weirsrc socket-path=@weir-updown ! fakesink sync=false", NULL);
	int files = 0;

	for (int i = 0; i < 100; i++) {
		GstState up = ups[i % 3];

		gst_element_set_state(sink, up);
		gst_element_set_state(source, ups[i / 3 % 3]);
		if (i % 10 == 0)
			g_usleep(20000);
		gst_element_set_state(i % 2 == 0 ? sink : source, GST_STATE_NULL);
		gst_element_set_state(i % 2 == 0 ? source : sink, GST_STATE_NULL);
		if (i == 20)
			files = count_fds();
	}
	assert_true(count_fds() <= files);
	gst_object_unref(sink);
	gst_object_unref(source);
}

static void a_paused_source_goes_on_with_what_is_new(void **state)
{
	struct link link;
	GstBuffer *buffer;
	guint8 byte;

	link_open(&link, GRAY, NULL, "leaky-type=downstream max-buffers=1");
	link_push(&link, link_buffer(256, 1));
	gst_buffer_unref(link_pull(link.out));
	gst_element_set_state(link.out->element, GST_STATE_PAUSED);
	for (guint8 i = 2; i <= 9; i++)
		link_push(&link, link_buffer(256, i));
	gst_element_set_state(link.out->element, GST_STATE_PLAYING);
	buffer = link_pull(link.out);
	gst_buffer_extract(buffer, 0, &byte, 1);
	assert_int_equal(byte, 9);
	assert_true(GST_BUFFER_IS_DISCONT(buffer));
	gst_buffer_unref(buffer);
	link_close(&link);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeks_are_refused_and_latency_is_answered),
		cmocka_unit_test(a_sink_that_plays_in_time_delays_its_readers),
		cmocka_unit_test(a_flush_ends_a_wait_for_a_reader_that_takes_nothing),
		cmocka_unit_test(waits_of_any_kind_end_within_a_second),
		cmocka_unit_test(a_hundred_times_up_and_down_leave_nothing),
		cmocka_unit_test(a_paused_source_goes_on_with_what_is_new),
	};

	gst_init(&argc, &argv);
	link_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
