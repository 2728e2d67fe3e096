/* SPDX-License-Identifier: MIT */
#include "ring_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct weir_ring_config config_8;

#define LATEST	      ((struct weir_policy){ .mode = WEIR_POLICY_LATEST })
#define DROP_OLDEST_3 ((struct weir_policy){ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 3 })
#define LOSSLESS      ((struct weir_policy){ .mode = WEIR_POLICY_LOSSLESS })

static int setup(void **state)
{
	config_8 = fixture_config(8);
	return 0;
}

static struct weir_end_stats stats_of(struct fixture *fixture, uint32_t reader)
{
	struct weir_end_stats stats;

	assert_int_equal(weir_ring_end_stats(fixture->ring, fixture->end[reader], &stats), 0);
	return stats;
}

static void a_published_frame_reaches_every_reader_unchanged(void **state)
{
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	fixture_join(&f, LOSSLESS);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	for (uint64_t sequence = 1; sequence <= 100; sequence++) {
		fixture_publish_many(&f, 1);
		fixture_take(&f, 0, sequence);
		fixture_take(&f, 1, sequence);
		assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	}
	assert_int_equal(stats_of(&f, 0).delivered, 100);
	assert_int_equal(stats_of(&f, 1).overtaken, 0);
	fixture_close(&f);
}

static void an_unpublished_claim_is_never_seen(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
	memset(payload, 0xff, 256);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	assert_int_equal(weir_writer_drop(f.writer, frame.slot), 0);
	assert_int_equal(weir_writer_drop(f.writer, frame.slot), -EINVAL);
	fixture_publish_many(&f, 1);
	fixture_take(&f, 0, 1);
	fixture_close(&f);
}

static void latest_gives_the_newest_and_counts_what_was_overtaken(void **state)
{
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	fixture_publish_many(&f, 50);
	frame = fixture_acquire(&f, 0, 50);
	assert_int_equal(frame.dropped_before, 49);
	assert_int_equal(stats_of(&f, 0).overtaken, 49);
	assert_int_equal(stats_of(&f, 0).delivered, 1);
	fixture_close(&f);
}

static void drop_oldest_keeps_a_backlog_of_its_depth(void **state)
{
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, DROP_OLDEST_3);
	fixture_publish_many(&f, 20);
	fixture_take(&f, 0, 18);
	fixture_take(&f, 0, 19);
	fixture_publish_many(&f, 1);
	fixture_take(&f, 0, 20);
	fixture_take(&f, 0, 21);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	assert_int_equal(stats_of(&f, 0).overtaken, 17);
	assert_int_equal(stats_of(&f, 0).delivered, 4);
	fixture_close(&f);
}

static void lossless_makes_the_writer_wait_and_loses_nothing(void **state)
{
	struct fixture f;
	uint64_t published = 0;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	for (uint64_t sequence = 1; sequence <= 200; sequence++) {
		while (fixture_publish(&f) == 0)
			published++;
		assert_in_range(published - sequence + 1, 2, 8);
		fixture_take(&f, 0, sequence);
	}
	assert_int_equal(stats_of(&f, 0).delivered, 200);
	assert_int_equal(stats_of(&f, 0).overtaken, 0);
	fixture_close(&f);
}

static void a_held_frame_is_not_rewritten(void **state)
{
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	fixture_publish_many(&f, 3);
	frame = fixture_acquire(&f, 0, 3);
	fixture_publish_many(&f, 1000);
	fixture_check(&frame);
	assert_int_equal(fixture_try(&f, 0), -EBUSY);
	assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	assert_int_equal(weir_reader_release(f.reader[0], &frame), -EINVAL);
	fixture_take(&f, 0, 1003);
	fixture_close(&f);
}

static void frames_are_released_in_any_order(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .max_held = 3 };
	struct weir_frame held[3];
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 3);
	for (int i = 0; i < 3; i++)
		held[i] = fixture_acquire(&f, 0, (uint64_t)i + 1);
	assert_int_equal(fixture_try(&f, 0), -EBUSY);
	assert_int_equal(weir_reader_release(f.reader[0], &held[1]), 0);
	fixture_publish_many(&f, 4);
	fixture_check(&held[0]);
	fixture_check(&held[2]);
	fixture_take(&f, 0, 4);
	assert_int_equal(weir_reader_release(f.reader[0], &held[2]), 0);
	assert_int_equal(weir_reader_release(f.reader[0], &held[0]), 0);
	assert_int_equal(stats_of(&f, 0).held, 0);
	fixture_close(&f);
}

static void a_lossy_reader_that_holds_all_it_may_never_makes_a_claim_fail(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 2, .max_held = 2 };
	struct weir_frame held;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 2);
	held = fixture_acquire(&f, 0, 1);
	held = fixture_acquire(&f, 0, 2);
	fixture_publish_many(&f, 1000);
	fixture_check(&held);
	fixture_close(&f);
}

static void attach_is_refused_when_the_slots_do_not_suffice(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .max_held = 4 };
	struct fixture f;
	uint32_t end;

	fixture_open(&f, &config_8);
	fixture_join(&f, policy);
	assert_int_equal(weir_ring_slots_needed(f.ring, NULL), 4 + 1 + 2 + 1);
	assert_int_equal(weir_ring_slots_needed(f.ring, &policy), 12);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), -ENOSPC);
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
	weir_writer_attend(f.writer);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), 0);
	fixture_close(&f);
}

static void a_late_reader_starts_at_the_frame_after_its_grant(void **state)
{
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_publish_many(&f, 7);
	fixture_join(&f, LOSSLESS);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	fixture_publish_many(&f, 2);
	fixture_take(&f, 0, 8);
	fixture_take(&f, 0, 9);
	assert_int_equal(stats_of(&f, 0).start, 8);
	fixture_close(&f);
}

static void a_reader_that_opens_late_misses_nothing_since_its_grant(void **state)
{
	struct weir_policy policy = LOSSLESS;
	struct weir_ring_fds fds;
	struct fixture f;

	fixture_open(&f, &config_8);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &f.end[0]), 0);
	fixture_publish_many(&f, 3);
	assert_int_equal(weir_ring_reader_fds(f.ring, f.end[0], &fds), 0);
	assert_int_equal(weir_reader_open(&f.reader[0], &fds), 0);
	f.readers = 1;
	fixture_take(&f, 0, 1);
	fixture_take(&f, 0, 2);
	fixture_take(&f, 0, 3);
	fixture_close(&f);
}

static void a_dead_readers_pins_hold_until_it_is_reaped(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint64_t before;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	fixture_publish_many(&f, 2);
	frame = fixture_acquire(&f, 0, 1);
	while (fixture_publish(&f) == 0)
		;
	assert_int_equal(weir_ring_withdraw(f.ring, f.end[0]), 0);
	fixture_publish_many(&f, 100);
	fixture_check(&frame);
	assert_int_equal(fixture_try(&f, 0), -ESTALE);
	before = stats_of(&f, 0).held;
	assert_int_equal(before, 1);
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
	fixture_join(&f, LOSSLESS); /* holds back, so that every free slot is used */
	while (fixture_publish(&f) == 0)
		;
	assert_int_not_equal(frame.data[0], (uint8_t)frame.sequence);
	fixture_close(&f);
}

static void an_end_is_reused_only_after_the_writer_acknowledged(void **state)
{
	struct weir_policy policy = LATEST;
	struct weir_ring_config config = config_8;
	struct fixture f;
	uint32_t end;

	config.ends = 1;
	fixture_open(&f, &config);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 5);
	fixture_take(&f, 0, 5);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), -EBUSY);
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), -EBUSY);
	weir_writer_attend(f.writer);
	weir_reader_free(&f.reader[0]);
	f.readers = 0;
	fixture_join(&f, policy);
	assert_int_equal(f.end[0], 0);
	assert_int_equal(stats_of(&f, 0).delivered, 0);
	fixture_publish_many(&f, 1);
	fixture_take(&f, 0, 6);
	fixture_close(&f);
}

static void a_stalled_lossless_reader_is_degraded_and_told_what_it_lost(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 1000000 };
	int64_t deadline_ns = fixture_now_ns() + 5000000000;
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, policy);
	while (!stats_of(&f, 0).stalled && fixture_now_ns() < deadline_ns)
		fixture_publish(&f);
	fixture_publish_many(&f, 20);
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(frame.dropped_before, frame.sequence - 1);
	assert_true(frame.dropped_before >= 20);
	fixture_check(&frame);
	assert_int_equal(stats_of(&f, 0).overtaken, frame.dropped_before);
	fixture_close(&f);
}

static void a_stalled_lossless_reader_is_evicted_if_so_configured(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 1000000, .on_stall = WEIR_STALL_EVICT };
	int64_t deadline_ns = fixture_now_ns() + 5000000000;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, policy);
	while (!stats_of(&f, 0).stalled && fixture_now_ns() < deadline_ns)
		fixture_publish(&f);
	fixture_publish_many(&f, 20);
	assert_int_equal(fixture_try(&f, 0), -ESTALE);
	fixture_close(&f);
}

static void the_end_of_a_stream_is_told_after_its_backlog(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	fixture_publish_many(&f, 3);
	assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
	weir_writer_end(f.writer);
	assert_int_equal(weir_writer_publish(f.writer, &frame, false), -EINVAL);
	assert_false(weir_writer_drained(f.writer));
	fixture_take(&f, 0, 1);
	weir_ring_writer_gone(f.ring);
	fixture_take(&f, 0, 2);
	fixture_take(&f, 0, 3);
	assert_true(weir_writer_drained(f.writer));
	assert_int_equal(fixture_try(&f, 0), -ENODATA);
	fixture_close(&f);
}

static void acquire_after_writer_death_returns_epipe_after_the_backlog(void **state)
{
	struct weir_policy policy = LATEST;
	struct fixture f;
	uint32_t end;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	fixture_publish_many(&f, 2);
	weir_ring_writer_gone(f.ring);
	weir_writer_free(&f.writer);
	fixture_take(&f, 0, 1);
	fixture_take(&f, 0, 2);
	assert_int_equal(fixture_try(&f, 0), -EPIPE);
	assert_int_equal(weir_reader_arm(f.reader[0]), 1);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), -EPIPE);
	fixture_close(&f);
}

static void more_loans_than_configured_are_refused(void **state)
{
	struct weir_frame frame[3];
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_8);
	assert_int_equal(weir_writer_claim(f.writer, &frame[0], &payload), 0);
	assert_int_equal(weir_writer_claim(f.writer, &frame[1], &payload), 0);
	assert_int_equal(weir_writer_claim(f.writer, &frame[2], &payload), -EBUSY);
	assert_int_equal(weir_writer_publish(f.writer, &frame[0], true), 0);
	assert_int_equal(weir_writer_claim(f.writer, &frame[2], &payload), -EBUSY);
	assert_int_equal(weir_writer_drop(f.writer, frame[0].slot), 0);
	assert_int_equal(weir_writer_claim(f.writer, &frame[2], &payload), 0);
	fixture_close(&f);
}

static void a_kept_slot_is_not_rewritten(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_8);
	assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
	memset(payload, 0xab, 256);
	assert_int_equal(weir_writer_publish(f.writer, &frame, true), 0);
	fixture_publish_many(&f, 100);
	assert_int_equal(payload[0], 0xab);
	assert_int_equal(weir_writer_drop(f.writer, frame.slot), 0);
	fixture_publish_many(&f, 100);
	assert_int_not_equal(payload[0], 0xab);
	fixture_close(&f);
}

static void an_oversized_frame_is_refused(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_8);
	assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
	frame.size_bytes = weir_writer_slot_bytes(f.writer) + 1;
	assert_int_equal(weir_writer_publish(f.writer, &frame, false), -EINVAL);
	frame.size_bytes--;
	assert_int_equal(weir_writer_publish(f.writer, &frame, false), 0);
	fixture_close(&f);
}

static void frames_lost_at_the_source_show_in_dropped_before(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
		frame.dropped_before = 5;
		assert_int_equal(weir_writer_publish(f.writer, &frame, false), 0);
	}
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(frame.dropped_before, 2 + 15);
	fixture_close(&f);
}

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
	assert_int_equal(stats_of(&f, 0).woken_eventfd, 1);
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

static void thirty_two_readers_each_get_their_own(void **state)
{
	struct weir_ring_config config = fixture_config(64);
	struct fixture f;
	uint32_t end;

	config.ends = WEIR_READERS_MAX;
	fixture_open(&f, &config);
	for (int i = 0; i < WEIR_READERS_MAX; i++)
		fixture_join(&f, i % 2 != 0 ? LOSSLESS : DROP_OLDEST_3);
	assert_int_equal(weir_ring_attach(f.ring, &LATEST, &end), -EBUSY);
	fixture_publish_many(&f, 10);
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++)
		for (uint64_t sequence = i % 2 != 0 ? 1 : 8; sequence <= 10; sequence++)
			fixture_take(&f, i, sequence);
	fixture_close(&f);
}

static void readers_get_no_writable_mapping(void **state)
{
	struct weir_policy policy = LATEST;
	struct weir_ring_fds fds;
	struct fixture f;
	uint32_t end;

	fixture_open(&f, &config_8);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), 0);
	assert_int_equal(weir_ring_reader_fds(f.ring, end, &fds), 0);
	for (int i = 0; i < 3; i++) { /* data, head, request */
		assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds.fd[i], 0), MAP_FAILED);
		assert_int_equal(errno, EACCES);
	}
	weir_ring_fds_close(&fds);
	assert_int_equal(weir_ring_writer_fds(f.ring, &fds), 0);
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds.fd[2], 0), MAP_FAILED); /* request */
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds.fd[4], 0), MAP_FAILED); /* end 0 */
	weir_ring_fds_close(&fds);
	fixture_close(&f);
}

static void a_sealed_ring_cannot_be_truncated_or_remapped_by_a_reader(void **state)
{
	struct weir_ring_config config = config_8;
	struct weir_policy policy = LATEST;
	struct weir_ring_fds fds;
	struct fixture f;
	char path[64];
	uint32_t end;
	int fd;

	config.backing = WEIR_BACKING_SEALED;
	assert_int_equal(weir_ring_create(&f.ring, &config), 0);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), 0);
	assert_int_equal(weir_ring_reader_fds(f.ring, end, &fds), -EAGAIN); /* the writer has not mapped it yet */
	weir_ring_free(&f.ring);

	fixture_open(&f, &config);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), 0);
	assert_int_equal(weir_ring_reader_fds(f.ring, end, &fds), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds.fd[i]);
		fd = open(path, O_RDWR);
		assert_true(fd >= 0); /* a descriptor alone gains nothing */
		assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
		assert_int_equal(pwrite(fd, "x", 1, 0), -1);
		close(fd);
	}
	assert_int_equal(weir_reader_open(&f.reader[0], &fds), 0);
	f.readers = 1, f.end[0] = end;
	fixture_publish_many(&f, 4);
	fixture_take(&f, 0, 4);
	fixture_close(&f);
}

static void impossible_configs_are_refused(void **state)
{
	struct weir_ring_config config;
	struct weir_ring *ring;

	config = config_8, config.slot_count = 1;
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
	config = config_8, config.slot_count = WEIR_SLOTS_MAX + 1;
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
	config = config_8, config.ends = WEIR_READERS_MAX + 1;
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
	config = config_8, config.slot_bytes = 16, config.format.payload_bytes = 5000;
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
	config = config_8, config.loans = 8;
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
	config = config_8, config.backing = 2;
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
	memset(&config, 0, sizeof(config));
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
}

static void descriptors_of_the_wrong_role_are_refused_and_closed(void **state)
{
	struct weir_writer *writer = NULL;
	struct weir_reader *reader = NULL;
	struct weir_ring_fds fds;
	struct fixture f;
	int fd;

	fixture_open(&f, &config_8);
	assert_int_equal(weir_ring_writer_fds(f.ring, &fds), 0);
	fd = fds.fd[0];
	assert_int_equal(weir_reader_open(&reader, &fds), -EINVAL);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(fds.count, 0);
	fixture_join(&f, LATEST);
	assert_int_equal(weir_ring_reader_fds(f.ring, f.end[0], &fds), 0);
	assert_int_equal(weir_writer_open(&writer, &fds), -EINVAL);
	assert_int_equal(weir_ring_reader_fds(f.ring, f.end[0], &fds), 0);
	assert_int_equal(dup2(fds.fd[3], fds.fd[2]), fds.fd[2]); /* an eventfd instead of the request */
	assert_int_equal(weir_reader_open(&reader, &fds), -EPROTO);
	fixture_close(&f);
}

static void space_says_what_a_ring_takes(void **state)
{
	uint64_t needed, available;
	struct weir_ring_config config = config_8;

	assert_int_equal(weir_format_video(&config.format, WEIR_PIXEL_NV12, 1920, 1080), 0);
	config.slot_count = 20;
	assert_int_equal(weir_ring_space(&config, &needed, &available), 0);
	assert_in_range(needed, 20 * 3110400, 20 * 3112960 + 65536 + 8 * 12288);
	assert_true(available > 0);
	config.slot_bytes = 1;
	assert_int_equal(weir_ring_space(&config, &needed, &available), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_published_frame_reaches_every_reader_unchanged),
		cmocka_unit_test(an_unpublished_claim_is_never_seen),
		cmocka_unit_test(latest_gives_the_newest_and_counts_what_was_overtaken),
		cmocka_unit_test(drop_oldest_keeps_a_backlog_of_its_depth),
		cmocka_unit_test(lossless_makes_the_writer_wait_and_loses_nothing),
		cmocka_unit_test(a_held_frame_is_not_rewritten),
		cmocka_unit_test(frames_are_released_in_any_order),
		cmocka_unit_test(a_lossy_reader_that_holds_all_it_may_never_makes_a_claim_fail),
		cmocka_unit_test(attach_is_refused_when_the_slots_do_not_suffice),
		cmocka_unit_test(a_late_reader_starts_at_the_frame_after_its_grant),
		cmocka_unit_test(a_reader_that_opens_late_misses_nothing_since_its_grant),
		cmocka_unit_test(a_dead_readers_pins_hold_until_it_is_reaped),
		cmocka_unit_test(an_end_is_reused_only_after_the_writer_acknowledged),
		cmocka_unit_test(a_stalled_lossless_reader_is_degraded_and_told_what_it_lost),
		cmocka_unit_test(a_stalled_lossless_reader_is_evicted_if_so_configured),
		cmocka_unit_test(the_end_of_a_stream_is_told_after_its_backlog),
		cmocka_unit_test(acquire_after_writer_death_returns_epipe_after_the_backlog),
		cmocka_unit_test(more_loans_than_configured_are_refused),
		cmocka_unit_test(a_kept_slot_is_not_rewritten),
		cmocka_unit_test(an_oversized_frame_is_refused),
		cmocka_unit_test(frames_lost_at_the_source_show_in_dropped_before),
		cmocka_unit_test(only_a_sleeping_reader_is_rung_and_only_once),
		cmocka_unit_test(a_wait_ends_by_its_deadline_and_by_the_bound),
		cmocka_unit_test(a_writer_that_waits_for_a_slot_is_rung_by_release),
		cmocka_unit_test(a_reaped_reader_rings_the_waiting_writer),
		cmocka_unit_test(thirty_two_readers_each_get_their_own),
		cmocka_unit_test(readers_get_no_writable_mapping),
		cmocka_unit_test(a_sealed_ring_cannot_be_truncated_or_remapped_by_a_reader),
		cmocka_unit_test(impossible_configs_are_refused),
		cmocka_unit_test(descriptors_of_the_wrong_role_are_refused_and_closed),
		cmocka_unit_test(space_says_what_a_ring_takes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
