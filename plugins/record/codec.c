/* SPDX-License-Identifier: MIT */
#include "codec.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	uint32_t pixel;
	uint8_t fourcc[4];
} raw[] = {
	{ WEIR_PIXEL_I420, "I420" },
	{ WEIR_PIXEL_NV12, "NV12" },
	{ WEIR_PIXEL_GRAY8, "Y800" },
	{ WEIR_PIXEL_RGB, { 'R', 'G', 'B', 24 } },
	{ WEIR_PIXEL_BGR, { 'B', 'G', 'R', 24 } },
	{ WEIR_PIXEL_RGBA, "RGBA" },
};

static const struct {
	const char *caps; /* media type, and a field that must be there, if any */
	const char *field;
	const char *id;
} encoded[] = {
	{ "video/x-h264", NULL, "V_MPEG4/ISO/AVC" },
	{ "video/x-h265", NULL, "V_MPEGH/ISO/HEVC" },
	{ "video/x-vp8", NULL, "V_VP8" },
	{ "video/x-vp9", NULL, "V_VP9" },
	{ "video/x-av1", NULL, "V_AV1" },
	{ "image/jpeg", NULL, "V_MJPEG" },
	{ "video/mpeg", "mpegversion=(int)4", "V_MPEG4/ISO/ASP" },
	{ "video/mpeg", "mpegversion=(int)2", "V_MPEG2" },
	{ "video/mpeg", "mpegversion=(int)1", "V_MPEG1" },
};

/* The text behind "name=(type)" in a caps string, or NULL. */
static const char *caps_field(const char *caps, const char *name)
{
	const size_t length = strlen(name);

	for (const char *at = caps; (at = strstr(at, name)) != NULL; at += length) {
		if (at == caps || (at[-1] != ' ' && at[-1] != ',') || at[length] != '=')
			continue;
		at += length + 1;
		if (*at == '(' && (at = strchr(at, ')')) != NULL)
			at++;
		return at;
	}
	return NULL;
}

static int digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

static int read_private(struct codec *codec, const char *caps)
{
	const char *text = caps_field(caps, "codec_data");

	for (; text != NULL && digit(text[0]) >= 0 && digit(text[1]) >= 0; text += 2) {
		if (codec->private_bytes == CODEC_PRIVATE_MAX)
			return -EPROTO;
		codec->private[codec->private_bytes++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
	}
	return 0;
}

static void read_size(struct codec *codec, const char *caps)
{
	const char *width = caps_field(caps, "width"), *height = caps_field(caps, "height");
	const char *rate = caps_field(caps, "framerate");

	if (codec->width == 0 && width != NULL && height != NULL) {
		codec->width = (uint32_t)strtoul(width, NULL, 10);
		codec->height = (uint32_t)strtoul(height, NULL, 10);
	}
	if (codec->rate_num == 0 && rate != NULL &&
		sscanf(rate, "%" SCNu32 "/%" SCNu32, &codec->rate_num, &codec->rate_den) != 2)
		codec->rate_num = codec->rate_den = 0;
}

static int from_caps(struct codec *codec, const char *caps)
{
	const size_t type_bytes = strcspn(caps, ", ;");

	for (size_t i = 0; i < sizeof(encoded) / sizeof(encoded[0]); i++)
		if (strlen(encoded[i].caps) == type_bytes && strncmp(caps, encoded[i].caps, type_bytes) == 0 &&
			(encoded[i].field == NULL || strstr(caps, encoded[i].field) != NULL))
			codec->id = encoded[i].id;
	if (codec->id == NULL)
		return -ENOTSUP;
	read_size(codec, caps);
	return read_private(codec, caps);
}

int codec_from_format(struct codec *codec, const struct weir_format *format)
{
	int r = weir_format_check(format);

	if (r < 0)
		return r;
	memset(codec, 0, offsetof(struct codec, private));
	codec->width = format->width;
	codec->height = format->height;
	codec->rate_num = format->rate_num;
	codec->rate_den = format->rate_den;
	if (format->kind == WEIR_KIND_ENCODED)
		return from_caps(codec, format->caps);
	if (format->kind != WEIR_KIND_VIDEO)
		return -ENOTSUP;
	for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		if (raw[i].pixel != format->pixel)
			continue;
		codec->id = "V_UNCOMPRESSED";
		memcpy(codec->fourcc, raw[i].fourcc, sizeof(codec->fourcc));
		return 0;
	}
	return -ENOTSUP;
}
