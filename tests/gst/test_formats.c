/* SPDX-License-Identifier: MIT */
/* Whatever goes in comes out: every raw video format, audio, and encoded streams, which decode at the other end. */
#include "link.h"

#include <string.h>
#include <unistd.h>

#include <gst/video/video.h>

#include "runner.h"

/* --- raw video -------------------------------------------------------------------------------------------------- */

/* What one sees of a picture, without the padding: in a packed layout, over zeroes. */
static GstBuffer *seen(GstBuffer *buffer, const GstVideoInfo *info)
{
	GstBuffer *packed = link_buffer(GST_VIDEO_INFO_SIZE(info), 0);
	GstVideoFrame from, to;

	assert_true(gst_video_frame_map(&from, info, buffer, GST_MAP_READ));
	assert_true(gst_video_frame_map(&to, info, packed, GST_MAP_READWRITE));
	assert_true(gst_video_frame_copy(&to, &from));
	gst_video_frame_unmap(&to);
	gst_video_frame_unmap(&from);
	return packed;
}

static void assert_same_picture(GstBuffer *one, GstBuffer *other, const GstVideoInfo *info)
{
	GstBuffer *first = seen(one, info), *second = seen(other, info);
	GstMapInfo a, b;

	gst_buffer_map(first, &a, GST_MAP_READ);
	gst_buffer_map(second, &b, GST_MAP_READ);
	if (memcmp(a.data, b.data, a.size) != 0)
		fail_msg("%s of %dx%d was changed", gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(info)),
			GST_VIDEO_INFO_WIDTH(info), GST_VIDEO_INFO_HEIGHT(info));
	gst_buffer_unmap(second, &b);
	gst_buffer_unmap(first, &a);
	gst_buffer_unref(second);
	gst_buffer_unref(first);
}

static GstBuffer *noise(gsize bytes)
{
	GstBuffer *buffer = gst_buffer_new_allocate(NULL, bytes, NULL);
	GstMapInfo map;

	gst_buffer_map(buffer, &map, GST_MAP_WRITE);
	for (gsize i = 0; i < map.size; i++)
		map.data[i] = (guint8)g_random_int();
	gst_buffer_unmap(buffer, &map);
	return buffer;
}

static void pass_picture(struct link *link, GstBuffer *picture, const GstVideoInfo *info)
{
	GstBuffer *crossed;

	link_push(link, gst_buffer_ref(picture));
	crossed = link_pull(link->out);
	assert_same_picture(picture, crossed, info);
	gst_buffer_unref(crossed);
	gst_buffer_unref(picture);
}

/* Rows and planes that lie further apart than the caps imply; NULL: GStreamer knows no such layout of this format. */
static GstBuffer *padded_noise(const GstVideoInfo *info)
{
	GstVideoInfo wide = *info;
	GstVideoAlignment align;
	GstBuffer *buffer;

	gst_video_alignment_reset(&align);
	align.padding_right = 24;
	align.padding_bottom = 6;
	for (guint i = 0; i < GST_VIDEO_MAX_PLANES; i++)
		align.stride_align[i] = 63;
	if (!gst_video_info_align(&wide, &align))
		return NULL;
	buffer = noise(GST_VIDEO_INFO_SIZE(&wide));
	gst_buffer_add_video_meta_full(buffer, 0, GST_VIDEO_INFO_FORMAT(info), GST_VIDEO_INFO_WIDTH(info),
		GST_VIDEO_INFO_HEIGHT(info), GST_VIDEO_INFO_N_PLANES(info), wide.offset, wide.stride);
	return buffer;
}

/* Returns in how many layouts it passed. */
static unsigned pass_format(GstVideoFormat format, int width, int height)
{
	GstBuffer *padded;
	GstVideoInfo info;
	struct link link;
	GstCaps *caps;
	gchar *text;

	assert_true(gst_video_info_set_format(&info, format, width, height));
	caps = gst_video_info_to_caps(&info);
	text = gst_caps_to_string(caps);
	link_open(&link, text, NULL, NULL);
	pass_picture(&link, noise(GST_VIDEO_INFO_SIZE(&info)), &info);
	padded = padded_noise(&info);
	if (padded != NULL)
		pass_picture(&link, padded, &info);
	link_close(&link);
	gst_caps_unref(caps);
	g_free(text);
	return padded != NULL ? 2 : 1;
}

static void every_raw_format_passes_pixel_by_pixel_in_odd_sizes(void **state)
{
	GValue list = G_VALUE_INIT;
	unsigned layouts = 0;

	g_value_init(&list, GST_TYPE_LIST);
	assert_true(gst_value_deserialize(&list, GST_VIDEO_FORMATS_ALL));
	for (guint i = 0; i < gst_value_list_get_size(&list); i++) {
		const char *name = g_value_get_string(gst_value_list_get_value(&list, i));

		layouts += pass_format(gst_video_format_from_string(name), 35, 17);
		pass_format(gst_video_format_from_string(name), 1, 1);
	}
	assert_true(layouts >= 180);
	g_value_unset(&list);
}

/* --- everything else ---------------------------------------------------------------------------------------------- */

/* The same bytes at both ends, and as many decoded buffers as expected (0: any). */
static void pass_stream(const char *source, const char *decoder, uint64_t decoded)
{
	struct runner producer, reader;
	char path[64];
	uint64_t checksum, bytes;

	g_snprintf(path, sizeof(path), "@weir-formats-%d", (int)getpid());
	runner_start(&reader, NULL,
		"weirsrc socket-path=%s leaky-type=none is-live=false timestamp-mode=none ! identity name=sum ! %s ! "
		"fakesink name=decoded sync=false",
		path, decoder);
	runner_start(&producer, NULL, "%s ! weirsink name=sum socket-path=%s sync=false wait-for-connection=true",
		source, path);
	RUNNER_AWAIT(&producer, c->eos);
	checksum = producer.counters->checksum;
	bytes = producer.counters->bytes;
	RUNNER_AWAIT(&reader, c->eos);
	assert_true(bytes > 1000);
	assert_int_equal(reader.counters->bytes, bytes);
	assert_int_equal(reader.counters->checksum, checksum);
	assert_true(reader.counters->decoded > 0);
	if (decoded != 0)
		assert_int_equal(reader.counters->decoded, decoded);
	runner_join(&producer);
	runner_join(&reader);
}

#define TEST_VIDEO "videotestsrc num-buffers=60 ! video/x-raw,width=320,height=240,framerate=30/1 ! videoconvert ! "

static void encoded_video_passes_byte_for_byte_and_decodes(void **state)
{
	pass_stream(TEST_VIDEO "openh264enc ! h264parse", "h264parse ! avdec_h264", 60);
	pass_stream(
		TEST_VIDEO "openh264enc ! h264parse ! video/x-h264,stream-format=avc,alignment=au", "avdec_h264", 60);
	pass_stream(TEST_VIDEO "vp8enc deadline=1", "vp8dec", 60);
	pass_stream(TEST_VIDEO "jpegenc", "jpegdec", 60);
}

static void audio_passes_byte_for_byte_and_decodes(void **state)
{
	pass_stream("audiotestsrc num-buffers=100 wave=ticks ! audio/x-raw,format=S16LE,rate=44100,channels=2",
		"audioconvert ! audio/x-raw,format=F32LE", 100);
	pass_stream("audiotestsrc num-buffers=100 ! audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved",
		"audioresample ! audio/x-raw,rate=8000", 0);
	pass_stream("audiotestsrc num-buffers=100 ! audioconvert ! audioresample ! opusenc", "opusdec", 0);
	/* Its headers stand in the caps, and are longer than a ring's head has room for. */
	pass_stream("audiotestsrc num-buffers=100 ! audioconvert ! vorbisenc", "vorbisdec", 0);
}

static void a_muxed_stream_passes(void **state)
{
	pass_stream(TEST_VIDEO "openh264enc ! h264parse ! mpegtsmux", "tsdemux ! h264parse ! avdec_h264", 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_raw_format_passes_pixel_by_pixel_in_odd_sizes),
		cmocka_unit_test_teardown(encoded_video_passes_byte_for_byte_and_decodes, runner_clean_up),
		cmocka_unit_test_teardown(audio_passes_byte_for_byte_and_decodes, runner_clean_up),
		cmocka_unit_test_teardown(a_muxed_stream_passes, runner_clean_up),
	};

	gst_init(&argc, &argv);
	link_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
