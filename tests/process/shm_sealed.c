/* SPDX-License-Identifier: MIT */
/* What a peer that is not trusted could do to memory: change what it may only read, take it away under a reader, fill
 * up the file system it lies in, change a descriptor while it is being checked, forge a semaphore. */
#include "shm_harness.h"

#include <fcntl.h>
#include <poll.h>
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
	int64_t end_ns = harness_now_ns() + INT64_C(1500000000);
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
	while (harness_now_ns() < end_ns)
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

/* --- forged semaphores ---------------------------------------------------------------------------------------------
 */

#define FORGED_FRAMES 30

/* glibc's sem_t: value and number of waiters, and a word that it mixes into the futex operation. */
struct forgery {
	uint32_t value, waiters;
	int32_t flags;
};

static const struct forgery for_posters[] = {
	{ 0, 1, 0 }, { 0, 1, -1 }, { 0, 1, 1 }, { 0, 1, 2 }, { 0, 1, 6 }, { 0, UINT32_MAX, 0xff }, { 0, 1, 0x101 },
	{ INT32_MAX, 1, 128 }, { UINT32_MAX, UINT32_MAX, 0x7fffffff },
}, for_waiters[] = {
	{ 0, 0, 0 }, { 0, 0, -1 }, { 0, 0, 1 }, { 0, 0, 2 }, { 0, 0, 6 }, { 0, UINT32_MAX, 0xff }, { UINT32_MAX, 0, 128 },
	{ INT32_MAX, UINT32_MAX, 0x101 },
};

static _Atomic uint64_t *polled; /* frames that the reader on an eventfd got; shared */

static void forge_back(sem_t *bell, const struct forgery *forgery)
{
	struct forgery *forged = (struct forgery *)(void *)bell;

	*(volatile struct forgery *)forged = *forgery;
}

/* glibc says on stderr why it aborts. */
static void be_quiet_back(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(fd, STDERR_FILENO);
}

static void forging_writer_back(struct weir_ring_fds *fds, const struct forgery *forgery)
{
	struct weir_writer *writer = NULL;
	sem_t *bell;

	if (segment_map((void **)&bell, fds->fd[RING_FD_ENDS + RING_END_FD_BELL], LAYOUT_PAGE, true) < 0 ||
		weir_writer_open(&writer, fds) < 0)
		_exit(2);
	for (uint64_t sequence = 1; sequence <= FORGED_FRAMES; sequence++) {
		if (forgery != NULL)
			forge_back(bell, forgery);
		if (harness_publish(writer, sequence, false) != 0)
			_exit(3);
		harness_sleep_ns(1000000);
	}
	_exit(0);
}

/* Reader 0 sleeps on its semaphore, and forges it if asked. */
static void forging_reader_back(struct weir_ring_fds *fds, const struct forgery *forgery)
{
	struct weir_reader *reader = NULL;
	struct weir_frame frame;
	struct end *end;
	sem_t *bell;

	if (segment_map((void **)&bell, fds->fd[RING_FD_ENDS + RING_END_FD_BELL], LAYOUT_PAGE, true) < 0 ||
		segment_map((void **)&end, fds->fd[RING_FD_ENDS + RING_END_FD_END], LAYOUT_PAGE, true) < 0 ||
		weir_reader_open(&reader, fds) < 0)
		_exit(2);
	for (uint64_t epoch = SLEEP_EPOCH;; epoch += SLEEP_EPOCH) {
		if (forgery != NULL) {
			forge_back(bell, forgery);
			end->sleeping = epoch | SLEEP_ASLEEP | SLEEP_BY_SEMAPHORE;
			harness_sleep_ns(100000);
		} else if (weir_reader_acquire(reader, &frame) == 0) {
			weir_reader_release(reader, &frame);
		} else {
			weir_reader_wait(reader, harness_now_ns() + 1000000000);
		}
	}
}

/* Reader 1 sleeps on its eventfd; ends when the writer is said to be gone. */
static void polling_reader_back(struct weir_ring_fds *fds)
{
	struct weir_reader *reader = NULL;
	struct weir_frame frame;
	int r;

	if (weir_reader_open(&reader, fds) < 0)
		_exit(2);
	while ((r = weir_reader_acquire(reader, &frame)) != -EPIPE) {
		struct pollfd pollfd = { .fd = weir_reader_fd(reader), .events = POLLIN };

		if (r == 0) {
			must_back(harness_frame_is_whole(&frame, 1));
			must_back(EXPECT(frame.sequence == *polled + 1));
			*polled = frame.sequence;
			weir_reader_release(reader, &frame);
		} else {
			if (weir_reader_arm(reader) == 0)
				poll(&pollfd, 1, 100);
			weir_reader_disarm(reader);
		}
	}
	_exit(0);
}

/* Waits for the writer's end, at most for the time that a hung one is granted. True: it came to its end unharmed. */
static bool writer_survives(pid_t pid)
{
	int status;

	for (int i = 0; i < 300; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		harness_sleep_ns(1000000);
	}
	harness_kill(pid);
	return false;
}

/* Returns whether the process that uses the forged semaphore survived; everybody else must. */
static bool run_forgery(const struct forgery *by_reader, const struct forgery *by_writer)
{
	struct weir_policy policy[2] = { { .mode = WEIR_POLICY_LATEST }, { .mode = WEIR_POLICY_LOSSLESS, .depth = 4 } };
	struct weir_ring_config config = harness_config(20, WEIR_BACKING_POSIX);
	struct weir_ring *ring = NULL;
	struct weir_ring_stats stats;
	struct weir_ring_fds fds;
	pid_t pid[3];
	uint32_t end;
	bool survived;
	int status;

	verdict[0] = '\0';
	*polled = 0;
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(weir_ring_attach(ring, &policy[i], &end), 0);
		assert_int_equal(weir_ring_reader_fds(ring, end, &fds), 0);
		pid[i] = harness_fork();
		if (pid[i] == 0)
			be_quiet_back();
		if (pid[i] == 0 && i == 0)
			forging_reader_back(&fds, by_reader);
		if (pid[i] == 0)
			polling_reader_back(&fds);
		weir_ring_fds_close(&fds);
	}
	assert_int_equal(weir_ring_writer_fds(ring, &fds), 0);
	pid[2] = harness_fork();
	if (pid[2] == 0) {
		be_quiet_back();
		forging_writer_back(&fds, by_writer);
	}
	weir_ring_fds_close(&fds);
	survived = writer_survives(pid[2]);
	weir_ring_writer_gone(ring);
	weir_ring_stats(ring, &stats);
	assert_int_equal(harness_wait(pid[1]), 0);
	assert_string_equal(verdict, "");
	assert_int_equal(*polled, stats.published);
	survived = survived || by_writer != NULL; /* a writer that forges may hang on what it forged */
	status = 0;
	if (waitpid(pid[0], &status, WNOHANG) == pid[0])
		survived = false;
	else
		harness_kill(pid[0]);
	assert_int_equal(weir_ring_reap(ring, 0), 0);
	weir_ring_free(&ring);
	return survived;
}

static void a_forged_semaphore_harms_nobody_who_does_not_use_it(void **state)
{
	int harmed = 0;

	for (size_t i = 0; i < sizeof(for_posters) / sizeof(for_posters[0]); i++)
		harmed += !run_forgery(&for_posters[i], NULL);
	for (size_t i = 0; i < sizeof(for_waiters) / sizeof(for_waiters[0]); i++)
		harmed += !run_forgery(NULL, &for_waiters[i]);
	print_message("# 17 forgeries; of those who used them %d died or hung\n", harmed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_reader_of_a_sealed_ring_may_not_write_it_cannot_change),
		cmocka_unit_test(a_full_file_system_is_an_error_and_never_a_signal),
		cmocka_unit_test(a_size_that_changes_while_it_is_checked_is_never_believed),
		cmocka_unit_test(a_forged_semaphore_harms_nobody_who_does_not_use_it),
	};

	harness_bound(90);
	verdict = harness_shared(sizeof(harness_why));
	polled = harness_shared(sizeof(*polled));
	return cmocka_run_group_tests_name("shm_sealed", tests, NULL, NULL);
}
