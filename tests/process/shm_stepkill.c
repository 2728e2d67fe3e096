/* SPDX-License-Identifier: MIT */
/* SIGKILL at every instruction of a writer and of a reader, both backings, and at pairs of instructions of both; and
 * the same processes stopped at every instruction while the others go on. The short form takes instructions at equal
 * distances; WEIR_LONG=1 takes all of them, and 40,000 pairs (--points N, --pairs N: so many of them). */
#include "shm_harness.h"
#include "shm_victim.h"

#include <stdio.h>

#define LONGEST 100000 /* steps: more than any of the children has */
#ifndef PLANTED	       /* 1: linked with a wrong writer, 2: with a wrong reader */
#define PLANTED 0
#endif
#define FAILURES_TO_TELL 5

typedef bool (*play)(struct victim_round *round);

static long points = 30;    /* of a sweep; 0: all */
static bool stops_at_first; /* failure */
static uint64_t pairs = 200;

struct sweep {
	play play;
	struct victim_round round;
};

/* Returns the number of rounds that failed; the first few are told. */
static long sweep(const char *name, const struct sweep *sweep)
{
	struct victim_round whole = sweep->round;
	long failures = 0, rounds = 0, stride = 1;
	int64_t began_ns = harness_now_ns();

	whole.step = LONGEST;
	if (!sweep->play(&whole)) {
		print_message("# %s, not stopped at all: %s\n", name, harness_why);
		return 1;
	}
	if (points > 0 && whole.steps > points)
		stride = whole.steps / points;
	for (long step = 0; step <= whole.steps; step += stride) {
		struct victim_round round = sweep->round;

		round.step = step;
		rounds++;
		if (sweep->play(&round))
			continue;
		if (failures++ < FAILURES_TO_TELL)
			print_message("# %s, step %ld: %s\n", name, step, harness_why);
		if (stops_at_first)
			break;
	}
	print_message("# %s: %ld failures in %ld rounds, %ld steps, %.1f s\n", name, failures, rounds, whole.steps,
		(double)(harness_now_ns() - began_ns) / 1e9);
	return failures;
}

static const char *const backings[] = { "posix", "sealed" }, *const fates[] = { "killed", "paused" };

static long sweep_writer(enum victim_fate fate)
{
	long failures = 0;
	char name[64];

	for (uint32_t backing = 0; backing < 2; backing++) {
		snprintf(name, sizeof(name), "writer %s, %s", fates[fate], backings[backing]);
		failures += sweep(name, &(struct sweep){ victim_writer, { .backing = backing, .fate = fate } });
	}
	return failures;
}

static long sweep_reader(enum victim_fate fate)
{
	static const char *const modes[] = { "latest", "drop-oldest", "lossless" };
	long failures = 0;
	char name[64];

	for (uint32_t backing = 0; backing < 2; backing++)
		for (uint32_t mode = WEIR_POLICY_LATEST; mode <= WEIR_POLICY_LOSSLESS; mode += 2) {
			/* The sealed half takes every second frame: those who pick and choose are pinned in another
			 * way. */
			struct victim_round round = {
				.backing = backing, .fate = fate, .mode = mode, .every_nth = 2 * backing
			};

			snprintf(name, sizeof(name), "reader %s, %s%s, %s", fates[fate], modes[mode],
				backing != 0 ? ", every 2nd" : "", backings[backing]);
			failures += sweep(name, &(struct sweep){ victim_reader, round });
		}
	return failures;
}

static struct harness_holdings before;

static int note_holdings(void **state)
{
	before = harness_holdings();
	return 0;
}

static void assert_nothing_left(void)
{
	struct harness_holdings after = harness_holdings();

	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.maps, before.maps);
	assert_int_equal(harness_count_names(), 0);
}

static void a_writer_killed_at_any_instruction_loses_nothing_it_published(void **state)
{
	assert_int_equal(sweep_writer(VICTIM_KILLED), 0);
	assert_nothing_left();
}

static void a_writer_stopped_at_any_instruction_shows_whole_frames_only(void **state)
{
	assert_int_equal(sweep_writer(VICTIM_PAUSED), 0);
	assert_nothing_left();
}

static void a_reader_killed_at_any_instruction_costs_no_slot_and_no_frame(void **state)
{
	assert_int_equal(sweep_reader(VICTIM_KILLED), 0);
	assert_nothing_left();
}

static void a_reader_stopped_at_any_instruction_keeps_the_frames_it_holds(void **state)
{
	assert_int_equal(sweep_reader(VICTIM_PAUSED), 0);
	assert_nothing_left();
}

static void writer_and_reader_killed_at_any_pair_of_instructions_harm_nobody(void **state)
{
	struct victim_round whole = { .step = LONGEST, .reader_step = LONGEST };
	uint64_t all, failures = 0;

	assert_true(victim_pair(&whole));
	all = (uint64_t)(whole.steps + 1) * (uint64_t)(whole.reader_steps + 1);
	/* A prime step through the grid of all pairs: far apart, and none twice. */
	for (uint64_t n = 0; n < pairs && n < all; n++) {
		uint64_t at = n * UINT64_C(2654435761) % all;
		struct victim_round round = {
			.backing = n % 2,
			.mode = n / 2 % 2 != 0 ? WEIR_POLICY_LATEST : WEIR_POLICY_LOSSLESS,
			.step = (long)(at % (uint64_t)(whole.steps + 1)),
			.reader_step = (long)(at / (uint64_t)(whole.steps + 1)),
		};

		if (!victim_pair(&round) && failures++ < FAILURES_TO_TELL)
			print_message("# pair %ld, %ld: %s\n", round.step, round.reader_step, harness_why);
	}
	print_message("# %ju failures in %ju of %ju pairs\n", (uintmax_t)failures,
		(uintmax_t)(pairs < all ? pairs : all), (uintmax_t)all);
	assert_int_equal(failures, 0);
	assert_nothing_left();
}

static void a_bug_planted_in_the_writer_is_caught(void **state)
{
	assert_int_not_equal(sweep_writer(VICTIM_KILLED), 0);
	assert_nothing_left();
}

static void a_bug_planted_in_the_reader_is_caught(void **state)
{
	assert_int_not_equal(sweep_reader(VICTIM_PAUSED), 0);
	assert_nothing_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_writer_killed_at_any_instruction_loses_nothing_it_published),
		cmocka_unit_test(a_writer_stopped_at_any_instruction_shows_whole_frames_only),
		cmocka_unit_test(a_reader_killed_at_any_instruction_costs_no_slot_and_no_frame),
		cmocka_unit_test(a_reader_stopped_at_any_instruction_keeps_the_frames_it_holds),
		cmocka_unit_test(writer_and_reader_killed_at_any_pair_of_instructions_harm_nobody),
	};
	const struct CMUnitTest planted[] = {
		PLANTED == 1 ? (struct CMUnitTest)cmocka_unit_test(a_bug_planted_in_the_writer_is_caught)
			     : (struct CMUnitTest)cmocka_unit_test(a_bug_planted_in_the_reader_is_caught),
	};

	if (harness_is_long())
		points = 0, pairs = 40000;
	else if (HARNESS_SANITIZED)
		points = 6, pairs = 40;
	pairs = harness_option(argc, argv, "--pairs", pairs);
	points = (long)harness_option(argc, argv, "--points", (uint64_t)points);
	harness_bound(harness_is_long() || argc > 1 ? 7200 : 170);
	if (PLANTED != 0) {
		/* The window of the writer's bug is some thirty instructions wide, that of the reader's a thousand. */
		points = PLANTED == 2 ? 40 : HARNESS_SANITIZED ? 150 : 300;
		stops_at_first = true;
		return cmocka_run_group_tests_name("shm_stepkill_planted", planted, note_holdings, NULL);
	}
	return cmocka_run_group_tests_name("shm_stepkill", tests, note_holdings, NULL);
}
