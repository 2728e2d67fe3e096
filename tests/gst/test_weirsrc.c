/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <string.h>

#include <gst/video/video.h>

#define GRAY "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1"

static void assert_bytes(GstBuffer *buffer, gsize bytes, guint8 byte)
{
	GstMapInfo map;

	assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
	assert_int_equal(map.size, bytes);
	for (gsize i = 0; i < bytes; i++)
		assert_int_equal(map.data[i], byte);
	gst_buffer_unmap(buffer, &map);
}

/* --- one buffer ------------------------------------------------------------------------------------------------- */

static void a_buffer_arrives_with_its_bytes_times_flags_and_caps(void **state)
{
	struct link link;
	GstBuffer *buffer;
	GstCaps *caps, *expected = gst_caps_from_string(GRAY);

	link_open(&link, GRAY, NULL, "timestamp-mode=none");
	buffer = link_buffer(256, 7);
	GST_BUFFER_PTS(buffer) = 7 * GST_SECOND;
	GST_BUFFER_DTS(buffer) = 6 * GST_SECOND;
	GST_BUFFER_DURATION(buffer) = GST_SECOND / 10;
	GST_BUFFER_OFFSET(buffer) = 70;
	GST_BUFFER_OFFSET_END(buffer) = 71;
	GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT | GST_BUFFER_FLAG_CORRUPTED | GST_BUFFER_FLAG_MARKER |
					    GST_VIDEO_BUFFER_FLAG_TFF);
	link_push(&link, buffer);
	buffer = link_pull(link.out);
	assert_bytes(buffer, 256, 7);
	assert_int_equal(GST_BUFFER_PTS(buffer), 7 * GST_SECOND);
	assert_int_equal(GST_BUFFER_DTS(buffer), 6 * GST_SECOND);
	assert_int_equal(GST_BUFFER_DURATION(buffer), GST_SECOND / 10);
	assert_int_equal(GST_BUFFER_OFFSET(buffer), 70);
	assert_int_equal(GST_BUFFER_OFFSET_END(buffer), 71);
	assert_int_equal(GST_BUFFER_FLAGS(buffer) & ~(guint)GST_BUFFER_FLAG_TAG_MEMORY,
		GST_BUFFER_FLAG_DELTA_UNIT | GST_BUFFER_FLAG_CORRUPTED | GST_BUFFER_FLAG_MARKER |
			GST_VIDEO_BUFFER_FLAG_TFF | GST_BUFFER_FLAG_DISCONT);
	gst_buffer_unref(buffer);
	caps = gst_pad_get_current_caps(link.out->sinkpad);
	assert_true(gst_caps_is_equal(caps, expected));
	gst_caps_unref(caps);
	gst_caps_unref(expected);
	link_close(&link);
}

static void memory_is_read_only_in_place_and_outlives_the_element(void **state)
{
	struct link link;
	GstBuffer *buffer;
	GstMemory *memory;
	GstMapInfo map;

	link_open(&link, GRAY, NULL, NULL);
	link_push(&link, link_buffer(256, 9));
	buffer = link_pull(link.out);
	memory = gst_buffer_peek_memory(buffer, 0);
	assert_string_equal(memory->allocator->mem_type, "WeirFrame");
	assert_true(GST_MEMORY_IS_READONLY(memory));
	assert_false(gst_memory_map(memory, &map, GST_MAP_WRITE));
	assert_non_null(gst_buffer_get_video_meta(buffer));
	link_close(&link);
	assert_bytes(buffer, 256, 9);

	/* Writing makes a copy. */
	buffer = gst_buffer_make_writable(buffer);
	assert_true(gst_buffer_map(buffer, &map, GST_MAP_WRITE));
	memset(map.data, 3, map.size);
	gst_buffer_unmap(buffer, &map);
	gst_buffer_unref(buffer);
}

static void who_holds_many_buffers_gets_copies_and_blocks_nobody(void **state)
{
	GstBuffer *held[40];
	struct link link;

	link_open(&link, GRAY, NULL, NULL);
	for (guint8 i = 0; i < 40; i++) {
		link_push(&link, link_buffer(256, i));
		held[i] = link_pull(link.out);
	}
	for (guint8 i = 0; i < 40; i++) {
		assert_bytes(held[i], 256, i);
		gst_buffer_unref(held[i]);
	}
	assert_int_equal(link_stat(link.out->element, "copied"), 38);
	link_close(&link);
}

static void a_part_of_a_buffer_keeps_its_slot(void **state)
{
	GstBuffer *whole, *part;
	struct link link;

	link_open(&link, "application/x-test", NULL, NULL);
	whole = link_buffer(300, 1);
	gst_buffer_memset(whole, 100, 2, 100);
	link_push(&link, whole);
	whole = link_pull(link.out);
	part = gst_buffer_copy_region(whole, GST_BUFFER_COPY_MEMORY, 100, 100);
	gst_buffer_unref(whole);
	for (guint8 i = 0; i < 200; i++) {
		link_push(&link, link_buffer(300, 5));
		gst_buffer_unref(link_pull(link.out));
	}
	assert_bytes(part, 100, 2);
	assert_string_equal(gst_buffer_peek_memory(part, 0)->allocator->mem_type, "WeirFrame");
	gst_buffer_unref(part);
	link_close(&link);
}

/* --- rings ------------------------------------------------------------------------------------------------------ */

static void packets_of_any_size_pass_in_order(void **state)
{
	static const gsize sizes[] = { 1, 0, 1000, 65536, 65537, 7, 1000000, 3000000, 12 };
	struct link link;

	link_open(&link, "application/x-test", NULL, NULL);
	for (guint8 i = 0; i < G_N_ELEMENTS(sizes); i++) {
		GstBuffer *buffer;

		link_push(&link, link_buffer(sizes[i], i));
		buffer = link_pull(link.out);
		assert_bytes(buffer, sizes[i], i);
		assert_int_equal(GST_BUFFER_IS_DISCONT(buffer), i == 0);
		gst_buffer_unref(buffer);
	}
	assert_int_equal(link_stat(link.out->element, "lost"), 0);
	link_close(&link);
}

static void a_stream_without_caps_passes(void **state)
{
	struct link link;
	GstSegment segment;

	link_open_sink(&link, NULL, "wait-for-connection=false");
	gst_segment_init(&segment, GST_FORMAT_BYTES);
	gst_harness_push_event(link.in, gst_event_new_stream_start("none"));
	gst_harness_push_event(link.in, gst_event_new_segment(&segment));
	gst_harness_play(link.in);
	assert_int_equal(gst_pad_push(link.in->srcpad, link_buffer(10, 1)), GST_FLOW_OK);
	link.out = link_open_source(&link, NULL);
	link_await_clients(&link, 1);
	assert_int_equal(gst_pad_push(link.in->srcpad, link_buffer(10, 2)), GST_FLOW_OK);
	assert_null(gst_pad_get_current_caps(link.out->sinkpad));
	gst_buffer_unref(link_pull(link.out));
	link_close(&link);
}

static void new_caps_come_after_the_last_buffer_of_the_old_ones(void **state)
{
	struct link link;
	GstVideoInfo info;
	GstBuffer *buffer;
	GstCaps *caps;

	link_open(&link, GRAY, NULL, NULL);
	for (guint8 i = 0; i < 5; i++)
		link_push(&link, link_buffer(256, i));
	gst_harness_set_src_caps_str(link.in, "video/x-raw,format=RGB,width=8,height=8,framerate=10/1");
	link_push(&link, link_buffer(192, 5));
	for (guint8 i = 0; i < 6; i++) {
		buffer = link_pull(link.out);
		assert_bytes(buffer, i < 5 ? 256 : 192, i);
		gst_buffer_unref(buffer);
	}
	caps = gst_pad_get_current_caps(link.out->sinkpad);
	assert_true(gst_video_info_from_caps(&info, caps));
	assert_int_equal(GST_VIDEO_INFO_FORMAT(&info), GST_VIDEO_FORMAT_RGB);
	gst_caps_unref(caps);
	assert_int_equal(link_stat(link.in->element, "generation"), 2);
	assert_int_equal(link_stat(link.out->element, "lost"), 0);
	link_close(&link);
}

static void a_reader_that_joins_late_starts_with_the_next_buffer(void **state)
{
	struct link link;
	GstHarness *late;
	GstBuffer *buffer;

	link_open(&link, GRAY, NULL, NULL);
	link_push(&link, link_buffer(256, 1));
	gst_buffer_unref(link_pull(link.out));
	late = link_open_source(&link, NULL);
	link_await_clients(&link, 2);
	link_push(&link, link_buffer(256, 2));
	buffer = link_pull(late);
	assert_bytes(buffer, 256, 2);
	assert_true(GST_BUFFER_IS_DISCONT(buffer));
	gst_buffer_unref(buffer);
	gst_harness_teardown(late);
	link_await_clients(&link, 1);
	link_close(&link);
}

static void losses_show_as_discont_offset_and_count(void **state)
{
	struct link link;
	guint64 before = 0;
	GstBuffer *buffer;
	bool jumped = false;

	link_open(&link, GRAY, NULL, "leaky-type=downstream max-buffers=1");
	for (int i = 0; i < 2000 && !jumped; i++) {
		for (int k = 0; k < 50; k++)
			link_push(&link, link_buffer(256, 1));
		while ((buffer = gst_harness_try_pull(link.out)) != NULL) {
			guint64 offset = GST_BUFFER_OFFSET(buffer);

			if (before != 0 && offset != before + 1) {
				assert_true(GST_BUFFER_IS_DISCONT(buffer));
				jumped = true;
			}
			before = offset;
			gst_buffer_unref(buffer);
		}
	}
	assert_true(jumped);
	assert_true(link_stat(link.out->element, "lost") > 0);
	link_close(&link);
}

static void a_sink_may_wait_for_its_first_reader(void **state)
{
	struct link link;

	link_open_sink(&link, NULL, "wait-for-connection=true max-readers=1");
	/* More often than a ring has ends. */
	for (guint8 i = 0; i < 12; i++) {
		GstBuffer *buffer;

		link.out = link_open_source(&link, NULL);
		if (i == 0)
			gst_harness_set_src_caps_str(link.in, GRAY);
		link_push(&link, link_buffer(256, i));
		buffer = link_pull(link.out);
		assert_bytes(buffer, 256, i);
		gst_buffer_unref(buffer);
		g_clear_pointer(&link.out, gst_harness_teardown);
		link_await_clients(&link, 0);
	}
	link_close(&link);
}

static void a_process_may_come_and_go_many_times(void **state)
{
	struct link link;

	link_open_sink(&link, GRAY, "max-readers=2");
	for (int i = 0; i < 30; i++) {
		GstBuffer *buffer = NULL;

		link.out = link_open_source(&link, NULL);
		/* Ends of those before are in the way until the next buffer. */
		for (int tries = 0; tries < 2000 && buffer == NULL; tries++) {
			link_push(&link, link_buffer(256, 1));
			g_usleep(1000);
			buffer = gst_harness_try_pull(link.out);
		}
		assert_non_null(buffer);
		gst_buffer_unref(buffer);
		g_clear_pointer(&link.out, gst_harness_teardown);
		link_await_clients(&link, 0);
	}
	link_close(&link);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_arrives_with_its_bytes_times_flags_and_caps),
		cmocka_unit_test(memory_is_read_only_in_place_and_outlives_the_element),
		cmocka_unit_test(who_holds_many_buffers_gets_copies_and_blocks_nobody),
		cmocka_unit_test(a_part_of_a_buffer_keeps_its_slot),
		cmocka_unit_test(packets_of_any_size_pass_in_order),
		cmocka_unit_test(a_stream_without_caps_passes),
		cmocka_unit_test(new_caps_come_after_the_last_buffer_of_the_old_ones),
		cmocka_unit_test(a_reader_that_joins_late_starts_with_the_next_buffer),
		cmocka_unit_test(losses_show_as_discont_offset_and_count),
		cmocka_unit_test(a_sink_may_wait_for_its_first_reader),
		cmocka_unit_test(a_process_may_come_and_go_many_times),
	};

	gst_init(&argc, &argv);
	link_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
