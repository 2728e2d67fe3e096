/* SPDX-License-Identifier: MIT */
/* A recorder's directory as one stream: whatever is between and within its files. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <weir/log.h>

#include "source.h"

#define FILES_MAX 32

static char files[FILES_MAX][SEGMENT_NAME_BYTES], said[4096];

static void listen_to_log(void *data, int level, const char *module, const char *text)
{
	if (strcmp(module, "recording") == 0 && strlen(said) + strlen(text) + 2 < sizeof(said))
		strcat(strcat(said, text), "\n");
}

static int setup_log(void **state)
{
	said[0] = '\0';
	weir_log_set(listen_to_log, NULL, WEIR_LOG_INFO);
	return setup(state);
}

static int teardown_log(void **state)
{
	weir_log_set(NULL, NULL, WEIR_LOG_INFO);
	return teardown(state);
}

static struct weir_format small(void)
{
	return rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
}

/* The number of the next frame of its recording, counted from 1; 0: the end. */
static uint64_t next(uint32_t *flags)
{
	struct weir_frame frame;
	uint64_t number;

	if (rig_take(&rig, &frame) != 0)
		return 0;
	number = (uint64_t)(frame.pts_ns / 40000000) + 1;
	assert_true(rig_is_filled(frame.data, frame.size_bytes, number));
	if (flags != NULL)
		*flags = frame.flags;
	assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
	return number;
}

static void assert_next(uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++)
		assert_int_equal(next(NULL), i);
}

static void play(const char *more)
{
	rig_play(&rig, rig.directory, more);
	rig_give_ring(&rig);
}

static void make_file(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	rig_path(&rig, name, path);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* --- order --- */

static void index_tells_the_order_when_the_clock_was_set_back(void **state)
{
	struct weir_format format = small();
	uint32_t flags = 0;

	rig_record_all(&rig, &format, 5, "");
	rig.wall_s -= 86400;
	rig_record_all(&rig, &format, 7, "");
	play(",\"lossless\":true");
	assert_next(1, 5);
	assert_int_equal(next(&flags), 1);
	assert_true((flags & WEIR_FRAME_DISCONTINUITY) != 0); /* the times of another life begin */
	assert_next(2, 7);
	assert_int_equal(next(NULL), 0);
}

/* What is not in the index yet was written last. */
static void files_without_a_line_in_the_index_come_last(void **state)
{
	struct weir_format format = small();
	char path[256];

	rig_record_all(&rig, &format, 5, "");
	rig_path(&rig, "cam.jsonl", path);
	assert_int_equal(unlink(path), 0);
	rig.wall_s += 60;
	rig_record_all(&rig, &format, 7, "");
	make_file("cam.jsonl", "no line\n{\"type\":\"segment\"}\n");
	play(",\"lossless\":true");
	assert_next(1, 5);
	assert_next(1, 7);
	assert_int_equal(next(NULL), 0);
}

/* --- what is wrong with files --- */

static void cut_file_is_played_up_to_its_last_committed_cluster_and_told(void **state)
{
	struct weir_format format = small();
	struct recording recording;
	uint64_t last[2];
	char path[256];

	rig_record_all(&rig, &format, 200, ",\"segment_s\":3");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 3);
	rig_check_file(&rig, files[0], NULL, &last[0]);
	rig_path(&rig, files[1], path);
	assert_int_equal(recording_open(&recording, AT_FDCWD, path), 0);
	assert_true(recording.complete && recording.count == 3);
	assert_int_equal(truncate(path, (off_t)recording.cluster[2].offset + 5000), 0);
	recording_close(&recording);
	rig_check_file(&rig, files[1], NULL, &last[1]);
	play(",\"lossless\":true");
	assert_next(1, last[1]);
	assert_true(last[1] > last[0] + 30 && last[1] < last[0] + 60);
	rig_check_file(&rig, files[2], &last[0], NULL);
	assert_next(last[0], 200);
	assert_int_equal(next(NULL), 0);
	assert_non_null(strstr(said, files[1]));
	assert_non_null(strstr(said, "up to its last committed cluster"));
	assert_int_equal(count(said, "\n"), 1);
}

static void what_is_no_recording_is_passed_over_and_told(void **state)
{
	struct weir_format format = small();

	make_file("a.mkv", "");
	make_file("b.mkv", "this is not even Matroska");
	rig_record_all(&rig, &format, 5, "");
	make_file("z.mkv", "nor is this");
	play(",\"lossless\":true,\"loop\":true");
	for (int i = 0; i < 3; i++)
		assert_next(1, 5);
	assert_int_equal(count(said, "passed over"), 3); /* once each */
}

static void directory_of_other_films_is_one_error(void **state)
{
	make_file("a.mkv", "film");
	make_file("b.mkv", "film");
	rig_play(&rig, rig.directory, "");
	RIG_UNTIL(&rig, rig.ended < 0);
	assert_non_null(strstr(rig.source.text, "without a recording of Weir"));
	assert_string_equal(said, "");
}

/* No index tells their order: by name. */
static void what_is_before_the_first_recording_is_told_in_one_line(void **state)
{
	struct weir_format format = small();
	char path[256];

	rig_record_all(&rig, &format, 5, "");
	rig_path(&rig, "cam.jsonl", path);
	assert_int_equal(unlink(path), 0);
	make_file("a.mkv", "film");
	make_file("b.mkv", "film");
	play(",\"lossless\":true");
	assert_next(1, 5);
	assert_int_equal(next(NULL), 0);
	assert_non_null(strstr(said, "2 files before"));
	assert_int_equal(count(said, "\n"), 1);
}

static void file_that_vanishes_while_others_are_played_is_passed_over(void **state)
{
	struct weir_format format = small();
	uint64_t last, first;
	char path[256];

	rig_record_all(&rig, &format, 100, ",\"segment_s\":1");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 4);
	play(",\"lossless\":true");
	assert_next(1, 1);
	rig_path(&rig, files[2], path);
	assert_int_equal(unlink(path), 0);
	rig_check_file(&rig, files[1], NULL, &last);
	rig_check_file(&rig, files[3], &first, NULL);
	assert_next(2, last);
	assert_next(first, 100);
	assert_int_equal(next(NULL), 0);
}

static void nothing_to_play_is_an_end_even_in_a_loop(void **state)
{
	struct weir_format format = small();
	char path[256];

	rig_record_all(&rig, &format, 5, "");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	rig_path(&rig, files[0], path);
	assert_int_equal(truncate(path, MATROSKA_HEAD_BYTES + 100), 0);
	play(",\"lossless\":true,\"loop\":true");
	RIG_UNTIL(&rig, rig.ended != 0);
	assert_int_equal(rig.source.state, WEIR_SOURCE_ENDED);
}

/* --- times --- */

static void each_life_is_played_at_its_own_pace(void **state)
{
	struct weir_format format = small();
	int64_t begin_ns;

	for (int i = 0; i < 3; i++) {
		rig_record_all(&rig, &format, 11, "");
		rig.wall_s += 60;
	}
	play("");
	begin_ns = rig_now_ns();
	for (int i = 0; i < 3; i++)
		assert_next(1, 11);
	assert_true(rig_now_ns() - begin_ns >= SECOND * 11 / 10); /* 3 × 0.4 s */
}

static void loop_goes_over_all_files(void **state)
{
	struct weir_format format = small();

	rig_record_all(&rig, &format, 60, ",\"segment_s\":1");
	play(",\"lossless\":true,\"loop\":true");
	for (int i = 0; i < 3; i++)
		assert_next(1, 60);
}

static void command_seeks_into_another_file_of_a_loop(void **state)
{
	struct weir_format format = small();
	const int64_t to_ns = 3 * SECOND;
	uint64_t number;

	rig_record_all(&rig, &format, 100, ",\"segment_s\":1");
	play(",\"lossless\":true,\"loop\":true");
	assert_next(1, 30);
	assert_int_equal(weir_back_local_command(rig.back, WEIR_COMMAND_REPLAY_SEEK, &to_ns, sizeof(to_ns)), 0);
	for (number = 31; (number = next(NULL)) < 76;)
		assert_in_range(number, 31, 60); /* what was in the ring */
	assert_int_equal(number, 76);
	assert_next(77, 100);
	assert_next(1, 3);
}

/* Ten frames are lost behind this one, in the middle of a file. */
static uint64_t last_before;

static void lose_ten(struct weir_frame *frame, uint64_t sequence)
{
	if (sequence > last_before)
		frame->pts_ns += 400000000;
	frame->dts_ns = frame->pts_ns;
}

/* Every position of a recording in several files. */
static void assert_seeks(const struct weir_format *format, uint32_t frames, uint64_t lost_behind)
{
	struct source source;
	char error[200];

	last_before = lost_behind;
	rig.shape = lose_ten;
	rig_record_all(&rig, format, frames, ",\"segment_s\":1");
	assert_int_equal(source_open(&source, rig.directory, NULL, error, sizeof(error)), 0);
	assert_true(source.files.count > 2);
	for (uint32_t i = 1; i <= frames; i++) {
		uint64_t wanted = i;
		struct place place;

		while (!rig_is_key(format, wanted))
			wanted--;
		assert_int_equal(
			source_seek(&source, (int64_t)(i - 1 + (i > last_before ? 10 : 0)) * 40000000 + 20000000), 0);
		assert_int_equal(source_next(&source, &place), 0);
		assert_true(place.first);
		if (format->kind == WEIR_KIND_VIDEO) {
			uint8_t page[MATROSKA_PAGE];

			assert_int_equal(
				pread(source.recording.fd, page, sizeof(page), (off_t)place.page_offset), sizeof(page));
			assert_int_equal(parse_frame_page(&place.frame, page, format->payload_bytes, 0), 0);
		}
		if (place.frame.sequence != wanted)
			fail_msg("%u: %llu is not %llu", i, (unsigned long long)place.frame.sequence,
				(unsigned long long)wanted);
	}
	source_close(&source);
}

static void seeking_finds_each_picture_of_all_files(void **state)
{
	struct weir_format format = small();

	assert_seeks(&format, 100, 60);
}

static void seeking_finds_the_key_frame_before_each_packet_of_all_files(void **state)
{
	struct weir_format format = rig_h264();

	assert_seeks(&format, 200, 50);
}

/* --- packets that are larger than was expected --- */

static void larger_packet_comes_in_a_larger_ring(void **state)
{
	struct weir_format format = rig_h264();
	uint64_t wanted = 1;
	uint8_t head[MATROSKA_HEAD_BYTES], *note;
	char path[256];
	int fd;

	rig_record_all(&rig, &format, 60, "");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	rig_path(&rig, files[0], path);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	note = memmem(head, sizeof(head), "WEIRFMT1", 8);
	assert_non_null(note);
	memcpy(note + 8 + 6 * 4, "\x64\0\0", 4); /* payload_bytes: 100 */
	assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
	close(fd);
	play(",\"lossless\":true");
	for (int rings = 1; wanted <= 60; rings++) {
		uint64_t number;

		assert_true(rings < 10);
		while ((number = next(NULL)) != 0)
			assert_int_equal(number, wanted++);
		if (wanted <= 60)
			rig_give_ring(&rig);
	}
	RIG_UNTIL(&rig, rig.ended == 1);
}

/* --- files that are given as they are --- */

#define RAW ",\"raw\":{\"format\":\"GRAY8\",\"width\":4,\"height\":2}"

static void what_is_no_file_of_frames_is_refused(void **state)
{
	char path[256];

	rig_path(&rig, "pipe", path);
	assert_int_equal(mkfifo(path, 0600), 0); /* opening it would block */
	assert_play_fails(path, RAW, "this is no file");
	assert_play_fails(path, "", "this is no recording");
	assert_play_fails(rig.directory, RAW, "directory");
	make_file("short", "seven b");
	rig_path(&rig, "short", path);
	assert_play_fails(path, RAW, "not one whole frame");
}

static void frames_and_a_rest_are_told(void **state)
{
	char path[256];
	struct weir_frame frame;

	make_file("rest", "AAAAAAAABBBBBBBBccc");
	rig_path(&rig, "rest", path);
	rig_play(&rig, path, ",\"lossless\":true" RAW);
	rig_give_ring(&rig);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rig_take(&rig, &frame), 0);
		assert_int_equal(frame.data[7], 'A' + i);
		assert_int_equal(weir_reader_release(rig.reader, &frame), 0);
	}
	assert_int_equal(rig_take(&rig, &frame), -ENODATA);
	assert_non_null(strstr(said, "and a rest"));
}

static void pace_must_be_one_that_can_be_kept(void **state)
{
	assert_play_fails("x", ",\"pace\":-1", "out of range");
	assert_play_fails("x", ",\"pace\":1e-300", "out of range");
	assert_play_fails("x", ",\"pace\":1e300", "out of range");
	assert_play_fails("x", ",\"pace\":1e999", "");
	assert_play_fails("x", ",\"pace\":NaN", "");
}

#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, setup_log, teardown_log)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOG(index_tells_the_order_when_the_clock_was_set_back),
		WITH_LOG(files_without_a_line_in_the_index_come_last),
		WITH_LOG(cut_file_is_played_up_to_its_last_committed_cluster_and_told),
		WITH_LOG(what_is_no_recording_is_passed_over_and_told),
		WITH_LOG(directory_of_other_films_is_one_error),
		WITH_LOG(what_is_before_the_first_recording_is_told_in_one_line),
		WITH_LOG(file_that_vanishes_while_others_are_played_is_passed_over),
		WITH_LOG(nothing_to_play_is_an_end_even_in_a_loop),
		WITH_LOG(each_life_is_played_at_its_own_pace),
		WITH_LOG(loop_goes_over_all_files),
		WITH_LOG(command_seeks_into_another_file_of_a_loop),
		WITH_LOG(seeking_finds_each_picture_of_all_files),
		WITH_LOG(seeking_finds_the_key_frame_before_each_packet_of_all_files),
		WITH_LOG(larger_packet_comes_in_a_larger_ring),
		WITH_LOG(what_is_no_file_of_frames_is_refused),
		WITH_LOG(frames_and_a_rest_are_told),
		WITH_LOG(pace_must_be_one_that_can_be_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
