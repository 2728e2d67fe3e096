/* SPDX-License-Identifier: MIT */
#include "codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX  64
#define RATE_MAX      10000000
#define OPUS_RATE     48000 /* of its clock, whatever went in */
#define OPUS_PREROLL  80000000
#define OPUS_HEAD_MIN 19
#define NS_PER_S      UINT64_C(1000000000)

static const struct {
	const char *format, *id;
	uint32_t bits;
} pcm[] = {
	/* Matroska's integers of 8 bits have no sign. */
	{ "U8", "A_PCM/INT/LIT", 8 },
	{ "S16LE", "A_PCM/INT/LIT", 16 },
	{ "S24LE", "A_PCM/INT/LIT", 24 },
	{ "S32LE", "A_PCM/INT/LIT", 32 },
	{ "S16BE", "A_PCM/INT/BIG", 16 },
	{ "S24BE", "A_PCM/INT/BIG", 24 },
	{ "S32BE", "A_PCM/INT/BIG", 32 },
	{ "F32LE", "A_PCM/FLOAT/IEEE", 32 },
	{ "F64LE", "A_PCM/FLOAT/IEEE", 64 },
};

static int refuse(struct codec *codec, const char *why)
{
	codec->why = why;
	return -ENOTSUP;
}

static int from_pcm(struct codec *codec, const char *caps)
{
	if (codec_field(caps, "layout") != NULL && !codec_field_is(caps, "layout", "interleaved") &&
		codec->channels > 1)
		return refuse(codec, "its channels lie one after the other: put audioconvert before it");
	for (size_t i = 0; i < sizeof(pcm) / sizeof(pcm[0]); i++) {
		if (!codec_field_is(caps, "format", pcm[i].format))
			continue;
		codec->id = pcm[i].id;
		codec->sample_bits = pcm[i].bits;
		codec->sample_bytes = codec->channels * (pcm[i].bits / 8);
		return 0;
	}
	return refuse(
		codec, "Matroska has no such samples: put audioconvert before it, for S16LE, S24LE, S32LE or F32LE");
}

static uint32_t little16(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8;
}

/* The stream's own head, which GStreamer has among the caps, or else the one that all plain streams have. */
static int from_opus(struct codec *codec, const char *caps)
{
	const char *head = codec_field(caps, "streamheader");
	uint8_t *private = codec->private;
	int r = 0;

	if (head != NULL)
		r = codec_read_private(codec, head + strspn(head, "< "));
	if (r < 0)
		return r;
	if (codec->private_bytes < OPUS_HEAD_MIN || memcmp(private, "OpusHead", 8) != 0) {
		if (codec->channels > 2)
			return refuse(codec, "Opus of more than two channels needs its head among the caps");
		codec->private_bytes = OPUS_HEAD_MIN;
		memset(private, 0, OPUS_HEAD_MIN);
		memcpy(private, "OpusHead\1", 9);
		private[9] = (uint8_t)codec->channels;
		for (int i = 0; i < 4; i++)
		private[12 + i] = (uint8_t)(codec->sample_rate >> 8 * i);
	}
	codec->id = "A_OPUS";
	codec->sample_rate = OPUS_RATE;
	codec->delay_ns = (uint32_t)(little16(private + 10) * NS_PER_S / OPUS_RATE);
	codec->preroll_ns = OPUS_PREROLL;
	return 0;
}

static int from_mpeg(struct codec *codec, const char *caps)
{
	if (codec_field_is(caps, "mpegversion", "1")) {
		codec->id = codec_field_is(caps, "layer", "3") ? "A_MPEG/L3" : "A_MPEG/L2";
		return codec_field_is(caps, "layer", "1") ? -ENOTSUP : 0;
	}
	codec->id = "A_AAC";
	if (codec_read_private(codec, codec_field(caps, "codec_data")) == 0 && codec->private_bytes >= 2 &&
		codec_field_is(caps, "stream-format", "raw"))
		return 0;
	return refuse(codec, "Matroska holds bare AAC: put aacparse ! audio/mpeg,stream-format=raw before it");
}

static bool is_type(const char *caps, const char *type)
{
	return strcspn(caps, ", ;") == strlen(type) && strncmp(caps, type, strlen(type)) == 0;
}

static uint32_t number(const char *caps, const char *name)
{
	const char *text = codec_field(caps, name);

	return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

int codec_from_audio(struct codec *codec, const char *caps)
{
	codec->intra = true;
	codec->channels = number(caps, "channels");
	codec->sample_rate = number(caps, "rate");
	if (is_type(caps, "audio/x-opus") && codec->sample_rate == 0)
		codec->sample_rate = OPUS_RATE;
	if (codec->channels < 1 || codec->channels > CHANNELS_MAX || codec->sample_rate < 1 ||
		codec->sample_rate > RATE_MAX)
		return refuse(codec, "its caps do not tell rate and channels");
	if (is_type(caps, "audio/x-raw"))
		return from_pcm(codec, caps);
	if (is_type(caps, "audio/x-opus"))
		return from_opus(codec, caps);
	if (is_type(caps, "audio/mpeg"))
		return from_mpeg(codec, caps);
	if (is_type(caps, "audio/x-vorbis"))
		return refuse(codec, "the heads that Vorbis needs are too long for the format of a ring: take Opus");
	return -ENOTSUP;
}
