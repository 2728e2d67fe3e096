/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gst/gst.h>
#include <jansson.h>
#include <weir/frame.h>

#define SIDE_MAX 32768

void options_redact(char *text)
{
	char *from = text;

	while ((from = strstr(from, "://")) != NULL) {
		char *start = from + 3, *end = start + strcspn(start, "/?# \t\n\"'"), *at = NULL;

		/* The last one: passwords hold unescaped @, too. */
		for (char *c = start; c < end; c++)
			if (*c == '@')
				at = c;
		if (at != NULL)
			memmove(start, at + 1, strlen(at + 1) + 1);
		from = start;
	}
}

/* test, test:WxH, test:WxH@RATE, test:WxH@RATE#FRAMES, test:#FRAMES… */
static bool parse_test(struct options *options, const char *spec)
{
	int used = 0;

	options->test_width = 640;
	options->test_height = 480;
	options->test_rate = 30;
	options->test_frames = -1;
	if (*spec == '\0')
		return true;
	if (*spec++ != ':')
		return false;
	if (sscanf(spec, "%5ux%5u%n", &options->test_width, &options->test_height, &used) == 2)
		spec += used;
	if (*spec == '@' && sscanf(spec, "@%4u%n", &options->test_rate, &used) == 1)
		spec += used;
	if (*spec == '#' && sscanf(spec, "#%9d%n", &options->test_frames, &used) == 1)
		spec += used;
	return *spec == '\0' && options->test_width - 1 < SIDE_MAX && options->test_height - 1 < SIDE_MAX &&
	       options->test_rate > 0 && options->test_frames != 0;
}

static int parse_uri(struct options *options, const char *source)
{
	gchar *protocol = gst_uri_get_protocol(source);

	options->target = g_strdup(source);
	options->kind = SOURCE_URI;
	if (g_ascii_strncasecmp(protocol, "rtsp", 4) == 0)
		options->kind = SOURCE_RTSP;
	if (g_ascii_strcasecmp(protocol, "file") == 0) {
		options->kind = SOURCE_FILE;
		options->path = g_filename_from_uri(source, NULL, NULL);
	}
	g_free(protocol);
	return options->kind == SOURCE_FILE && options->path == NULL ? -EINVAL : 0;
}

static int parse_source(struct options *options, const char *source, char *error, size_t size)
{
	options->label = g_strdup(source);
	options_redact(options->label);
	if (g_str_has_prefix(source, "v4l2:")) {
		options->kind = SOURCE_V4L2;
		options->target = g_strdup(source + strlen("v4l2:"));
		return 0;
	}
	if (g_str_has_prefix(source, "pipeline:")) {
		options->kind = SOURCE_PIPELINE;
		options->target = g_strdup(source + strlen("pipeline:"));
		/* A description may hold a password in any property. */
		g_free(options->label);
		options->label = g_strdup("pipeline");
		return 0;
	}
	if (strcmp(source, "test") == 0 || g_str_has_prefix(source, "test:")) {
		options->kind = SOURCE_TEST;
		if (parse_test(options, source + strlen("test")))
			return 0;
		snprintf(error, size,
			"bad test source \"%s\": say test, or test:640x480@30#100 for a size, a rate and "
			"a number of frames",
			source);
		return -EINVAL;
	}
	if (gst_uri_is_valid(source) && strstr(source, "://") != NULL) {
		if (parse_uri(options, source) == 0)
			return 0;
		snprintf(error, size, "bad file URI: %s; it begins with file:/// and an absolute path", options->label);
		return -EINVAL;
	}
	if (g_file_test(source, G_FILE_TEST_IS_DIR)) {
		options->kind = SOURCE_DIRECTORY;
		options->target = g_strdup(source);
		return 0;
	}
	options->kind = SOURCE_FILE;
	options->path = g_strdup(source);
	options->target = gst_filename_to_uri(source, NULL);
	return options->target != NULL ? 0 : -EINVAL;
}

static int parse_object(struct options *options, json_t *object, char *error, size_t size)
{
	const char *source = NULL, *format = NULL;
	int width = 0, height = 0, lossless = 0, packets = 0, pictures = 1, slots = 0, latency_ms = 200;
	json_error_t why;

	/* JSON_STRICT: a key that is not known is an error, not a wish that is silently ignored. */
	if (json_unpack_ex(object, &why, JSON_STRICT, "{s:s, s?s, s?i, s?i, s?b, s?b, s?b, s?i, s?i}", "source",
		    &source, "format", &format, "width", &width, "height", &height, "lossless", &lossless, "packets",
		    &packets, "pictures", &pictures, "slots", &slots, "latency_ms", &latency_ms) != 0) {
		snprintf(error, size, "bad arguments: %s", why.text);
		return -EINVAL;
	}
	options->pixel = format != NULL ? weir_pixel_from_name(format) : WEIR_PIXEL_NONE;
	if (format != NULL && (options->pixel < WEIR_PIXEL_I420 || options->pixel > WEIR_PIXEL_RGB)) {
		snprintf(error, size, "unknown format \"%s\": it is I420, NV12, GRAY8 or RGB", format);
		return -EINVAL;
	}
	if ((width == 0) != (height == 0) || width < 0 || height < 0 || width > SIDE_MAX || height > SIDE_MAX) {
		snprintf(error, size, "bad size %dx%d: give width and height, each from 1 to %d", width, height,
			SIDE_MAX);
		return -EINVAL;
	}
	if (slots < 0 || slots > 1024 || latency_ms < 0) {
		snprintf(error, size, "bad slots or latency_ms: slots are 0 to 1024, latency_ms is 0 or more");
		return -EINVAL;
	}
	options->width = (uint32_t)width;
	options->height = (uint32_t)height;
	options->lossless = lossless != 0;
	options->only_packets = pictures == 0;
	options->packets = packets != 0 && !options->only_packets;
	options->slots = (uint32_t)slots;
	options->latency_ms = (uint32_t)latency_ms;
	return parse_source(options, source, error, size);
}

int options_parse(struct options *options, const char *args, char *error, size_t size)
{
	json_error_t why;
	json_t *object = json_loads(args, 0, &why);
	int r;

	memset(options, 0, sizeof(*options));
	if (object == NULL) {
		snprintf(error, size, "bad arguments: not JSON: %s", why.text);
		return -EINVAL;
	}
	r = parse_object(options, object, error, size);
	json_decref(object);
	return r;
}

void options_finish(struct options *options)
{
	g_clear_pointer(&options->target, g_free);
	g_clear_pointer(&options->path, g_free);
	g_clear_pointer(&options->label, g_free);
}

bool options_is_camera(const struct options *options)
{
	return options->kind == SOURCE_RTSP || options->kind == SOURCE_V4L2;
}

bool options_is_file(const struct options *options)
{
	return options->kind == SOURCE_FILE || options->kind == SOURCE_DIRECTORY || options->kind == SOURCE_URI;
}
