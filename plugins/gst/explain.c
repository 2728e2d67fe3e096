/* SPDX-License-Identifier: MIT */
#include "explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int say(char *text, size_t size, int status, const char *format, ...) __attribute__((format(printf, 4, 5)));

static int say(char *text, size_t size, int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, size, format, arguments);
	va_end(arguments);
	options_redact(text);
	g_strdelimit(text, "\n\r", ' ');
	g_strchomp(text);
	return status;
}

int explain_file(const struct options *options, char *text, size_t size)
{
	struct stat status;

	if (options->kind != SOURCE_FILE)
		return 0;
	if (stat(options->path, &status) < 0)
		return errno == ENOENT ? say(text, size, -ENOENT, "no such file: %s", options->path)
				       : say(text, size, -errno, "%s: %s", options->path, g_strerror(errno));
	if (S_ISDIR(status.st_mode))
		return say(text, size, -EISDIR, "%s is a directory: name a video file in it", options->path);
	if (S_ISREG(status.st_mode) && status.st_size == 0)
		return say(text, size, -EBADMSG, "%s is empty", options->path);
	if (access(options->path, R_OK) < 0)
		return say(text, size, -EACCES, "%s may not be read by this user: chmod or chown it", options->path);
	return 0;
}

bool explain_riff_is_cut(const struct options *options)
{
	unsigned char head[12];
	struct stat status;
	bool cut = false;
	FILE *file;

	if (options->kind != SOURCE_FILE)
		return false;
	file = fopen(options->path, "rbe");
	if (file == NULL)
		return false;
	if (fread(head, 1, sizeof(head), file) == sizeof(head) && memcmp(head, "RIFF", 4) == 0 &&
		fstat(fileno(file), &status) == 0)
		cut = status.st_size < 8 + (off_t)(head[4] | head[5] << 8 | head[6] << 16 | (uint32_t)head[7] << 24);
	fclose(file);
	return cut;
}

/* The last line of GStreamer's debug text is what the element had to say; before it stands where. */
static const char *detail(const char *debug)
{
	const char *line = debug != NULL ? strrchr(debug, '\n') : NULL;

	return line != NULL ? line + 1 : "";
}

static int explain_camera(const struct options *options, const GError *error, char *text, size_t size)
{
	const char *device = options->target;

	if (access(device, F_OK) < 0)
		return say(text, size, -ENODEV,
			"no such camera: %s; plug it in, or choose one of those that `ls /dev/video*` shows", device);
	if (access(device, R_OK | W_OK) < 0)
		return say(text, size, -EACCES, "no right to open %s: join its group with `usermod -aG video $USER`",
			device);
	if (g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY))
		return say(
			text, size, -EBUSY, "%s is in use by another program; `fuser %s` shows which", device, device);
	return say(text, size, -EIO, "camera %s: %s", device, error->message);
}

static int explain_rtsp(const struct options *options, const GError *error, const char *debug, char *text, size_t size)
{
	const char *label = options->label;

	switch (error->domain == GST_RESOURCE_ERROR ? error->code : 0) {
	case GST_RESOURCE_ERROR_NOT_AUTHORIZED:
		return say(text, size, -EACCES,
			"%s: refused the user name or password (401); write rtsp://USER:PASSWORD@HOST/…", label);
	case GST_RESOURCE_ERROR_NOT_FOUND:
		return say(text, size, -ENOENT, "%s: the server has no such stream (404); check the path", label);
	case GST_RESOURCE_ERROR_OPEN_READ:
	case GST_RESOURCE_ERROR_OPEN_WRITE:
	case GST_RESOURCE_ERROR_OPEN_READ_WRITE:
		return say(text, size, -EHOSTUNREACH,
			"%s: cannot connect; check the address and that the camera is on (%s)", label,
			*detail(debug) != '\0' ? detail(debug) : error->message);
	case GST_RESOURCE_ERROR_READ:
		return say(text, size, -EHOSTUNREACH, "%s: no answer; check the address and that the camera is on (%s)",
			label, *detail(debug) != '\0' ? detail(debug) : error->message);
	}
	return say(text, size, -EIO, "%s: %s", label, error->message);
}

static int explain_missing(const struct options *options, const char *missing, char *text, size_t size)
{
	return say(text, size, -ENOPKG,
		"%s needs what is not installed: %s; try apt-get install gstreamer1.0-libav gstreamer1.0-plugins-good "
		"gstreamer1.0-plugins-bad",
		options->label, missing);
}

static int explain_stream(const struct options *options, const GError *error, char *text, size_t size)
{
	const char *label = options->label;

	switch (error->code) {
	case GST_STREAM_ERROR_TYPE_NOT_FOUND:
		return say(text, size, -EBADMSG, "%s is no video: no known file format", label);
	case GST_STREAM_ERROR_WRONG_TYPE: return say(text, size, -EBADMSG, "%s is no video: %s", label, error->message);
	case GST_STREAM_ERROR_CODEC_NOT_FOUND: return explain_missing(options, error->message, text, size);
	case GST_STREAM_ERROR_DEMUX:
	case GST_STREAM_ERROR_DECODE:
	case GST_STREAM_ERROR_FAILED:
		return say(text, size, -EBADMSG, "%s is damaged or cut short: %s", label, error->message);
	}
	return say(text, size, -EIO, "%s: %s", label, error->message);
}

int explain_error(const struct options *options, const GError *error, const char *debug, const char *missing,
	char *text, size_t size)
{
	if (missing != NULL)
		return explain_missing(options, missing, text, size);
	if (options->kind == SOURCE_V4L2 && error->domain == GST_RESOURCE_ERROR)
		return explain_camera(options, error, text, size);
	if (options->kind == SOURCE_RTSP && error->domain == GST_RESOURCE_ERROR)
		return explain_rtsp(options, error, debug, text, size);
	if (error->domain == GST_STREAM_ERROR)
		return explain_stream(options, error, text, size);
	if (g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND))
		return say(text, size, -ENOENT, "%s: there is no such thing: %s", options->label, error->message);
	return say(text, size, -EIO, "%s: %s", options->label, error->message);
}
