/* SPDX-License-Identifier: MIT */
/* The player, run in this process: what is recorded and what comes back are the same. */
#include "fixture.h"

#include <fcntl.h>

#define FILES_MAX 16

static char files[FILES_MAX][SEGMENT_NAME_BYTES];

/* The recording's sequence of a frame is in its time; the ring counts anew. */
static uint64_t check(const struct weir_format *format, struct weir_frame *frame)
{
	frame->sequence = (uint64_t)(frame->pts_ns / 40000000) + 1;
	frame->flags &= ~(uint32_t)WEIR_FRAME_DISCONTINUITY;
	rig_check_frame(format, frame, frame->data);
	return frame->sequence;
}

/* Plays from where it is to the end. */
static void assert_plays(const struct weir_format *format, uint64_t from, uint64_t to)
{
	struct weir_frame frame;

	for (uint64_t i = from; i <= to; i++) {
		struct weir_frame copy;

		assert_int_equal(rig_take(&rig, &frame), 0);
		copy = frame;
		assert_int_equal(check(format, &copy), i);
		assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
	}
	assert_int_equal(rig_take(&rig, &frame), -ENODATA);
	assert_int_equal(rig.source.state, WEIR_SOURCE_ENDED);
	RIG_UNTIL(&rig, rig.ended == 1);
}

static void round_trip(
	const struct weir_format *format, uint32_t frames, const char *more_record, const char *more_play)
{
	rig_record_all(&rig, format, frames, more_record);
	rig_play(&rig, rig.directory, more_play);
	rig_give_ring(&rig);
	assert_memory_equal(weir_reader_format(rig.reader), format, sizeof(*format));
	assert_plays(format, 1, frames);
}

static void pictures_come_back_with_every_byte(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 1920, 1080);

	round_trip(&format, ROUND_TRIP, "", ",\"lossless\":true");
}

static void pictures_come_back_with_every_byte_by_plain_reads(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 1920, 1080);

	round_trip(&format, ROUND_TRIP, ",\"engine\":\"plain\"", ",\"lossless\":true,\"engine\":\"plain\"");
}

static void packets_come_back_with_every_byte(void **state)
{
	struct weir_format format = rig_h264();

	round_trip(&format, 1000, "", ",\"lossless\":true");
}

static void sound_comes_back_with_every_byte(void **state)
{
	struct weir_format format =
		rig_sound("audio/x-raw, format=(string)S16LE, layout=(string)interleaved, rate=(int)48000, "
			  "channels=(int)2, channel-mask=(bitmask)0x3",
			7680);

	round_trip(&format, 200, ",\"segment_s\":1", ",\"lossless\":true");
}

/* Each of its packets can be decoded, whatever its flags say. */
static void seeking_in_sound_goes_to_the_packet(void **state)
{
	struct weir_format format = rig_sound("audio/x-opus, rate=(int)48000, channels=(int)2", 100);

	rig_record_all(&rig, &format, 100, ",\"segment_s\":1");
	rig_play(&rig, rig.directory, ",\"lossless\":true,\"start_s\":2.6");
	rig_give_ring(&rig);
	assert_plays(&format, 66, 100);
}

static void files_of_a_directory_are_one_stream(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);

	rig_record_all(&rig, &format, 100, ",\"segment_s\":1");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 4);
	rig_play(&rig, rig.directory, ",\"lossless\":true");
	rig_give_ring(&rig);
	assert_plays(&format, 1, 100);
}

static void seeking_goes_to_the_picture(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);

	rig_record_all(&rig, &format, 100, ",\"segment_s\":1");
	rig_play(&rig, rig.directory, ",\"lossless\":true,\"start_s\":2.6");
	rig_give_ring(&rig);
	assert_plays(&format, 66, 100);
}

static void seeking_in_packets_goes_to_the_key_frame_before(void **state)
{
	struct weir_format format = rig_h264();

	rig_record_all(&rig, &format, 200, "");
	rig_play(&rig, rig.directory, ",\"lossless\":true,\"start_s\":4.9");
	rig_give_ring(&rig);
	assert_plays(&format, 121, 200); /* 4.88 s is frame 123; 121, 133… are key frames */
}

static void command_seeks_while_it_plays(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
	const int64_t position_ns = 3 * SECOND;
	struct weir_frame frame, copy;
	uint64_t sequence;

	rig_record_all(&rig, &format, 100, "");
	rig_play(&rig, rig.directory, ",\"lossless\":true");
	rig_give_ring(&rig);
	assert_int_equal(rig_take(&rig, &frame), 0);
	assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
	assert_int_equal(
		weir_back_local_command(rig.back, WEIR_COMMAND_REPLAY_SEEK, &position_ns, sizeof(position_ns)), 0);
	do { /* what is in the ring already comes first */
		assert_int_equal(rig_take(&rig, &frame), 0);
		copy = frame;
		sequence = check(&format, &copy);
		assert_int_equal((frame.flags & WEIR_FRAME_DISCONTINUITY) != 0, sequence == 76);
		assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
	} while (sequence < 76);
	assert_int_equal(sequence, 76);
	assert_plays(&format, 77, 100);
}

static void loop_begins_again(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
	struct weir_frame frame, copy;

	rig_record_all(&rig, &format, 10, "");
	rig_play(&rig, rig.directory, ",\"lossless\":true,\"loop\":true");
	rig_give_ring(&rig);
	for (uint64_t i = 0; i < 35; i++) {
		assert_int_equal(rig_take(&rig, &frame), 0);
		copy = frame;
		assert_int_equal(check(&format, &copy), i % 10 + 1);
		assert_int_equal((frame.flags & WEIR_FRAME_DISCONTINUITY) != 0, i > 0 && i % 10 == 0);
		assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
	}
}

static void pace_is_kept(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
	int64_t begin_ns;

	rig_record_all(&rig, &format, 26, "");
	rig_play(&rig, rig.directory, ",\"pace\":2");
	rig_give_ring(&rig);
	begin_ns = rig_now_ns();
	assert_plays(&format, 1, 26); /* a second of film */
	assert_true(rig_now_ns() - begin_ns >= SECOND * 45 / 100);
}

/* The player does not wait for it for ever, and no failure begins the film again; the frames are still there. */
static void reader_that_is_slow_at_the_end_gets_all(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);

	rig_record_all(&rig, &format, 12, "");
	rig_play(&rig, rig.directory, ",\"lossless\":true");
	rig_give_ring(&rig);
	RIG_UNTIL(&rig, rig.ended != 0);
	assert_plays(&format, 1, 12);
}

static void another_format_is_another_ring(void **state)
{
	struct weir_format small = rig_raw(WEIR_PIXEL_GRAY8, 320, 240), large = rig_raw(WEIR_PIXEL_I420, 640, 480);
	struct weir_frame frame;

	rig_record_all(&rig, &small, 5, "");
	rig_record_all(&rig, &large, 7, "");
	rig_play(&rig, rig.directory, ",\"lossless\":true");
	rig_give_ring(&rig);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(rig_take(&rig, &frame), 0);
		assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
	}
	assert_int_equal(rig_take(&rig, &frame), -ENODATA);
	rig_give_ring(&rig);
	assert_int_equal(weir_reader_format(rig.reader)->width, 640);
	assert_plays(&large, 1, 7);
}

static void ring_is_renewed_between_two_frames(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
	struct weir_frame frame, copy;
	uint64_t next = 1;
	int r;

	rig_record_all(&rig, &format, 60, "");
	rig_play(&rig, rig.directory, ",\"lossless\":true");
	rig_give_ring(&rig);
	rig_renew(&rig);
	while ((r = rig_take(&rig, &frame)) == 0) {
		copy = frame;
		assert_int_equal(check(&format, &copy), next++);
		assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
	}
	assert_int_equal(r, -ENODATA);
	assert_true(next < 60);
	rig_give_ring(&rig);
	assert_plays(&format, next, 60);
}

/* 1080p NV12 is a multiple of 512 bytes, but of no page; 319 by 239 of nothing. */
static void raw_file_of_given_geometry_is_played(void **state)
{
	static const struct {
		const char *raw;
		uint32_t width, height;
	} cases[] = {
		{ ",\"lossless\":true,\"raw\":{\"format\":\"GRAY8\",\"width\":1920,\"height\":1080,\"fps\":25}", 1920,
			1080 },
		{ ",\"lossless\":true,\"raw\":{\"format\":\"GRAY8\",\"width\":319,\"height\":239,\"fps\":25}", 319,
			239 },
	};

	for (int i = 0; i < 2; i++) {
		struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, cases[i].width, cases[i].height);
		uint8_t *bytes = malloc(format.payload_bytes);
		struct weir_frame frame;
		char path[256];
		FILE *file;

		rig_path(&rig, "frames.raw", path);
		file = fopen(path, "w");
		for (uint64_t j = 0; j < 20; j++) {
			rig_fill(bytes, format.payload_bytes, j);
			assert_int_equal(fwrite(bytes, format.payload_bytes, 1, file), 1);
		}
		fclose(file);
		free(bytes);
		rig_play(&rig, path, cases[i].raw);
		rig_give_ring(&rig);
		for (uint64_t j = 0; j < 20; j++) {
			assert_int_equal(rig_take(&rig, &frame), 0);
			assert_int_equal(frame.pts_ns, j * 40000000);
			assert_true(rig_is_filled(frame.data, frame.size_bytes, j));
			assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
		}
		assert_int_equal(rig_take(&rig, &frame), -ENODATA);
		weir_back_local_free(&rig.back);
	}
}

static void what_is_no_recording_is_refused_by_name(void **state)
{
	assert_play_fails("/dev/null", "", "/dev/null: this is no recording of Weir");
	assert_play_fails("nowhere.mkv", "", "nowhere.mkv: No such file");
	assert_play_fails(rig.directory, "", "is a directory without a recording");
	assert_play_fails("x", ",\"raw\":{\"format\":\"XYZ\",\"width\":1,\"height\":1}", "raw is {\"format\":\"NV12\"");
	assert_play_fails("x", ",\"tempo\":1", "tempo");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(pictures_come_back_with_every_byte),
		WITH_RIG(pictures_come_back_with_every_byte_by_plain_reads),
		WITH_RIG(packets_come_back_with_every_byte),
		WITH_RIG(sound_comes_back_with_every_byte),
		WITH_RIG(seeking_in_sound_goes_to_the_packet),
		WITH_RIG(files_of_a_directory_are_one_stream),
		WITH_RIG(seeking_goes_to_the_picture),
		WITH_RIG(seeking_in_packets_goes_to_the_key_frame_before),
		WITH_RIG(command_seeks_while_it_plays),
		WITH_RIG(loop_begins_again),
		WITH_RIG(pace_is_kept),
		WITH_RIG(reader_that_is_slow_at_the_end_gets_all),
		WITH_RIG(another_format_is_another_ring),
		WITH_RIG(ring_is_renewed_between_two_frames),
		WITH_RIG(raw_file_of_given_geometry_is_played),
		WITH_RIG(what_is_no_recording_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
