/* SPDX-License-Identifier: MIT */
/* Who writes into the slots, what that saves, and that nobody writes there later. */
#include "rig.h"

#include <errno.h>
#include <string.h>

#include <gst/check/gstharness.h>

#include "clip.h"
#include "link.h"

/* --- copies ---------------------------------------------------------------------------------------------------- */

static void assert_copies(const char *source, unsigned frames, unsigned copies)
{
	struct rig rig = { 0 };

	rig_open(&rig, source);
	assert_int_equal(rig_drain(&rig, 0), frames);
	if (rig_stats(&rig, 0).copied != copies)
		fail_msg("%s: %u copies, not %u", source, (unsigned)rig_stats(&rig, 0).copied, copies);
	rig_close(&rig);
}

static void elements_that_can_write_into_slots_do(void **state)
{
	gchar *source;

	assert_copies("videotestsrc num-buffers=50 ! video/x-raw,format=I420,width=320,height=240", 50, 0);
	assert_copies("videotestsrc num-buffers=50 ! video/x-raw,format=YUY2,width=320,height=240 ! videoconvert ! "
		      "video/x-raw,format=NV12",
		50, 0);
	source = g_strdup_printf("filesrc location=%s ! qtdemux ! h264parse ! openh264dec", clip_path("h264.mp4"));
	assert_copies(source, 60, 0);
	g_free(source);
	source = g_strdup_printf("filesrc location=%s ! avidemux ! jpegdec ! videoconvert ! capsfilter "
				 "caps=video/x-raw,format=I420",
		clip_path("jpeg.avi"));
	assert_copies(source, 60, 0);
	g_free(source);
}

static void libav_costs_one_copy_for_each_frame(void **state)
{
	gchar *source =
		g_strdup_printf("filesrc location=%s ! qtdemux ! h264parse ! avdec_h264", clip_path("h264.mp4"));

	assert_copies(source, 60, 60);
	g_free(source);
}

static void libav_is_seen_through_the_walls_of_a_decodebin(void **state)
{
	gchar *source = g_strdup_printf("filesrc location=%s ! decodebin ! videoconvert", clip_path("h264.mp4"));

	assert_copies(source, 60, 60);
	g_free(source);
}

static void foreign_memory_is_copied_and_counted(void **state)
{
	assert_copies("videotestsrc num-buffers=20 ! video/x-raw,format=RGB,width=33,height=20 ! "
		      "identity drop-allocation=true",
		20, 20);
}

static void a_hoarding_queue_costs_copies_but_no_frames(void **state)
{
	struct rig rig = { 0 };
	struct weir_frame frame;

	rig_open(&rig, "videotestsrc num-buffers=100 pattern=ball ! video/x-raw,width=64,height=64 ! "
		       "queue max-size-buffers=50");
	for (uint64_t sequence = 1; sequence <= 100; sequence++) {
		assert_int_equal(rig_next(&rig, 0, &frame), 0);
		assert_int_equal(frame.sequence, sequence);
		assert_int_equal(frame.dropped_before, 0);
		if (sequence % 10 == 0)
			g_usleep(5000);
		weir_reader_release(rig.reader[0], &frame);
	}
	rig_close(&rig);
}

/* --- published is published ------------------------------------------------------------------------------------ */

static guint checksum(const struct weir_frame *frame)
{
	guint sum = 0;

	for (uint32_t i = 0; i < frame->size_bytes; i++)
		sum = sum * 31 + frame->data[i];
	return sum;
}

/* A reader that holds three frames at a time, always: none of them may change while a source with a pool runs on. */
static void assert_held_frames_stay(const char *source, unsigned frames)
{
	struct rig rig = { .policy = { .mode = WEIR_POLICY_LOSSLESS, .max_held = 3 } };
	struct weir_frame held[3];
	unsigned taken = 0;
	guint sum[3];

	rig_open(&rig, source);
	for (;; taken++) {
		unsigned i = taken % 3;

		/* By now the source has made the two frames that came after it, or more. */
		if (taken >= 3) {
			assert_int_equal(checksum(&held[i]), sum[i]);
			weir_reader_release(rig.reader[0], &held[i]);
		}
		if (rig_next(&rig, 0, &held[i]) != 0)
			break;
		sum[i] = checksum(&held[i]);
		for (unsigned other = 0; other < MIN(taken, 3u); other++)
			assert_true(other == i || held[other].slot != held[i].slot);
	}
	assert_int_equal(taken, frames);
	rig_close(&rig);
}

/* Who left may cost the ring its end: then another ring begins, and upstream is to write into that one. */
static void readers_that_come_and_go_cost_no_copies(void **state)
{
	GstElement *pipeline =
		gst_parse_launch("videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=64,"
				 "framerate=100/1 ! weirsink name=sink socket-path=@weir-copies max-readers=1",
			NULL);
	GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
	guint64 copied;

	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	for (int i = 0; link_stat(sink, "generation") < 3; i++) {
		GstElement *reader =
			gst_parse_launch("weirsrc num-buffers=2 socket-path=@weir-copies ! fakesink sync=false", NULL);
		GstBus *bus = gst_element_get_bus(reader);

		assert_true(i < 50);
		gst_element_set_state(reader, GST_STATE_PLAYING);
		gst_message_unref(gst_bus_timed_pop_filtered(bus, 10 * GST_SECOND, GST_MESSAGE_EOS));
		gst_element_set_state(reader, GST_STATE_NULL);
		gst_object_unref(bus);
		gst_object_unref(reader);
	}
	/* What was on its way when the ring ended. */
	copied = link_stat(sink, "copied");
	assert_true(copied < 20);
	for (guint64 rendered = link_stat(sink, "rendered"); link_stat(sink, "rendered") < rendered + 20;)
		g_usleep(1000);
	assert_true(link_stat(sink, "copied") <= copied + 4);
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(sink);
	gst_object_unref(pipeline);
}

static void held_frames_are_never_rewritten(void **state)
{
	gchar *source;

	assert_held_frames_stay("videotestsrc num-buffers=300 pattern=snow ! video/x-raw,width=64,height=64", 300);
	assert_held_frames_stay(
		"videotestsrc num-buffers=300 pattern=snow ! video/x-raw,format=YUY2,width=64,height=64 "
		"! videoconvert ! video/x-raw,format=I420",
		300);
	source = g_strdup_printf("filesrc location=%s ! qtdemux ! h264parse ! openh264dec", clip_path("h264.mp4"));
	assert_held_frames_stay(source, 60);
	g_free(source);
	source = g_strdup_printf("filesrc location=%s ! qtdemux ! h264parse ! avdec_h264", clip_path("h264.mp4"));
	assert_held_frames_stay(source, 60);
	g_free(source);
	source = g_strdup_printf("filesrc location=%s ! avidemux ! jpegdec ! videoconvert", clip_path("jpeg.avi"));
	assert_held_frames_stay(source, 60);
	g_free(source);
}

static gchar *checksum_of(GstSample *sample)
{
	GstMapInfo map;
	gchar *sum;

	assert_true(gst_buffer_map(gst_sample_get_buffer(sample), &map, GST_MAP_READ));
	sum = g_compute_checksum_for_data(G_CHECKSUM_MD5, map.data, map.size);
	gst_buffer_unmap(gst_sample_get_buffer(sample), &map);
	return sum;
}

/* Nor is the sample that an application asks a sink for, although libav forgets its pictures. */
static void the_last_sample_is_never_rewritten(void **state)
{
	gchar *source =
		g_strdup_printf("filesrc location=%s ! qtdemux ! h264parse ! avdec_h264", clip_path("h264.mp4"));
	gchar *before, *after;
	struct rig rig = { 0 };
	struct weir_frame frame;
	GstSample *sample;

	rig_open(&rig, source);
	g_object_set(rig.sink, "enable-last-sample", TRUE, NULL);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(rig_next(&rig, 0, &frame), 0);
		weir_reader_release(rig.reader[0], &frame);
	}
	g_object_get(rig.sink, "last-sample", &sample, NULL);
	assert_non_null(sample);
	before = checksum_of(sample);
	rig_drain(&rig, 0);
	after = checksum_of(sample);
	assert_string_equal(before, after);
	g_free(before);
	g_free(after);
	gst_sample_unref(sample);
	rig_close(&rig);
	g_free(source);
}

static void a_pushed_buffer_cannot_be_written_and_its_pool_does_not_reuse_it(void **state)
{
	GstAllocationParams params;
	GstAllocator *allocator;
	GstBuffer *first, *again, *kept;
	GstBufferPool *pool = gst_buffer_pool_new();
	GstStructure *config = gst_buffer_pool_get_config(pool);
	struct rig rig = { 0 };
	GstMemory *memory;
	GstHarness *harness;
	GstMapInfo map;

	rig_open_sink(&rig);
	harness = gst_harness_new_with_element(GST_ELEMENT(rig.sink), "sink", NULL);
	gst_harness_set_src_caps_str(harness, "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1");
	/* The harness asks for an allocator when it makes its first buffer. */
	gst_buffer_unref(gst_harness_create_buffer(harness, 256));
	gst_harness_get_allocator(harness, &allocator, &params);
	assert_non_null(allocator);
	gst_buffer_pool_config_set_params(config, NULL, 256, 0, 0);
	gst_buffer_pool_config_set_allocator(config, allocator, &params);
	assert_true(gst_buffer_pool_set_config(pool, config));
	assert_true(gst_buffer_pool_set_active(pool, TRUE));

	assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &first, NULL), GST_FLOW_OK);
	memory = gst_buffer_get_memory(first, 0);
	gst_buffer_memset(first, 0, 1, 256);
	kept = gst_buffer_ref(first);
	assert_int_equal(gst_harness_push(harness, first), GST_FLOW_OK);
	assert_int_equal(rig_stats(&rig, 0).copied, 0);
	assert_false(gst_memory_map(memory, &map, GST_MAP_WRITE));
	gst_buffer_unref(kept);
	assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &again, NULL), GST_FLOW_OK);
	assert_ptr_not_equal(gst_buffer_peek_memory(again, 0), memory);
	gst_buffer_unref(again);

	/* Pushed twice, a slot is published once; the second time it is copied. */
	first = gst_buffer_new();
	gst_buffer_append_memory(first, memory);
	assert_int_equal(gst_harness_push(harness, first), GST_FLOW_OK);
	assert_int_equal(rig_stats(&rig, 0).copied, 1);
	assert_int_equal(rig_stats(&rig, 0).published, 2);

	gst_buffer_pool_set_active(pool, FALSE);
	gst_object_unref(pool);
	gst_harness_teardown(harness);
	rig_close(&rig);
}

static GstBufferPool *proposed_pool(GstHarness *harness)
{
	GstCaps *caps = gst_pad_get_current_caps(harness->srcpad);
	GstQuery *query = gst_query_new_allocation(caps, TRUE);
	GstBufferPool *pool;

	assert_true(gst_pad_peer_query(harness->srcpad, query));
	gst_query_parse_nth_allocation_pool(query, 0, &pool, NULL, NULL, NULL);
	gst_query_unref(query);
	gst_caps_unref(caps);
	return pool;
}

static void the_pool_of_the_sink_reuses_what_was_published_unless_somebody_has_the_memory(void **state)
{
	struct rig rig = { 0 };
	GstBufferPool *pool;
	GstHarness *harness;
	GstBuffer *buffer, *first;
	GstMemory *kept;
	GstMapInfo map;

	rig_open_sink(&rig);
	harness = gst_harness_new_with_element(GST_ELEMENT(rig.sink), "sink", NULL);
	gst_harness_set_src_caps_str(harness, "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1");
	pool = proposed_pool(harness);
	assert_true(gst_buffer_pool_set_active(pool, TRUE));
	assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &first, NULL), GST_FLOW_OK);
	gst_buffer_memset(first, 0, 1, 256);
	assert_int_equal(gst_harness_push(harness, first), GST_FLOW_OK);
	assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &buffer, NULL), GST_FLOW_OK);
	assert_ptr_equal(buffer, first);

	/* It has a slot of its own again. */
	gst_buffer_memset(buffer, 0, 2, 256);
	kept = gst_buffer_get_memory(buffer, 0);
	assert_int_equal(gst_harness_push(harness, buffer), GST_FLOW_OK);
	assert_int_equal(rig_stats(&rig, 0).published, 2);
	assert_int_equal(rig_stats(&rig, 0).copied, 0);
	assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &buffer, NULL), GST_FLOW_OK);
	assert_ptr_not_equal(gst_buffer_peek_memory(buffer, 0), kept);
	assert_false(gst_memory_map(kept, &map, GST_MAP_WRITE));
	gst_buffer_unref(buffer);
	gst_memory_unref(kept);

	gst_buffer_pool_set_active(pool, FALSE);
	gst_object_unref(pool);
	gst_harness_teardown(harness);
	rig_close(&rig);
}

static void memory_outlives_the_sink(void **state)
{
	GstAllocationParams params;
	GstAllocator *allocator;
	struct rig rig = { 0 };
	GstHarness *harness;
	GstBuffer *buffer;

	rig_open_sink(&rig);
	harness = gst_harness_new_with_element(GST_ELEMENT(rig.sink), "sink", NULL);
	gst_harness_set_src_caps_str(harness, "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1");
	buffer = gst_harness_create_buffer(harness, 256);
	gst_harness_get_allocator(harness, &allocator, &params);
	gst_object_ref(allocator);
	gst_harness_teardown(harness);
	gst_clear_object(&rig.sink);
	gst_buffer_memset(buffer, 0, 7, 256);
	gst_buffer_unref(buffer);
	buffer = gst_buffer_new_allocate(allocator, 256, &params);
	gst_buffer_memset(buffer, 0, 8, 256);
	gst_buffer_unref(buffer);
	gst_object_unref(allocator);
	rig_close(&rig);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_that_can_write_into_slots_do),
		cmocka_unit_test(libav_costs_one_copy_for_each_frame),
		cmocka_unit_test(libav_is_seen_through_the_walls_of_a_decodebin),
		cmocka_unit_test(foreign_memory_is_copied_and_counted),
		cmocka_unit_test(a_hoarding_queue_costs_copies_but_no_frames),
		cmocka_unit_test(readers_that_come_and_go_cost_no_copies),
		cmocka_unit_test(held_frames_are_never_rewritten),
		cmocka_unit_test(the_last_sample_is_never_rewritten),
		cmocka_unit_test(a_pushed_buffer_cannot_be_written_and_its_pool_does_not_reuse_it),
		cmocka_unit_test(the_pool_of_the_sink_reuses_what_was_published_unless_somebody_has_the_memory),
		cmocka_unit_test(memory_outlives_the_sink),
	};

	gst_init(&argc, &argv);
	link_register();
	return cmocka_run_group_tests(tests, clip_setup, clip_teardown);
}
