/* SPDX-License-Identifier: MIT */
/* The recorder, run in this process: what it writes is compared with what was published, byte by byte. */
#include "rig.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FILES_MAX 64

static struct rig rig;
static char files[FILES_MAX][SEGMENT_NAME_BYTES];

static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 20 * SECOND };

static int setup(void **state)
{
	rig_init(&rig);
	return 0;
}

static int teardown(void **state)
{
	rig_close(&rig);
	return 0;
}

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

	round_trip(&format, 40, "");
	assert_int_equal(rig.status.is_uring, 1);
}

static void raw_frames_are_recorded_with_every_byte_by_plain_writes(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 1920, 1080);

	round_trip(&format, 40, ",\"engine\":\"plain\"");
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

#define RECORDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECORDER(raw_frames_are_recorded_with_every_byte_by_io_uring),
		RECORDER(raw_frames_are_recorded_with_every_byte_by_plain_writes),
		RECORDER(packets_are_recorded_with_every_byte),
		RECORDER(packets_are_recorded_with_every_byte_by_plain_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
