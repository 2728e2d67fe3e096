/* SPDX-License-Identifier: MIT */
#include "clip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <gst/app/gstappsrc.h>

#define BLOCK_WIDTH  (CLIP_WIDTH / 4)
#define BLOCK_HEIGHT (CLIP_HEIGHT / 4)

static char dir[64];

const char *clip_dir(void)
{
	if (dir[0] == '\0') {
		g_strlcpy(dir, "/tmp/weir-clips-XXXXXX", sizeof(dir));
		assert_non_null(g_mkdtemp(dir));
	}
	return dir;
}

const char *clip_path(const char *name)
{
	static char path[128];

	g_snprintf(path, sizeof(path), "%s/%s", clip_dir(), name);
	return path;
}

void clip_remove_dir(void)
{
	GDir *entries = g_dir_open(clip_dir(), 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(entries)) != NULL)
		remove(clip_path(name));
	g_dir_close(entries);
	remove(dir);
	dir[0] = '\0';
}

/* The I420 picture of this number, without times. */
static GstBuffer *make_picture(unsigned number)
{
	gsize size = CLIP_WIDTH * CLIP_HEIGHT * 3 / 2;
	GstBuffer *buffer = gst_buffer_new_allocate(NULL, size, NULL);
	GstMapInfo map;

	assert_true(gst_buffer_map(buffer, &map, GST_MAP_WRITE));
	memset(map.data, 128, size);
	for (unsigned y = 0; y < CLIP_HEIGHT; y++)
		for (unsigned x = 0; x < CLIP_WIDTH; x++) {
			unsigned bit = y / BLOCK_HEIGHT * 4 + x / BLOCK_WIDTH;

			map.data[y * CLIP_WIDTH + x] = (number >> bit & 1) != 0 ? 235 : 16;
		}
	gst_buffer_unmap(buffer, &map);
	return buffer;
}

unsigned clip_number(const uint8_t *luma, uint32_t stride_bytes)
{
	unsigned number = 0;

	for (unsigned bit = 0; bit < 16; bit++) {
		unsigned x = (bit % 4) * BLOCK_WIDTH + BLOCK_WIDTH / 2, y = bit / 4 * BLOCK_HEIGHT + BLOCK_HEIGHT / 2;

		if (luma[y * stride_bytes + x] > 128)
			number |= 1u << bit;
	}
	return number;
}

void clip_make(const char *path, const char *encoder, unsigned count)
{
	gchar *description = g_strdup_printf(
		"appsrc name=in format=time is-live=false block=true caps=video/x-raw,format=I420,width=%d,height=%d,"
		"framerate=%d/1 ! videoconvert ! %s ! filesink location=%s",
		CLIP_WIDTH, CLIP_HEIGHT, CLIP_RATE, encoder, path);
	GError *error = NULL;
	GstElement *pipeline = gst_parse_launch(description, &error);
	GstMessage *message;
	GstElement *in;
	GstBus *bus;

	if (error != NULL)
		fail_msg("%s: %s", description, error->message);
	in = gst_bin_get_by_name(GST_BIN(pipeline), "in");
	bus = gst_element_get_bus(pipeline);
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	for (unsigned number = 0; number < count; number++) {
		GstBuffer *buffer = make_picture(number);

		GST_BUFFER_PTS(buffer) = number * (GST_SECOND / CLIP_RATE);
		GST_BUFFER_DURATION(buffer) = GST_SECOND / CLIP_RATE;
		gst_app_src_push_buffer(GST_APP_SRC(in), buffer);
	}
	gst_app_src_end_of_stream(GST_APP_SRC(in));
	message = gst_bus_timed_pop_filtered(bus, 30 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
	assert_non_null(message);
	if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
		gst_message_parse_error(message, &error, NULL);
		fail_msg("%s: %s", description, error->message);
	}
	gst_message_unref(message);
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(bus);
	gst_object_unref(in);
	gst_object_unref(pipeline);
	g_free(description);
}

int clip_setup(void **state)
{
	clip_make(clip_path("h264.mp4"), "openh264enc ! h264parse ! mp4mux", 60);
	clip_make(clip_path("jpeg.avi"), "jpegenc ! avimux", 60);
	return 0;
}

int clip_teardown(void **state)
{
	clip_remove_dir();
	return 0;
}
