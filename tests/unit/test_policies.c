/* SPDX-License-Identifier: MIT */
#include "ring_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader.h"

static void metadata_travels_with_its_frame(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_16);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_LOSSLESS });
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
		memset(weir_writer_meta(f.writer, frame.slot), i, (size_t)i * 10);
		frame.meta_bytes = (uint32_t)i * 10;
		assert_int_equal(weir_writer_publish(f.writer, &frame, false), 0);
		assert_null(weir_writer_meta(f.writer, frame.slot));
	}
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
		assert_int_equal(frame.meta_bytes, i * 10);
		for (int j = 0; j < i * 10; j++)
			assert_int_equal(frame.meta[j], i);
		assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	}
	assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
	frame.meta_bytes = 257;
	assert_int_equal(weir_writer_publish(f.writer, &frame, false), -EINVAL);
	fixture_close(&f);
}

static void the_latency_histogram_counts_from_capture_to_acquire(void **state)
{
	struct weir_end_stats stats;
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_LOSSLESS });
	for (int i = 0; i < 100; i++) {
		fixture_publish_at(&f, fixture_now_ns() - (i < 95 ? 10000000 : 3000000000)); /* 10 ms or 3 s ago */
		assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
		assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	}
	stats = fixture_stats(&f, 0);
	assert_in_range(stats.latency_p50_ns, 10000000, 1000000000);
	assert_in_range(stats.latency_p99_ns, 3000000000, 6000000000);
	assert_in_range(stats.latency_max_ns, 3000000000, 60000000000);
	fixture_close(&f);
}

static void an_observer_sees_the_counters_and_cannot_write(void **state)
{
	struct weir_ring *observer;
	struct weir_end_stats end;
	struct weir_ring_stats stats;
	struct weir_ring_fds fds;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 2 });
	assert_int_equal(weir_ring_observer_fds(f.ring, &fds), 0);
	assert_int_equal(fds.fd[0], -1); /* no pictures, no view: the ends themselves */
	assert_int_equal(weir_ring_observe(&observer, &fds), 0);
	fixture_publish_many(&f, 5);
	fixture_take(&f, 0, 4);
	weir_ring_stats(observer, &stats);
	assert_int_equal(stats.published, 5);
	assert_int_equal(stats.slot_count, 16);
	assert_int_equal(weir_ring_end_stats(observer, f.end[0], &end), 0);
	assert_int_equal(end.delivered, 1);
	assert_int_equal(end.overtaken, 3);
	assert_int_equal(end.cursor, 5);
	assert_int_equal(end.policy.depth, 2);
	assert_true(end.attached);
	assert_int_equal(weir_ring_end_stats(observer, 7, &end), -EINVAL);
	weir_ring_free(&observer);
	assert_int_equal(weir_ring_writer_fds(f.ring, &fds), 0);
	assert_int_equal(weir_ring_observe(&observer, &fds), -EINVAL);
	fixture_close(&f);
}

/* Whatever of the descriptors can be opened once more for writing, none can be mapped or written so. */
static void assert_nothing_writable(const struct weir_ring_fds *fds)
{
	for (uint32_t i = 0; i < fds->count; i++) {
		char path[64];
		int fd;

		if (fds->fd[i] < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds->fd[i]);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
		assert_int_equal(pwrite(fd, "x", 1, 0), -1);
		assert_int_equal(ftruncate(fd, 0), -1);
		close(fd);
	}
}

static void a_sealed_rings_observer_gets_copies_and_nothing_to_reopen(void **state)
{
	struct weir_ring_config config = config_16;
	struct weir_end_stats end;
	struct weir_ring *observer;
	struct weir_ring_fds fds;
	struct fixture f;

	for (int untrusted = 0; untrusted < 2; untrusted++) {
		config.backing = WEIR_BACKING_SEALED;
		config.untrusted = untrusted != 0;
		fixture_open(&f, &config);
		for (int i = 0; i < 2; i++)
			fixture_join(&f, DROP_OLDEST_3);
		fixture_publish_many(&f, 5);
		fixture_take(&f, 1, 3);
		assert_int_equal(weir_ring_observer_fds(f.ring, &fds), 0);
		assert_nothing_writable(&fds);
		assert_int_equal(weir_ring_observe(&observer, &fds), 0);
		assert_int_equal(weir_ring_end_stats(observer, f.end[0], &end), 0);
		assert_int_equal(end.delivered, 0);
		assert_int_equal(weir_ring_end_stats(observer, f.end[1], &end), 0);
		assert_int_equal(end.delivered, 1);
		fixture_acquire(&f, 1, 4);
		weir_ring_show(f.ring);
		assert_int_equal(weir_ring_end_stats(observer, f.end[1], &end), 0);
		assert_int_equal(end.delivered, 2);
		assert_int_equal(end.cursor, 5);
		assert_int_equal(end.held, 1);
		weir_ring_free(&observer);
		fixture_close(&f);
	}
}

static void a_reader_that_did_asynchronous_io_keeps_its_pins_when_reaped(void **state)
{
	struct weir_frame held;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_LATEST, .async_io = true });
	fixture_publish_many(&f, 1);
	held = fixture_acquire(&f, 0, 1);
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 1);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_LOSSLESS });
	while (fixture_publish(&f) == 0) /* uses every slot that it can */
		;
	fixture_check(&held);
	fixture_close(&f);

	fixture_open(&f, &config_16);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_LATEST, .async_io = true });
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0); /* it held nothing */
	fixture_close(&f);
}

static void a_wait_that_spins_delivers_and_counts_nothing(void **state)
{
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_LOSSLESS });
	assert_int_equal(weir_reader_set_spin(f.reader[0], 4000000), 0);
	for (uint64_t i = 1; i <= 5; i++) {
		fixture_publish_many(&f, 1);
		assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
		assert_int_equal(frame.sequence, i);
		assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
		weir_reader_wait(f.reader[0], fixture_now_ns() + 2000000);
		assert_int_equal(weir_reader_acquire(f.reader[0], &frame), -EAGAIN);
	}
	assert_int_equal(fixture_stats(&f, 0).delivered, 5);
	assert_int_equal(fixture_stats(&f, 0).last, 5);
	assert_int_equal(fixture_stats(&f, 0).cursor, 6);
	assert_int_equal(fixture_stats(&f, 0).held, 0);
	assert_int_equal(fixture_stats(&f, 0).overtaken, 0);
	fixture_close(&f);
}

static void a_spinning_wait_still_ends_by_its_deadline(void **state)
{
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, (struct weir_policy){ .mode = WEIR_POLICY_LATEST });
	assert_int_equal(weir_reader_set_spin(f.reader[0], -1), -EINVAL);
	assert_int_equal(weir_reader_set_spin(f.reader[0], 2000000), 0);
	for (int i = 0; i < 5; i++) {
		fixture_publish_many(&f, 1);
		assert_int_equal(weir_reader_wait(f.reader[0], fixture_now_ns() + 1000000000), 0);
		assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
		assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
		assert_int_equal(weir_reader_wait(f.reader[0], fixture_now_ns() - 1), -ETIMEDOUT);
	}
	fixture_close(&f);
}

/* The reader learns the cadence, sleeps until shortly before the next frame is due, and spins when it comes. */
static void a_frame_that_comes_by_the_cadence_is_found_spinning(void **state)
{
	struct weir_end_stats stats;
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, LOSSLESS);
	assert_int_equal(weir_reader_set_spin(f.reader[0], WEIR_WAIT_BOUND_NS + 1), -EINVAL);
	assert_int_equal(weir_reader_set_spin(f.reader[0], 1000000), 0);
	for (int i = 0; i < 5; i++) { /* every 20 ms */
		fixture_publish_many(&f, 1);
		assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
		assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
		poll(NULL, 0, 20);
	}
	/* None comes now: it sleeps first, then spins, then gives up. The next is there before it looks. */
	for (int i = 0; i < 3; i++) {
		f.reader[0]->arrived_ns = fixture_now_ns();
		weir_reader_wait(f.reader[0], fixture_now_ns() + 30000000);
		assert_int_equal(weir_reader_acquire(f.reader[0], &frame), -EAGAIN);
	}
	f.reader[0]->arrived_ns = fixture_now_ns(); /* nothing is expected before the deadline: it sleeps as ever */
	weir_reader_wait(f.reader[0], fixture_now_ns() + 1000000);
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), -EAGAIN);
	f.reader[0]->arrived_ns = fixture_now_ns() - f.reader[0]->cadence_ns;
	fixture_publish_many(&f, 1);
	stats = fixture_stats(&f, 0);
	assert_int_equal(weir_reader_wait(f.reader[0], fixture_now_ns() + 1000000000), 0);
	assert_int_equal(fixture_stats(&f, 0).woken_semaphore, stats.woken_semaphore);
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(frame.sequence, 6);
	fixture_close(&f);
}

/* A clock that differs, or lies: no latency is better than a negative one. */
static void a_frame_from_the_future_has_no_latency(void **state)
{
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, LOSSLESS);
	fixture_publish_at(&f, fixture_now_ns() + 3600000000000);
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(fixture_stats(&f, 0).latency_max_ns, 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metadata_travels_with_its_frame),
		cmocka_unit_test(the_latency_histogram_counts_from_capture_to_acquire),
		cmocka_unit_test(an_observer_sees_the_counters_and_cannot_write),
		cmocka_unit_test(a_sealed_rings_observer_gets_copies_and_nothing_to_reopen),
		cmocka_unit_test(a_reader_that_did_asynchronous_io_keeps_its_pins_when_reaped),
		cmocka_unit_test(a_wait_that_spins_delivers_and_counts_nothing),
		cmocka_unit_test(a_frame_that_comes_by_the_cadence_is_found_spinning),
		cmocka_unit_test(a_frame_from_the_future_has_no_latency),
		cmocka_unit_test(a_spinning_wait_still_ends_by_its_deadline),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
