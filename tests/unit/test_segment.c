/* SPDX-License-Identifier: MIT */
/* Memory objects and wake-ups on a system that lacks what we ask it for. The linker hands the calls to us. */
#include "ring_fixture.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/ring.h>

#include "ring.h"
#include "segment.h"

static int open_error, taken_names, shm_errno, interruptions, preadv2_error;
static bool no_randomness, no_statvfs, no_blocks, no_pwrite;

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	if (open_error != 0 && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = open_error;
		return -1;
	}
	return __real_open64(path, flags, 0600);
}

int __real_shm_open(const char *name, int flags, mode_t mode);
int __wrap_shm_open(const char *name, int flags, mode_t mode);
int __wrap_shm_open(const char *name, int flags, mode_t mode)
{
	if (taken_names > 0 || shm_errno != 0) {
		taken_names--;
		errno = shm_errno != 0 ? shm_errno : EEXIST;
		return -1;
	}
	return __real_shm_open(name, flags, mode);
}

ssize_t __real_getrandom(void *bytes, size_t count, unsigned flags);
ssize_t __wrap_getrandom(void *bytes, size_t count, unsigned flags);
ssize_t __wrap_getrandom(void *bytes, size_t count, unsigned flags)
{
	return no_randomness ? -1 : __real_getrandom(bytes, count, flags);
}

int __real_posix_fallocate64(int fd, off_t offset, off_t bytes);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t bytes);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t bytes)
{
	return interruptions-- > 0 ? EINTR : __real_posix_fallocate64(fd, offset, bytes);
}

ssize_t __real_preadv64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	if (preadv2_error != 0) {
		errno = preadv2_error;
		return -1;
	}
	return __real_preadv64v2(fd, iov, count, offset, flags);
}

int __real_statvfs64(const char *path, struct statvfs *fs);
int __wrap_statvfs64(const char *path, struct statvfs *fs);
int __wrap_statvfs64(const char *path, struct statvfs *fs)
{
	int r = no_statvfs ? -1 : __real_statvfs64(path, fs);

	if (no_blocks)
		fs->f_blocks = 0;
	return r;
}

ssize_t __real_pwrite64(int fd, const void *bytes, size_t count, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t count, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t count, off_t offset)
{
	if (!no_pwrite)
		return __real_pwrite64(fd, bytes, count, offset);
	errno = ENOMEM;
	return -1;
}

static int setup(void **state)
{
	open_error = taken_names = shm_errno = interruptions = preadv2_error = 0;
	no_randomness = no_statvfs = no_blocks = no_pwrite = false;
	return 0;
}

static void without_unnamed_files_a_random_name_is_taken_and_given_back(void **state)
{
	struct stat st;
	int fd;

	open_error = EOPNOTSUPP;
	taken_names = 3;
	fd = segment_create(WEIR_BACKING_POSIX, 8192);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 8192);
	assert_int_equal(st.st_nlink, 0); /* no name is left */
	close(fd);
}

static void what_cannot_be_helped_by_a_name_is_told_at_once(void **state)
{
	const int errors[] = { ENOSPC, EMFILE, ENFILE };

	shm_errno = EIO; /* would show */
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		open_error = errors[i];
		assert_int_equal(segment_create(WEIR_BACKING_POSIX, 8192), -errors[i]);
	}
	open_error = EOPNOTSUPP;
	assert_int_equal(segment_create(WEIR_BACKING_POSIX, 8192), -EIO);
}

static void names_are_looked_for_no_longer_than_it_makes_sense(void **state)
{
	open_error = EOPNOTSUPP;
	taken_names = 1000000;
	assert_int_equal(segment_create(WEIR_BACKING_POSIX, 8192), -EEXIST);
	taken_names = 0;
	no_randomness = true;
	assert_int_equal(segment_create(WEIR_BACKING_POSIX, 8192), -EIO);
}

static void a_signal_does_not_end_the_reservation_of_memory(void **state)
{
	int fd;

	interruptions = 5;
	fd = segment_create(WEIR_BACKING_SEALED, 8192);
	assert_true(fd >= 0);
	assert_int_equal(interruptions, -1);
	close(fd);
}

static void without_preadv2_an_eventfd_is_read_when_it_is_readable(void **state)
{
	const int errors[] = { ENOSYS, EOPNOTSUPP };
	int fd = wake_create_eventfd();

	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		preadv2_error = errors[i];
		assert_false(wake_clear(fd, false));
		wake_ring(fd, false);
		wake_ring(fd, false);
		/* A peer with the same descriptor took the flag away: a plain read could block now. */
		assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
		assert_true(wake_clear(fd, false));
		assert_false(wake_clear(fd, false));
	}
	preadv2_error = EBADF;
	assert_false(wake_clear(fd, false));
	close(fd);
}

static void what_is_no_object_is_not_mapped(void **state)
{
	void *map = NULL;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(segment_map(&map, -1, 4096, false), -EPROTO);
	assert_int_equal(segment_map(&map, fds[0], 4096, false), -EPROTO);
	close(fds[0]), close(fds[1]);
	assert_int_equal(segment_map(&map, fds[0], 4096, false), -EPROTO);
	assert_null(map);
	assert_false(segment_is_sealed(fds[0], SEGMENT_SEALS_FIXED));
}

static void memory_that_is_not_there_yet_is_not_mapped(void **state)
{
	int fd = memfd_create("weir", MFD_CLOEXEC);
	void *map = NULL;
	struct stat st;

	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(segment_map(&map, fd, 1 << 20, false), -EPROTO);
	assert_int_equal(fallocate(fd, 0, 0, (1 << 20) - 4096), 0);
	assert_int_equal(segment_map(&map, fd, 1 << 20, false), -EPROTO);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_blocks, ((1 << 20) - 4096) / 512); /* nothing was made by looking */
	assert_int_equal(fallocate(fd, 0, 0, 1 << 20), 0);
	assert_int_equal(segment_map(&map, fd, 1 << 20, false), 0);
	segment_unmap(map, 1 << 20);
	close(fd);
}

static void space_is_unlimited_where_nobody_says_how_much_there_is(void **state)
{
	struct weir_ring_config config = { .slot_count = 4 };
	uint64_t needed, available, with_bells;

	assert_int_equal(weir_format_video(&config.format, WEIR_PIXEL_GRAY8, 64, 64), 0);
	assert_int_equal(weir_ring_space(&config, &with_bells, &available), 0);
	assert_int_not_equal(available, UINT64_MAX);
	no_statvfs = true;
	assert_int_equal(weir_ring_space(&config, &needed, &available), 0);
	assert_int_equal(available, UINT64_MAX);
	no_statvfs = false;
	no_blocks = true; /* a tmpfs without a limit */
	assert_int_equal(weir_ring_space(&config, &needed, &available), 0);
	assert_int_equal(available, UINT64_MAX);
	config.untrusted = true; /* implies memfds, and no semaphores */
	assert_int_equal(weir_ring_space(&config, &needed, &available), 0);
	assert_int_equal(available, UINT64_MAX);
	assert_int_equal(needed, with_bells); /* but copies for observers */
	config.untrusted = false;
	config.no_semaphores = true;
	assert_int_equal(weir_ring_space(&config, &needed, &available), 0);
	assert_true(needed < with_bells);
}

static void an_end_that_cannot_be_cleaned_is_not_given_away(void **state)
{
	struct weir_ring_config config = fixture_config(8);
	struct fixture f;
	uint32_t end = 77;

	config.ends = 1;
	fixture_open(&f, &config);
	fixture_join(&f, LATEST);
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
	weir_writer_attend(f.writer);
	no_pwrite = true;
	assert_int_equal(weir_ring_attach(f.ring, &LATEST, &end), -ENOMEM);
	assert_int_equal(end, 77);
	no_pwrite = false;
	assert_int_equal(weir_ring_attach(f.ring, &LATEST, &end), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_unnamed_files_a_random_name_is_taken_and_given_back, setup),
		cmocka_unit_test_setup(what_cannot_be_helped_by_a_name_is_told_at_once, setup),
		cmocka_unit_test_setup(names_are_looked_for_no_longer_than_it_makes_sense, setup),
		cmocka_unit_test_setup(a_signal_does_not_end_the_reservation_of_memory, setup),
		cmocka_unit_test_setup(without_preadv2_an_eventfd_is_read_when_it_is_readable, setup),
		cmocka_unit_test_setup(what_is_no_object_is_not_mapped, setup),
		cmocka_unit_test(memory_that_is_not_there_yet_is_not_mapped),
		cmocka_unit_test_setup(an_end_that_cannot_be_cleaned_is_not_given_away, setup),
		cmocka_unit_test_setup(space_is_unlimited_where_nobody_says_how_much_there_is, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
