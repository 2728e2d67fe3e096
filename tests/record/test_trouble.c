/* SPDX-License-Identifier: MIT */
/* The recorder in trouble: with its folder, its disk, its source's times, its events. Nothing is lost in silence. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <weir/log.h>

#include "engine.h"
#include "index.h"

#define FILES_MAX 64

static char files[FILES_MAX][SEGMENT_NAME_BYTES], output[4096];
static void (*before_flock)(void);
static bool is_stuck; /* writes come to no end */
static bool is_odd;   /* writes end in parts, or want to be done again */

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __wrap_flock(int fd, int operation)
{
	void (*before)(void) = before_flock;

	before_flock = NULL;
	if (before != NULL)
		before();
	return __real_flock(fd, operation);
}

/* What the kernel may say instead of all: a part (whole pages, as with O_DIRECT), later, once more. */
static int64_t odd(int64_t result)
{
	static unsigned seed = 3;

	if (!is_odd || result <= 0)
		return result;
	switch (rand_r(&seed) % 4) {
	case 0: return result > MATROSKA_PAGE ? result / 2 / MATROSKA_PAGE * MATROSKA_PAGE : result;
	case 1: return -EAGAIN;
	case 2: return -EINTR;
	default: return result;
	}
}

struct engine_op *__real_engine_ring_next(struct engine_ring *ring);
struct engine_op *__wrap_engine_ring_next(struct engine_ring *ring);
struct engine_op *__wrap_engine_ring_next(struct engine_ring *ring)
{
	struct engine_op *op = is_stuck ? NULL : __real_engine_ring_next(ring);

	if (op != NULL)
		op->status = (int)odd(op->status);
	return op;
}

ssize_t __real_pwritev64(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int iovs, off_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int iovs, off_t offset)
{
	ssize_t done = odd(__real_pwritev64(fd, iov, iovs, offset));

	if (done >= 0)
		return done;
	errno = (int)-done;
	return -1;
}

static int setup_trouble(void **state)
{
	weir_log_set(NULL, NULL, -1);
	is_odd = is_stuck = false;
	return setup(state);
}

static struct weir_format small(void)
{
	return rig_raw(WEIR_PIXEL_GRAY8, 320, 240);
}

static void publish_slowly(uint32_t frames)
{
	for (uint32_t i = 0; i < frames; i++) {
		const int64_t until_ns = rig_now_ns() + SECOND / 100;

		rig_publish(&rig, 1);
		while (rig_now_ns() < until_ns)
			rig_turn(&rig);
	}
}

static void assert_all_is_counted(void)
{
	const struct weir_record_status *status = rig_ask(&rig);

	assert_int_equal(status->committed + status->refused + status->failed + status->before_key, status->frames);
}

/* --- the disk --- */

static void transfers_in_parts_are_completed(void **state)
{
	static const char *const engines[] = { "", ",\"engine\":\"plain\"" };
	struct weir_format formats[] = { rig_raw(WEIR_PIXEL_NV12, 640, 360), rig_h264() };

	for (int i = 0; i < 4; i++) {
		is_odd = true;
		rig_record_all(&rig, &formats[i / 2], 100, engines[i % 2]);
		is_odd = false;
		assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
		assert_int_equal(rig_check_file(&rig, files[0], NULL, NULL), 100);
		assert_int_equal(teardown(NULL) + setup(NULL), 0);
	}
}

/* The ring is never full for the writer; what the disk did not take in time is gone, and counted. */
static void disk_that_stops_costs_frames_and_goes_on(void **state)
{
	static const struct weir_policy newest = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 4 };
	struct weir_format formats[] = { small(), rig_h264() };

	for (int i = 0; i < 2; i++) {
		uint32_t frames = 0;

		rig_record(&rig, &formats[i], newest, "");
		publish_slowly(10);
		is_stuck = true;
		for (int j = 0; j < 600; j++) {
			assert_true(rig_try_publish(&rig));
			if (j % 10 == 0)
				rig_turn(&rig);
		}
		is_stuck = false;
		publish_slowly(20);
		weir_writer_end(rig.writer);
		RIG_UNTIL(&rig, rig_ask(&rig)->files > 0 && rig.status.frames + rig.status.overtaken == rig.published);
		rig_stop(&rig);
		assert_true(rig.status.overtaken > 100);
		assert_int_equal(rig.status.committed + rig.status.before_key, rig.status.frames);
		for (size_t n = rig_files(&rig, files, FILES_MAX); n > 0; n--)
			frames += rig_check_file(&rig, files[n - 1], NULL, NULL);
		assert_int_equal(frames, rig.status.committed);
		assert_int_equal(teardown(NULL) + setup(NULL), 0);
	}
}

static void floor_that_cannot_be_met_deletes_nothing(void **state)
{
	struct weir_format format = small();

	rig_record_all(&rig, &format, 100, ",\"segment_s\":1");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 4);
	rig_record(&rig, &format, lossless, ",\"floor_mb\":900000000");
	rig_publish(&rig, 5);
	RIG_UNTIL(&rig, rig_ask(&rig)->refused == 5);
	assert_int_equal(rig.status.state, WEIR_RECORD_BLOCKED);
	assert_non_null(strstr(rig.status.text, "floor_mb"));
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 4);
}

static void quota_that_holds_no_frame_is_told(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 1280, 720);

	rig_record(&rig, &format, lossless, ",\"quota_mb\":1");
	rig_publish(&rig, 5);
	RIG_UNTIL(&rig, rig_ask(&rig)->refused == 5);
	assert_non_null(strstr(rig.status.text, "quota_mb"));
}

static void quota_of_less_than_a_segment_holds_what_it_can(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 640, 360);
	uint64_t last = 0;

	rig_record_all(&rig, &format, 150, ",\"quota_mb\":8"); /* a segment is 1024 */
	assert_true(rig_files(&rig, files, FILES_MAX) >= 2);
	rig_command(output, sizeof(output), "du -sm %s | cut -f1", rig.directory);
	assert_in_range(atoi(output), 2, 9);
	rig_check_file(&rig, files[rig_files(&rig, files, FILES_MAX) - 1], NULL, &last);
	assert_int_equal(last, 150);
	assert_true(rig.status.deleted > 0);
}

/* --- the folder --- */

static void folder_that_vanishes_is_made_again(void **state)
{
	struct weir_format format = small();
	uint64_t first, last;

	rig_record(&rig, &format, lossless, "");
	rig_publish(&rig, 60);
	RIG_UNTIL(&rig, rig_ask(&rig)->committed > 0);
	rig_command(output, sizeof(output), "rm -r %s", rig.directory);
	RIG_UNTIL(&rig, rig_ask(&rig)->failed > 0);
	assert_int_equal(rig.status.state, WEIR_RECORD_BLOCKED);
	assert_non_null(strstr(rig.status.text, rig.directory));
	assert_all_is_counted();
	/* A second later it goes on. */
	RIG_UNTIL(&rig, (rig_publish(&rig, 1), rig_ask(&rig)->state == WEIR_RECORD_ACTIVE));
	rig_publish(&rig, 60);
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig_ask(&rig)->files == 1);
	assert_all_is_counted();
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	assert_int_equal(rig_check_file(&rig, files[0], &first, &last), rig.status.committed);
	assert_int_equal(last, rig.published);
	assert_true(first > 60);
}

static void file_that_is_deleted_while_it_is_written_is_lost_but_counted(void **state)
{
	struct weir_format format = small();
	char path[256];

	rig_record(&rig, &format, lossless, "");
	rig_publish(&rig, 60);
	RIG_UNTIL(&rig, rig_ask(&rig)->committed > 0);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	rig_path(&rig, files[0], path);
	assert_int_equal(unlink(path), 0);
	RIG_UNTIL(&rig, rig_ask(&rig)->failed == 60);
	assert_int_equal(rig.status.committed, 0);
	assert_all_is_counted();
}

static void two_lives_that_begin_in_one_moment_have_files_of_their_own(void **state)
{
	struct weir_format format = small();

	for (int i = 0; i < 3; i++)
		rig_record_all(&rig, &format, 5, "");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_check_file(&rig, files[i], NULL, NULL), 5);
}

static void oldest_is_what_was_written_first_whatever_the_clock_said(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 640, 360);
	char first[SEGMENT_NAME_BYTES];

	rig_record_all(&rig, &format, 10, "");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	strcpy(first, files[0]);
	rig.wall_s -= 86400;
	rig_record_all(&rig, &format, 10, "");
	rig.wall_s += 7 * 86400;
	rig_record_all(&rig, &format, 8, ",\"quota_mb\":14,\"segment_mb\":1");
	assert_true(rig.status.deleted > 0);
	assert_true(rig_files(&rig, files, FILES_MAX) >= 2);
	for (size_t i = 0; i < rig_files(&rig, files, FILES_MAX); i++)
		assert_string_not_equal(files[i], first);
	assert_int_equal(strncmp(files[0], "cam-20231113", 12), 0); /* of the day before is still there */
}

static void replace_index(void)
{
	rig_command(output, sizeof(output), "cd %s && touch next && mv next cam.jsonl", rig.directory);
}

/* Another recorder puts a shorter index in the place of the one that was just opened: it is that one that counts. */
static void lock_is_on_the_index_of_this_name(void **state)
{
	int fd = open(rig.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct index mine, other;

	before_flock = replace_index;
	assert_int_equal(index_open(&mine, fd, "cam"), 0);
	assert_int_equal(index_open(&other, fd, "cam"), -EBUSY);
	index_close(&mine);
	close(fd);
}

/* --- times --- */

static void leave_out_some_times(struct weir_frame *frame, uint64_t sequence)
{
	frame->capture_ns += 3600 * SECOND;
	if (sequence % 3 == 0)
		frame->pts_ns = WEIR_TIME_NONE;
	if (sequence % 7 == 0)
		frame->pts_ns = INT64_MAX;
}

static void frames_without_a_time_have_that_of_the_one_before(void **state)
{
	struct weir_format format = small();
	struct recording recording;
	char path[256];

	rig.shape = leave_out_some_times;
	rig_record_all(&rig, &format, 40, "");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	rig_path(&rig, files[0], path);
	assert_int_equal(recording_open(&recording, AT_FDCWD, path), 0);
	assert_in_range(recording.duration_ns, 3 * SECOND / 2, 2 * SECOND);
	recording_close(&recording);
}

static void begin_again(struct weir_frame *frame, uint64_t sequence)
{
	if (sequence > 20)
		frame->pts_ns -= 20 * 40000000 + (sequence > 40 ? -7200 * SECOND : 0);
}

static void times_that_jump_begin_another_file(void **state)
{
	struct weir_format format = small();

	rig.shape = begin_again; /* 1 to 20; from the beginning again, by less than a second; two hours later */
	rig_record_all(&rig, &format, 60, "");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 2);
	for (size_t i = 0; i < 2; i++) {
		struct recording recording;
		char path[256];

		rig_path(&rig, files[i], path);
		assert_int_equal(recording_open(&recording, AT_FDCWD, path), 0);
		assert_in_range(recording.duration_ns, SECOND / 2, 2 * SECOND);
		recording_close(&recording);
	}
}

static void go_back_a_day(struct weir_frame *frame, uint64_t sequence)
{
	if (sequence > 20)
		frame->pts_ns -= 86400 * SECOND;
}

static void times_that_go_back_begin_another_file(void **state)
{
	struct weir_format format = small();

	rig.shape = go_back_a_day;
	rig_record_all(&rig, &format, 40, "");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 2);
}

/* --- what is no picture, and what can never be shown --- */

static void news_between_frames_are_no_frames(void **state)
{
	struct weir_format format = rig_h264();
	struct weir_frame frame;
	uint8_t *payload;

	rig_record(&rig, &format, lossless, "");
	rig_publish(&rig, 20);
	for (int i = 0; i < 5; i++) {
		RIG_UNTIL(&rig, weir_writer_claim(rig.writer, &frame, &payload) == 0);
		frame = (struct weir_frame){ .slot = frame.slot, .flags = WEIR_FRAME_EVENT };
		assert_int_equal(weir_writer_publish(rig.writer, &frame, false), 0);
	}
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig_ask(&rig)->committed == 20);
	rig_stop(&rig);
	assert_int_equal(rig.status.frames, 20);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	assert_int_equal(rig_check_file(&rig, files[0], NULL, NULL), 20);
}

static void hide_keys(struct weir_frame *frame, uint64_t sequence)
{
	frame->flags &= ~(uint32_t)WEIR_FRAME_KEY;
}

static void stream_without_a_key_frame_is_counted_and_makes_no_file(void **state)
{
	struct weir_format format = rig_h264();

	rig.shape = hide_keys;
	rig_record(&rig, &format, lossless, "");
	rig_publish(&rig, 50);
	RIG_UNTIL(&rig, rig_ask(&rig)->before_key == 50);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 0);
}

/* --- events --- */

static void tell_event(void)
{
	assert_int_equal(weir_back_local_command(rig.back, WEIR_COMMAND_RECORD_EVENT, NULL, 0), 0);
}

static void two_events_in_a_row_leave_no_gap(void **state)
{
	struct weir_format format = rig_h264();
	uint64_t first[2], last[2];

	rig_record(&rig, &format, lossless, ",\"before_s\":5,\"after_s\":0.1");
	publish_slowly(30);
	tell_event();
	while (rig_ask(&rig)->files < 1)
		publish_slowly(1);
	publish_slowly(2); /* in the middle of a group of pictures */
	tell_event();
	publish_slowly(5);
	rig_stop(&rig);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 2);
	for (int i = 0; i < 2; i++)
		rig_check_file(&rig, files[i], &first[i], &last[i]);
	assert_int_equal(first[1], last[0] + 1);
	assert_int_equal(rig.status.before_key, 0);
}

static void overlapping_events_are_one_file(void **state)
{
	struct weir_format format = small();
	uint64_t first;

	rig_record(&rig, &format, lossless, ",\"before_s\":5,\"after_s\":1");
	publish_slowly(10);
	for (int i = 0; i < 4; i++) {
		tell_event();
		publish_slowly(15);
	}
	RIG_UNTIL(&rig, rig_ask(&rig)->files == 1);
	rig_stop(&rig);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	assert_int_equal(rig_check_file(&rig, files[0], &first, NULL), 70);
	assert_int_equal(first, 1);
}

/* Frames of another format cannot follow in the file; nobody has missed those that were kept in case. */
static void what_no_event_asked_for_is_no_loss(void **state)
{
	struct weir_format formats[] = { small(), rig_raw(WEIR_PIXEL_GRAY8, 160, 120) };

	rig_record(&rig, &formats[0], lossless, ",\"before_s\":100,\"after_s\":1");
	rig_publish(&rig, 20);
	RIG_UNTIL(&rig, rig_ask(&rig)->frames == 20);
	rig_change(&rig, &formats[1], lossless);
	rig_publish(&rig, 5);
	RIG_UNTIL(&rig, rig_ask(&rig)->frames == 25);
	assert_int_equal(rig.status.refused + rig.status.failed + rig.status.before_key + rig.status.overtaken, 0);
	tell_event();
	RIG_UNTIL(&rig, rig_ask(&rig)->files == 1);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	assert_int_equal(rig_check_file(&rig, files[0], NULL, NULL), 5);
}

/* More of before than a file takes at a time, than the ring has slots, and the stream ends at once. */
static void end_waits_for_what_was_before_the_event(void **state)
{
	struct weir_format format = small();

	rig_record(&rig, &format, lossless, ",\"before_s\":100,\"after_s\":10");
	rig_publish(&rig, 200);
	RIG_UNTIL(&rig, rig_ask(&rig)->frames == 200);
	tell_event();
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig_ask(&rig)->committed == 200 && rig.status.files > 0);
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	rig_stop(&rig);
	assert_int_equal(rig_check_file(&rig, files[0], NULL, NULL), 200);
}

#define IN_TROUBLE(test) cmocka_unit_test_setup_teardown(test, setup_trouble, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TROUBLE(transfers_in_parts_are_completed),
		IN_TROUBLE(disk_that_stops_costs_frames_and_goes_on),
		IN_TROUBLE(floor_that_cannot_be_met_deletes_nothing),
		IN_TROUBLE(quota_that_holds_no_frame_is_told),
		IN_TROUBLE(quota_of_less_than_a_segment_holds_what_it_can),
		IN_TROUBLE(folder_that_vanishes_is_made_again),
		IN_TROUBLE(file_that_is_deleted_while_it_is_written_is_lost_but_counted),
		IN_TROUBLE(two_lives_that_begin_in_one_moment_have_files_of_their_own),
		IN_TROUBLE(oldest_is_what_was_written_first_whatever_the_clock_said),
		IN_TROUBLE(lock_is_on_the_index_of_this_name),
		IN_TROUBLE(frames_without_a_time_have_that_of_the_one_before),
		IN_TROUBLE(times_that_jump_begin_another_file),
		IN_TROUBLE(times_that_go_back_begin_another_file),
		IN_TROUBLE(news_between_frames_are_no_frames),
		IN_TROUBLE(stream_without_a_key_frame_is_counted_and_makes_no_file),
		IN_TROUBLE(two_events_in_a_row_leave_no_gap),
		IN_TROUBLE(overlapping_events_are_one_file),
		IN_TROUBLE(what_no_event_asked_for_is_no_loss),
		IN_TROUBLE(end_waits_for_what_was_before_the_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
