/* SPDX-License-Identifier: MIT */
/* What other programs make of the files: GStreamer's matroskademux, mkvinfo and ffprobe. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FRAMES 60

static char file[1][SEGMENT_NAME_BYTES], output[1 << 16], path[256];

static void record_stream(const struct weir_format *format)
{
	rig_record(&rig, format, lossless, "");
	rig_publish(&rig, FRAMES);
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig.status.files == 1);
	rig_stop(&rig);
	assert_int_equal(rig_files(&rig, file, 1), 1);
	rig_path(&rig, file[0], path);
}

static void record(uint32_t pixel, uint32_t width, uint32_t height)
{
	struct weir_format format = rig_raw(pixel, width, height);

	record_stream(&format);
}

#define ASSERT_HAS(text, part)                                                                                         \
	do {                                                                                                           \
		if (strstr(text, part) == NULL)                                                                        \
			fail_msg("\"%s\" is not in \"%s\"", part, text);                                               \
	} while (0)

static void assert_raw_bytes(const char *raw, uint32_t size, uint32_t frames)
{
	uint8_t *bytes = malloc(size);
	struct stat status;
	int fd = open(raw, O_RDONLY);

	assert_true(fd >= 0 && fstat(fd, &status) == 0);
	assert_int_equal(status.st_size, (off_t)size * frames);
	for (uint32_t i = 1; i <= frames; i++) {
		assert_int_equal(read(fd, bytes, size), size);
		assert_true(rig_is_filled(bytes, size, i));
	}
	free(bytes);
	close(fd);
}

/* Count, times (to the millisecond), caps and bytes of every frame as GStreamer sees them. */
static void assert_gstreamer_plays(const char *caps, uint32_t size)
{
	char raw[300];

	snprintf(raw, sizeof(raw), "%s.raw", path);
	rig_command(output, sizeof(output),
		"gst-launch-1.0 -v filesrc location=%s ! matroskademux ! tee name=t t. ! queue ! fakesink silent=false "
		"t. ! queue ! filesink location=%s 2>&1",
		path, raw);
	ASSERT_HAS(output, caps);
	assert_int_equal(count(output, "last-message = chain"), FRAMES);
	ASSERT_HAS(output, "pts: 0:00:00.000000000");
	ASSERT_HAS(output, "pts: 0:00:02.360000000");
	assert_raw_bytes(raw, size, FRAMES);
}

/* All that matroskademux of Debian 12 has a name for. */
static void gstreamer_plays_what_is_recorded(void **state)
{
	static const char *const formats[] = { "I420", "GRAY8", "RGB", "BGR", "YUY2", "UYVY", "YV12", "AYUV" };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const uint32_t pixel = weir_pixel_from_name(formats[i]);
		struct weir_format format = { .kind = WEIR_KIND_OTHER, .payload_bytes = 320 * 240 * 2 };
		char caps[128];

		if (strcmp(formats[i], "YV12") == 0)
			format.payload_bytes = 320 * 240 * 3 / 2;
		if (strcmp(formats[i], "AYUV") == 0)
			format.payload_bytes = 320 * 240 * 4;
		snprintf(format.caps, sizeof(format.caps),
			"video/x-raw, format=(string)%s, width=(int)320, height=(int)240, framerate=(fraction)25/1",
			formats[i]);
		if (pixel != WEIR_PIXEL_NONE)
			format = rig_raw(pixel, 320, 240);
		record_stream(&format);
		snprintf(caps, sizeof(caps), "format=(string)%s, width=(int)320, height=(int)240", formats[i]);
		assert_gstreamer_plays(caps, format.payload_bytes);
		ASSERT_HAS(output, "framerate=(fraction)25/1");
		assert_int_equal(teardown(NULL) + setup(NULL), 0);
	}
}

static void assert_ffprobe_finds_sound(const char *codec)
{
	rig_command(output, sizeof(output),
		"ffprobe -v error -count_packets -show_entries "
		"stream=codec_name,sample_rate,channels,nb_read_packets:format=duration -of default=nw=1 %s 2>&1",
		path);
	ASSERT_HAS(output, codec);
	ASSERT_HAS(output, "sample_rate=48000");
	ASSERT_HAS(output, "channels=2");
	ASSERT_HAS(output, "nb_read_packets=60");
	ASSERT_HAS(output, "duration=2.400000");
}

static void samples_are_what_other_programs_find(void **state)
{
	static const struct {
		const char *format, *codec;
		uint32_t bytes;
	} formats[] = { { "S16LE", "codec_name=pcm_s16le", 4 }, { "S24LE", "codec_name=pcm_s24le", 6 },
		{ "F32LE", "codec_name=pcm_f32le", 8 }, { "S16BE", "codec_name=pcm_s16be", 4 } };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		char caps[256], found[128];
		struct weir_format format;

		snprintf(caps, sizeof(caps),
			"audio/x-raw, format=(string)%s, layout=(string)interleaved, rate=(int)48000, "
			"channels=(int)2, channel-mask=(bitmask)0x3",
			formats[i].format);
		format = rig_sound(caps, 1920 * formats[i].bytes);
		record_stream(&format);
		assert_ffprobe_finds_sound(formats[i].codec);
		snprintf(found, sizeof(found), "audio/x-raw, format=(string)%s, layout=(string)interleaved",
			formats[i].format);
		assert_gstreamer_plays(found, format.payload_bytes);
		ASSERT_HAS(output, "rate=(int)48000");
		assert_int_equal(teardown(NULL) + setup(NULL), 0);
	}
}

/* Silence, as these codecs spell it. */
static void compressed_sound_is_what_other_programs_find(void **state)
{
	static const uint8_t opus[] = { 0xf4, 0xff, 0xfe },
			     aac[] = { 0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80 };
	static const struct {
		const char *caps, *codec, *found;
		const uint8_t *packet;
		uint32_t bytes;
	} codecs[] = {
		{ "audio/x-opus, rate=(int)48000, channels=(int)2, channel-mapping-family=(int)0", "codec_name=opus",
			"audio/x-opus, ", opus, sizeof(opus) },
		{ "audio/mpeg, mpegversion=(int)4, stream-format=(string)raw, rate=(int)48000, channels=(int)2, "
		  "codec_data=(buffer)1190",
			"codec_name=aac", "codec_data=(buffer)1190", aac, sizeof(aac) },
	};

	for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
		struct weir_format format = rig_sound(codecs[i].caps, codecs[i].bytes);

		rig.packet = codecs[i].packet;
		record_stream(&format);
		assert_ffprobe_finds_sound(codecs[i].codec);
		rig_command(output, sizeof(output),
			"gst-launch-1.0 -v filesrc location=%s ! matroskademux ! fakesink silent=false 2>&1", path);
		ASSERT_HAS(output, codecs[i].found);
		ASSERT_HAS(output, "rate=(int)48000");
		ASSERT_HAS(output, "channels=(int)2");
		assert_int_equal(count(output, "last-message = chain"), FRAMES);
		rig_command(output, sizeof(output), "ffmpeg -v error -i %s -f null - 2>&1", path);
		assert_string_equal(output, "");
		assert_int_equal(teardown(NULL) + setup(NULL), 0);
	}
}

static void ffprobe_counts_frames_and_knows_times_and_geometry(void **state)
{
	static const struct {
		uint32_t pixel;
		const char *name;
	} formats[] = { { WEIR_PIXEL_NV12, "nv12" }, { WEIR_PIXEL_I420, "yuv420p" }, { WEIR_PIXEL_RGBA, "rgba" } };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		record(formats[i].pixel, 1920, 1080);
		rig_command(output, sizeof(output),
			"ffprobe -v error -count_frames -show_entries "
			"stream=width,height,pix_fmt,nb_read_frames,r_frame_rate,codec_name:format=duration "
			"-of default=nw=1 %s 2>&1",
			path);
		ASSERT_HAS(output, "codec_name=rawvideo");
		ASSERT_HAS(output, "width=1920");
		ASSERT_HAS(output, "height=1080");
		ASSERT_HAS(output, formats[i].name);
		ASSERT_HAS(output, "r_frame_rate=25/1");
		ASSERT_HAS(output, "nb_read_frames=60");
		ASSERT_HAS(output, "duration=2.400000");
		rig_command(output, sizeof(output),
			"ffprobe -v error -show_entries packet=pts_time,size -of csv=p=0 %s 2>&1", path);
		ASSERT_HAS(output, "2.360000");
		assert_int_equal(count(output, "\n"), FRAMES);
		assert_int_equal(teardown(NULL) + setup(NULL), 0);
	}
}

static void mkvinfo_finds_nothing_wrong(void **state)
{
	record(WEIR_PIXEL_I420, 640, 480);
	rig_command(output, sizeof(output), "mkvinfo --all %s 2>&1", path);
	ASSERT_HAS(output, "Codec ID: V_UNCOMPRESSED");
	ASSERT_HAS(output, "Pixel width: 640");
	assert_int_equal(count(output, "+ Simple block:"), FRAMES);
	assert_int_equal(count(output, "+ Cluster\n"), count(output, "+ Cue point"));
	assert_true(count(output, "+ Cue point") >= 3);
	assert_null(strstr(output, "rror"));
	assert_null(strstr(output, "nknown element"));
}

static void seeking_works(void **state)
{
	record(WEIR_PIXEL_I420, 640, 480);
	rig_command(output, sizeof(output),
		"ffprobe -v error -read_intervals 2%%+0.01 -show_entries packet=pts_time -of csv=p=0 %s 2>&1", path);
	ASSERT_HAS(output, "2.000000");
	assert_null(strstr(output, "0.000000\n0.04"));
}

/* At some offsets in each page of interest, and at random ones. */
static void file_that_is_cut_anywhere_plays_up_to_its_last_committed_cluster(void **state)
{
	struct recording recording;
	unsigned seed = 7;

	record(WEIR_PIXEL_I420, 320, 240);
	assert_int_equal(recording_open(&recording, AT_FDCWD, path), 0);
	assert_true(recording.count >= 3);
	for (int i = 0; i < 8; i++) {
		const struct recording_cluster *cluster = &recording.cluster[1 + (unsigned)rand_r(&seed) % 2];
		uint64_t cut = cluster->offset + (i == 0 ? 0 : (uint64_t)rand_r(&seed) % cluster->bytes);
		struct recording part;
		uint32_t whole = 0;
		char cut_path[300];

		for (size_t j = 0; recording.cluster[j].offset + recording.cluster[j].bytes <= cut; j++)
			whole += recording.cluster[j].frames;
		snprintf(cut_path, sizeof(cut_path), "%s.cut", path);
		rig_command(output, sizeof(output), "head -c %llu %s >%s", (unsigned long long)cut, path, cut_path);
		assert_int_equal(recording_open(&part, AT_FDCWD, cut_path), 0);
		assert_int_equal(part.end, cluster->offset);
		recording_close(&part);
		rig_command(
			output, sizeof(output), "ffprobe -v quiet -show_entries packet=size -of csv=p=0 %s", cut_path);
		assert_true(count(output, "\n") >= (int)whole);
		rig_command(output, sizeof(output),
			"gst-launch-1.0 -v filesrc location=%s ! matroskademux ! fakesink silent=false 2>&1", cut_path);
		assert_true(count(output, "last-message = chain") >= (int)whole);
	}
	recording_close(&recording);
}

/* Others drop the Void elements, and with them what a recording knows beyond Matroska: these are films like any other.
 */
static void what_others_wrote_is_refused_by_the_player(void **state)
{
	static const char *const writers[][2] = { { "ffmpeg -v error -i", "-c copy" }, { "mkvmerge -q", "-o" } };

	for (int i = 0; i < 2; i++) {
		char other[300];

		record(WEIR_PIXEL_I420, 320, 240);
		rig_command(output, sizeof(output), "%s %s %s %s.mkv 2>&1", writers[i][0], path, writers[i][1], path);
		snprintf(other, sizeof(other), "%s.mkv", path);
		rig_play(&rig, other, "");
		RIG_UNTIL(&rig, rig.ended < 0);
		ASSERT_HAS(rig.source.text, "this is no recording of Weir");
		assert_int_equal(teardown(NULL) + setup(NULL), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(gstreamer_plays_what_is_recorded),
		WITH_RIG(samples_are_what_other_programs_find),
		WITH_RIG(compressed_sound_is_what_other_programs_find),
		WITH_RIG(ffprobe_counts_frames_and_knows_times_and_geometry),
		WITH_RIG(mkvinfo_finds_nothing_wrong),
		WITH_RIG(seeking_works),
		WITH_RIG(what_others_wrote_is_refused_by_the_player),
		WITH_RIG(file_that_is_cut_anywhere_plays_up_to_its_last_committed_cluster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
