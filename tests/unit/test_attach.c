/* SPDX-License-Identifier: MIT */
#include "ring_fixture.h"

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
	assert_int_equal(fixture_stats(&f, 0).start, 8);
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

static void a_late_reader_is_told_of_no_loss_before_its_time(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint8_t *payload;

	fixture_open(&f, &config_8);
	for (int i = 0; i < 4; i++) {
		if (i == 3)
			fixture_join(&f, LATEST);
		assert_int_equal(weir_writer_claim(f.writer, &frame, &payload), 0);
		frame.dropped_before = 100;
		assert_int_equal(weir_writer_publish(f.writer, &frame, false), 0);
	}
	assert_int_equal(weir_reader_acquire(f.reader[0], &frame), 0);
	assert_int_equal(frame.dropped_before, 100);
	fixture_close(&f);
}

static void the_low_water_mark_is_of_slots_that_could_not_be_had(void **state)
{
	struct weir_ring_config config = fixture_config(16);
	struct weir_ring_stats stats;
	struct fixture f;

	fixture_open(&f, &config);
	fixture_publish_many(&f, 200); /* nobody holds a slot */
	weir_ring_stats(f.ring, &stats);
	assert_in_range(stats.free_low_water, 12, 15);
	fixture_join(&f, LOSSLESS);
	while (fixture_publish(&f) == 0)
		;
	weir_ring_stats(f.ring, &stats);
	assert_int_equal(stats.free_low_water, 0);
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
	config = config_8, config.slot_bytes = UINT32_MAX;
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
	config = config_8, config.backing = 2;
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
	memset(&config, 0, sizeof(config));
	assert_int_equal(weir_ring_create(&ring, &config), -EINVAL);
}

static void impossible_policies_are_refused(void **state)
{
	const struct weir_policy impossible[] = {
		{ .mode = WEIR_POLICY_LOSSLESS + 1 },
		{ .mode = WEIR_POLICY_DROP_OLDEST, .depth = WEIR_SLOTS_MAX + 1 },
		{ .mode = WEIR_POLICY_DROP_OLDEST, .depth = WEIR_DUE_MAX + 1, .every_nth = 2 },
		{ .max_held = WEIR_HELD_MAX + 1 },
		{ .on_stall = WEIR_STALL_EVICT + 1 },
		{ .stall_ns = -1 },
		{ .max_fps = -1 },
		{ .max_fps = 1e-12 },
		{ .max_fps = 2e9 },
		{ .max_fps = __builtin_nan("") },
	};
	struct fixture f;
	uint32_t end = 77;

	fixture_open(&f, &config_8);
	for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
		assert_int_equal(weir_ring_attach(f.ring, &impossible[i], &end), -EINVAL);
		assert_int_equal(weir_ring_slots_needed(f.ring, &impossible[i]), weir_ring_slots_needed(f.ring, NULL));
	}
	assert_int_equal(end, 77);
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
		cmocka_unit_test(attach_is_refused_when_the_slots_do_not_suffice),
		cmocka_unit_test(a_late_reader_starts_at_the_frame_after_its_grant),
		cmocka_unit_test(a_reader_that_opens_late_misses_nothing_since_its_grant),
		cmocka_unit_test(a_late_reader_is_told_of_no_loss_before_its_time),
		cmocka_unit_test(the_low_water_mark_is_of_slots_that_could_not_be_had),
		cmocka_unit_test(thirty_two_readers_each_get_their_own),
		cmocka_unit_test(impossible_configs_are_refused),
		cmocka_unit_test(impossible_policies_are_refused),
		cmocka_unit_test(space_says_what_a_ring_takes),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
