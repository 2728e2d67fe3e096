/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <string.h>

#include <gst/audio/audio.h>
#include <gst/video/video.h>
#include <weir/socket.h>
#include <weir/writer.h>

/* Streams, caps, events and metas that are legal and rare. */

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

/* --- buffers ---------------------------------------------------------------------------------------------------- */

static void empty_buffers_pass(void **state)
{
	struct link link;

	link_open(&link, PACKETS, NULL, NULL);
	link_push(&link, gst_buffer_new());
	link_push(&link, link_buffer(0, 0));
	link_push(&link, link_buffer(5, 1));
	pull_size(&link, 0);
	pull_size(&link, 0);
	pull_size(&link, 5);
	link_close(&link);
}

static void fields_pass_one_by_one(void **state)
{
	struct link link;
	GstVideoInfo info;
	GstCaps *caps = gst_caps_from_string("video/x-raw(format:Interlaced),format=I420,width=32,height=24,"
					     "framerate=50/1,interlace-mode=alternate,pixel-aspect-ratio=1/1");
	GstVideoFrame frame;
	GstBuffer *buffer;

	assert_true(gst_video_info_from_caps(&info, caps));
	link_open_sink(&link, NULL, NULL);
	gst_harness_set_src_caps(link.in, caps);
	link.out = link_open_source(&link, NULL);
	link_await_clients(&link, 1);
	link_push(&link, link_buffer(info.size, 7));
	buffer = link_pull(link.out);
	assert_int_equal(gst_buffer_get_size(buffer), info.size);
	assert_true(gst_video_frame_map(&frame, &info, buffer, GST_MAP_READ));
	assert_int_equal(GST_VIDEO_FRAME_COMP_HEIGHT(&frame, 0), 12);
	gst_video_frame_unmap(&frame);
	gst_buffer_unref(buffer);
	link_close(&link);
}

/* Three channels of 10 samples each, with or without something between them. */
static GstBuffer *planar_buffer(const GstAudioInfo *info, gsize between)
{
	gsize plane = 10 * sizeof(gint16), offsets[3] = { 0, plane + between, 2 * (plane + between) };
	GstBuffer *buffer = link_buffer(3 * (plane + between), 9);

	for (int i = 0; i < 3; i++)
		gst_buffer_memset(buffer, offsets[i], (guint8)(i + 1), plane);
	gst_buffer_add_audio_meta(buffer, info, 10, offsets);
	return buffer;
}

static void audio_in_planes_passes_with_its_layout(void **state)
{
	GstCaps *caps = gst_caps_from_string("audio/x-raw,format=S16LE,rate=44123,channels=3,layout=non-interleaved,"
					     "channel-mask=(bitmask)0");
	GstAudioInfo info;
	struct link link;

	assert_true(gst_audio_info_from_caps(&info, caps));
	link_open_sink(&link, NULL, NULL);
	gst_harness_set_src_caps(link.in, caps);
	link.out = link_open_source(&link, NULL);
	link_await_clients(&link, 1);
	for (gsize between = 0; between < 8; between += 4) {
		GstAudioBuffer audio;
		GstBuffer *buffer;

		link_push(&link, planar_buffer(&info, between));
		buffer = link_pull(link.out);
		assert_true(gst_audio_buffer_map(&audio, &info, buffer, GST_MAP_READ));
		assert_int_equal(audio.n_samples, 10);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(((guint8 *)audio.planes[i])[0], i + 1);
			assert_int_equal(((guint8 *)audio.planes[i])[19], i + 1);
		}
		gst_audio_buffer_unmap(&audio);
		gst_buffer_unref(buffer);
	}
	link_close(&link);
}

/* A program that publishes rows with something between them. */
struct padded {
	struct weir_ring *ring;
	struct weir_writer *writer;
	struct weir_server *server;
};

#define PADDED "@weir-padded"

static void padded_open(struct padded *padded)
{
	struct weir_server_config config = { .path = PADDED };
	struct weir_ring_config ring = {
		.format = { .kind = WEIR_KIND_VIDEO,
			.pixel = WEIR_PIXEL_GRAY8,
			.width = 16,
			.height = 4,
			.rate_num = 10,
			.rate_den = 1,
			.payload_bytes = 4 * 32,
			.plane_count = 1,
			.plane = { { 0, 32 } } },
		.slot_bytes = 4 * 32,
		.slot_count = 24,
		.ends = 4,
		.untrusted = true,
		.generation = 1,
	};
	struct weir_ring_fds fds;

	assert_int_equal(weir_ring_create(&padded->ring, &ring), 0);
	assert_int_equal(weir_ring_writer_fds(padded->ring, &fds), 0);
	assert_int_equal(weir_writer_open(&padded->writer, &fds), 0);
	assert_int_equal(weir_server_create(&padded->server, &config, NULL), 0);
	weir_server_set_ring(padded->server, padded->ring);
}

static void padded_close(struct padded *padded)
{
	weir_server_free(&padded->server);
	weir_writer_free(&padded->writer);
	weir_ring_free(&padded->ring);
}

static void padded_publish(struct padded *padded)
{
	struct weir_frame frame;
	uint8_t *data;

	if (weir_writer_claim(padded->writer, &frame, &data) < 0)
		return;
	for (int i = 0; i < 4; i++) {
		memset(data + i * 32, i + 1, 16);
		memset(data + i * 32 + 16, 99, 16);
	}
	frame.size_bytes = 4 * 32;
	assert_int_equal(weir_writer_publish(padded->writer, &frame, false), 0);
}

static GstBuffer *padded_pull(struct padded *padded, GstHarness *out)
{
	GstBuffer *buffer = NULL;

	for (int i = 0; i < 1000 && buffer == NULL; i++) {
		weir_server_dispatch(padded->server);
		weir_writer_attend(padded->writer);
		padded_publish(padded);
		g_usleep(5000);
		buffer = gst_harness_try_pull(out);
	}
	assert_non_null(buffer);
	return buffer;
}

static GstPadProbeReturn know_no_layouts(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
	return GST_QUERY_TYPE(info->data) == GST_QUERY_ALLOCATION ? GST_PAD_PROBE_DROP : GST_PAD_PROBE_OK;
}

static void rows_with_gaps_come_in_place_only_for_who_knows_of_them(void **state)
{
	struct link link = { .path = PADDED };

	for (int knows = 0; knows < 2; knows++) {
		struct padded padded;
		GstBuffer *buffer;
		guint8 row[4];

		padded_open(&padded);
		link.out = link_open_source(&link, NULL);
		if (knows)
			gst_harness_add_propose_allocation_meta(link.out, GST_VIDEO_META_API_TYPE, NULL);
		else
			gst_pad_add_probe(
				link.out->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, know_no_layouts, NULL, NULL);
		buffer = padded_pull(&padded, link.out);
		assert_int_equal(gst_buffer_get_size(buffer), knows ? 4 * 32 : 4 * 16);
		for (guint i = 0; i < 4; i++) {
			gst_buffer_extract(buffer, i * (knows ? 32 : 16), &row[i], 1);
			assert_int_equal(row[i], i + 1);
		}
		assert_int_equal(link_stat(link.out->element, "copied") == 0, knows);
		gst_buffer_unref(buffer);
		g_clear_pointer(&link.out, gst_harness_teardown);
		padded_close(&padded);
	}
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
	gchar *padding = text_of(40000), *text = g_strdup_printf("audio/x-flac,streamheader=(buffer)%s", padding);
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
	assert_non_null(strstr(error->message, "16383 bytes"));
	g_error_free(error);
	gst_message_unref(message);
	gst_element_set_bus(link.in->element, NULL);
	gst_object_unref(bus);
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
		cmocka_unit_test(empty_buffers_pass),
		cmocka_unit_test(fields_pass_one_by_one),
		cmocka_unit_test(audio_in_planes_passes_with_its_layout),
		cmocka_unit_test(rows_with_gaps_come_in_place_only_for_who_knows_of_them),
		cmocka_unit_test(caps_of_any_length_cross_whole),
		cmocka_unit_test(caps_that_differ_in_what_the_head_leaves_out_are_told),
		cmocka_unit_test(caps_that_are_too_long_are_refused),
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
