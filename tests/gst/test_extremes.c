/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <string.h>

#include <gst/video/video.h>

/* Caps, events and metas that are legal and rare. */

#define GRAY	"video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1"
#define PACKETS "application/x-rtp,media=video"

static gchar *text_of(gsize length)
{
	gchar *text = g_malloc(length + 1);

	memset(text, 'a', length);
	text[length] = '\0';
	return text;
}

static void pull_size(struct link *link, gsize bytes)
{
	GstBuffer *buffer = link_pull(link->out);

	assert_int_equal(gst_buffer_get_size(buffer), bytes);
	gst_buffer_unref(buffer);
}

/* --- caps ------------------------------------------------------------------------------------------------------- */

/* Of any length, also of one that a ring's head has room for only without some of their fields. */
static void caps_cross_whole(const char *before, const char *after, gsize size)
{
	for (gsize n = 100; n <= 1000; n += 60) {
		gchar *padding = text_of(n), *text = g_strdup_printf("%s%s%s", before, padding, after);
		GstCaps *caps = gst_caps_from_string(text), *found;
		struct link link;

		link_open(&link, text, NULL, NULL);
		link_push(&link, link_buffer(size, 1));
		pull_size(&link, size);
		found = gst_pad_get_current_caps(link.out->sinkpad);
		assert_true(gst_caps_is_equal(found, caps));
		gst_caps_unref(found);
		gst_caps_unref(caps);
		link_close(&link);
		g_free(text);
		g_free(padding);
	}
}

static void caps_of_any_length_cross_whole(void **state)
{
	caps_cross_whole("video/x-h264,stream-format=avc,alignment=au,profile=high,level=(string)4,pixel-aspect-ratio="
			 "4/3,width=16,height=16,codec_data=(buffer)",
		"", 500);
	caps_cross_whole(GRAY ",colorimetry=(string)1:1:5:1,extra=(string)", "", 256);
}

static void caps_that_differ_in_what_the_head_leaves_out_are_told(void **state)
{
	gchar *padding = text_of(380);
	struct link link;

	link_open(&link, NULL, NULL, NULL);
	for (int level = 1; level < 5; level++) {
		gchar *text = g_strdup_printf("video/x-h264,stream-format=avc,alignment=au,%swidth=16,height=16,"
					      "level=(string)%d,codec_data=(buffer)%s",
			level != 3 ? "profile=high,pixel-aspect-ratio=4/3,colorimetry=1:1:5:1,chroma-site=mpeg2," : "",
			level, padding);
		GstCaps *caps = gst_caps_from_string(text), *found;

		gst_harness_set_src_caps_str(link.in, text);
		if (level == 1)
			link_await_clients(&link, 1);
		link_push(&link, link_buffer(500, 1));
		pull_size(&link, 500);
		found = gst_pad_get_current_caps(link.out->sinkpad);
		assert_true(gst_caps_is_equal(found, caps));
		gst_caps_unref(found);
		gst_caps_unref(caps);
		g_free(text);
	}
	g_free(padding);
	link_close(&link);
}

static void caps_that_are_too_long_are_refused(void **state)
{
	gchar *padding = text_of(50000), *text = g_strdup_printf("audio/x-flac,codec_data=(buffer)%s", padding);
	struct link link;
	GstBus *bus = gst_bus_new();
	GstMessage *message;
	GError *error;

	link_open_sink(&link, NULL, NULL);
	gst_element_set_bus(link.in->element, bus);
	gst_harness_set_src_caps_str(link.in, text);
	message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
	assert_non_null(message);
	gst_message_parse_error(message, &error, NULL);
	assert_true(g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT));
	assert_non_null(strstr(error->message, "40959 bytes"));
	g_error_free(error);
	gst_message_unref(message);
	gst_element_set_bus(link.in->element, NULL);
	gst_object_unref(bus);
	link_close(&link);
	g_free(text);
	g_free(padding);
}

static void who_joins_a_container_s_stream_gets_its_headers_first(void **state)
{
	static const guint8 expected[] = { 0xaa, 0xbb, 7 };
	struct link link;

	link_open_sink(&link, "application/ogg,streamheader=(buffer)<aaaa,bbbb>", NULL);
	link_push(&link, link_buffer(2, 0xaa));
	link_push(&link, link_buffer(2, 0xbb));
	link.out = link_open_source(&link, NULL);
	link_await_clients(&link, 1);
	link_push(&link, link_buffer(2, 7));
	for (gsize i = 0; i < G_N_ELEMENTS(expected); i++) {
		GstBuffer *buffer = link_pull(link.out);
		guint8 first;

		gst_buffer_extract(buffer, 0, &first, 1);
		assert_int_equal(first, expected[i]);
		assert_int_equal(GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_HEADER), i < 2);
		gst_buffer_unref(buffer);
	}
	link_close(&link);
}

/* What is left of the caps does; the headers are in the stream. */
static void caps_with_headers_that_are_too_long_cross_without_them(void **state)
{
	gchar *padding = text_of(50000);
	gchar *text = g_strdup_printf("audio/x-flac,rate=8000,streamheader=(buffer)<%s>", padding);
	GstCaps *expected = gst_caps_from_string("audio/x-flac,rate=8000"), *found;
	struct link link;

	link_open(&link, text, NULL, NULL);
	link_push(&link, link_buffer(5, 1));
	pull_size(&link, 5);
	found = gst_pad_get_current_caps(link.out->sinkpad);
	assert_true(gst_caps_is_equal(found, expected));
	gst_caps_unref(found);
	gst_caps_unref(expected);
	link_close(&link);
	g_free(text);
	g_free(padding);
}

/* --- events and metas ------------------------------------------------------------------------------------------- */

static void push_sticky(struct link *link, GstStructure *structure)
{
	gst_harness_push_event(link->in, gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, structure));
}

static void events_without_a_structure_are_left_out(void **state)
{
	struct link link;

	link_open(&link, PACKETS, NULL, NULL);
	push_sticky(&link, gst_structure_new_empty("lens"));
	push_sticky(&link, NULL);
	gst_harness_push_event(link.in, gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, NULL));
	link_push(&link, link_buffer(5, 1));
	pull_size(&link, 5);
	link_close(&link);
}

static void sticky_events_that_do_not_fit_are_left_out_and_the_buffer_passes(void **state)
{
	gchar *text = text_of(14000);
	struct link link;
	GstEvent *event;

	link_open(&link, PACKETS, NULL, NULL);
	for (int i = 0; i < 8; i++) {
		gchar name[] = { 'l', 'e', 'n', 's', (gchar)('0' + i), '\0' };

		push_sticky(&link, gst_structure_new(name, "text", G_TYPE_STRING, text, NULL));
	}
	link_push(&link, link_buffer(5, 1));
	pull_size(&link, 5);
	event = link_pull_event(link.out, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY);
	assert_true(gst_event_has_name(event, "lens0"));
	gst_event_unref(event);
	link_close(&link);
	g_free(text);
}

static void labels_of_any_length_cross(void **state)
{
	static const gsize lengths[] = { 3, 63, 64, 500, 3000 };
	struct link link;

	link_open(&link, GRAY, NULL, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
		GstBuffer *buffer = link_buffer(256, 1);
		gchar *label = text_of(lengths[i]);
		GstVideoRegionOfInterestMeta *meta;

		gst_buffer_add_video_region_of_interest_meta(buffer, label, 1, 2, 3, 4);
		link_push(&link, buffer);
		buffer = link_pull(link.out);
		meta = (GstVideoRegionOfInterestMeta *)gst_buffer_get_meta(
			buffer, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE);
		assert_non_null(meta);
		assert_string_equal(g_quark_to_string(meta->roi_type), label);
		gst_buffer_unref(buffer);
		g_free(label);
	}
	link_close(&link);
}

/* More than a ring has room for at first. */
static void a_crowd_of_regions_crosses(void **state)
{
	struct link link;

	link_open(&link, GRAY, NULL, NULL);
	for (int i = 1; i <= 200; i += 33) {
		GstBuffer *buffer = link_buffer(256, (guint8)i);
		gpointer at = NULL;
		int found = 0;

		for (int k = 0; k < i; k++)
			gst_video_region_of_interest_meta_add_param(
				gst_buffer_add_video_region_of_interest_meta(buffer, "person", 1, 2, 3, 4),
				gst_structure_new("detection", "confidence", G_TYPE_DOUBLE, 0.75 / (k + 1), "x_min",
					G_TYPE_DOUBLE, 0.1, "x_max", G_TYPE_DOUBLE, 0.2, "y_min", G_TYPE_DOUBLE, 0.3,
					NULL));
		link_push(&link, buffer);
		buffer = link_pull(link.out);
		while (gst_buffer_iterate_meta_filtered(buffer, &at, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) !=
			NULL)
			found++;
		assert_int_equal(found, i);
		assert_true(i == 1 || !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DISCONT));
		gst_buffer_unref(buffer);
	}
	assert_true(link_stat(link.in->element, "generation") < 6);
	link_close(&link);
}

static void a_large_event_crosses(void **state)
{
	gchar *text = text_of(15000);
	struct link link;
	GstEvent *event;

	link_open(&link, PACKETS, NULL, NULL);
	link_push(&link, link_buffer(5, 1));
	gst_harness_push_event(link.in, gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM,
						gst_structure_new("news", "text", G_TYPE_STRING, text, NULL)));
	link_push(&link, link_buffer(6, 1));
	pull_size(&link, 5);
	event = link_pull_event(link.out, GST_EVENT_CUSTOM_DOWNSTREAM);
	assert_string_equal(gst_structure_get_string(gst_event_get_structure(event), "text"), text);
	gst_event_unref(event);
	pull_size(&link, 6);
	link_close(&link);
	g_free(text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caps_of_any_length_cross_whole),
		cmocka_unit_test(caps_that_differ_in_what_the_head_leaves_out_are_told),
		cmocka_unit_test(caps_that_are_too_long_are_refused),
		cmocka_unit_test(who_joins_a_container_s_stream_gets_its_headers_first),
		cmocka_unit_test(caps_with_headers_that_are_too_long_cross_without_them),
		cmocka_unit_test(events_without_a_structure_are_left_out),
		cmocka_unit_test(sticky_events_that_do_not_fit_are_left_out_and_the_buffer_passes),
		cmocka_unit_test(labels_of_any_length_cross),
		cmocka_unit_test(a_crowd_of_regions_crosses),
		cmocka_unit_test(a_large_event_crosses),
	};

	gst_init(&argc, &argv);
	link_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
