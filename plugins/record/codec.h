/* SPDX-License-Identifier: MIT */
#ifndef CODEC_H
#define CODEC_H

/* How Matroska names what a ring carries. */

#include <stdbool.h>

#include <weir/frame.h>

#define CODEC_PRIVATE_MAX 4096

struct codec {
	const char *id;	   /* of the track: "V_UNCOMPRESSED", "V_MPEG4/ISO/AVC", … */
	uint8_t fourcc[4]; /* of raw video */
	uint32_t width, height;
	uint32_t rate_num, rate_den; /* 0/0 unknown */
	uint32_t private_bytes;
	uint8_t private[CODEC_PRIVATE_MAX]; /* what decoders need beforehand: codec_data of GStreamer's caps */
};

/* 0; -ENOTSUP: this cannot be recorded; -EPROTO: the format contradicts itself. */
int codec_from_format(struct codec *codec, const struct weir_format *format);

#endif
