/* SPDX-License-Identifier: MIT */
/* Reading in place with a reader slower than its source: 60 ms for each frame of 1080p at 30 fps, in as few slots as
 * the ring asks for. --seconds N. */
#include "shm_harness.h"

#include <signal.h>
#include <stdatomic.h>

#define PERIOD_NS 33333333
#define LOOK_NS	  60000000

static unsigned seconds;

static struct board {
	_Atomic uint64_t frames, torn;
	char why[256];
} * board;

/* Looks at the whole frame again and again until its time is over. */
static void slow_reader_back(struct weir_ring_fds *fds)
{
	struct weir_reader *reader = NULL;

	if (weir_reader_open(&reader, fds) < 0)
		_exit(2);
	for (;;) {
		struct weir_frame frame;
		int64_t until_ns;
		int r = weir_reader_acquire(reader, &frame);
		bool whole = true;

		if (r == -ENODATA)
			_exit(0);
		if (r == -EAGAIN)
			weir_reader_wait(reader, harness_now_ns() + 1000000000);
		if (r != 0)
			continue;
		for (until_ns = harness_now_ns() + LOOK_NS; whole && harness_now_ns() < until_ns;)
			whole = harness_is_whole(frame.data, frame.size_bytes, 1, frame.sequence);
		whole = whole && harness_is_whole(frame.data, frame.size_bytes, 1, frame.sequence);
		if (!whole) {
			memcpy(board->why, harness_why, sizeof(harness_why));
			board->torn++;
		}
		board->frames++;
		weir_reader_release(reader, &frame);
	}
}

static void a_reader_slower_than_its_source_never_sees_a_torn_frame(void **state)
{
	struct weir_ring_config config = { .ends = 1, .loans = 1 };
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	uint64_t count = seconds * 30, refused = 0;
	struct weir_writer *writer = NULL;
	struct weir_ring *ring = NULL;
	struct weir_end_stats stats;
	struct weir_ring_fds fds;
	int64_t next_ns;
	uint32_t end;
	pid_t pid;

	assert_int_equal(weir_format_video(&config.format, WEIR_PIXEL_NV12, 1920, 1080), 0);
	config.slot_count = 4;
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	assert_int_equal(weir_ring_slots_needed(ring, &policy), 4);
	assert_int_equal(weir_ring_attach(ring, &policy, &end), 0);
	assert_true(harness_open_writer(ring, &writer));
	assert_int_equal(weir_ring_reader_fds(ring, end, &fds), 0);
	pid = harness_fork();
	if (pid == 0)
		slow_reader_back(&fds);
	weir_ring_fds_close(&fds);
	next_ns = harness_now_ns();
	for (uint64_t sequence = 1; sequence <= count;) {
		struct weir_frame frame;
		uint8_t *payload;

		if (weir_writer_claim(writer, &frame, &payload) < 0) {
			refused++;
			break;
		}
		frame.size_bytes = config.format.payload_bytes;
		harness_fill(payload, frame.size_bytes, 1, sequence++);
		assert_int_equal(weir_writer_publish(writer, &frame, false), 0);
		next_ns += PERIOD_NS;
		harness_sleep_ns(next_ns - harness_now_ns());
	}
	weir_writer_end(writer);
	assert_int_equal(harness_wait(pid), 0);
	assert_int_equal(weir_ring_end_stats(ring, end, &stats), 0);
	print_message("# %ju frames published, %ju read, %ju overtaken, %ju torn %s\n", (uintmax_t)count,
		(uintmax_t)board->frames, (uintmax_t)stats.overtaken, (uintmax_t)board->torn, board->why);
	assert_int_equal(refused, 0);
	assert_int_equal(board->torn, 0);
	assert_true(board->frames > seconds * 4);
	assert_true(stats.overtaken > count / 4);
	assert_int_equal(stats.delivered, board->frames);
	assert_int_equal(stats.delivered + stats.overtaken, count);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_slower_than_its_source_never_sees_a_torn_frame),
	};

	seconds = (unsigned)harness_option(argc, argv, "--seconds", harness_is_long() ? 60 : 3);
	harness_bound(seconds + 30);
	board = harness_shared(sizeof(*board));
	return cmocka_run_group_tests_name("shm_slow", tests, NULL, NULL);
}
