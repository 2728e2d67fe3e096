/* SPDX-License-Identifier: MIT */
#include "ring_fixture.h"

#include <stdlib.h>

#include "writer.h"

static void every_nth_of_the_newest_is_kept_until_the_next_one_is_due(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .every_nth = 10 };
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 10); /* 1 is due, 2 to 10 are not, and have reused every other slot */
	fixture_take(&f, 0, 1);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	fixture_publish_many(&f, 500);
	fixture_take(&f, 0, 501);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	assert_int_equal(fixture_stats(&f, 0).delivered, 2);
	assert_int_equal(fixture_stats(&f, 0).overtaken, 49);
	assert_int_equal(fixture_stats(&f, 0).skipped, 450);
	fixture_close(&f);
}

static void every_nth_with_a_depth_keeps_that_many_due_frames(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 3, .every_nth = 7 };
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 700);
	fixture_take(&f, 0, 680);
	fixture_take(&f, 0, 687);
	fixture_take(&f, 0, 694);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	fixture_close(&f);
}

static void a_lossless_reader_with_every_nth_gets_each_of_them_and_blocks_for_no_other(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .every_nth = 5 };
	struct fixture f;
	uint64_t expected = 1, taken = 0;

	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	for (uint64_t sequence = 1; sequence <= 1000; sequence++) {
		while (fixture_publish(&f) < 0) {
			fixture_take(&f, 0, expected);
			expected += 5;
			taken++;
		}
	}
	for (; expected <= 1000; expected += 5, taken++)
		fixture_take(&f, 0, expected);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	assert_int_equal(taken, 200);
	assert_int_equal(fixture_stats(&f, 0).delivered, 200);
	assert_int_equal(fixture_stats(&f, 0).skipped, 800);
	assert_int_equal(fixture_stats(&f, 0).overtaken, 0);
	weir_writer_end(f.writer);
	assert_int_equal(fixture_try(&f, 0), -ENODATA);
	fixture_close(&f);
}

static void a_reader_that_picks_gets_the_end_of_the_stream(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .every_nth = 10 };
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 15);
	weir_writer_end(f.writer);
	fixture_take(&f, 0, 11);
	assert_int_equal(fixture_try(&f, 0), -ENODATA);
	fixture_close(&f);
}

/* What a writer leaves behind that dies after `published`, before the due word or in the middle of it. */
static void a_due_frame_counts_though_its_writer_died_before_it_announced_it(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .every_nth = 10 };

	for (int middle = 0; middle < 2; middle++)
		for (uint32_t published = 11; published <= 12; published++) {
			_Atomic uint64_t *word;
			struct fixture f;
			uint64_t before;

			fixture_open(&f, &config_16);
			fixture_join(&f, policy);
			word = &f.writer->head->grant[0].due[0].word;
			fixture_publish_many(&f, 10);
			if (middle == 0)
				fixture_take(&f, 0, 1);
			before = *word;
			fixture_publish_many(&f, published - 10);
			if (published == 11)
				*word = middle == 0 ? before : 0;
			weir_ring_writer_gone(f.ring);
			assert_int_equal(weir_reader_arm(f.reader[0]), 1);
			fixture_take(&f, 0, 11);
			assert_int_equal(fixture_try(&f, 0), -EPIPE);
			assert_int_equal(fixture_stats(&f, 0).overtaken, middle);
			assert_int_equal(fixture_stats(&f, 0).skipped, 9);
			fixture_close(&f);
		}
}

static void what_a_dead_writer_says_of_a_frame_is_checked(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .every_nth = 10 };
	_Atomic uint64_t *order;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 11);
	f.writer->head->grant[0].due[0].word = 0;
	order = &f.writer->order[11 & (f.writer->geometry.order_count - 1)];
	*order |= ORDER_SLOT_MASK;
	weir_ring_writer_gone(f.ring);
	assert_int_equal(fixture_try(&f, 0), -EPIPE);
	*order = UINT64_C(12) << ORDER_SLOT_BITS; /* another frame's */
	f.writer->descriptor[0].due = 1;
	assert_int_equal(fixture_try(&f, 0), -EPIPE);
	fixture_close(&f);
}

static void a_degraded_reader_that_thins_out_goes_on_as_it_did(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .every_nth = 2, .depth = 12, .stall_ns = 1000000 };
	struct weir_ring_config config = fixture_config(32);
	int64_t deadline_ns = fixture_now_ns() + 5000000000;
	uint64_t last = 0, taken = 0;
	struct weir_frame frame;
	struct fixture f;

	fixture_open(&f, &config);
	fixture_join(&f, policy);
	fixture_join(&f, LATEST);
	while (!fixture_stats(&f, 0).stalled && fixture_now_ns() < deadline_ns)
		fixture_publish(&f);
	for (int i = 0; i < 200; i++) {
		fixture_publish_many(&f, 1);
		assert_int_equal(weir_reader_acquire(f.reader[1], &frame), 0);
		assert_int_equal(weir_reader_release(f.reader[1], &frame), 0);
	}
	while (weir_reader_acquire(f.reader[0], &frame) == 0) {
		fixture_check(&frame);
		assert_int_equal(frame.sequence % 2, 1);
		assert_true(frame.sequence > last);
		last = frame.sequence;
		taken++;
		assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	}
	assert_in_range(taken, 6, 16);
	fixture_close(&f);
}

static void a_frame_that_is_not_due_rings_nobody(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .every_nth = 4 };
	struct weir_ring_stats stats;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 1);
	fixture_take(&f, 0, 1);
	assert_int_equal(weir_reader_arm(f.reader[0]), 0);
	fixture_publish_many(&f, 3);
	weir_ring_stats(f.ring, &stats);
	assert_int_equal(stats.rung_eventfd, 0);
	fixture_publish_many(&f, 1);
	weir_ring_stats(f.ring, &stats);
	assert_int_equal(stats.rung_eventfd, 1);
	weir_reader_disarm(f.reader[0]);
	fixture_take(&f, 0, 5);
	fixture_close(&f);
}

static void max_fps_thins_out_jittering_times_to_the_rate(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .max_fps = 10 };
	struct weir_frame frame;
	struct fixture f;
	int taken = 0;

	srand(1);
	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	for (int i = 0; i < 3000; i++) { /* 100 s at 30 fps, times up to 1 ms off */
		fixture_publish_at(&f, 1000000000 + i * INT64_C(33333333) + rand() % 2000000 - 1000000);
		while (weir_reader_acquire(f.reader[0], &frame) == 0) {
			taken++;
			assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
		}
	}
	assert_in_range(taken, 990, 1001);
	fixture_close(&f);
}

static void max_fps_follows_a_source_whose_clock_jumps(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .max_fps = 1 };
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	fixture_publish_at(&f, INT64_C(1000000000000));
	assert_int_equal(fixture_try(&f, 0), 0);
	fixture_publish_at(&f, 5); /* back to the start */
	assert_int_equal(weir_reader_release(f.reader[0], &(struct weir_frame){ .sequence = 1 }), 0);
	assert_int_equal(fixture_try(&f, 0), 0);
	fixture_close(&f);
}

static void frames_without_a_time_are_all_due(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST, .max_fps = 1 };
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_16);
	fixture_join(&f, policy);
	for (uint64_t sequence = 1; sequence <= 5; sequence++) {
		assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
		assert_int_equal(weir_writer_publish(f.writer, &frame, false), 0);
		assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
		assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	}
	fixture_publish_at(&f, 1000000000);
	fixture_publish_at(&f, 1100000000); /* too early */
	fixture_publish_at(&f, 9000000000); /* after a gap */
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(frame.sequence, 8);
	assert_int_equal(fixture_stats(&f, 0).overtaken, 1);
	assert_int_equal(fixture_stats(&f, 0).skipped, 1);
	fixture_close(&f);
}

static void a_start_of_nothing_is_no_grant(void **state)
{
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, LATEST);
	f.writer->head->grant[0].start = 0;
	fixture_publish_many(&f, 1);
	assert_int_equal(fixture_try(&f, 0), -EAGAIN);
	f.writer->head->grant[0].start = 1;
	fixture_take(&f, 0, 1);
	fixture_close(&f);
}

static void slots_for_a_picking_reader_are_counted(void **state)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 4, .every_nth = 2, .max_held = 3 };
	struct fixture f;

	fixture_open(&f, &config_16);
	assert_int_equal(weir_ring_slots_needed(f.ring, &policy), 3 + 4 + 1 + 2 + 1);
	assert_int_equal(weir_policy_slots(&policy, 1, 0), 3 + 4 + 1 + 2 + 1); /* the same without a ring */
	assert_int_equal(weir_policy_slots(&policy, 1, 5), 3 + 4 + 1 + 5 + 1);
	assert_int_equal(weir_policy_slots(NULL, 0, 1), 1 + 1 + 1);
	/* What is not granted needs no slots; and the newest is one frame, whatever depth is asked for. */
	assert_int_equal(weir_policy_slots((struct weir_policy[]){ { .mode = 9 }, { .depth = 7 } }, 2, 1), 2 + 1 + 1);
	policy.depth = WEIR_DUE_MAX + 1;
	assert_int_equal(weir_ring_attach(f.ring, &policy, &f.end[0]), -EINVAL);
	policy.depth = 1, policy.max_fps = -1;
	assert_int_equal(weir_ring_attach(f.ring, &policy, &f.end[0]), -EINVAL);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_nth_of_the_newest_is_kept_until_the_next_one_is_due),
		cmocka_unit_test(every_nth_with_a_depth_keeps_that_many_due_frames),
		cmocka_unit_test(a_lossless_reader_with_every_nth_gets_each_of_them_and_blocks_for_no_other),
		cmocka_unit_test(a_reader_that_picks_gets_the_end_of_the_stream),
		cmocka_unit_test(a_due_frame_counts_though_its_writer_died_before_it_announced_it),
		cmocka_unit_test(what_a_dead_writer_says_of_a_frame_is_checked),
		cmocka_unit_test(a_degraded_reader_that_thins_out_goes_on_as_it_did),
		cmocka_unit_test(a_frame_that_is_not_due_rings_nobody),
		cmocka_unit_test(max_fps_thins_out_jittering_times_to_the_rate),
		cmocka_unit_test(max_fps_follows_a_source_whose_clock_jumps),
		cmocka_unit_test(frames_without_a_time_are_all_due),
		cmocka_unit_test(a_start_of_nothing_is_no_grant),
		cmocka_unit_test(slots_for_a_picking_reader_are_counted),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
