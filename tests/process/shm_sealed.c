/* SPDX-License-Identifier: MIT */
/* What a peer that is not trusted could do to memory: change what it may only read, take it away under a reader, fill
 * up the file system it lies in, change a descriptor while it is being checked. */
#include "shm_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"

static char *verdict; /* what a child found wrong; shared */

static bool must_back(bool ok)
{
	if (!ok && verdict[0] == '\0')
		memcpy(verdict, harness_why, sizeof(harness_why));
	return ok;
}

/* --- a sealed ring -------------------------------------------------------------------------------------------------
 */

/* Tries to write to, shrink, grow or empty an object of which a reader has the descriptor. */
static void attack_back(int fd, size_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must_back(EXPECT(map != MAP_FAILED));
	must_back(EXPECT(mprotect(map, bytes, PROT_READ | PROT_WRITE) < 0));
	must_back(EXPECT(madvise(map, bytes, MADV_REMOVE) < 0));
	must_back(EXPECT(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED));
	must_back(EXPECT(pwrite(fd, "x", 1, 0) < 0));
	/* The same with a descriptor opened for writing: that itself succeeds for the same user, and gains nothing. */
	again = open(path, O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 2; i++, fd = again) {
		if (fd < 0)
			break;
		must_back(EXPECT(ftruncate(fd, 0) < 0));
		must_back(EXPECT(ftruncate(fd, (off_t)bytes * 2) < 0));
		must_back(EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) < 0));
		must_back(EXPECT(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED));
		must_back(EXPECT(pwrite(fd, "x", 1, 0) < 0));
	}
}

static void what_a_reader_of_a_sealed_ring_may_not_write_it_cannot_change(void **state)
{
	struct weir_ring_config config = harness_config(8, WEIR_BACKING_SEALED);
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	struct weir_writer *writer = NULL;
	struct weir_reader *reader = NULL;
	struct weir_ring *ring = NULL;
	struct weir_ring_fds fds;
	struct weir_frame frame;
	uint32_t end;
	pid_t pid;

	verdict[0] = '\0';
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	assert_int_equal(weir_ring_attach(ring, &policy, &end), 0);
	assert_true(harness_open_writer(ring, &writer));
	assert_true(harness_open_reader(ring, end, &reader));
	assert_int_equal(harness_publish(writer, 1, false), 0);
	assert_int_equal(weir_ring_reader_fds(ring, end, &fds), 0);
	pid = harness_fork();
	if (pid == 0) {
		for (int i = RING_FD_DATA; i <= RING_FD_REQUEST; i++)
			attack_back(fds.fd[i], LAYOUT_PAGE);
		_exit(0);
	}
	weir_ring_fds_close(&fds);
	assert_int_equal(harness_wait(pid), 0);
	assert_string_equal(verdict, "");
	assert_int_equal(weir_reader_acquire(reader, &frame), 0);
	assert_true(harness_frame_is_whole(&frame, 1));
	weir_reader_free(&reader);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

/* --- a full file system --------------------------------------------------------------------------------------------
 */

static uint64_t shm_free_bytes(void)
{
	struct statvfs fs;

	return statvfs("/dev/shm", &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

static bool writes_all_slots_back(struct weir_ring *ring)
{
	struct weir_writer *writer = NULL;
	bool ok = harness_open_writer(ring, &writer);

	for (uint64_t sequence = 1; ok && sequence <= 100; sequence++) {
		struct weir_frame frame;
		uint8_t *payload;

		ok = EXPECT(weir_writer_claim(writer, &frame, &payload) == 0);
		if (!ok)
			break;
		memset(payload, 0xa5, weir_writer_slot_bytes(writer));
		ok = EXPECT(weir_writer_publish(writer, &frame, false) == 0);
	}
	weir_writer_free(&writer);
	return ok;
}

static void fill_shm_back(void)
{
	static const char zeroes[4096];
	int fd = open("/dev/shm/filler", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	while (write(fd, zeroes, sizeof(zeroes)) > 0)
		;
	close(fd);
}

static void full_shm_back(void)
{
	struct weir_ring_config config = harness_config(64, WEIR_BACKING_POSIX);
	struct weir_ring *ring = NULL, *other = NULL;
	uint64_t before, needed = 0, available = 0;

	/* Without root a user namespace of our own makes us its root. */
	if ((unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") < 0)
		_exit(2);
	before = shm_free_bytes();
	config.slot_bytes = 65536;
	must_back(EXPECT(weir_ring_create(&ring, &config) == -ENOSPC));
	must_back(EXPECT(weir_ring_space(&config, &needed, &available) == 0));
	must_back(EXPECT(needed > 4000000 && available == before));
	must_back(EXPECT(shm_free_bytes() == before));

	config.slot_count = 8;
	must_back(EXPECT(weir_ring_create(&ring, &config) == 0));
	must_back(EXPECT(weir_ring_create(&other, &config) == -ENOSPC));
	fill_shm_back();
	must_back(EXPECT(shm_free_bytes() == 0));
	must_back(writes_all_slots_back(ring));
	/* Every object of a ring can be the one that does not fit. */
	unlink("/dev/shm/filler");
	weir_ring_free(&ring);
	must_back(EXPECT(shm_free_bytes() == before));
	config.slot_bytes = 4096;
	must_back(EXPECT(weir_ring_space(&config, &needed, &available) == 0));
	for (uint64_t left = 0; left <= needed; left += 4096) {
		int fd = open("/dev/shm/filler", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		must_back(EXPECT(posix_fallocate(fd, 0, (off_t)(before - left)) == 0));
		close(fd);
		must_back(EXPECT(weir_ring_create(&ring, &config) == (left < needed ? -ENOSPC : 0)));
		weir_ring_free(&ring);
		must_back(EXPECT(shm_free_bytes() == left));
		unlink("/dev/shm/filler");
	}
	_exit(0);
}

static void a_full_file_system_is_an_error_and_never_a_signal(void **state)
{
	pid_t pid;

	verdict[0] = '\0';
	pid = harness_fork();
	if (pid == 0)
		full_shm_back();
	assert_int_equal(harness_wait(pid), 0);
	assert_string_equal(verdict, "");
}

/* --- a descriptor that changes while it is checked -----------------------------------------------------------------
 */

struct flipper {
	struct descriptor *descriptor;
	uint32_t count;
	_Atomic bool stop;
};

static void *flip(void *data)
{
	struct flipper *flipper = data;

	while (!flipper->stop)
		for (uint32_t i = 0; i < flipper->count; i++) {
			*(volatile uint32_t *)&flipper->descriptor[i].size_bytes = UINT32_MAX;
			*(volatile uint32_t *)&flipper->descriptor[i].meta_bytes = UINT32_MAX;
			*(volatile uint32_t *)&flipper->descriptor[i].size_bytes = HARNESS_BYTES;
			*(volatile uint32_t *)&flipper->descriptor[i].meta_bytes = 8;
		}
	return NULL;
}

static void a_size_that_changes_while_it_is_checked_is_never_believed(void **state)
{
	struct weir_ring_config config = harness_config(4, WEIR_BACKING_POSIX);
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	int64_t start_ns = harness_now_ns();
	uint64_t sequence = 0, corrupt = 0, believed = 0;
	struct weir_writer *writer = NULL;
	struct weir_reader *reader = NULL;
	struct flipper flipper = { .count = 4 };
	struct weir_ring *ring = NULL;
	const struct geometry *geometry;
	struct weir_ring_fds fds;
	struct head *head;
	pthread_t thread;
	void *request;
	uint32_t end;

	config.loans = 1;
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	assert_int_equal(weir_ring_attach(ring, &policy, &end), 0);
	assert_true(harness_open_writer(ring, &writer));
	assert_true(harness_open_reader(ring, end, &reader));
	assert_int_equal(weir_ring_writer_fds(ring, &fds), 0);
	assert_int_equal(segment_map(&request, fds.fd[RING_FD_REQUEST], layout_request_bytes(), false), 0);
	geometry = &((struct request *)request)->geometry;
	assert_int_equal(segment_map((void **)&head, fds.fd[RING_FD_HEAD], layout_head_bytes(geometry), true), 0);
	weir_ring_fds_close(&fds);
	flipper.descriptor = head_descriptor(head, geometry);
	assert_int_equal(pthread_create(&thread, NULL, flip, &flipper), 0);
	/* Longer on a busy machine: until the flips have hit. */
	while (harness_now_ns() - start_ns < (corrupt > 0 ? INT64_C(1500000000) : INT64_C(30000000000)))
		for (int i = 0; i < 1000; i++) {
			struct weir_frame frame;

			assert_int_equal(harness_publish(writer, ++sequence, false), 0);
			assert_int_equal(weir_reader_acquire(reader, &frame), 0);
			believed += frame.size_bytes > LAYOUT_PAGE || frame.meta_bytes > geometry->meta_bytes;
			corrupt += (frame.flags & WEIR_FRAME_CORRUPT) != 0;
			assert_int_equal(weir_reader_release(reader, &frame), 0);
		}
	flipper.stop = true;
	pthread_join(thread, NULL);
	print_message("# %ju frames, %ju refused\n", (uintmax_t)sequence, (uintmax_t)corrupt);
	assert_int_equal(believed, 0);
	assert_true(corrupt > 0); /* the flips did hit */
	segment_unmap(head, layout_head_bytes(geometry));
	segment_unmap(request, layout_request_bytes());
	weir_reader_free(&reader);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_reader_of_a_sealed_ring_may_not_write_it_cannot_change),
		cmocka_unit_test(a_full_file_system_is_an_error_and_never_a_signal),
		cmocka_unit_test(a_size_that_changes_while_it_is_checked_is_never_believed),
	};

	harness_bound(90);
	verdict = harness_shared(sizeof(harness_why));
	return cmocka_run_group_tests_name("shm_sealed", tests, NULL, NULL);
}
