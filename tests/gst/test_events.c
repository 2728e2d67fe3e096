/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <string.h>

#include <gst/video/video.h>

#define GRAY "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1"

static void push_byte(struct link *link, guint8 byte)
{
	link_push(link, link_buffer(256, byte));
}

static void pull_byte(GstHarness *out, guint8 byte)
{
	GstBuffer *buffer = link_pull(out);
	guint8 first;

	gst_buffer_extract(buffer, 0, &first, 1);
	assert_int_equal(first, byte);
	gst_buffer_unref(buffer);
}

static GstEvent *gray_caps(void)
{
	GstCaps *caps = gst_caps_from_string(GRAY);
	GstEvent *event = gst_event_new_caps(caps);

	gst_caps_unref(caps);
	return event;
}

static GstEvent *custom(GstEventType type, const char *name, int value)
{
	return gst_event_new_custom(type, gst_structure_new(name, "value", G_TYPE_INT, value, NULL));
}

static void pull_custom(GstHarness *out, GstEventType type, const char *name, int value)
{
	GstEvent *event = link_pull_event(out, type);
	int found;

	assert_true(gst_event_has_name(event, name));
	assert_true(gst_structure_get_int(gst_event_get_structure(event), "value", &found));
	assert_int_equal(found, value);
	gst_event_unref(event);
}

/* Everything that came out, in its order: events as the first letter of their type, buffers as b. */
static GString *trace;
static GMutex trace_lock;

static GstPadProbeReturn note_item(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
	g_mutex_lock(&trace_lock);
	if ((info->type & GST_PAD_PROBE_TYPE_BUFFER) != 0)
		g_string_append(trace, " buffer");
	else
		g_string_append_printf(trace, " %s", gst_event_type_get_name(GST_EVENT_TYPE(info->data)));
	g_mutex_unlock(&trace_lock);
	return GST_PAD_PROBE_OK;
}

static GstHarness *open_traced(struct link *link, const char *properties)
{
	gchar *description = g_strdup_printf("weirsrc socket-path=%s leaky-type=none max-buffers=8 %s", link->path,
		properties != NULL ? properties : "");
	GstElement *element = gst_object_ref_sink(gst_parse_launch(description, NULL));
	GstPad *pad = gst_element_get_static_pad(element, "src");
	GstHarness *out;

	trace = g_string_new(NULL);
	gst_pad_add_probe(pad,
		GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
		note_item, NULL, NULL);
	out = gst_harness_new_with_element(element, NULL, "src");
	gst_harness_play(out);
	gst_object_unref(pad);
	gst_object_unref(element);
	g_free(description);
	return out;
}

static void assert_trace(const char *expected)
{
	g_mutex_lock(&trace_lock);
	assert_string_equal(trace->str, expected);
	g_mutex_unlock(&trace_lock);
	g_string_free(trace, TRUE);
}

/* --- sticky ----------------------------------------------------------------------------------------------------- */

static void sticky_events_cross_and_come_first_for_who_joins_late(void **state)
{
	GstTagList *tags = gst_tag_list_new(GST_TAG_TITLE, "the \"weir\" = ä", GST_TAG_BITRATE, 9000, NULL), *found;
	struct link link;
	GstSegment segment;
	const GstSegment *crossed;
	const gchar *id;
	GstStreamFlags flags;
	GstEvent *event;
	GstHarness *late;

	link_open_sink(&link, NULL, NULL);
	gst_segment_init(&segment, GST_FORMAT_TIME);
	segment.rate = 2.0;
	segment.start = 5 * GST_SECOND;
	segment.stop = 50 * GST_SECOND;
	segment.time = 3 * GST_SECOND;
	segment.base = 11 * GST_SECOND;
	event = gst_event_new_stream_start("camera/0");
	gst_event_set_stream_flags(event, GST_STREAM_FLAG_SPARSE);
	assert_true(gst_harness_push_event(link.in, event));
	assert_true(gst_harness_push_event(link.in, gray_caps()));
	assert_true(gst_harness_push_event(link.in, gst_event_new_segment(&segment)));
	assert_true(gst_harness_push_event(link.in, gst_event_new_tag(gst_tag_list_ref(tags))));
	assert_true(gst_harness_push_event(link.in, custom(GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, "lens", 35)));
	gst_harness_play(link.in);
	push_byte(&link, 1);

	late = open_traced(&link, "timestamp-mode=none");
	link_await_clients(&link, 1);
	push_byte(&link, 2);
	event = link_pull_event(late, GST_EVENT_STREAM_START);
	gst_event_parse_stream_start(event, &id);
	gst_event_parse_stream_flags(event, &flags);
	assert_string_equal(id, "camera/0");
	assert_int_equal(flags, GST_STREAM_FLAG_SPARSE);
	gst_event_unref(event);
	event = link_pull_event(late, GST_EVENT_SEGMENT);
	gst_event_parse_segment(event, &crossed);
	assert_true(gst_segment_is_equal(crossed, &segment));
	gst_event_unref(event);
	event = link_pull_event(late, GST_EVENT_TAG);
	gst_event_parse_tag(event, &found);
	assert_true(gst_tag_list_is_equal(found, tags));
	gst_event_unref(event);
	pull_custom(late, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, "lens", 35);
	pull_byte(late, 2);
	assert_trace(" stream-start caps segment tag custom-downstream-sticky buffer");
	gst_tag_list_unref(tags);
	gst_harness_teardown(late);
	link_close(&link);
}

static void changes_of_sticky_events_cross_once_and_in_order(void **state)
{
	struct link link;
	GstSegment segment;

	link_open_sink(&link, GRAY, NULL);
	link.out = open_traced(&link, NULL);
	link_await_clients(&link, 1);
	push_byte(&link, 1);
	gst_harness_push_event(link.in, gst_event_new_tag(gst_tag_list_new(GST_TAG_TITLE, "one", NULL)));
	gst_segment_init(&segment, GST_FORMAT_TIME);
	segment.start = GST_SECOND;
	push_byte(&link, 2);
	gst_harness_push_event(link.in, gst_event_new_segment(&segment));
	gst_harness_push_event(link.in, gst_event_new_tag(gst_tag_list_new(GST_TAG_TITLE, "two", NULL)));
	push_byte(&link, 3);
	gst_harness_push_event(link.in, gst_event_new_stream_start("other"));
	gst_harness_push_event(link.in, gray_caps());
	gst_harness_push_event(link.in, gst_event_new_segment(&segment));
	push_byte(&link, 4);
	for (guint8 i = 1; i <= 4; i++)
		pull_byte(link.out, i);
	assert_trace(" stream-start caps segment buffer tag buffer segment tag buffer stream-start caps segment "
		     "buffer");
	link_close(&link);
}

static void caps_and_tags_of_any_size_cross(void **state)
{
	gchar *long_text = g_strnfill(6000, 'x');
	GstCaps *caps = gst_caps_new_simple("application/x-test", "header", G_TYPE_STRING, long_text, NULL), *found;
	GstTagList *tags = gst_tag_list_new(GST_TAG_COMMENT, long_text, NULL);
	struct link link;
	GstEvent *event;
	gchar *text = gst_caps_to_string(caps), *comment;

	link_open(&link, text, NULL, NULL);
	push_byte(&link, 1);
	pull_byte(link.out, 1);
	found = gst_pad_get_current_caps(link.out->sinkpad);
	assert_true(gst_caps_is_equal(found, caps));
	gst_caps_unref(found);
	/* Twelve kilobytes are more than the ring that was made for the caps has room for. */
	gst_harness_push_event(link.in, gst_event_new_tag(tags));
	push_byte(&link, 2);
	event = link_pull_event(link.out, GST_EVENT_TAG);
	gst_event_parse_tag(event, &tags);
	assert_true(gst_tag_list_get_string(tags, GST_TAG_COMMENT, &comment));
	assert_string_equal(comment, long_text);
	g_free(comment);
	gst_event_unref(event);
	pull_byte(link.out, 2);
	assert_int_equal(link_stat(link.out->element, "lost"), 0);
	gst_caps_unref(caps);
	g_free(text);
	g_free(long_text);
	link_close(&link);
}

/* --- news ------------------------------------------------------------------------------------------------------- */

static void gaps_flushes_and_events_of_ones_own_cross_in_order(void **state)
{
	GstGapFlags gap_flags;
	struct link link;
	GstSegment segment;
	GstClockTime start, duration;
	GstEvent *event;

	gst_segment_init(&segment, GST_FORMAT_TIME);
	link_open_sink(&link, GRAY, NULL);
	link.out = open_traced(&link, NULL);
	link_await_clients(&link, 1);
	push_byte(&link, 1);
	gst_harness_push_event(link.in, custom(GST_EVENT_CUSTOM_DOWNSTREAM, "shutter", 1));
	gst_harness_push_event(link.in, custom(GST_EVENT_CUSTOM_DOWNSTREAM, "shutter", 2));
	push_byte(&link, 2);
	event = gst_event_new_gap(3 * GST_SECOND, GST_SECOND);
	gst_event_set_gap_flags(event, GST_GAP_FLAG_MISSING_DATA);
	gst_harness_push_event(link.in, event);
	pull_byte(link.out, 1);
	pull_custom(link.out, GST_EVENT_CUSTOM_DOWNSTREAM, "shutter", 1);
	pull_custom(link.out, GST_EVENT_CUSTOM_DOWNSTREAM, "shutter", 2);
	pull_byte(link.out, 2);
	/* No buffer follows it. */
	event = link_pull_event(link.out, GST_EVENT_GAP);
	gst_event_parse_gap(event, &start, &duration);
	assert_int_equal(start, 3 * GST_SECOND);
	assert_int_equal(duration, GST_SECOND);
	gst_event_parse_gap_flags(event, &gap_flags);
	assert_int_equal(gap_flags, GST_GAP_FLAG_MISSING_DATA);
	gst_event_unref(event);
	gst_harness_push_event(link.in, gst_event_new_flush_start());
	gst_harness_push_event(link.in, gst_event_new_flush_stop(TRUE));
	gst_event_unref(link_pull_event(link.out, GST_EVENT_FLUSH_STOP));
	gst_harness_push_event(link.in, gst_event_new_segment(&segment));
	push_byte(&link, 3);
	pull_byte(link.out, 3);
	assert_trace(" stream-start caps segment buffer custom-downstream custom-downstream buffer gap flush-start "
		     "flush-stop segment buffer");
	link_close(&link);
}

static void an_event_reaches_a_reader_that_lost_its_frame_but_not_one_that_came_later(void **state)
{
	struct link link;
	GstHarness *late;

	/* The reader is always at the newest frame; 40 frames follow the event at once. */
	link_open(&link, GRAY, NULL, "leaky-type=downstream max-buffers=1 is-live=true");
	push_byte(&link, 0);
	pull_byte(link.out, 0);
	gst_element_set_state(link.out->element, GST_STATE_PAUSED);
	gst_harness_push_event(link.in, custom(GST_EVENT_CUSTOM_DOWNSTREAM, "shutter", 7));
	for (guint8 i = 1; i <= 40; i++)
		push_byte(&link, i);
	late = open_traced(&link, NULL);
	link_await_clients(&link, 2);
	push_byte(&link, 41);
	gst_element_set_state(link.out->element, GST_STATE_PLAYING);
	pull_custom(link.out, GST_EVENT_CUSTOM_DOWNSTREAM, "shutter", 7);
	pull_byte(link.out, 41);
	pull_byte(late, 41);
	assert_trace(" stream-start caps segment buffer");
	gst_harness_teardown(late);
	link_close(&link);
}

static void the_end_of_the_stream_crosses_after_the_last_buffer(void **state)
{
	struct link link;

	link_open_sink(&link, GRAY, NULL);
	link.out = open_traced(&link, NULL);
	link_await_clients(&link, 1);
	for (guint8 i = 0; i < 6; i++)
		push_byte(&link, i);
	gst_harness_push_event(link.in, gst_event_new_eos());
	for (guint8 i = 0; i < 6; i++)
		pull_byte(link.out, i);
	gst_event_unref(link_pull_event(link.out, GST_EVENT_EOS));
	assert_trace(" stream-start caps segment buffer buffer buffer buffer buffer buffer eos");
	link_close(&link);
}

static void after_an_end_a_flush_begins_anew_for_who_joins(void **state)
{
	struct link link;
	GstSegment segment;
	GstHarness *late;

	link_open(&link, GRAY, NULL, NULL);
	push_byte(&link, 1);
	gst_harness_push_event(link.in, gst_event_new_eos());
	gst_event_unref(link_pull_event(link.out, GST_EVENT_EOS));
	gst_harness_push_event(link.in, gst_event_new_flush_start());
	gst_harness_push_event(link.in, gst_event_new_flush_stop(TRUE));
	gst_segment_init(&segment, GST_FORMAT_TIME);
	gst_harness_push_event(link.in, gst_event_new_segment(&segment));
	push_byte(&link, 2);
	late = link_open_source(&link, NULL);
	link_await_clients(&link, 2);
	push_byte(&link, 3);
	pull_byte(late, 3);
	gst_harness_teardown(late);
	link_close(&link);
}

/* --- upstream --------------------------------------------------------------------------------------------------- */

/* Whoever else comes is dropped. */
static GstEvent *pull_key_unit(GstHarness *in)
{
	GstEvent *event;

	do
		event = gst_harness_pull_upstream_event(in);
	while (!gst_video_event_is_force_key_unit(event) && (gst_event_unref(event), true));
	return event;
}

static void a_key_unit_is_asked_for_by_readers_and_for_who_joins_an_encoded_stream(void **state)
{
	struct link link;
	GstEvent *event;
	gboolean all_headers = FALSE;

	link_open(&link, "application/x-rtp,media=video,encoding-name=H264", NULL, NULL);
	gst_event_unref(pull_key_unit(link.in));
	link_close(&link);
	link_open(&link, "video/x-h264,width=16,height=16", NULL, NULL);
	gst_event_unref(pull_key_unit(link.in));
	assert_true(gst_harness_push_upstream_event(
		link.out, gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 1)));
	event = pull_key_unit(link.in);
	gst_video_event_parse_upstream_force_key_unit(event, NULL, &all_headers, NULL);
	assert_true(all_headers);
	gst_event_unref(event);
	link_close(&link);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sticky_events_cross_and_come_first_for_who_joins_late),
		cmocka_unit_test(changes_of_sticky_events_cross_once_and_in_order),
		cmocka_unit_test(caps_and_tags_of_any_size_cross),
		cmocka_unit_test(gaps_flushes_and_events_of_ones_own_cross_in_order),
		cmocka_unit_test(an_event_reaches_a_reader_that_lost_its_frame_but_not_one_that_came_later),
		cmocka_unit_test(the_end_of_the_stream_crosses_after_the_last_buffer),
		cmocka_unit_test(after_an_end_a_flush_begins_anew_for_who_joins),
		cmocka_unit_test(a_key_unit_is_asked_for_by_readers_and_for_who_joins_an_encoded_stream),
	};

	gst_init(&argc, &argv);
	link_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
