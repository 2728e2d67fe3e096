/* SPDX-License-Identifier: MIT */
/* Every call that can fail for want of space fails once, the k-th of a run, for all k; and from the k-th on. Whatever
 * happens, what is committed is right, what is not is counted, and the recorder lives. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/uio.h>

#include "engine.h"

#include <weir/log.h>

#define FILES_MAX 64
#define FRAMES	  24

static char files[FILES_MAX][SEGMENT_NAME_BYTES];
static _Atomic int64_t calls, fail_at; /* 0: never */
static _Atomic int fail_with;
static _Atomic bool for_ever;

static bool must_fail(void)
{
	const int64_t call = ++calls;

	if (fail_at == 0 || (for_ever ? call < fail_at : call != fail_at))
		return false;
	errno = fail_with;
	return true;
}

/* The linker puts these in place of the calls of the recorder. */
#define WRAP(type, name, parameters, arguments)                                                                        \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		return must_fail() ? -1 : __real_##name arguments;                                                     \
	}
WRAP(ssize_t, pwritev64, (int fd, const struct iovec *iov, int count, off_t offset), (fd, iov, count, offset))
WRAP(ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
WRAP(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
WRAP(int, fallocate64, (int fd, int mode, off_t offset, off_t size), (fd, mode, offset, size))
WRAP(int, ftruncate64, (int fd, off_t size), (fd, size))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
	(from_fd, from, to_fd, to, flags))

struct engine_op *__real_engine_ring_next(struct engine_ring *ring);
struct engine_op *__wrap_engine_ring_next(struct engine_ring *ring);
struct engine_op *__wrap_engine_ring_next(struct engine_ring *ring)
{
	struct engine_op *op = __real_engine_ring_next(ring);

	if (op != NULL && must_fail())
		op->status = -fail_with;
	return op;
}

static int setup_calls(void **state)
{
	calls = fail_at = 0;
	for_ever = false;
	fail_with = ENOSPC;
	return setup(state);
}

static int teardown_calls(void **state)
{
	fail_at = 0;
	return teardown(state);
}

/* Records, with what is set to fail. Returns how many calls could have failed. */
static int64_t run(const struct weir_format *format, const char *more)
{
	uint64_t frames = 0;
	size_t n;

	calls = 0;
	rig_record(&rig, format, lossless, more);
	rig_publish(&rig, FRAMES);
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig_ask(&rig)->frames == FRAMES);
	rig_stop(&rig);
	fail_at = 0;
	n = rig_files(&rig, files, FILES_MAX);
	for (size_t i = 0; i < n; i++)
		frames += rig_check_file(&rig, files[i], NULL, NULL);
	/* A cluster whose first page is said to have failed may be there all the same. */
	assert_true(frames >= rig.status.committed && frames <= FRAMES);
	assert_int_equal(rig.status.committed + rig.status.refused + rig.status.failed + rig.status.before_key, FRAMES);
	return calls;
}

static void for_all_k(const struct weir_format *format, const char *more)
{
	const int64_t all = run(format, more);
	int64_t lossy = 0, harmless = 0;

	assert_int_equal(rig.status.committed, FRAMES);
	assert_true(all > 10);
	for (int64_t k = 1; k <= all; k++) {
		for (int kind = 0; kind < 2; kind++) {
			teardown_calls(NULL);
			setup_calls(NULL);
			fail_at = k;
			for_ever = kind != 0;
			fail_with = k % 2 != 0 ? ENOSPC : EIO;
			run(format, more);
			lossy += rig.status.committed < FRAMES;
			harmless += rig.status.committed == FRAMES;
			if (kind == 0 && rig.status.committed < FRAMES)
				assert_true(rig.status.text[0] != '\0' || rig.status.state == WEIR_RECORD_ACTIVE);
		}
	}
	assert_true(lossy > 0 && harmless > 0);
}

static void pictures_with_io_uring(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 160, 120);

	for_all_k(&format, ",\"segment_mb\":1,\"sync\":\"cluster\"");
}

static void pictures_with_plain_writes(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 160, 120);

	for_all_k(&format, ",\"segment_s\":0.5,\"engine\":\"plain\"");
}

static void packets_with_io_uring(void **state)
{
	struct weir_format format = rig_h264();

	for_all_k(&format, ",\"segment_s\":0.4");
}

static void full_disk_slows_a_lossless_source_until_there_is_room(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 160, 120);
	uint64_t first, last;

	fail_at = 1;
	for_ever = true;
	rig_record(&rig, &format, lossless, ",\"lossless\":true");
	while (rig_try_publish(&rig))
		;
	RIG_UNTIL(&rig, rig_ask(&rig)->state == WEIR_RECORD_BLOCKED);
	assert_non_null(strstr(rig.status.text, rig.directory));
	assert_non_null(strstr(rig.status.text, "full"));
	for (int i = 0; i < 10; i++)
		rig_turn(&rig);
	assert_false(rig_try_publish(&rig)); /* the writer waits */
	fail_at = 0;
	rig_publish(&rig, FRAMES);
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig_ask(&rig)->files == 1);
	assert_int_equal(rig.status.state, WEIR_RECORD_ACTIVE);
	rig_files(&rig, files, FILES_MAX);
	assert_int_equal(rig_check_file(&rig, files[0], &first, &last), rig.published);
	assert_int_equal(rig.status.overtaken + rig.status.refused + rig.status.failed, 0);
}

static void read_only_disk_is_told_by_its_name(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 160, 120);

	fail_at = 1;
	for_ever = true;
	fail_with = EROFS;
	rig_record(&rig, &format, lossless, "");
	rig_publish(&rig, 5);
	RIG_UNTIL(&rig, rig_ask(&rig)->refused == 5);
	assert_non_null(strstr(rig.status.text, rig.directory));
	assert_non_null(strstr(rig.status.text, "read-only"));
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 0);
}

#define FULL(test) cmocka_unit_test_setup_teardown(test, setup_calls, teardown_calls)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FULL(pictures_with_io_uring),
		FULL(pictures_with_plain_writes),
		FULL(packets_with_io_uring),
		FULL(full_disk_slows_a_lossless_source_until_there_is_room),
		FULL(read_only_disk_is_told_by_its_name),
	};

	/* Hundreds of errors are meant: one line of each would say nothing. */
	weir_log_set(NULL, NULL, -1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
