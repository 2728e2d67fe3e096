/* SPDX-License-Identifier: MIT */
/* What of a ring's formats a recording can hold, under which name; and what is said of the others. */
#include "rig.h"

static int take(struct codec *codec, uint32_t kind, const char *caps)
{
	struct weir_format format = { .kind = kind };

	strcpy(format.caps, caps);
	return codec_from_format(codec, &format);
}

#define RAW   "audio/x-raw, layout=(string)interleaved, rate=(int)44100, channels=(int)2, format=(string)"
#define AAC   "audio/mpeg, mpegversion=(int)4, rate=(int)44100, channels=(int)2, stream-format=(string)"
#define VIDEO "video/x-raw, width=(int)64, height=(int)48, format=(string)"

static void each_stream_has_its_name(void **state)
{
	static const struct {
		uint32_t kind;
		const char *caps, *id;
	} cases[] = {
		{ WEIR_KIND_AUDIO, RAW "U8", "A_PCM/INT/LIT" },
		{ WEIR_KIND_AUDIO, RAW "S16LE", "A_PCM/INT/LIT" },
		{ WEIR_KIND_AUDIO, RAW "S32BE", "A_PCM/INT/BIG" },
		{ WEIR_KIND_AUDIO, RAW "F64LE", "A_PCM/FLOAT/IEEE" },
		{ WEIR_KIND_ENCODED, AAC "raw, codec_data=(buffer)1210", "A_AAC" },
		{ WEIR_KIND_ENCODED, "audio/mpeg, mpegversion=(int)1, layer=(int)3, rate=(int)44100, channels=(int)1",
			"A_MPEG/L3" },
		{ WEIR_KIND_ENCODED, "audio/x-opus, channels=(int)2", "A_OPUS" },
		{ WEIR_KIND_ENCODED, "image/jpeg, width=(int)64, height=(int)48", "V_MJPEG" },
		{ WEIR_KIND_OTHER, VIDEO "YUY2", "V_UNCOMPRESSED" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct codec codec;

		assert_int_equal(take(&codec, cases[i].kind, cases[i].caps), 0);
		assert_string_equal(codec.id, cases[i].id);
		assert_true(codec.intra);
	}
}

static void what_cannot_be_held_is_refused_with_the_reason(void **state)
{
	static const struct {
		uint32_t kind;
		const char *caps, *why;
	} cases[] = {
		{ WEIR_KIND_AUDIO, RAW "S8", "put audioconvert before it" },
		{ WEIR_KIND_AUDIO, RAW "S24_32LE", "put audioconvert before it" },
		{ WEIR_KIND_AUDIO,
			"audio/x-raw, format=(string)S16LE, layout=(string)non-interleaved, rate=(int)8000, "
			"channels=(int)2",
			"one after the other" },
		{ WEIR_KIND_AUDIO, "audio/x-raw, format=(string)S16LE", "rate and channels" },
		{ WEIR_KIND_AUDIO, "audio/x-raw, format=(string)S16LE, rate=(int)0, channels=(int)2",
			"rate and channels" },
		{ WEIR_KIND_ENCODED, AAC "adts", "aacparse" },
		{ WEIR_KIND_ENCODED, AAC "raw", "aacparse" },
		{ WEIR_KIND_ENCODED, "audio/x-opus, channels=(int)6", "needs its head" },
		{ WEIR_KIND_ENCODED, "audio/x-vorbis, rate=(int)8000, channels=(int)2", "take Opus" },
		{ WEIR_KIND_ENCODED, "audio/x-flac, rate=(int)8000, channels=(int)2", "no rule" },
		{ WEIR_KIND_ENCODED, "video/x-unheard-of", "no rule" },
		{ WEIR_KIND_ENCODED, "", "too long" },
		{ WEIR_KIND_OTHER, VIDEO "P010_10LE", "no rule" },
		{ WEIR_KIND_OTHER, "application/x-thing", "no rule" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct codec codec;

		assert_int_equal(take(&codec, cases[i].kind, cases[i].caps), -ENOTSUP);
		if (strstr(codec.why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].caps, codec.why);
	}
}

/* GStreamer's opusenc tells the head that it wrote; without one there is one for mono and stereo. */
static void opus_keeps_its_head(void **state)
{
	struct codec codec;
	struct weir_frame frame = { 0 };

	assert_int_equal(take(&codec, WEIR_KIND_ENCODED,
				 "audio/x-opus, rate=(int)48000, channels=(int)1, "
				 "streamheader=(buffer)< 4f707573486561640101380180bb0000000000, 4f70757354616773 >"),
		0);
	assert_int_equal(codec.private_bytes, 19);
	assert_int_equal(codec.delay_ns, 6500000);
	assert_int_equal(take(&codec, WEIR_KIND_ENCODED, "audio/x-opus, rate=(int)16000, channels=(int)1"), 0);
	assert_memory_equal(codec.private, "OpusHead\1\1\0\0\x80\x3e\0\0\0\0", 19);
	assert_int_equal(codec_frame_ns(&codec, &frame), 0);
}

static void samples_say_how_long_they_last(void **state)
{
	struct weir_frame frame = { .size_bytes = 4 * 441, .duration_ns = WEIR_TIME_NONE };
	struct codec codec;

	assert_int_equal(take(&codec, WEIR_KIND_AUDIO, RAW "S16LE"), 0);
	assert_int_equal(codec_frame_ns(&codec, &frame), SECOND / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_stream_has_its_name),
		cmocka_unit_test(what_cannot_be_held_is_refused_with_the_reason),
		cmocka_unit_test(opus_keeps_its_head),
		cmocka_unit_test(samples_say_how_long_they_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
