/* SPDX-License-Identifier: MIT */
/* The recorder, run in this process: what it writes is compared with what was published, byte by byte. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "../holdings.h"

#define FILES_MAX 64

static char files[FILES_MAX][SEGMENT_NAME_BYTES];

static void round_trip(const struct weir_format *format, uint32_t frames, const char *more)
{
	uint64_t first, last;

	rig_record(&rig, format, lossless, more);
	rig_publish(&rig, frames);
	weir_writer_end(rig.writer);
	rig_turn(&rig);
	RIG_UNTIL(&rig, rig.status.files == 1);
	rig_stop(&rig);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	assert_int_equal(rig_check_file(&rig, files[0], &first, &last), frames);
	assert_int_equal(first, 1);
	assert_int_equal(last, frames);
	assert_int_equal(rig.status.frames, frames);
	assert_int_equal(rig.status.committed, frames);
	assert_int_equal(rig.status.overtaken + rig.status.refused + rig.status.failed + rig.status.before_key, 0);
}

static void raw_frames_are_recorded_with_every_byte_by_io_uring(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 1920, 1080);

	round_trip(&format, ROUND_TRIP, ",\"segment_mb\":4096");
	assert_int_equal(rig.status.is_uring, 1);
}

static void raw_frames_are_recorded_with_every_byte_by_plain_writes(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 1920, 1080);

	round_trip(&format, ROUND_TRIP, ",\"segment_mb\":4096,\"engine\":\"plain\"");
	assert_int_equal(rig.status.is_uring, 0);
}

static void packets_are_recorded_with_every_byte(void **state)
{
	struct weir_format format = rig_h264();

	round_trip(&format, 1000, "");
}

static void packets_are_recorded_with_every_byte_by_plain_writes(void **state)
{
	struct weir_format format = rig_h264();

	round_trip(&format, 1000, ",\"engine\":\"plain\"");
}

/* --- files come and go --- */

static char *index_text(void)
{
	static char text[65536];
	char path[256];
	FILE *file;

	rig_path(&rig, "cam.jsonl", path);
	file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void files_end_by_time_and_each_is_in_the_index(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
	uint64_t first, last, next = 1;
	size_t n;

	rig_record(&rig, &format, lossless, ",\"segment_s\":1");
	rig_publish(&rig, 110);
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig.status.files == 5);
	rig_stop(&rig);
	n = rig_files(&rig, files, FILES_MAX);
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++) {
		assert_true(rig_check_file(&rig, files[i], &first, &last) > 0);
		assert_int_equal(first, next);
		next = last + 1;
		assert_non_null(strstr(index_text(), files[i]));
	}
	assert_int_equal(next, 111);
	assert_int_equal(count(index_text(), "\"complete\":true"), 5);
	assert_int_equal(strncmp(files[0], "cam-20231114T221320.", 20), 0);
	assert_non_null(strstr(index_text(), "\"start\":\"2023-11-14T22:13:20.040Z\",\"first_pts_ns\":123,"));
}

static void files_of_packets_begin_with_a_key_frame(void **state)
{
	struct weir_format format = rig_h264();
	uint64_t first, last, next = 1;
	size_t n;

	rig_record(&rig, &format, lossless, ",\"segment_s\":1");
	rig_publish(&rig, 200);
	RIG_UNTIL(&rig, rig_ask(&rig)->frames == 200);
	rig_stop(&rig);
	n = rig_files(&rig, files, FILES_MAX);
	assert_true(n >= 5);
	for (size_t i = 0; i < n; i++) {
		rig_check_file(&rig, files[i], &first, &last);
		assert_int_equal(first, next);
		assert_true(rig_is_key(&format, first));
		next = last + 1;
	}
}

static uint64_t disk_bytes(void)
{
	uint64_t bytes = 0;
	size_t n = rig_files(&rig, files, FILES_MAX);

	for (size_t i = 0; i < n; i++) {
		struct stat status;
		char path[256];

		rig_path(&rig, files[i], path);
		assert_int_equal(stat(path, &status), 0);
		bytes += (uint64_t)status.st_blocks * 512;
	}
	return bytes;
}

static void quota_deletes_the_oldest_and_is_kept_all_the_time(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 640, 480);
	uint64_t first, last;
	size_t n;

	rig_record(&rig, &format, lossless, ",\"segment_mb\":2,\"quota_mb\":10");
	for (int i = 0; i < 15; i++) {
		rig_publish(&rig, 5);
		/* On a full disk a file is in many parts, and the list of them takes a block. */
		assert_true(disk_bytes() <= (10 << 20) + 8 * 4096);
	}
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig.status.committed == 75);
	rig_stop(&rig);
	n = rig_files(&rig, files, FILES_MAX);
	assert_true(n >= 2 && n < 20);
	assert_int_equal(rig.status.deleted + n, rig.status.files);
	assert_int_equal(count(index_text(), "\"deleted\""), rig.status.deleted);
	rig_check_file(&rig, files[n - 1], &first, &last);
	assert_int_equal(last, 75); /* the newest is there */
	assert_int_equal(rig.status.committed, 75);
}

static void files_of_a_dead_recorder_are_trimmed_and_entered(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
	char path[256], copy[256], command[600], output[256];
	struct stat status;

	/* While it is written, a copy of it as a kill would leave it. */
	rig_record(&rig, &format, lossless, ",\"segment_mb\":32");
	rig_publish(&rig, 60);
	RIG_UNTIL(&rig, rig_ask(&rig)->frames == 60 && rig.status.committed >= 50);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	rig_path(&rig, files[0], path);
	rig_path(&rig, "cam-20200101T000000.000000Z.mkv", copy);
	snprintf(command, sizeof(command), "cp --sparse=always %s %s", path, copy);
	rig_command(output, sizeof(output), "%s", command);
	rig_stop(&rig);
	assert_int_equal(stat(copy, &status), 0);
	assert_true(status.st_size > 50 << 20); /* what was reserved */

	rig_record(&rig, &format, lossless, "");
	rig_stop(&rig);
	assert_int_equal(rig.status.recovered, 1);
	assert_int_equal(stat(copy, &status), 0);
	assert_true(status.st_size < 10 << 20);
	assert_int_equal(rig_check_file(&rig, "cam-20200101T000000.000000Z.mkv", NULL, NULL), 50);
	assert_non_null(strstr(index_text(), "\"file\":\"cam-20200101T000000.000000Z.mkv\""));
	assert_int_equal(count(index_text(), "\"complete\":false"), 1);
	rig_record(&rig, &format, lossless, "");
	rig_stop(&rig);
	assert_int_equal(rig.status.recovered, 0);
}

static void second_recorder_of_a_name_is_refused(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
	char args[256];
	struct weir_back *other = NULL;

	rig_record(&rig, &format, lossless, "");
	snprintf(args, sizeof(args), "{\"directory\":\"%s\",\"name\":\"cam\"}", rig.directory);
	assert_int_equal(weir_back_create_local(&other, &recorder_backend, args, NULL, NULL), -EBUSY);
	snprintf(args, sizeof(args), "{\"directory\":\"%s\",\"name\":\"other\"}", rig.directory);
	assert_int_equal(weir_back_create_local(&other, &recorder_backend, args, NULL, NULL), 0);
	weir_back_local_free(&other);
}

/* WEIR_LONG=1: 1,000 files, of an hour and seven minutes in all. */
static void nothing_grows_with_the_number_of_files(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 64, 48);
	const uint32_t files_wanted = getenv("WEIR_LONG") != NULL ? 1000 : 60;
	long early_kib = 0, late_kib;
	int early_fds = 0;

	rig_record(&rig, &format, lossless, ",\"segment_s\":4,\"segment_mb\":1,\"quota_mb\":8,\"sync\":\"never\"");
	for (uint32_t i = 0; i < files_wanted; i++) {
		rig_publish(&rig, 100);
		if (i != files_wanted / 3)
			continue;
		RIG_UNTIL(&rig, rig_ask(&rig)->files >= i);
		early_kib = resident_kib();
		early_fds = count_fds();
	}
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig_ask(&rig)->committed == 100 * files_wanted);
	late_kib = resident_kib();
	assert_in_range(count_fds(), early_fds - 4, early_fds + 4); /* files being completed */
#ifndef __SANITIZE_ADDRESS__					    /* which keeps what is freed */
	assert_true(late_kib - early_kib < 1024);
#endif
	rig_stop(&rig);
	assert_true(rig.status.deleted > 0);
	assert_int_equal(rig.status.committed, 100 * files_wanted);
	print_message("# %u files, %u frames: resident %ld KiB after a third, %ld KiB at the end\n", files_wanted,
		100 * files_wanted, early_kib, late_kib);
}

static void what_the_ring_dropped_is_counted(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
	struct weir_policy policy = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 4 };

	rig_record(&rig, &format, policy, "");
	for (int i = 0; i < 50; i++)
		assert_true(rig_try_publish(&rig)); /* nobody takes them: the ring keeps 4 */
	for (int i = 0; i < 8; i++)
		rig_turn(&rig);
	rig_stop(&rig);
	assert_int_equal(rig.status.overtaken, 46);
	assert_int_equal(rig.status.committed, 4);
	assert_non_null(strstr(index_text(), "\"dropped\":46"));
}

static void packets_before_the_first_key_frame_are_counted(void **state)
{
	struct weir_format format = rig_h264();
	struct weir_policy policy = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 4 };

	rig_record(&rig, &format, policy, "");
	for (int i = 0; i < 14; i++)
		assert_true(rig_try_publish(&rig)); /* 11 to 14 are kept; 13 is the key frame */
	for (int i = 0; i < 8; i++)
		rig_turn(&rig);
	rig_stop(&rig);
	assert_int_equal(rig.status.before_key, 2);
	assert_int_equal(rig.status.committed, 2);
}

static void publish_slowly(uint32_t frames, int64_t pause_ns)
{
	for (uint32_t i = 0; i < frames; i++) {
		const int64_t until_ns = rig_now_ns() + pause_ns;

		rig_publish(&rig, 1);
		while (rig_now_ns() < until_ns)
			rig_turn(&rig);
	}
}

static void events_are_recorded_from_before_until_after(void **state)
{
	struct weir_format format = rig_h264();
	uint64_t first, last;

	rig_record(&rig, &format, lossless, ",\"before_s\":0.4,\"after_s\":0.3");
	publish_slowly(60, SECOND / 100); /* 1 to 60; the key frames are 1, 13, 25, 37, 49 */
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 0);
	assert_int_equal(weir_back_local_command(rig.back, WEIR_COMMAND_RECORD_EVENT, NULL, 0), 0);
	publish_slowly(80, SECOND / 100);
	RIG_UNTIL(&rig, rig.status.files == 1);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	rig_check_file(&rig, files[0], &first, &last);
	assert_true(rig_is_key(&format, first));
	/* At least so much of before; not all, as it is a second later than the first. */
	assert_true(first > 1 && first <= 49);
	assert_true(last > 60 && last < 140);

	assert_int_equal(weir_back_local_command(rig.back, WEIR_COMMAND_RECORD_EVENT, NULL, 0), 0);
	rig_stop(&rig);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 2);
	assert_int_equal(rig.status.refused + rig.status.failed, 0);
}

static void pictures_before_an_event_come_from_memory(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 640, 480);
	uint64_t first, last;

	/* 460,800 bytes each: 4 MiB hold 9. */
	rig_record(&rig, &format, lossless, ",\"before_s\":100,\"after_s\":10,\"memory_mb\":4");
	publish_slowly(30, SECOND / 500);
	assert_int_equal(weir_back_local_command(rig.back, WEIR_COMMAND_RECORD_EVENT, NULL, 0), 0);
	rig_publish(&rig, 20);
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig.status.files == 1);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	assert_int_equal(rig_check_file(&rig, files[0], &first, &last), 29);
	assert_int_equal(first, 22);
	assert_int_equal(last, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(raw_frames_are_recorded_with_every_byte_by_io_uring),
		WITH_RIG(raw_frames_are_recorded_with_every_byte_by_plain_writes),
		WITH_RIG(packets_are_recorded_with_every_byte),
		WITH_RIG(packets_are_recorded_with_every_byte_by_plain_writes),
		WITH_RIG(files_end_by_time_and_each_is_in_the_index),
		WITH_RIG(files_of_packets_begin_with_a_key_frame),
		WITH_RIG(quota_deletes_the_oldest_and_is_kept_all_the_time),
		WITH_RIG(files_of_a_dead_recorder_are_trimmed_and_entered),
		WITH_RIG(nothing_grows_with_the_number_of_files),
		WITH_RIG(second_recorder_of_a_name_is_refused),
		WITH_RIG(what_the_ring_dropped_is_counted),
		WITH_RIG(packets_before_the_first_key_frame_are_counted),
		WITH_RIG(events_are_recorded_from_before_until_after),
		WITH_RIG(pictures_before_an_event_come_from_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
