/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "plan.h"

/* Members are letters. State: i idle, s starting, r running, e ending, b back-off, d done, f failed, u unkillable.
 * Restart: p permanent, t transient, y temporary. A word of two letters for each member. */

#define MEMBERS_MAX 8

struct scene {
	struct plan_member member[MEMBERS_MAX];
	uint32_t count;
	enum weir_strategy strategy;
};

static enum weir_child_state state_of(char letter)
{
	switch (letter) {
	case 'i': return WEIR_CHILD_IDLE;
	case 's': return WEIR_CHILD_STARTING;
	case 'r': return WEIR_CHILD_RUNNING;
	case 'e': return WEIR_CHILD_TERMINATING;
	case 'b': return WEIR_CHILD_BACKOFF;
	case 'd': return WEIR_CHILD_DONE;
	default: return WEIR_CHILD_FAILED;
	}
}

static struct scene set_scene(enum weir_strategy strategy, const char *words)
{
	struct scene scene = { .strategy = strategy };

	for (; *words != '\0'; words += words[2] == ' ' ? 3 : 2)
		scene.member[scene.count++] = (struct plan_member){
			.state = state_of(words[0]),
			.is_unkillable = words[0] == 'u',
			.restart = words[1] == 'p'   ? WEIR_RESTART_PERMANENT
				   : words[1] == 't' ? WEIR_RESTART_TRANSIENT
						     : WEIR_RESTART_TEMPORARY,
		};
	return scene;
}

/* Plays the processes: what is told to stop ends, what is started runs. Writes down the order: "-c" stopped, "+c"
 * started. */
static const char *play(struct scene *scene)
{
	static char text[64];
	size_t used = 0;

	for (;;) {
		struct plan_next next = plan_next(scene->member, scene->count, scene->strategy, false);
		struct plan_member *member = &scene->member[next.member];

		if (next.step == PLAN_REST)
			break;
		if (next.step == PLAN_WAIT) {
			member->state = member->state == WEIR_CHILD_STARTING ? WEIR_CHILD_RUNNING : WEIR_CHILD_DONE;
			continue;
		}
		assert_true(used + 2 < sizeof(text));
		text[used++] = next.step == PLAN_STOP ? '-' : '+';
		text[used++] = (char)('a' + next.member);
		if (next.step == PLAN_STOP) {
			member->state = member->state == WEIR_CHILD_BACKOFF ? WEIR_CHILD_DONE : WEIR_CHILD_STOPPING;
		} else {
			member->state = WEIR_CHILD_STARTING;
			member->start = false;
		}
	}
	text[used] = '\0';
	return text;
}

/* What OTP 25 does, tried out with supervisors of the same members. */
static void restart_sets_are_those_of_otp(void **state)
{
	static const struct {
		const char *members; /* b has died and is in back-off */
		const char *one, *rest, *all;
	} row[] = {
		{ "rp bp rp", "+b", "-c+b+c", "-c-a+a+b+c" },
		/* Temporary members are stopped, and stay so. */
		{ "rp bp ry rt", "+b", "-d-c+b+d", "-d-c-a+a+b+d" },
		/* What had ended, or was stopped, is started with the others. */
		{ "rp bp ry dt", "+b", "-c+b+d", "-c-a+a+b+d" },
		{ "rp bp dp", "+b", "+b+c", "-a+a+b+c" },
		{ "dp bp rp", "+b", "-c+b+c", "-c+a+b+c" },
		{ "rp bt rp", "+b", "-c+b+c", "-c-a+a+b+c" },
		/* A temporary one that had ended stays ended. */
		{ "rp bp dy fy", "+b", "+b", "-a+a+b" },
		/* Beyond OTP: one that is starting or ending, and one that cannot be killed. */
		{ "sp bp ep", "+b", "+b+c", "-a+a+b+c" },
		{ "rp bp up", "+b", "+b", "-a+a+b" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const char *expected[] = { row[i].one, row[i].rest, row[i].all };

		for (int strategy = WEIR_ONE_FOR_ONE; strategy <= WEIR_ONE_FOR_ALL; strategy++) {
			struct scene scene = set_scene((enum weir_strategy)strategy, row[i].members);

			plan_restart(scene.member, scene.count, scene.strategy, 1);
			assert_string_equal(play(&scene), expected[strategy]);
		}
	}
}

static void all_are_ended_in_reverse_order(void **state)
{
	struct scene scene = set_scene(WEIR_ONE_FOR_ONE, "rp bp sp ep dp ip rt ry");

	scene.member[1].start = true;
	plan_end(scene.member, scene.count);
	assert_string_equal(play(&scene), "-h-g-c-b-a");
}

static void nothing_is_started_during_a_pause(void **state)
{
	struct scene scene = set_scene(WEIR_ONE_FOR_ALL, "dp bp dp");

	plan_restart(scene.member, scene.count, scene.strategy, 1);
	assert_int_equal(plan_next(scene.member, scene.count, scene.strategy, true).step, PLAN_WAIT);
	assert_string_equal(play(&scene), "+a+b+c");
	assert_int_equal(plan_next(scene.member, scene.count, scene.strategy, true).step, PLAN_REST);
}

/* b is up again, c dies in its start. */
static void death_during_a_restart_begins_a_new_one_from_there(void **state)
{
	struct scene scene = set_scene(WEIR_REST_FOR_ONE, "rp rp bp dp");

	scene.member[3].start = true;
	plan_restart(scene.member, scene.count, scene.strategy, 2);
	assert_string_equal(play(&scene), "+c+d");
	scene = set_scene(WEIR_ONE_FOR_ALL, "rp rp bp dp");
	scene.member[3].start = true;
	plan_restart(scene.member, scene.count, scene.strategy, 2);
	assert_string_equal(play(&scene), "-b-a+a+b+c+d");
}

static void members_start_in_order_each_after_the_one_before_is_running(void **state)
{
	struct scene scene = set_scene(WEIR_REST_FOR_ONE, "ip ip");

	scene.member[0].start = scene.member[1].start = true;
	assert_int_equal(plan_next(scene.member, 2, WEIR_REST_FOR_ONE, false).step, PLAN_START);
	scene.member[0].state = WEIR_CHILD_STARTING;
	scene.member[0].start = false;
	assert_int_equal(plan_next(scene.member, 2, WEIR_REST_FOR_ONE, false).step, PLAN_WAIT);
	assert_int_equal(plan_next(scene.member, 2, WEIR_ONE_FOR_ALL, false).step, PLAN_WAIT);
	assert_int_equal(plan_next(scene.member, 2, WEIR_ONE_FOR_ONE, false).step, PLAN_START);
	scene.member[0].state = WEIR_CHILD_RUNNING;
	assert_int_equal(plan_next(scene.member, 2, WEIR_REST_FOR_ONE, false).step, PLAN_START);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restart_sets_are_those_of_otp),
		cmocka_unit_test(all_are_ended_in_reverse_order),
		cmocka_unit_test(nothing_is_started_during_a_pause),
		cmocka_unit_test(death_during_a_restart_begins_a_new_one_from_there),
		cmocka_unit_test(members_start_in_order_each_after_the_one_before_is_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
