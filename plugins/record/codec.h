/* SPDX-License-Identifier: MIT */
#ifndef CODEC_H
#define CODEC_H

/* How Matroska names what a ring carries. */

#include <stdbool.h>

#include <weir/frame.h>

#define CODEC_PRIVATE_MAX 4096

struct codec {
	const char *id;	   /* of the track: "V_UNCOMPRESSED", "V_MPEG4/ISO/AVC", "A_OPUS", … */
	const char *why;   /* after -ENOTSUP, for people */
	bool intra;	   /* every frame is decodable by itself, whether its flags say so or not */
	uint8_t fourcc[4]; /* of raw video */
	uint32_t channels; /* of audio; 0: it is video */
	uint32_t sample_rate, sample_bits, sample_bytes; /* bits 0: compressed; bytes of all channels */
	uint32_t delay_ns, preroll_ns;			 /* what a decoder of audio throws away, and needs, before */
	uint32_t width, height;
	uint32_t rate_num, rate_den; /* 0/0 unknown */
	uint32_t private_bytes;
	uint8_t private[CODEC_PRIVATE_MAX]; /* what decoders need beforehand: codec_data of GStreamer's caps */
};

/* 0; -ENOTSUP: this cannot be recorded; -EPROTO: the format contradicts itself. */
int codec_from_format(struct codec *codec, const struct weir_format *format);

/* How long a frame lasts, or 0. */
int64_t codec_frame_ns(const struct codec *codec, const struct weir_frame *frame);

/* --- inside of codec.c and codec_audio.c ---------------------------------------------------------------------------
 */

/* The text behind "name=(type)" in a caps string, or NULL. */
const char *codec_field(const char *caps, const char *name);
/* Whether that text is this value. */
bool codec_field_is(const char *caps, const char *name, const char *value);
/* Its bytes as the codec's private ones. */
int codec_read_private(struct codec *codec, const char *hex);
/* caps of media type "audio/…". As codec_from_format(). */
int codec_from_audio(struct codec *codec, const char *caps);

#endif
