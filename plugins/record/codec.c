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

const char *codec_field(const char *caps, const char *name)
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

bool codec_field_is(const char *caps, const char *name, const char *value)
{
	const char *text = codec_field(caps, name);

	return text != NULL && strcspn(text, ", ;") == strlen(value) && strncmp(text, value, strlen(value)) == 0;
}

static int digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

int codec_read_private(struct codec *codec, const char *hex)
{
	codec->private_bytes = 0;
	for (; hex != NULL && digit(hex[0]) >= 0 && digit(hex[1]) >= 0; hex += 2) {
		if (codec->private_bytes == CODEC_PRIVATE_MAX)
			return -EPROTO;
		codec->private[codec->private_bytes++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
	}
	return 0;
}

static void read_size(struct codec *codec, const char *caps)
{
	const char *width = codec_field(caps, "width"), *height = codec_field(caps, "height");
	const char *rate = codec_field(caps, "framerate");

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

	if (strncmp(caps, "audio/", 6) == 0)
		return codec_from_audio(codec, caps);
	for (size_t i = 0; i < sizeof(encoded) / sizeof(encoded[0]); i++)
		if (strlen(encoded[i].caps) == type_bytes && strncmp(caps, encoded[i].caps, type_bytes) == 0 &&
			(encoded[i].field == NULL || strstr(caps, encoded[i].field) != NULL))
			codec->id = encoded[i].id;
	if (codec->id == NULL)
		return -ENOTSUP;
	codec->intra = strncmp(caps, "image/", 6) == 0;
	read_size(codec, caps);
	return codec_read_private(codec, codec_field(caps, "codec_data"));
}

/* Pictures that enum weir_pixel has no name for, but GStreamer has one of four letters: that is their FourCC, too. */
static int from_raw_caps(struct codec *codec, const char *caps)
{
	const char *name = codec_field(caps, "format");

	if (strncmp(caps, "video/x-raw,", 12) != 0 || name == NULL || strcspn(name, ", ;") != sizeof(codec->fourcc))
		return -ENOTSUP;
	codec->id = "V_UNCOMPRESSED";
	codec->intra = true;
	memcpy(codec->fourcc, name, sizeof(codec->fourcc));
	read_size(codec, caps);
	return 0;
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
	codec->why = format->caps[0] != '\0' ? "there is no rule how Matroska holds it here"
					     : "its caps are not known, or too long for the format of a ring";
	if (format->kind == WEIR_KIND_OTHER)
		return from_raw_caps(codec, format->caps);
	if (format->kind != WEIR_KIND_VIDEO)
		return from_caps(codec, format->caps);
	for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		if (raw[i].pixel != format->pixel)
			continue;
		codec->id = "V_UNCOMPRESSED";
		codec->intra = true;
		memcpy(codec->fourcc, raw[i].fourcc, sizeof(codec->fourcc));
		return 0;
	}
	return -ENOTSUP;
}

int64_t codec_frame_ns(const struct codec *codec, const struct weir_frame *frame)
{
	if (frame->duration_ns > 0)
		return frame->duration_ns;
	if (codec->sample_bytes > 0)
		return INT64_C(1000000000) * (frame->size_bytes / codec->sample_bytes) / codec->sample_rate;
	if (codec->channels == 0 && codec->rate_num > 0)
		return INT64_C(1000000000) * codec->rate_den / codec->rate_num;
	return 0;
}
