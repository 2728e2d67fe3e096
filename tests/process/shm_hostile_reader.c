/* SPDX-License-Identifier: MIT */
#include "shm_hostile.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"

static void writer_back(struct weir_ring_fds *fds)
{
	struct weir_writer *writer = NULL;
	uint64_t sequence = 1;
	int64_t last_ns = 0;

	if (weir_writer_open(&writer, fds) < 0)
		_exit(2);
	while (!hostile_board->stop) {
		int r = harness_publish(writer, sequence, false);

		if (r == 0) {
			hostile_board->published = sequence++;
			hostile_note_pause_back(&hostile_board->longest_ns[READERS], &last_ns);
			harness_sleep_ns(PERIOD_NS);
		} else if (r == -EAGAIN) {
			weir_writer_wait(writer, harness_now_ns() + 1000000000);
		} else {
			_exit(3);
		}
	}
	weir_writer_end(writer);
	_exit(0);
}

static void honest_reader_back(struct weir_ring_fds *fds, int which, bool is_lossless)
{
	struct weir_reader *reader = NULL;
	int64_t last_ns = 0;
	uint64_t last = 0;

	if (weir_reader_open(&reader, fds) < 0)
		_exit(2);
	for (;;) {
		struct weir_frame frame;
		int r = weir_reader_acquire(reader, &frame);

		if (r == -EAGAIN) {
			weir_reader_wait(reader, harness_now_ns() + 1000000000);
			continue;
		}
		if (r < 0)
			_exit(r == -ENODATA ? 0 : 4);
		if (!harness_frame_is_whole(&frame, 1) || !EXPECT(frame.sequence > last) ||
			!EXPECT(!is_lossless || frame.sequence == last + 1) ||
			!EXPECT(weir_reader_release(reader, &frame) == 0))
			hostile_note_bad_back();
		last = frame.sequence;
		hostile_board->frames[which]++;
		hostile_note_pause_back(&hostile_board->longest_ns[which], &last_ns);
	}
}

/* It outlives the process that the ring knows. */
static void leave_accomplice_back(void)
{
	pid_t pid = fork();

	if (pid < 0)
		_exit(4);
	if (pid == 0)
		alarm(60 + hostile_run_ms / 1000);
	else
		hostile_board->accomplice = pid;
}

static void hostile_reader_back(struct weir_ring_fds *fds)
{
	int fd = fds->fd[RING_FD_ENDS + RING_END_FD_END], wake_fd = fds->fd[RING_FD_ENDS + RING_END_FD_WAKE];
	uint64_t state = hostile_seed;
	void *map, *head;

	if (segment_map(&map, fd, LAYOUT_PAGE, true) < 0 ||
		segment_map(&head, fds->fd[RING_FD_HEAD], LAYOUT_PAGE, false) < 0)
		_exit(2);
	leave_accomplice_back();
	for (uint64_t round = 0;; round++) {
		_Atomic uint64_t *word = map;
		struct end *end = map;

		for (int i = 0; i < 64; i++)
			word[harness_random(&state) % (LAYOUT_PAGE / 8)] =
				hostile_scribble(&state, ((struct head *)head)->published);
		for (int i = 0; i < WEIR_HELD_MAX; i++)
			end->pin[i] = ((struct head *)head)->published - harness_random(&state) % SLOTS;
		if (hostile_board->freeze)
			end->cursor = 0;
		if (round % 64 == 0)
			hostile_abuse_socket_back(wake_fd, round);
		if (round % 128 == 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LAYOUT_PAGE) < 0)
			_exit(3);
		harness_sleep_ns(20000);
	}
}

static void await_withdrawal(const struct weir_ring *ring, uint32_t end)
{
	int64_t deadline_ns = harness_now_ns() + 5 * HANG_NS;

	while ((atomic_load(&ring->head->grant[end].ack) & VERB_MASK) != VERB_WITHDRAW) {
		assert_true(harness_now_ns() < deadline_ns);
		harness_sleep_ns(1000000);
	}
}

/* The writer lets go of it, nobody gets its end any more, and another end serves an honest reader. */
static void evict(struct weir_ring *ring, uint32_t end, pid_t pid, bool by_the_writer)
{
	const struct weir_policy honest = { .mode = WEIR_POLICY_LOSSLESS, .depth = 3 };
	int64_t deadline_ns = harness_now_ns() + HANG_NS;
	struct weir_end_stats stats;
	uint64_t last = 0;
	uint32_t again = UINT32_MAX;
	struct weir_reader *reader;
	struct weir_frame frame;

	if (by_the_writer)
		hostile_board->freeze = true;
	else
		assert_int_equal(weir_ring_withdraw(ring, end), 0);
	await_withdrawal(ring, end);
	assert_int_equal(weir_ring_end_stats(ring, end, &stats), 0);
	assert_int_equal(stats.stalled, by_the_writer);
	deadline_ns = harness_now_ns() + HANG_NS;
	assert_true(WIFSIGNALED(harness_kill(pid)));
	assert_int_equal(weir_ring_reap(ring, end), 0);
	while (weir_ring_end_stats(ring, end, &stats) == 0 && stats.attached) {
		assert_true(harness_now_ns() < deadline_ns);
		harness_sleep_ns(1000000);
	}
	assert_int_equal(weir_ring_attach(ring, &honest, &again), 0);
	assert_int_not_equal(again, end);
	assert_true(harness_open_reader(ring, again, &reader));
	for (int taken = 0; taken < 100;) {
		int r = weir_reader_acquire(reader, &frame);

		assert_true(harness_now_ns() < deadline_ns + 10 * HANG_NS);
		if (r == -EAGAIN) {
			weir_reader_wait(reader, harness_now_ns() + 100000000);
			continue;
		}
		assert_int_equal(r, 0);
		assert_true(harness_frame_is_whole(&frame, 1));
		assert_true(last == 0 || frame.sequence == last + 1);
		last = frame.sequence;
		assert_int_equal(weir_reader_release(reader, &frame), 0);
		taken++;
	}
	weir_reader_free(&reader);
	assert_int_equal(weir_ring_reap(ring, again), 0);
	assert_int_equal(kill(hostile_board->accomplice, SIGKILL), 0); /* it was at it all the time */
}

static void run_hostile_reader(struct weir_policy hostile)
{
	struct weir_policy honest[] = { { .mode = WEIR_POLICY_LATEST }, { .mode = WEIR_POLICY_LOSSLESS, .depth = 3 } };
	struct weir_ring *ring = hostile_make_ring();
	struct weir_ring_fds fds;
	uint32_t end[3];
	pid_t pid[4];
	int64_t end_ns;

	for (int i = 0; i < 3; i++)
		assert_int_equal(weir_ring_attach(ring, i < 2 ? &honest[i] : &hostile, &end[i]), 0);
	assert_int_equal(weir_ring_writer_fds(ring, &fds), 0);
	pid[3] = harness_fork();
	if (pid[3] == 0)
		writer_back(&fds);
	weir_ring_fds_close(&fds);
	for (int i = 0; i < 3; i++) {
		while (weir_ring_reader_fds(ring, end[i], &fds) == -EAGAIN)
			harness_sleep_ns(100000);
		pid[i] = harness_fork();
		if (pid[i] == 0 && i < 2)
			honest_reader_back(&fds, i, i == 1);
		if (pid[i] == 0)
			hostile_reader_back(&fds);
		weir_ring_fds_close(&fds);
	}
	end_ns = harness_now_ns() + hostile_run_ms * INT64_C(1000000);
	while (harness_now_ns() < end_ns) {
		struct weir_ring_stats stats;
		struct weir_end_stats end_stats;

		for (int i = 0; i < 4; i++)
			hostile_assert_alive(pid[i]);
		weir_ring_stats(ring, &stats);
		assert_int_equal(weir_ring_end_stats(ring, end[2], &end_stats), 0);
		harness_sleep_ns(1000000);
	}
	evict(ring, end[2], pid[2], hostile.mode == WEIR_POLICY_LOSSLESS);
	hostile_board->stop = true;
	for (int i = 3; i >= 0; i--)
		if (i != 2)
			assert_int_equal(harness_wait(pid[i]), 0);
	print_message("# published %ju, latest %ju, lossless %ju; longest pause %.0f, %.0f, %.0f ms\n",
		(uintmax_t)hostile_board->published, (uintmax_t)hostile_board->frames[0],
		(uintmax_t)hostile_board->frames[1], (double)hostile_board->longest_ns[READERS] / 1e6,
		(double)hostile_board->longest_ns[0] / 1e6, (double)hostile_board->longest_ns[1] / 1e6);
	if (hostile_board->bad != 0)
		fail_msg("%u bad frames: %s", hostile_board->bad, hostile_board->why);
	assert_int_equal(hostile_board->frames[1], hostile_board->published);
	assert_in_range(hostile_board->published, hostile_run_ms / 10, UINT64_MAX);
	assert_in_range(hostile_board->longest_ns[READERS], 0, HANG_NS);
	weir_ring_free(&ring);
}

void a_reader_that_scribbles_harms_nobody(void **state)
{
	run_hostile_reader((struct weir_policy){ .mode = WEIR_POLICY_LATEST, .max_held = 4 });
}

void a_lossless_reader_that_scribbles_harms_nobody(void **state)
{
	run_hostile_reader((struct weir_policy){
		.mode = WEIR_POLICY_LOSSLESS, .max_held = 2, .on_stall = WEIR_STALL_EVICT, .stall_ns = 50000000 });
}

void a_filtering_reader_that_scribbles_harms_nobody(void **state)
{
	run_hostile_reader((struct weir_policy){ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 2, .every_nth = 3 });
}
