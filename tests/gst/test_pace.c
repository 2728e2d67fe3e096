/* SPDX-License-Identifier: MIT */
/* How long a sink that waits for its readers sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pace.h"

static struct pace claimed_every(int64_t interval_ns)
{
	struct pace pace = { 0 };

	for (int64_t i = 1; i <= 1000; i++)
		pace_note(&pace, i * interval_ns);
	assert_in_range(pace.interval_ns, interval_ns - 16, interval_ns);
	return pace;
}

static void a_source_that_runs_flat_out_stays_a_millisecond_ahead(void **state)
{
	struct pace pace = claimed_every(100000);

	assert_int_equal(pace_ahead_ns(&pace, 9), 0);
	assert_in_range(pace_ahead_ns(&pace, 11), 500000, 700000);
	assert_int_equal(pace_ahead_ns(&pace, 1000), 2000000);
}

static void a_few_frames_may_always_wait(void **state)
{
	struct pace pace = claimed_every(900000);

	assert_int_equal(pace_ahead_ns(&pace, 3), 0);
	assert_in_range(pace_ahead_ns(&pace, 4), 1700000, 1800000);
}

static void a_live_source_and_one_that_only_begins_are_never_held_up(void **state)
{
	struct pace pace = claimed_every(10000000), fresh = { 0 };

	assert_int_equal(pace_ahead_ns(&pace, 64), 0);
	assert_int_equal(pace_ahead_ns(&fresh, 64), 0);
}

static void a_full_ring_is_slept_on_if_that_is_long_enough(void **state)
{
	struct pace slow = claimed_every(100000), fast = claimed_every(1000), live = claimed_every(10000000);

	assert_in_range(pace_full_ns(&slow, 24), 299000, 300000);
	assert_int_equal(pace_full_ns(&fast, 24), 0);
	assert_int_equal(pace_full_ns(&live, 24), 2000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_that_runs_flat_out_stays_a_millisecond_ahead),
		cmocka_unit_test(a_few_frames_may_always_wait),
		cmocka_unit_test(a_live_source_and_one_that_only_begins_are_never_held_up),
		cmocka_unit_test(a_full_ring_is_slept_on_if_that_is_long_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
