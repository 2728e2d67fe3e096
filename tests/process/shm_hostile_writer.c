/* SPDX-License-Identifier: MIT */
#include "shm_hostile.h"

#include <sys/wait.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"

/* Words that a writer's end of the ring consists of: cursors of its own, grants as the supervisor asked for
 * them, order words that name the slot, descriptors with any size. */
static void scribble_head_back(struct head *head, const struct request *request, uint64_t *state, uint64_t *base)
{
	const struct geometry *geometry = &request->geometry;
	uint64_t published = *base += 4, i = harness_random(state) % geometry->end_count;
	_Atomic uint64_t *word = (_Atomic uint64_t *)(void *)head;
	struct descriptor *descriptor = head_descriptor(head, geometry);

	for (int n = 0; n < 16; n++)
		word[harness_random(state) % (layout_head_bytes(geometry) / 8)] = hostile_scribble(state, published);
	for (uint64_t s = published; s < published + 16; s++)
		head_order(head)[s & (geometry->order_count - 1)] =
			s << ORDER_SLOT_BITS | harness_random(state) % (geometry->slot_count + 1);
	for (uint32_t n = 0; n < geometry->slot_count; n++)
		*(volatile uint32_t *)&descriptor[n].size_bytes =
			(uint32_t)hostile_scribble(state, geometry->slot_bytes);
	head->grant[i].start = harness_random(state) % 16 == 0 ? hostile_scribble(state, published) : 1;
	head->grant[i].ack = atomic_load(&request->end[i].word);
	for (uint64_t s = 0; s < WEIR_DUE_MAX; s++)
		head->grant[i].due[s].word = (published + s) << ORDER_SLOT_BITS | s;
	head->retired = harness_random(state) % 2 == 0 ? hostile_scribble(state, published) : published;
	head->published = harness_random(state) % 64 == 0 ? hostile_scribble(state, published) : published + 16;
	head->ended = 0;
}

static void hostile_writer_back(struct weir_ring_fds *fds)
{
	struct request *request;
	uint64_t state = hostile_seed, base = 0;
	struct head *head;
	void *data;

	if (segment_map((void **)&request, fds->fd[RING_FD_REQUEST], layout_request_bytes(), false) < 0 ||
		segment_map((void **)&head, fds->fd[RING_FD_HEAD], layout_head_bytes(&request->geometry), true) < 0 ||
		segment_map(&data, fds->fd[RING_FD_DATA], layout_data_bytes(&request->geometry), true) < 0 ||
		segment_seal(WEIR_BACKING_SEALED, fds->fd[RING_FD_HEAD], SEGMENT_SEALS_OURS) < 0 ||
		segment_seal(WEIR_BACKING_SEALED, fds->fd[RING_FD_DATA], SEGMENT_SEALS_OURS) < 0)
		_exit(2);
	for (uint64_t round = 0;; round++) {
		scribble_head_back(head, request, &state, &base);
		if (round % 16 == 0)
			for (uint32_t i = 0; i < request->geometry.end_count; i++)
				hostile_abuse_socket_back(
					fds->fd[RING_FD_ENDS + RING_END_FDS * i + RING_END_FD_WAKE], round);
	}
}

/* Reads all that a frame claims to have, and holds what it may. */
static void wary_reader_back(struct weir_ring_fds *fds, int which)
{
	struct weir_reader *reader = NULL;
	const uint8_t *base = NULL;
	volatile uint32_t sum = 0;

	if (weir_reader_open(&reader, fds) < 0)
		_exit(2);
	while (!hostile_board->stop) {
		struct weir_frame frame;
		int64_t since_ns = harness_now_ns();
		int r = weir_reader_acquire_until(reader, &frame, since_ns + 20000000);

		if (!EXPECT(harness_now_ns() - since_ns < HANG_NS))
			hostile_note_bad_back();
		if (r != 0) {
			if (!EXPECT(r == -ETIMEDOUT || r == -ESTALE || r == -ENODATA || r == -EPIPE))
				hostile_note_bad_back();
			weir_reader_wait(reader, harness_now_ns() + 1000000);
			continue;
		}
		if (base == NULL)
			base = frame.data - frame.slot * (size_t)LAYOUT_PAGE;
		if (!EXPECT(frame.slot < SLOTS && frame.size_bytes <= LAYOUT_PAGE && frame.meta_bytes <= META_MAX) ||
			!EXPECT(frame.data == base + frame.slot * (size_t)LAYOUT_PAGE))
			hostile_note_bad_back();
		for (uint32_t i = 0; i < frame.size_bytes; i++)
			sum += frame.data[i];
		for (uint32_t i = 0; i < frame.meta_bytes; i++)
			sum += frame.meta[i];
		hostile_board->frames[which]++;
		if (!EXPECT(weir_reader_release(reader, &frame) == 0))
			hostile_note_bad_back();
	}
	weir_reader_free(&reader);
	_exit(0);
}

static void supervise_hostile_writer(struct weir_ring *ring, const pid_t *pid, uint32_t *end)
{
	const struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	int64_t end_ns = harness_now_ns() + hostile_run_ms * INT64_C(1000000);
	uint32_t more;

	while (harness_now_ns() < end_ns) {
		struct weir_ring_stats stats;
		struct weir_end_stats end_stats;

		for (int i = 0; i < READERS; i++) {
			hostile_assert_alive(pid[i]);
			assert_int_equal(weir_ring_end_stats(ring, end[i], &end_stats), 0);
		}
		weir_ring_stats(ring, &stats);
		if (weir_ring_attach(ring, &policy, &more) == 0) {
			weir_ring_withdraw(ring, more);
			weir_ring_reap(ring, more);
		}
		harness_sleep_ns(500000);
	}
}

void a_writer_that_scribbles_neither_crashes_nor_hangs_anybody(void **state)
{
	const struct weir_policy policy[READERS] = { { .mode = WEIR_POLICY_LATEST },
		{ .mode = WEIR_POLICY_LOSSLESS, .depth = 3, .every_nth = 2 },
		{ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 3, .every_nth = 2 } };
	struct weir_ring *ring = hostile_make_ring();
	struct weir_ring_fds fds;
	uint32_t end[READERS];
	pid_t pid[READERS], writer;

	for (int i = 0; i < READERS; i++)
		assert_int_equal(weir_ring_attach(ring, &policy[i], &end[i]), 0);
	assert_int_equal(weir_ring_writer_fds(ring, &fds), 0);
	writer = harness_fork();
	if (writer == 0)
		hostile_writer_back(&fds);
	weir_ring_fds_close(&fds);
	for (int i = 0; i < READERS; i++) {
		while (weir_ring_reader_fds(ring, end[i], &fds) == -EAGAIN)
			harness_sleep_ns(100000);
		pid[i] = harness_fork();
		if (pid[i] == 0)
			wary_reader_back(&fds, i);
		weir_ring_fds_close(&fds);
	}
	supervise_hostile_writer(ring, pid, end);
	assert_true(WIFSIGNALED(harness_kill(writer)));
	hostile_board->stop = true;
	weir_ring_writer_gone(ring);
	print_message("# frames taken: %ju, %ju, %ju\n", (uintmax_t)hostile_board->frames[0],
		(uintmax_t)hostile_board->frames[1], (uintmax_t)hostile_board->frames[2]);
	for (int i = 0; i < READERS; i++) {
		int64_t since_ns = harness_now_ns();
		int status = 0;

		while (waitpid(pid[i], &status, WNOHANG) == 0)
			if (harness_now_ns() - since_ns > HANG_NS)
				fail_msg("reader %d hangs", i);
			else
				harness_sleep_ns(1000000);
		assert_int_equal(status, 0);
	}
	assert_true(hostile_board->frames[0] + hostile_board->frames[1] + hostile_board->frames[2] > 0);
	if (hostile_board->bad != 0)
		fail_msg("%u bad frames: %s", hostile_board->bad, hostile_board->why);
	weir_ring_free(&ring);
}
