/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "clock.h"
#include "supervise.h"

/* Every cell as it must be, a second time and in another notation: a row for each state, a column for each event.
 * The first letter is the next state, the rest are the actions; "-" changes nothing. */
static const char *const event_order[] = { "start", "stop", "ready", "closing", "violation", "timeout", "hang",
	"recycle", "again", "done", "failed" };
/* clang-format off */
static const char *const expected[SUPERVISE_STATES][SUPERVISE_EVENTS] = {
	/*		start	stop	ready	closing	viol.	timeout	hang	recycle	again	done	failed */
	/* idle */     { "Sps", "D.",	"-",	"-",	"-",	"-",	"-",	"-",	"-",	"-",	"-" },
	/* starting */ { "-",	"Tts",	"R.",	"Sc",	"Kkw",	"Kkw",	"-",	"Tts",	"Bb",	"D.",	"F." },
	/* running */  { "-",	"Tts",	"-",	"Rc",	"Kkw",	"Kkw",	"Mmx",	"Tts",	"Bb",	"D.",	"F." },
	/* stopping */ { "-",	"-",	"-",	"-",	"Kkw",	"Mmx",	"-",	"-",	"Bb",	"D.",	"F." },
	/* terminat. */{ "-",	"-",	"-",	"-",	"Kkw",	"Kkw",	"-",	"-",	"Bb",	"D.",	"F." },
	/* killing */  { "-",	"-",	"-",	"-",	"-",	"F.",	"-",	"-",	"Bb",	"D.",	"F." },
	/* backoff */  { "Sps", "D.",	"-",	"-",	"-",	"Sps",	"-",	"-",	"-",	"-",	"-" },
	/* done */     { "Sps", "-",	"-",	"-",	"-",	"-",	"-",	"-",	"-",	"-",	"-" },
	/* failed */   { "Sps", "-",	"-",	"-",	"-",	"-",	"-",	"-",	"-",	"-",	"-" },
};
/* clang-format on */

static enum weir_child_state state_of(char letter)
{
	switch (letter) {
	case 'S': return WEIR_CHILD_STARTING;
	case 'R': return WEIR_CHILD_RUNNING;
	case 'T': return WEIR_CHILD_STOPPING;
	case 'M': return WEIR_CHILD_TERMINATING;
	case 'K': return WEIR_CHILD_KILLING;
	case 'B': return WEIR_CHILD_BACKOFF;
	case 'D': return WEIR_CHILD_DONE;
	default: return WEIR_CHILD_FAILED;
	}
}

static uint32_t action_of(char state, char letter)
{
	switch (letter) {
	case 'p': return SUPERVISE_SPAWN;
	case 't': return SUPERVISE_SEND_STOP;
	case 'm': return SUPERVISE_SEND_TERM;
	case 'k': return SUPERVISE_SEND_KILL;
	case 's': return state == 'S' ? SUPERVISE_WAIT_READY : SUPERVISE_WAIT_STOP;
	case 'c': return SUPERVISE_WAIT_CLOSING;
	case 'x': return SUPERVISE_WAIT_TERM;
	case 'w': return SUPERVISE_WAIT_KILL;
	case 'b': return SUPERVISE_WAIT_BACKOFF;
	default: return SUPERVISE_WAIT_NOTHING;
	}
}

static void every_cell_of_the_table_is_as_designed(void **state)
{
	for (int from = 0; from < (int)SUPERVISE_STATES; from++) {
		for (int event = 0; event < SUPERVISE_EVENTS; event++) {
			struct supervise_move move =
				supervise_move((enum weir_child_state)from, (enum supervise_event)event);
			const char *cell = expected[from][event];
			uint32_t actions = 0;
			int to = from;

			if (cell[0] != '-') {
				to = (int)state_of(cell[0]);
				for (int i = 1; cell[i] != '\0'; i++)
					actions |= action_of(cell[0], cell[i]);
			}
			if ((int)move.state != to || move.actions != actions)
				fail_msg("%s × %s: %s, %#x", weir_child_state_name((enum weir_child_state)from),
					event_order[event], weir_child_state_name(move.state), move.actions);
		}
	}
}

/* Whatever happens, a state in which a process may exist has a deadline or waits for what must come. */
static void no_state_with_an_end_wanted_is_without_a_deadline(void **state)
{
	for (int from = WEIR_CHILD_STARTING; from <= (int)WEIR_CHILD_RUNNING; from++) {
		enum weir_child_state at = (enum weir_child_state)from;
		int steps = 0;

		at = supervise_move(at, SUPERVISE_STOP).state;
		while (at != WEIR_CHILD_FAILED && steps++ < 10) {
			struct supervise_move move = supervise_move(at, SUPERVISE_TIMEOUT);

			assert_int_not_equal(move.actions, 0);
			at = move.state;
		}
		assert_int_equal(steps, 3);
	}
}

static const struct supervise_death often = { .intensity = 3, .period_ns = 10 * CLOCK_S };

static enum supervise_event die(struct supervise_deaths *deaths, int64_t at_ns)
{
	struct supervise_death death = often;
	struct supervise_history history = { 0 };

	death.now_ns = at_ns;
	return supervise_verdict(&history, deaths, &death);
}

static void more_deaths_than_intensity_within_the_period_fail(void **state)
{
	struct supervise_deaths deaths = { 0 };

	for (int i = 0; i < 3; i++)
		assert_int_equal(die(&deaths, CLOCK_S * (i + 1)), SUPERVISE_DEAD_AGAIN);
	assert_int_equal(die(&deaths, CLOCK_S * 4), SUPERVISE_DEAD_FAILED);
}

static void deaths_spread_over_more_than_the_period_do_not_fail(void **state)
{
	struct supervise_deaths deaths = { 0 };

	for (int i = 0; i < 200; i++)
		assert_int_equal(die(&deaths, CLOCK_S * 4 * (i + 1)), SUPERVISE_DEAD_AGAIN);
}

/* As in OTP: a death that is as old as the period still counts. */
static void the_period_ends_after_its_last_moment(void **state)
{
	for (int late_ns = 0; late_ns < 2; late_ns++) {
		struct supervise_deaths deaths = { 0 };

		for (int i = 0; i < 3; i++)
			assert_int_equal(die(&deaths, CLOCK_S), SUPERVISE_DEAD_AGAIN);
		assert_int_equal(die(&deaths, CLOCK_S + often.period_ns + late_ns),
			late_ns == 0 ? SUPERVISE_DEAD_FAILED : SUPERVISE_DEAD_AGAIN);
	}
}

static void restart_kinds_decide_what_a_death_means(void **state)
{
	static const struct {
		uint32_t restart;
		bool stop_wanted, success, final, recycled;
		enum supervise_event verdict;
	} row[] = {
		{ WEIR_RESTART_PERMANENT, false, false, false, false, SUPERVISE_DEAD_AGAIN },
		{ WEIR_RESTART_PERMANENT, false, true, false, false, SUPERVISE_DEAD_AGAIN },
		{ WEIR_RESTART_PERMANENT, true, false, false, false, SUPERVISE_DEAD_DONE },
		{ WEIR_RESTART_PERMANENT, false, false, true, false, SUPERVISE_DEAD_FAILED },
		{ WEIR_RESTART_PERMANENT, true, false, true, false, SUPERVISE_DEAD_DONE },
		{ WEIR_RESTART_TRANSIENT, false, false, false, false, SUPERVISE_DEAD_AGAIN },
		{ WEIR_RESTART_TRANSIENT, false, true, false, false, SUPERVISE_DEAD_DONE },
		{ WEIR_RESTART_TEMPORARY, false, false, false, false, SUPERVISE_DEAD_FAILED },
		{ WEIR_RESTART_TEMPORARY, false, true, false, false, SUPERVISE_DEAD_DONE },
		{ WEIR_RESTART_PERMANENT, false, true, false, true, SUPERVISE_DEAD_AGAIN },
		{ WEIR_RESTART_TRANSIENT, false, true, false, true, SUPERVISE_DEAD_AGAIN },
		{ WEIR_RESTART_TEMPORARY, false, false, false, true, SUPERVISE_DEAD_DONE },
		{ WEIR_RESTART_PERMANENT, true, true, false, true, SUPERVISE_DEAD_DONE },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct supervise_history history = { 0 };
		struct supervise_deaths deaths = { 0 };
		struct supervise_death death = often;

		death.restart = row[i].restart;
		death.stop_wanted = row[i].stop_wanted;
		death.success = row[i].success;
		death.final = row[i].final;
		death.recycled = row[i].recycled;
		assert_int_equal(supervise_verdict(&history, &deaths, &death), row[i].verdict);
	}
}

static void backoff_doubles_up_to_a_second(void **state)
{
	static const int64_t ms[] = { 0, 0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000 };
	struct supervise_history history = { 0 };

	for (uint32_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
		history.attempt = i;
		assert_int_equal(supervise_backoff_ns(&history, 0), ms[i] * CLOCK_MS);
		/* Up to a quarter less, so that those that died together do not begin together. */
		assert_in_range(
			supervise_backoff_ns(&history, UINT32_MAX), ms[i] * CLOCK_MS * 3 / 4, ms[i] * CLOCK_MS * 4 / 5);
	}
	history.attempt = UINT32_MAX;
	assert_int_equal(supervise_backoff_ns(&history, 0), 1000 * CLOCK_MS);
}

static void ten_healthy_seconds_reset_the_backoff(void **state)
{
	struct supervise_history history = { 0 };
	struct supervise_deaths deaths = { 0 };
	struct supervise_death death = { .intensity = 50, .period_ns = CLOCK_S, .now_ns = 100 * CLOCK_S };

	for (int i = 0; i < 5; i++)
		supervise_verdict(&history, &deaths, &death);
	death.running_since_ns = 91 * CLOCK_S;
	supervise_verdict(&history, &deaths, &death);
	assert_int_equal(history.attempt, 6);
	death.running_since_ns = 90 * CLOCK_S;
	supervise_verdict(&history, &deaths, &death);
	assert_int_equal(history.attempt, 1);
	assert_int_equal(supervise_backoff_ns(&history, 0), 0);
}

static void recycling_is_no_death(void **state)
{
	struct supervise_history history = { 0 };
	struct supervise_deaths deaths = { 0 };
	struct supervise_death death = often;

	death.recycled = true;
	for (int i = 0; i < 100; i++)
		assert_int_equal(supervise_verdict(&history, &deaths, &death), SUPERVISE_DEAD_AGAIN);
	assert_int_equal(deaths.count, 0);
	assert_int_equal(supervise_backoff_ns(&history, 0), 0);
}

static void third_death_in_a_row_at_one_position_is_poison(void **state)
{
	static const uint64_t unsuspicious[] = { 7, 7, 8, 7, 7, 0, 7, 7, 9, 0, 0, 0, 0, 7, 7 };
	struct supervise_history history = { 0 };

	for (size_t i = 0; i < sizeof(unsuspicious) / sizeof(unsuspicious[0]); i++)
		assert_false(supervise_is_poison(&history, unsuspicious[i]));
	assert_true(supervise_is_poison(&history, 7));
	/* Skipped, it counts anew. */
	assert_false(supervise_is_poison(&history, 7));
	assert_false(supervise_is_poison(&history, 7));
	assert_true(supervise_is_poison(&history, 7));
}

static bool look(struct supervise_pulse *pulse, int64_t at_ns, uint64_t turns, uint64_t work)
{
	struct supervise_look what = { .now_ns = at_ns, .limit_ns = CLOCK_S, .turns = turns, .work = work };

	return supervise_is_hung(pulse, &what);
}

static void loop_that_stands_still_is_hung(void **state)
{
	struct supervise_pulse pulse = { 0 };

	assert_false(look(&pulse, CLOCK_S, 1, 0));
	assert_false(look(&pulse, CLOCK_S * 2 - 1, 1, 0));
	assert_true(look(&pulse, CLOCK_S * 2, 1, 0));
	assert_false(look(&pulse, CLOCK_S * 2, 2, 0));
}

static void threads_are_hung_only_while_they_have_work(void **state)
{
	struct supervise_pulse pulse = { 0 };
	uint64_t turns = 0;

	for (int i = 0; i < 10; i++) /* idle for ever */
		assert_false(look(&pulse, CLOCK_S * i, ++turns, 4));
	assert_false(look(&pulse, CLOCK_S * 10, ++turns, 7)); /* busy from here on */
	assert_false(look(&pulse, CLOCK_S * 11 - 1, ++turns, 7));
	assert_true(look(&pulse, CLOCK_S * 11, ++turns, 7));
	assert_false(look(&pulse, CLOCK_S * 12, ++turns, 9)); /* some progress */
	assert_false(look(&pulse, CLOCK_S * 13 - 1, ++turns, 9));
	assert_false(look(&pulse, CLOCK_S * 15, ++turns, 10)); /* done */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_of_the_table_is_as_designed),
		cmocka_unit_test(no_state_with_an_end_wanted_is_without_a_deadline),
		cmocka_unit_test(more_deaths_than_intensity_within_the_period_fail),
		cmocka_unit_test(deaths_spread_over_more_than_the_period_do_not_fail),
		cmocka_unit_test(the_period_ends_after_its_last_moment),
		cmocka_unit_test(restart_kinds_decide_what_a_death_means),
		cmocka_unit_test(backoff_doubles_up_to_a_second),
		cmocka_unit_test(ten_healthy_seconds_reset_the_backoff),
		cmocka_unit_test(recycling_is_no_death),
		cmocka_unit_test(third_death_in_a_row_at_one_position_is_poison),
		cmocka_unit_test(loop_that_stands_still_is_hung),
		cmocka_unit_test(threads_are_hung_only_while_they_have_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
