/* SPDX-License-Identifier: MIT */
/* A peer that scribbles at random over everything that it may write, in a ring made for peers that are not trusted. The
 * others must neither crash nor hang nor lose a frame. --seconds N --seed S: for each kind of peer. */
#include "shm_harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"

#define SLOTS	  20
#define PERIOD_NS 200000
#define HANG_NS	  INT64_C(2000000000) /* beyond this somebody hangs; machines are slow */
#define READERS	  3

static unsigned run_ms;
static uint64_t seed;

static struct board {
	_Atomic bool stop;
	_Atomic uint64_t published, frames[READERS];
	_Atomic int64_t longest_ns[READERS + 1]; /* between two frames; the last: of the writer */
	_Atomic uint32_t bad;
	char why[256];
} * board;

static void note_bad_back(void)
{
	memcpy(board->why, harness_why, sizeof(harness_why));
	atomic_fetch_add(&board->bad, 1);
}

static void note_pause_back(_Atomic int64_t *longest_ns, int64_t *last_ns)
{
	int64_t now_ns = harness_now_ns();

	if (*last_ns != 0 && now_ns - *last_ns > *longest_ns)
		*longest_ns = now_ns - *last_ns;
	*last_ns = now_ns;
}

static struct weir_ring *make_ring(void)
{
	struct weir_ring_config config = harness_config(SLOTS, WEIR_BACKING_SEALED);
	struct weir_ring *ring = NULL;

	config.untrusted = true;
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	memset(board, 0, sizeof(*board));
	return ring;
}

/* A value that may hit something: small, near what is published, an odd epoch, or anything. */
static uint64_t scribble(uint64_t *state, uint64_t near)
{
	uint64_t value = harness_random(state);

	switch (value >> 60) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return value & 7;
	case 3: return value & 0xffff;
	case 4:
	case 5:
	case 6:
	case 7: return near + (value & 31) - 16;
	case 8: return value | 1;
	default: return value;
	}
}

static void assert_alive(pid_t pid)
{
	int status = 0;

	if (waitpid(pid, &status, WNOHANG) != 0)
		fail_msg("an honest process ended: status %x; %s", status, board->why);
}

/* --- a hostile reader ------------------------------------------------------------------------------------------------
 */

static void writer_back(struct weir_ring_fds *fds)
{
	struct weir_writer *writer = NULL;
	uint64_t sequence = 1;
	int64_t last_ns = 0;

	if (weir_writer_open(&writer, fds) < 0)
		_exit(2);
	while (!board->stop) {
		int r = harness_publish(writer, sequence, false);

		if (r == 0) {
			board->published = sequence++;
			note_pause_back(&board->longest_ns[READERS], &last_ns);
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
			note_bad_back();
		last = frame.sequence;
		board->frames[which]++;
		note_pause_back(&board->longest_ns[which], &last_ns);
	}
}

/* Floods its socket, and takes the flag away that keeps others from blocking, if they shared it. */
static void abuse_socket_back(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	for (int i = 0; i < 1000 && send(fd, "hostile", 7, MSG_DONTWAIT | MSG_NOSIGNAL) > 0; i++)
		;
}

static void hostile_reader_back(struct weir_ring_fds *fds)
{
	int fd = fds->fd[RING_FD_ENDS + RING_END_FD_END], wake_fd = fds->fd[RING_FD_ENDS + RING_END_FD_WAKE];
	uint64_t state = seed;
	void *map, *head;

	if (segment_map(&map, fd, LAYOUT_PAGE, true) < 0 ||
		segment_map(&head, fds->fd[RING_FD_HEAD], LAYOUT_PAGE, false) < 0)
		_exit(2);
	for (uint64_t round = 0;; round++) {
		_Atomic uint64_t *word = map;
		struct end *end = map;

		for (int i = 0; i < 64; i++)
			word[harness_random(&state) % (LAYOUT_PAGE / 8)] =
				scribble(&state, ((struct head *)head)->published);
		for (int i = 0; i < WEIR_HELD_MAX; i++)
			end->pin[i] = ((struct head *)head)->published - harness_random(&state) % SLOTS;
		if (round % 64 == 0)
			abuse_socket_back(wake_fd);
		if (round % 128 == 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LAYOUT_PAGE) < 0)
			_exit(3);
		harness_sleep_ns(20000);
	}
}

static void run_hostile_reader(struct weir_policy hostile)
{
	struct weir_policy honest[] = { { .mode = WEIR_POLICY_LATEST }, { .mode = WEIR_POLICY_LOSSLESS, .depth = 3 } };
	struct weir_ring *ring = make_ring();
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
	end_ns = harness_now_ns() + run_ms * INT64_C(1000000);
	while (harness_now_ns() < end_ns) {
		struct weir_ring_stats stats;
		struct weir_end_stats end_stats;

		for (int i = 0; i < 4; i++)
			assert_alive(pid[i]);
		weir_ring_stats(ring, &stats);
		assert_int_equal(weir_ring_end_stats(ring, end[2], &end_stats), 0);
		harness_sleep_ns(1000000);
	}
	board->stop = true;
	for (int i = 3; i >= 0; i--) {
		if (i == 2)
			assert_true(WIFSIGNALED(harness_kill(pid[i])));
		else
			assert_int_equal(harness_wait(pid[i]), 0);
	}
	print_message("# published %ju, latest %ju, lossless %ju; longest pause %.0f, %.0f, %.0f ms\n",
		(uintmax_t)board->published, (uintmax_t)board->frames[0], (uintmax_t)board->frames[1],
		(double)board->longest_ns[READERS] / 1e6, (double)board->longest_ns[0] / 1e6,
		(double)board->longest_ns[1] / 1e6);
	if (board->bad != 0)
		fail_msg("%u bad frames: %s", board->bad, board->why);
	assert_int_equal(board->frames[1], board->published);
	assert_in_range(board->published, run_ms / 10, UINT64_MAX);
	assert_in_range(board->longest_ns[READERS], 0, HANG_NS);
	weir_ring_free(&ring);
}

static void a_reader_that_scribbles_harms_nobody(void **state)
{
	run_hostile_reader((struct weir_policy){ .mode = WEIR_POLICY_LATEST, .max_held = 4 });
}

static void a_lossless_reader_that_scribbles_harms_nobody(void **state)
{
	run_hostile_reader((struct weir_policy){
		.mode = WEIR_POLICY_LOSSLESS, .max_held = 2, .on_stall = WEIR_STALL_EVICT, .stall_ns = 50000000 });
}

static void a_filtering_reader_that_scribbles_harms_nobody(void **state)
{
	run_hostile_reader((struct weir_policy){ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 2, .every_nth = 3 });
}

/* --- a hostile writer ------------------------------------------------------------------------------------------------
 */

/* Words that a writer's end of the ring consists of: cursors of its own, grants as the supervisor asked for them, order
 * words that name the slot, descriptors with any size. */
static void scribble_head_back(struct head *head, const struct request *request, uint64_t *state, uint64_t *base)
{
	const struct geometry *geometry = &request->geometry;
	uint64_t published = *base += 4, i = harness_random(state) % geometry->end_count;
	_Atomic uint64_t *word = (_Atomic uint64_t *)(void *)head;
	struct descriptor *descriptor = head_descriptor(head, geometry);

	for (int n = 0; n < 16; n++)
		word[harness_random(state) % (layout_head_bytes(geometry) / 8)] = scribble(state, published);
	for (uint64_t s = published; s < published + 16; s++)
		head_order(head)[s & (geometry->order_count - 1)] =
			s << ORDER_SLOT_BITS | harness_random(state) % (geometry->slot_count + 1);
	for (uint32_t n = 0; n < geometry->slot_count; n++)
		*(volatile uint32_t *)&descriptor[n].size_bytes = (uint32_t)scribble(state, geometry->slot_bytes);
	head->grant[i].start = harness_random(state) % 16 == 0 ? scribble(state, published) : 1;
	head->grant[i].ack = atomic_load(&request->end[i].word);
	for (uint64_t s = 0; s < WEIR_DUE_MAX; s++)
		head->grant[i].due[s].word = (published + s) << ORDER_SLOT_BITS | s;
	head->retired = harness_random(state) % 2 == 0 ? scribble(state, published) : published;
	head->published = harness_random(state) % 64 == 0 ? scribble(state, published) : published + 16;
	head->ended = 0;
}

static void hostile_writer_back(struct weir_ring_fds *fds)
{
	struct request *request;
	uint64_t state = seed, base = 0;
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
				abuse_socket_back(fds->fd[RING_FD_ENDS + RING_END_FDS * i + RING_END_FD_WAKE]);
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
	while (!board->stop) {
		struct weir_frame frame;
		int r = weir_reader_acquire(reader, &frame);

		if (r != 0) {
			if (!EXPECT(r == -EAGAIN || r == -ESTALE || r == -ENODATA))
				note_bad_back();
			weir_reader_wait(reader, harness_now_ns() + 1000000);
			continue;
		}
		if (base == NULL)
			base = frame.data - frame.slot * (size_t)LAYOUT_PAGE;
		if (!EXPECT(frame.slot < SLOTS && frame.size_bytes <= LAYOUT_PAGE && frame.meta_bytes <= META_MAX) ||
			!EXPECT(frame.data == base + frame.slot * (size_t)LAYOUT_PAGE))
			note_bad_back();
		for (uint32_t i = 0; i < frame.size_bytes; i++)
			sum += frame.data[i];
		for (uint32_t i = 0; i < frame.meta_bytes; i++)
			sum += frame.meta[i];
		board->frames[which]++;
		if (!EXPECT(weir_reader_release(reader, &frame) == 0))
			note_bad_back();
	}
	weir_reader_free(&reader);
	_exit(0);
}

static void supervise_hostile_writer(struct weir_ring *ring, const pid_t *pid, uint32_t *end)
{
	const struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	int64_t end_ns = harness_now_ns() + run_ms * INT64_C(1000000);
	uint32_t more;

	while (harness_now_ns() < end_ns) {
		struct weir_ring_stats stats;
		struct weir_end_stats end_stats;

		for (int i = 0; i < READERS; i++) {
			assert_alive(pid[i]);
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

static void a_writer_that_scribbles_neither_crashes_nor_hangs_anybody(void **state)
{
	const struct weir_policy policy[READERS] = { { .mode = WEIR_POLICY_LATEST },
		{ .mode = WEIR_POLICY_LOSSLESS, .depth = 3, .every_nth = 2 },
		{ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 3, .every_nth = 2 } };
	struct weir_ring *ring = make_ring();
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
	board->stop = true;
	weir_ring_writer_gone(ring);
	print_message("# frames taken: %ju, %ju, %ju\n", (uintmax_t)board->frames[0], (uintmax_t)board->frames[1],
		(uintmax_t)board->frames[2]);
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
	assert_true(board->frames[0] + board->frames[1] + board->frames[2] > 0);
	if (board->bad != 0)
		fail_msg("%u bad frames: %s", board->bad, board->why);
	weir_ring_free(&ring);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_that_scribbles_harms_nobody),
		cmocka_unit_test(a_lossless_reader_that_scribbles_harms_nobody),
		cmocka_unit_test(a_filtering_reader_that_scribbles_harms_nobody),
		cmocka_unit_test(a_writer_that_scribbles_neither_crashes_nor_hangs_anybody),
	};

	run_ms = (unsigned)harness_option(argc, argv, "--seconds", harness_is_long() ? 20 : 0) * 1000;
	if (run_ms == 0)
		run_ms = 1000;
	seed = harness_option(argc, argv, "--seed", (uint64_t)time(NULL));
	print_message("# --seed %ju\n", (uintmax_t)seed);
	harness_bound(4 * run_ms / 1000 + 40);
	board = harness_shared(sizeof(*board));
	return cmocka_run_group_tests_name("shm_hostile", tests, NULL, NULL);
}
