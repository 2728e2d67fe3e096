/* SPDX-License-Identifier: MIT */
/* Bells are hints. Here they are dropped with probability ½ (the linker hands their calls to us), or rung a million
 * times for nothing. */
#include "shm_harness.h"

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"

#define SLOTS	   12
#define SLOW_COUNT 24  /* frames so far apart that the reader sleeps */
#define FAST_COUNT 150 /* frames that fill the ring, so that the writer sleeps */
#define SPURIOUS   1000000

void __real_wake_ring(int fd, bool socket);
void __wrap_wake_ring(int fd, bool socket);
void __real_ring_bell_post(sem_t *bell);
void __wrap_ring_bell_post(sem_t *bell);

static struct board {
	_Atomic bool drops;
	_Atomic uint64_t dropped, passed, frames, bad, returns; /* returns: of weir_reader_wait() */
	_Atomic int64_t longest_ns;				/* from publish to acquire */
	char why[256];
} * board;

static bool is_dropped(void)
{
	static uint64_t state;

	if (state == 0)
		state = (uint64_t)getpid();
	if (!board->drops || harness_random(&state) % 2 == 0) {
		board->passed++;
		return false;
	}
	board->dropped++;
	return true;
}

void __wrap_wake_ring(int fd, bool socket)
{
	if (!is_dropped())
		__real_wake_ring(fd, socket);
}

void __wrap_ring_bell_post(sem_t *bell)
{
	if (!is_dropped())
		__real_ring_bell_post(bell);
}

static void reader_back(struct weir_ring_fds *fds)
{
	struct weir_reader *reader = NULL;
	uint64_t last = 0;

	if (weir_reader_open(&reader, fds) < 0)
		_exit(2);
	for (;;) {
		struct weir_frame frame;
		int r = weir_reader_acquire(reader, &frame);

		if (r == -EAGAIN) {
			weir_reader_wait(reader, harness_now_ns() + 60000000000);
			board->returns++;
			continue;
		}
		if (r == -ENODATA)
			_exit(0);
		if (r < 0)
			_exit(3);
		if (harness_now_ns() - frame.capture_ns > board->longest_ns)
			board->longest_ns = harness_now_ns() - frame.capture_ns;
		if (!harness_frame_is_whole(&frame, 1) || !EXPECT(frame.sequence == ++last)) {
			memcpy(board->why, harness_why, sizeof(harness_why));
			board->bad++;
		}
		board->frames++;
		weir_reader_release(reader, &frame);
	}
}

/* Publishes with the moment of publishing, waiting for a slot as long as it takes. */
static void publish(struct weir_writer *writer, uint64_t sequence)
{
	struct weir_frame frame;
	uint8_t *payload;
	int r;

	while ((r = weir_writer_claim(writer, &frame, &payload)) == -EAGAIN)
		weir_writer_wait(writer, harness_now_ns() + 60000000000);
	assert_int_equal(r, 0);
	harness_fill(payload, HARNESS_BYTES, 1, sequence);
	frame.size_bytes = HARNESS_BYTES;
	frame.pts_ns = (int64_t)sequence * 40;
	frame.flags = WEIR_FRAME_KEY;
	frame.capture_ns = harness_now_ns();
	assert_int_equal(weir_writer_publish(writer, &frame, false), 0);
}

enum waking { BY_SEMAPHORE, BY_EVENTFD, BY_SOCKET };

struct stage {
	struct weir_ring *ring;
	struct weir_writer *writer;
	struct weir_ring_fds fds; /* the reader's */
	pid_t reader;
};

static void set_up(struct stage *stage, enum waking waking)
{
	/* Nobody is declared stalled here. */
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .depth = 1, .stall_ns = INT64_C(60000000000) };
	struct weir_ring_config config = harness_config(SLOTS, WEIR_BACKING_POSIX);
	uint32_t end;

	*stage = (struct stage){ 0 };
	memset(board, 0, sizeof(*board));
	config.no_semaphores = waking == BY_EVENTFD;
	config.untrusted = waking == BY_SOCKET;
	assert_int_equal(weir_ring_create(&stage->ring, &config), 0);
	assert_int_equal(weir_ring_attach(stage->ring, &policy, &end), 0);
	assert_true(harness_open_writer(stage->ring, &stage->writer));
	assert_int_equal(weir_ring_reader_fds(stage->ring, end, &stage->fds), 0);
	stage->reader = harness_fork();
	if (stage->reader == 0)
		reader_back(&stage->fds);
}

static void tear_down(struct stage *stage, uint64_t published)
{
	weir_writer_end(stage->writer);
	assert_int_equal(harness_wait(stage->reader), 0);
	if (board->bad != 0)
		fail_msg("%ju bad frames: %s", (uintmax_t)board->bad, board->why);
	assert_int_equal(board->frames, published);
	weir_ring_fds_close(&stage->fds);
	weir_writer_free(&stage->writer);
	weir_ring_free(&stage->ring);
}

static void lose_bells(enum waking waking)
{
	struct stage stage;
	uint64_t sequence = 0;

	set_up(&stage, waking);
	board->drops = true;
	while (sequence < SLOW_COUNT) {
		publish(stage.writer, ++sequence);
		harness_sleep_ns(10000000);
	}
	while (sequence < SLOW_COUNT + FAST_COUNT)
		publish(stage.writer, ++sequence);
	tear_down(&stage, sequence);
	print_message("# %ju bells lost, %ju rung; longest latency %.0f ms\n", (uintmax_t)board->dropped,
		(uintmax_t)board->passed, (double)board->longest_ns / 1e6);
	assert_true(board->dropped > 0);
	assert_in_range(board->longest_ns, 0, 1000000000);
}

static void lost_semaphore_posts_cost_time_but_no_frame(void **state)
{
	lose_bells(BY_SEMAPHORE);
}

static void lost_eventfd_writes_cost_time_but_no_frame(void **state)
{
	lose_bells(BY_EVENTFD);
}

static void lost_socket_messages_cost_time_but_no_frame(void **state)
{
	lose_bells(BY_SOCKET);
}

/* Rings whatever the reader has. What does not go through because nobody empties it counts, too. */
static void ringer_back(const struct weir_ring_fds *fds, enum waking waking)
{
	int wake_fd = fds->fd[RING_FD_ENDS + RING_END_FD_WAKE];
	sem_t *bell = NULL;

	if (waking == BY_SEMAPHORE &&
		segment_map((void **)&bell, fds->fd[RING_FD_ENDS + RING_END_FD_BELL], LAYOUT_PAGE, true) < 0)
		_exit(2);
	for (int i = 0; i < SPURIOUS; i++) {
		if (waking == BY_SEMAPHORE)
			sem_post(bell);
		else if (waking == BY_EVENTFD)
			eventfd_write(wake_fd, 1);
		else
			send(wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (fds->fd[RING_FD_SPACE] >= 0)
			eventfd_write(fds->fd[RING_FD_SPACE], 1);
	}
	_exit(0);
}

static void ring_for_nothing(enum waking waking)
{
	struct stage stage;
	uint64_t sequence = 0;
	int status = 0;
	pid_t ringer;

	set_up(&stage, waking);
	ringer = harness_fork();
	if (ringer == 0)
		ringer_back(&stage.fds, waking);
	while (waitpid(ringer, &status, WNOHANG) == 0) {
		publish(stage.writer, ++sequence);
		harness_sleep_ns(1000000);
	}
	assert_int_equal(status, 0);
	for (int i = 0; i < FAST_COUNT; i++)
		publish(stage.writer, ++sequence);
	tear_down(&stage, sequence);
	print_message("# %d bells for nothing, %ju frames, the reader woke %ju times\n", SPURIOUS, (uintmax_t)sequence,
		(uintmax_t)board->returns);
}

static void a_million_semaphore_posts_for_nothing_only_wake(void **state)
{
	ring_for_nothing(BY_SEMAPHORE);
	assert_true(board->returns > board->frames);
}

static void a_million_eventfd_writes_for_nothing_only_wake(void **state)
{
	ring_for_nothing(BY_EVENTFD);
	assert_true(board->returns > board->frames);
}

static void a_million_socket_messages_for_nothing_harm_no_frame(void **state)
{
	ring_for_nothing(BY_SOCKET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_semaphore_posts_cost_time_but_no_frame),
		cmocka_unit_test(lost_eventfd_writes_cost_time_but_no_frame),
		cmocka_unit_test(lost_socket_messages_cost_time_but_no_frame),
		cmocka_unit_test(a_million_semaphore_posts_for_nothing_only_wake),
		cmocka_unit_test(a_million_eventfd_writes_for_nothing_only_wake),
		cmocka_unit_test(a_million_socket_messages_for_nothing_harm_no_frame),
	};

	harness_bound(90);
	board = harness_shared(sizeof(*board));
	return cmocka_run_group_tests_name("shm_bells", tests, NULL, NULL);
}
