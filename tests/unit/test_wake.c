/* SPDX-License-Identifier: MIT */
#include "ring_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reader.h"
#include "ring.h"
#include "segment.h"
#include "writer.h"

static bool is_readable(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 1;
}

static void only_a_sleeping_reader_is_rung_and_only_once(void **state)
{
	struct weir_ring_stats stats;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	fixture_publish_many(&f, 3);
	assert_false(is_readable(weir_reader_fd(f.reader[0])));
	assert_int_equal(weir_reader_arm(f.reader[0]), 1);
	fixture_take(&f, 0, 3);
	assert_int_equal(weir_reader_arm(f.reader[0]), 0);
	fixture_publish_many(&f, 5);
	assert_true(is_readable(weir_reader_fd(f.reader[0])));
	weir_reader_disarm(f.reader[0]);
	assert_false(is_readable(weir_reader_fd(f.reader[0])));
	fixture_take(&f, 0, 8);
	weir_ring_stats(f.ring, &stats);
	assert_int_equal(stats.rung_eventfd, 1);
	assert_int_equal(stats.rung_semaphore, 0);
	assert_int_equal(fixture_stats(&f, 0).woken_eventfd, 1);
	fixture_close(&f);
}

static void readers_are_rung_first_in_turn(void **state)
{
	struct epoll_event woken[3];
	struct fixture f;
	int epoll_fd;

	fixture_open(&f, &config_8);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (uint32_t i = 0; i < 3; i++) {
		fixture_join(&f, LATEST);
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, weir_reader_fd(f.reader[i]),
			&(struct epoll_event){ .events = EPOLLIN | EPOLLET, .data.u32 = i });
	}
	fixture_publish_many(&f, 1); /* they are granted */
	for (uint64_t sequence = 2; sequence <= 4 * TURN_FRAMES; sequence++) {
		uint32_t turn = (uint32_t)((sequence - 1) / TURN_FRAMES);

		for (uint32_t i = 0; i < 3; i++) {
			fixture_take(&f, i, sequence - 1);
			assert_int_equal(weir_reader_arm(f.reader[i]), 0);
		}
		fixture_publish_many(&f, 1);
		/* epoll tells of them in the order in which they were rung. */
		assert_int_equal(epoll_wait(epoll_fd, woken, 3, 0), 3);
		for (uint32_t i = 0; i < 3; i++) {
			assert_int_equal(woken[i].data.u32, (turn + i) % 3);
			weir_reader_disarm(f.reader[i]);
		}
	}
	close(epoll_fd);
	fixture_close(&f);
}

static void a_wait_ends_by_its_deadline_and_by_the_bound(void **state)
{
	struct weir_ring_config config = config_8;
	int64_t start_ns;
	struct fixture f;

	for (int bells = 0; bells < 2; bells++) {
		config.no_semaphores = bells == 0;
		fixture_open(&f, &config);
		fixture_join(&f, LATEST);
		start_ns = fixture_now_ns();
		assert_int_equal(weir_reader_wait(f.reader[0], start_ns - 1), -ETIMEDOUT);
		assert_int_equal(weir_reader_wait(f.reader[0], INT64_MAX), 0);
		assert_in_range(fixture_now_ns() - start_ns, WEIR_WAIT_BOUND_NS / 2, 50 * (int64_t)WEIR_WAIT_BOUND_NS);
		fixture_publish_many(&f, 1);
		assert_int_equal(weir_reader_wait(f.reader[0], INT64_MAX), 0);
		fixture_take(&f, 0, 1);
		fixture_close(&f);
	}
}

static void a_writer_that_waits_for_a_slot_is_rung_by_release(void **state)
{
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	while (fixture_publish(&f) == 0)
		;
	assert_int_equal(weir_writer_arm(f.writer), 0);
	weir_writer_disarm(f.writer);
	assert_int_equal(weir_writer_arm(f.writer), 0);
	frame = fixture_acquire(&f, 0, 1);
	assert_false(is_readable(weir_writer_fd(f.writer)));
	assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	assert_true(is_readable(weir_writer_fd(f.writer)));
	weir_writer_disarm(f.writer);
	assert_int_equal(weir_writer_arm(f.writer), 1);
	weir_writer_disarm(f.writer);
	fixture_publish_many(&f, 1);
	fixture_close(&f);
}

/* Each is the other's peer, and has shut the socket between them down: waits that find nothing must sleep. */
static void a_socket_that_was_shut_down_wakes_nobody_again_and_again(void **state)
{
	struct weir_policy patient = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = INT64_C(60000000000) };
	const int how[] = { SHUT_RDWR, SHUT_WR, SHUT_RD };
	struct weir_ring_config config = config_8;
	struct fixture f;

	config.untrusted = true;
	for (int i = 0; i < 3; i++) {
		int64_t start_ns;

		fixture_open(&f, &config);
		fixture_join(&f, LATEST);
		fixture_join(&f, patient);
		while (fixture_publish(&f) == 0)
			;
		assert_int_equal(shutdown(weir_reader_fd(f.reader[0]), how[i]), 0);
		weir_writer_wait(f.writer, INT64_MAX); /* finds out */
		start_ns = fixture_now_ns();
		for (int n = 0; n < 3; n++)
			assert_int_equal(weir_writer_wait(f.writer, INT64_MAX), 0);
		assert_in_range(fixture_now_ns() - start_ns, 2 * WEIR_WAIT_BOUND_NS, INT64_MAX);
		while (fixture_try(&f, 0) == 0)
			;
		weir_reader_wait(f.reader[0], INT64_MAX);
		start_ns = fixture_now_ns();
		for (int n = 0; n < 3; n++)
			assert_int_equal(weir_reader_wait(f.reader[0], INT64_MAX), 0);
		assert_in_range(fixture_now_ns() - start_ns, 2 * WEIR_WAIT_BOUND_NS, INT64_MAX);
		fixture_take(&f, 1, 1);
		fixture_publish_many(&f, 1); /* and all goes on */
		fixture_close(&f);
	}
}

static void a_writer_that_needs_no_slot_does_not_wait(void **state)
{
	struct weir_ring_stats stats;
	struct fixture f;
	int64_t start_ns;

	fixture_open(&f, &config_8);
	start_ns = fixture_now_ns();
	for (int i = 0; i < 100; i++)
		assert_int_equal(weir_writer_wait(f.writer, INT64_MAX), 0);
	assert_in_range(fixture_now_ns() - start_ns, 0, 50 * INT64_C(100000000));
	weir_ring_stats(f.ring, &stats);
	assert_int_equal(stats.claim_waits, 0);
	fixture_close(&f);
}

static void a_reaped_reader_rings_the_waiting_writer(void **state)
{
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	while (fixture_publish(&f) == 0)
		;
	assert_int_equal(weir_writer_arm(f.writer), 0);
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
	assert_true(is_readable(weir_writer_fd(f.writer)));
	weir_writer_disarm(f.writer);
	fixture_publish_many(&f, 100);
	fixture_close(&f);
}

/* A frame is pinned to see whether it is wanted: a writer that looked just then would sleep on. */
static void a_pin_that_is_given_up_rings_the_waiting_writer(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .every_nth = 4, .max_held = 2 };
	struct weir_ring_config config = fixture_config(16);
	struct fixture f;

	fixture_open(&f, &config);
	fixture_join(&f, policy);
	while (fixture_publish(&f) == 0)
		;
	fixture_take(&f, 0, 1);
	while (fixture_publish(&f) == 0)
		;
	weir_writer_disarm(f.writer);
	assert_int_equal(weir_writer_arm(f.writer), 0);
	fixture_acquire(&f, 0, 5);
	assert_false(is_readable(weir_writer_fd(f.writer)));
	fixture_acquire(&f, 0, 9); /* passes 6, 7 and 8 */
	assert_true(is_readable(weir_writer_fd(f.writer)));
	weir_writer_disarm(f.writer);
	fixture_close(&f);

	/* The same for a frame that is overtaken while it is pinned. */
	fixture_open(&f, &config);
	fixture_join(&f, LATEST);
	fixture_publish_many(&f, 1);
	weir_writer_arm(f.writer);
	f.writer->order[1] = 0;
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	assert_true(is_readable(weir_writer_fd(f.writer)));
	weir_writer_disarm(f.writer);
	fixture_close(&f);
}

static void what_a_predecessor_left_in_a_bell_wakes_its_successor_for_nothing_and_that_is_all(void **state)
{
	for (int kind = 0; kind < 2; kind++) { /* an end with a socket is given once */
		struct weir_ring_config config = fixture_config(8);
		int64_t start_ns;
		struct fixture f;
		int spurious = 0;

		config.ends = 1;
		config.no_semaphores = kind == 1;
		fixture_open(&f, &config);
		fixture_join(&f, LOSSLESS);
		for (int i = 0; i < 200; i++) {
			wake_ring(f.writer->end[0].wake_fd, false);
			if (kind == 0)
				ring_bell_post(f.writer->end[0].bell);
		}
		assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
		weir_writer_attend(f.writer);
		weir_reader_free(&f.reader[0]);
		f.readers = 0;
		fixture_join(&f, LOSSLESS);
		do {
			start_ns = fixture_now_ns();
			assert_int_equal(weir_reader_wait(f.reader[0], INT64_MAX), 0);
			assert_int_equal(fixture_try(&f, 0), -EAGAIN);
		} while (fixture_now_ns() - start_ns < WEIR_WAIT_BOUND_NS / 2 && spurious++ < 10);
		assert_in_range(spurious, kind, 9 * kind); /* the semaphore is as new */
		fixture_publish_many(&f, 1);
		fixture_take(&f, 0, 1);
		fixture_close(&f);
	}
}

struct sleeper {
	struct weir_reader *reader;
	uint64_t frames;
	int status;
};

static void *sleep_by_semaphore(void *data)
{
	struct sleeper *sleeper = data;
	struct weir_frame frame;

	while ((sleeper->status = weir_reader_acquire_until(sleeper->reader, &frame, INT64_MAX)) == 0)
		if (frame.sequence == ++sleeper->frames)
			weir_reader_release(sleeper->reader, &frame);
	return NULL;
}

/* Nobody posts for a dead writer: the reader looks again by itself. */
static void a_lossless_reader_asleep_on_its_semaphore_learns_of_its_writers_death(void **state)
{
	struct timespec deadline;
	struct weir_end_stats stats;
	struct sleeper sleeper;
	pthread_t thread;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	sleeper = (struct sleeper){ .reader = f.reader[0] };
	assert_int_equal(pthread_create(&thread, NULL, sleep_by_semaphore, &sleeper), 0);
	for (int i = 0; i < 50; i++) {
		while (fixture_publish(&f) < 0)
			weir_writer_wait(f.writer, INT64_MAX);
		while ((atomic_load(&f.ring->end[0].map->sleeping) & SLEEP_ASLEEP) == 0)
			poll(NULL, 0, 1);
	}
	stats = fixture_stats(&f, 0);
	assert_true(stats.woken_semaphore > 0);
	assert_int_equal(stats.woken_eventfd, 0);
	weir_ring_writer_gone(f.ring);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	assert_int_equal(pthread_timedjoin_np(thread, NULL, &deadline), 0);
	assert_int_equal(sleeper.status, -EPIPE);
	assert_int_equal(sleeper.frames, 50);
	fixture_close(&f);
}

static void a_semaphore_is_waited_for_no_longer_than_the_deadline(void **state)
{
	int64_t start_ns = fixture_now_ns();
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	for (int i = 0; i < 5; i++)
		assert_int_equal(weir_reader_wait(f.reader[0], fixture_now_ns() + 1000000), 0);
	assert_in_range(fixture_now_ns() - start_ns, 5000000, 5 * WEIR_WAIT_BOUND_NS - 1);
	fixture_close(&f);
}

static void acquire_that_waits_gives_a_frame_or_says_why_not(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	int64_t until_ns;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	fixture_publish_many(&f, 1);
	assert_int_equal(weir_reader_acquire_until(f.reader[0], &frame, INT64_MAX), 0);
	assert_int_equal(frame.sequence, 1);
	assert_int_equal(weir_reader_acquire_until(f.reader[0], &frame, INT64_MAX), -EBUSY);
	assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	until_ns = fixture_now_ns() + WEIR_WAIT_BOUND_NS * 3 / 2; /* waits more than once */
	assert_int_equal(weir_reader_acquire_until(f.reader[0], &frame, until_ns), -ETIMEDOUT);
	assert_true(fixture_now_ns() >= until_ns);
	weir_ring_writer_gone(f.ring);
	assert_int_equal(weir_reader_acquire_until(f.reader[0], &frame, INT64_MAX), -EPIPE);
	fixture_close(&f);
}

static void a_writer_that_lies_holds_up_nobody_beyond_the_deadline(void **state)
{
	struct weir_ring_config silent = config_8;
	struct weir_frame frame;
	struct fixture f;

	silent.no_semaphores = true;
	for (int kind = 0; kind < 2; kind++) {
		int64_t start_ns = fixture_now_ns();

		fixture_open(&f, kind == 0 ? &config_8 : &silent);
		fixture_join(&f, LATEST);
		fixture_publish_many(&f, 1);
		atomic_store(&f.writer->head->published, 5); /* no such frames */
		assert_int_equal(
			weir_reader_acquire_until(f.reader[0], &frame, start_ns + WEIR_WAIT_BOUND_NS), -ETIMEDOUT);
		assert_true(fixture_now_ns() - start_ns < 20 * (int64_t)WEIR_WAIT_BOUND_NS);
		assert_int_equal(weir_reader_arm(f.reader[0]), 0); /* a loop sleeps, too */
		weir_reader_disarm(f.reader[0]);
		assert_int_equal(weir_reader_wait(f.reader[0], INT64_MIN), -ETIMEDOUT);
		fixture_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_sleeping_reader_is_rung_and_only_once),
		cmocka_unit_test(readers_are_rung_first_in_turn),
		cmocka_unit_test(a_wait_ends_by_its_deadline_and_by_the_bound),
		cmocka_unit_test(a_writer_that_waits_for_a_slot_is_rung_by_release),
		cmocka_unit_test(a_socket_that_was_shut_down_wakes_nobody_again_and_again),
		cmocka_unit_test(a_writer_that_needs_no_slot_does_not_wait),
		cmocka_unit_test(a_reaped_reader_rings_the_waiting_writer),
		cmocka_unit_test(a_pin_that_is_given_up_rings_the_waiting_writer),
		cmocka_unit_test(what_a_predecessor_left_in_a_bell_wakes_its_successor_for_nothing_and_that_is_all),
		cmocka_unit_test(a_lossless_reader_asleep_on_its_semaphore_learns_of_its_writers_death),
		cmocka_unit_test(a_semaphore_is_waited_for_no_longer_than_the_deadline),
		cmocka_unit_test(a_writer_that_lies_holds_up_nobody_beyond_the_deadline),
		cmocka_unit_test(acquire_that_waits_gives_a_frame_or_says_why_not),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
