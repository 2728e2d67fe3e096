/* SPDX-License-Identifier: MIT */
#include "ring_fixture.h"

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
	assert_int_equal(fixture_stats(&f, 0).delivered, 100);
	assert_int_equal(fixture_stats(&f, 1).overtaken, 0);
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
	assert_int_equal(fixture_stats(&f, 0).overtaken, 49);
	assert_int_equal(fixture_stats(&f, 0).delivered, 1);
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
	assert_int_equal(fixture_stats(&f, 0).overtaken, 17);
	assert_int_equal(fixture_stats(&f, 0).delivered, 4);
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
	assert_int_equal(fixture_stats(&f, 0).delivered, 200);
	assert_int_equal(fixture_stats(&f, 0).overtaken, 0);
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
	assert_int_equal(fixture_stats(&f, 0).held, 0);
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

static void a_stalled_lossless_reader_is_degraded_and_told_what_it_lost(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 1000000 };
	int64_t deadline_ns = fixture_now_ns() + 5000000000;
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 1);
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(frame.flags, 0);
	assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	while (!fixture_stats(&f, 0).stalled && fixture_now_ns() < deadline_ns)
		fixture_publish(&f);
	fixture_publish_many(&f, 20);
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(frame.flags, WEIR_FRAME_DEGRADED);
	assert_int_equal(frame.dropped_before, frame.sequence - 2);
	assert_true(frame.dropped_before >= 20);
	fixture_check(&frame);
	assert_int_equal(fixture_stats(&f, 0).overtaken, frame.dropped_before);
	assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	fixture_publish_many(&f, 1);
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(frame.flags, 0); /* once is enough */
	fixture_close(&f);
}

static void a_stalled_lossless_reader_is_evicted_if_so_configured(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 1000000, .on_stall = WEIR_STALL_EVICT };
	int64_t deadline_ns = fixture_now_ns() + 5000000000;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, policy);
	while (!fixture_stats(&f, 0).stalled && fixture_now_ns() < deadline_ns)
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
	assert_int_equal(weir_writer_backlog(f.writer), 3);
	assert_false(weir_writer_drained(f.writer));
	fixture_take(&f, 0, 1);
	assert_int_equal(weir_writer_backlog(f.writer), 2);
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

static void slots_that_are_not_on_loan_are_refused(void **state)
{
	const uint32_t no_slots[] = { 8, WEIR_SLOTS_MAX - 1, WEIR_SLOTS_MAX, UINT32_MAX };
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_8);
	for (size_t i = 0; i < sizeof(no_slots) / sizeof(no_slots[0]); i++) {
		frame = (struct weir_frame){ .slot = no_slots[i] };
		assert_int_equal(weir_writer_publish(f.writer, &frame, false), -EINVAL);
		assert_int_equal(weir_writer_drop(f.writer, no_slots[i]), -EINVAL);
		assert_null(weir_writer_meta(f.writer, no_slots[i]));
	}
	frame = (struct weir_frame){ .slot = 0 };
	assert_int_equal(weir_writer_publish(f.writer, &frame, false), -EINVAL);
	assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
	assert_int_equal(weir_writer_publish(f.writer, &frame, false), 0);
	assert_int_equal(weir_writer_drop(f.writer, frame.slot), -EINVAL); /* published, not kept */
	fixture_close(&f);
}

static void frames_that_are_not_held_are_not_released(void **state)
{
	struct weir_frame frame, other;
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	assert_int_equal(weir_reader_release(f.reader[0], &(struct weir_frame){ 0 }), -EINVAL);
	fixture_publish_many(&f, 1);
	frame = other = fixture_acquire(&f, 0, 1);
	other.pin = 1;
	assert_int_equal(weir_reader_release(f.reader[0], &other), -EINVAL);
	other = frame, other.sequence = 2;
	assert_int_equal(weir_reader_release(f.reader[0], &other), -EINVAL);
	assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	fixture_close(&f);
}

/* Not yet attached, it cannot say what it missed, until nobody is left who could attach it. */
static void a_reader_that_was_never_attached_learns_of_the_end(void **state)
{
	for (int ended = 0; ended < 2; ended++) {
		struct weir_policy policy = LOSSLESS;
		struct weir_ring_fds fds;
		struct fixture f;

		fixture_open(&f, &config_8);
		assert_int_equal(weir_ring_attach(f.ring, &policy, &f.end[0]), 0);
		assert_int_equal(weir_ring_reader_fds(f.ring, f.end[0], &fds), 0);
		assert_int_equal(weir_reader_open(&f.reader[0], &fds), 0);
		f.readers = 1;
		if (ended != 0)
			weir_writer_end(f.writer);
		assert_int_equal(fixture_try(&f, 0), -EAGAIN);
		weir_ring_writer_gone(f.ring);
		assert_int_equal(fixture_try(&f, 0), ended != 0 ? -ENODATA : -EPIPE);
		fixture_close(&f);
	}
}

static void a_writer_is_drained_when_only_lossy_readers_have_not_come(void **state)
{
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	fixture_publish_many(&f, 3);
	assert_true(weir_writer_drained(f.writer));
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
		cmocka_unit_test(a_stalled_lossless_reader_is_degraded_and_told_what_it_lost),
		cmocka_unit_test(a_stalled_lossless_reader_is_evicted_if_so_configured),
		cmocka_unit_test(the_end_of_a_stream_is_told_after_its_backlog),
		cmocka_unit_test(acquire_after_writer_death_returns_epipe_after_the_backlog),
		cmocka_unit_test(more_loans_than_configured_are_refused),
		cmocka_unit_test(a_kept_slot_is_not_rewritten),
		cmocka_unit_test(an_oversized_frame_is_refused),
		cmocka_unit_test(slots_that_are_not_on_loan_are_refused),
		cmocka_unit_test(frames_that_are_not_held_are_not_released),
		cmocka_unit_test(a_reader_that_was_never_attached_learns_of_the_end),
		cmocka_unit_test(a_writer_is_drained_when_only_lossy_readers_have_not_come),
		cmocka_unit_test(frames_lost_at_the_source_show_in_dropped_before),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
