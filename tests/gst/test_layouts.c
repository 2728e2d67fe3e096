/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <string.h>

#include <gst/audio/audio.h>
#include <gst/video/video.h>
#include <weir/socket.h>
#include <weir/writer.h>

/* Buffers that lie otherwise than most: empty, fields, planes, rows with gaps. */

static void pull_size(struct link *link, gsize bytes)
{
	GstBuffer *buffer = link_pull(link->out);

	assert_int_equal(gst_buffer_get_size(buffer), bytes);
	gst_buffer_unref(buffer);
}

static void empty_buffers_pass(void **state)
{
	struct link link;

	link_open(&link, "application/x-rtp,media=video", NULL, NULL);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_buffers_pass),
		cmocka_unit_test(fields_pass_one_by_one),
		cmocka_unit_test(audio_in_planes_passes_with_its_layout),
		cmocka_unit_test(rows_with_gaps_come_in_place_only_for_who_knows_of_them),
	};

	gst_init(&argc, &argv);
	link_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
