/* SPDX-License-Identifier: MIT */
/* A semaphore that a peer can write can be forged: whoever uses it may abort or hang. Nobody else may notice (row 14).
 */
#include "shm_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
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
		cmocka_unit_test(a_forged_semaphore_harms_nobody_who_does_not_use_it),
	};

	harness_bound(60);
	verdict = harness_shared(sizeof(harness_why));
	polled = harness_shared(sizeof(*polled));
	return cmocka_run_group_tests_name("shm_forged", tests, NULL, NULL);
}
