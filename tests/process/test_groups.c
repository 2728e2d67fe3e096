/* SPDX-License-Identifier: MIT */
#include "../holdings.h"
#include "obedient.h"

#include <weir/group.h>

/* Three children in a group: which of them go when one of them dies (row 11), in which order, and when it is enough. */

enum { A, B, C, MEMBERS };

struct trio {
	struct fixture *fixture;
	struct weir_group *group;
	struct weir_child *child[MEMBERS];
	int pid[MEMBERS];
};

static const char *const names[] = { "a", "b", "c" };

static struct trio make_trio(struct fixture *fixture, struct weir_group_config config, const uint32_t *restart)
{
	struct trio trio = { .fixture = fixture };

	config.name = "trio";
	assert_int_equal(weir_group_create(fixture->frontend, &trio.group, &config), 0);
	for (int i = 0; i < MEMBERS; i++)
		trio.child[i] = fixture_add(
			fixture, (struct weir_child_config){ .name = names[i],
					 .backend = "obedient",
					 .group = trio.group,
					 .restart = restart != NULL ? restart[i] : WEIR_RESTART_PERMANENT });
	return trio;
}

static bool are_up(const struct trio *trio)
{
	for (int i = 0; i < MEMBERS; i++)
		if (weir_child_state(trio->child[i]) != WEIR_CHILD_RUNNING)
			return false;
	return weir_group_state(trio->group) == WEIR_GROUP_UP;
}

static void note_pids(struct trio *trio)
{
	for (int i = 0; i < MEMBERS; i++)
		trio->pid[i] = weir_child_pid(trio->child[i]);
}

static void await_up(struct trio *trio)
{
	UNTIL(trio->fixture, are_up(trio));
	note_pids(trio);
	trio->fixture->moves = 0;
}

/* Kills one; all are up again afterwards. Which of them are other processes now, as letters. */
static const char *kill_one(struct trio *trio, int victim)
{
	static char changed[MEMBERS + 1];
	int count = 0, before[MEMBERS];

	memcpy(before, trio->pid, sizeof(before));
	kill(trio->pid[victim], SIGKILL);
	UNTIL(trio->fixture, weir_child_pid(trio->child[victim]) != trio->pid[victim] && are_up(trio));
	note_pids(trio);
	for (int i = 0; i < MEMBERS; i++)
		if (trio->pid[i] != before[i])
			changed[count++] = names[i][0];
	changed[count] = '\0';
	return changed;
}

/* The order in which members went into a state. */
static const char *order_of(const struct trio *trio, int to)
{
	static char order[16];
	int count = 0;

	for (size_t i = 0; i < trio->fixture->moves && count < 15; i++)
		for (int j = 0; j < MEMBERS; j++)
			if (trio->fixture->move[i].who == trio->child[j] && trio->fixture->move[i].to == to)
				order[count++] = names[j][0];
	order[count] = '\0';
	return order;
}

static void one_for_one_restarts_the_dead_one(void **state)
{
	struct trio trio = make_trio(*state, (struct weir_group_config){ .strategy = WEIR_ONE_FOR_ONE }, NULL);

	await_up(&trio);
	assert_string_equal(kill_one(&trio, B), "b");
	assert_int_equal(fixture_count(*state, trio.group, WEIR_GROUP_RESTARTING), 0);
}

static void rest_for_one_restarts_it_and_those_after_it(void **state)
{
	struct trio trio = make_trio(*state, (struct weir_group_config){ .strategy = WEIR_REST_FOR_ONE }, NULL);

	await_up(&trio);
	assert_string_equal(kill_one(&trio, B), "bc");
	assert_string_equal(kill_one(&trio, C), "c");
	assert_string_equal(kill_one(&trio, A), "abc");
	assert_string_equal(fixture_reason(*state, trio.group, WEIR_GROUP_RESTARTING), "a: killed by SIGKILL");
}

static void one_for_all_restarts_all_in_order(void **state)
{
	struct trio trio = make_trio(*state, (struct weir_group_config){ .strategy = WEIR_ONE_FOR_ALL }, NULL);

	await_up(&trio);
	assert_string_equal(kill_one(&trio, B), "abc");
	assert_string_equal(order_of(&trio, WEIR_CHILD_STOPPING), "ca");
	assert_string_equal(order_of(&trio, WEIR_CHILD_BACKOFF), "bca");
	assert_string_equal(order_of(&trio, WEIR_CHILD_STARTING), "abc");
	assert_string_equal(order_of(&trio, WEIR_CHILD_RUNNING), "abc");
	assert_int_equal(fixture_count(*state, trio.child[A], WEIR_CHILD_DONE), 0);
	assert_string_equal(fixture_reason(*state, trio.child[A], WEIR_CHILD_STOPPING),
		"another member of its group is started again");
}

static void temporary_member_is_stopped_and_not_started_again(void **state)
{
	static const uint32_t restart[] = { WEIR_RESTART_PERMANENT, WEIR_RESTART_TRANSIENT, WEIR_RESTART_TEMPORARY };
	struct fixture *fixture = *state;
	struct trio trio = make_trio(fixture, (struct weir_group_config){ .strategy = WEIR_ONE_FOR_ALL }, restart);

	await_up(&trio);
	kill(trio.pid[C], SIGKILL); /* the death of a temporary member is nobody's business */
	fixture_await(fixture, trio.child[C], WEIR_CHILD_FAILED);
	fixture_run(fixture, SECOND / 10);
	assert_int_equal(weir_child_pid(trio.child[A]), trio.pid[A]);
	assert_int_equal(weir_group_state(trio.group), WEIR_GROUP_UP);
	assert_int_equal(weir_child_start(trio.child[C]), 0);
	await_up(&trio);
	kill(trio.pid[A], SIGKILL);
	UNTIL(fixture, weir_child_restarts(trio.child[B]) == 1 && weir_group_state(trio.group) == WEIR_GROUP_UP);
	fixture_await(fixture, trio.child[B], WEIR_CHILD_RUNNING);
	assert_int_equal(weir_child_state(trio.child[C]), WEIR_CHILD_DONE);
}

/* What a program stops on purpose stays so when another one dies alone. */
static void stopped_member_stays_stopped_in_one_for_one(void **state)
{
	struct fixture *fixture = *state;
	struct trio trio = make_trio(fixture, (struct weir_group_config){ .strategy = WEIR_ONE_FOR_ONE }, NULL);

	await_up(&trio);
	weir_child_stop(trio.child[C]);
	fixture_await(fixture, trio.child[C], WEIR_CHILD_DONE);
	kill(trio.pid[B], SIGKILL);
	UNTIL(fixture, weir_child_restarts(trio.child[B]) == 1);
	fixture_await(fixture, trio.child[B], WEIR_CHILD_RUNNING);
	assert_int_equal(weir_child_state(trio.child[C]), WEIR_CHILD_DONE);
}

static void fourth_death_in_the_period_fails_the_group(void **state)
{
	for (uint32_t strategy = WEIR_ONE_FOR_ONE; strategy <= WEIR_ONE_FOR_ALL; strategy++) {
		struct fixture *fixture = *state;
		struct trio trio = make_trio(fixture,
			(struct weir_group_config){ .strategy = strategy, .intensity = 3, .period_ns = 60 * SECOND },
			NULL);

		await_up(&trio);
		for (int i = 0; i < 3; i++) /* of all members together */
			kill_one(&trio, i);
		fixture->moves = 0;
		kill(trio.pid[B], SIGKILL);
		UNTIL(fixture, weir_group_state(trio.group) == WEIR_GROUP_FAILED);
		assert_string_equal(fixture_reason(fixture, trio.group, WEIR_GROUP_FAILED), "b: killed by SIGKILL");
		UNTIL(fixture, weir_child_pid(trio.child[A]) == 0 && weir_child_pid(trio.child[C]) == 0);
		assert_string_equal(order_of(&trio, WEIR_CHILD_STOPPING), "ca");
		assert_int_equal(weir_child_state(trio.child[A]), WEIR_CHILD_DONE);
		assert_int_equal(weir_child_state(trio.child[B]), WEIR_CHILD_FAILED);
		/* The frontend lives, and can have it begin anew. */
		assert_int_equal(weir_child_start(trio.child[B]), -EBUSY);
		assert_int_equal(weir_group_start(trio.group), 0);
		await_up(&trio);
		assert_int_equal(weir_group_start(trio.group), -EBUSY);
		kill_one(&trio, A);
		weir_group_stop(trio.group);
		UNTIL(fixture, weir_group_state(trio.group) == WEIR_GROUP_STOPPED);
	}
}

static void member_that_cannot_be_started_fails_the_group(void **state)
{
	struct fixture *fixture = *state;
	struct trio trio = make_trio(fixture, (struct weir_group_config){ .strategy = WEIR_REST_FOR_ONE }, NULL);
	struct weir_child *nobody = fixture_add(
		fixture, (struct weir_child_config){ .name = "d", .backend = "nobody", .group = trio.group });

	UNTIL(fixture, weir_group_state(trio.group) == WEIR_GROUP_FAILED);
	ASSERT_HAS(fixture_reason(fixture, trio.group, WEIR_GROUP_FAILED), "d: no backend nobody");
	UNTIL(fixture, weir_child_state(trio.child[A]) == WEIR_CHILD_DONE);
	assert_int_equal(weir_child_state(nobody), WEIR_CHILD_FAILED);
}

static void crash_loop_in_a_group_fails_it(void **state)
{
	struct fixture *fixture = *state;
	struct trio trio = make_trio(fixture,
		(struct weir_group_config){ .strategy = WEIR_ONE_FOR_ALL, .intensity = 5, .period_ns = 60 * SECOND },
		NULL);
	int64_t begun_ns = now_ns();
	struct weir_child *looper = fixture_add(fixture,
		(struct weir_child_config){ .name = "d", .backend = "failing", .args = "die", .group = trio.group });

	UNTIL(fixture, weir_group_state(trio.group) == WEIR_GROUP_FAILED);
	assert_string_equal(fixture_reason(fixture, trio.group, WEIR_GROUP_FAILED), "d: killed by SIGABRT");
	assert_int_equal(weir_child_restarts(looper), 5);
	assert_int_equal(weir_child_restarts(trio.child[A]), 5);
	/* With pauses of 0, 10, 20, 40 and 80 ms, each up to a quarter less. */
	assert_true(now_ns() - begun_ns >= SECOND / 1000 * 112);
}

/* Without a dispatch. */
static void await_gone(int pid)
{
	for (int i = 0; i < PATIENCE_S * 100 && !is_gone(pid); i++)
		usleep(10000);
	assert_true(is_gone(pid));
}

static void two_that_die_together_are_one_restart(void **state)
{
	struct fixture *fixture = *state;
	struct trio trio = make_trio(fixture,
		(struct weir_group_config){ .strategy = WEIR_ONE_FOR_ALL, .intensity = 1, .period_ns = 60 * SECOND },
		NULL);

	await_up(&trio);
	for (int i = 0; i < MEMBERS; i++)
		kill(trio.pid[i], SIGKILL);
	for (int i = 0; i < MEMBERS; i++)
		await_gone(trio.pid[i]); /* all of them, before the first one is seen */
	UNTIL(fixture, weir_child_restarts(trio.child[A]) == 1 && are_up(&trio));
	assert_int_equal(weir_group_state(trio.group), WEIR_GROUP_UP);
}

static void group_is_stopped_in_reverse_order(void **state)
{
	struct fixture *fixture = *state;
	struct trio trio = make_trio(fixture, (struct weir_group_config){ .strategy = WEIR_ONE_FOR_ONE }, NULL);

	await_up(&trio);
	send_order(trio.child[C], ORDER_SLEEP, 0); /* takes its time */
	weir_group_stop(trio.group);
	UNTIL(fixture, weir_group_state(trio.group) == WEIR_GROUP_STOPPED);
	assert_string_equal(order_of(&trio, WEIR_CHILD_STOPPING), "cba");
	assert_string_equal(order_of(&trio, WEIR_CHILD_DONE), "cba");
}

static void a_frontend_that_goes_starts_no_member_again(void **state)
{
	struct fixture *fixture = *state;
	struct trio trio = make_trio(fixture, (struct weir_group_config){ .strategy = WEIR_ONE_FOR_ALL }, NULL);

	await_up(&trio);
	kill(trio.pid[B], SIGKILL); /* its death is there, but not seen yet */
	await_gone(trio.pid[B]);
	weir_frontend_free(&fixture->frontend);
	assert_int_equal(count_children(), 1); /* the zygote */
}

static bool is_dispatching, told_outside;

static void note_where(struct fixture *fixture, const struct weir_event *event)
{
	told_outside |= !is_dispatching;
}

static void a_groups_events_come_from_a_dispatch_only(void **state)
{
	struct fixture *fixture = *state;
	struct trio trio = make_trio(fixture, (struct weir_group_config){ .strategy = WEIR_ONE_FOR_ALL }, NULL);

	await_up(&trio);
	fixture->hook = note_where;
	told_outside = false;
	weir_group_stop(trio.group);
	is_dispatching = true;
	UNTIL(fixture, weir_group_state(trio.group) == WEIR_GROUP_STOPPED);
	is_dispatching = false;
	assert_int_equal(weir_group_start(trio.group), 0);
	assert_int_equal(weir_group_start(trio.group), -EBUSY);
	is_dispatching = true;
	UNTIL(fixture, are_up(&trio));
	fixture->hook = NULL;
	assert_int_equal(fixture_count(fixture, trio.group, WEIR_GROUP_UP), 1);
	assert_false(told_outside);
}

static void bad_groups_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct weir_group *group = NULL;
	struct weir_child *child = NULL;
	struct weir_group_config bad[] = {
		{ .strategy = WEIR_ONE_FOR_ALL },
		{ .name = "x", .strategy = 3 },
		{ .name = "x", .intensity = 1000 },
		{ .name = "x", .period_ns = -1 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(weir_group_create(fixture->frontend, &group, &bad[i]), -EINVAL);
	assert_null(group);
	assert_int_equal(weir_group_create(fixture->frontend, &group, &(struct weir_group_config){ .name = "x" }), 0);
	/* The group's limit would not be the child's. */
	assert_int_equal(weir_child_add(fixture->frontend, &child,
				 &(struct weir_child_config){
					 .name = "x", .backend = "obedient", .group = group, .intensity = 3 }),
		-EINVAL);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(one_for_one_restarts_the_dead_one),
		WITH_FRONTEND(rest_for_one_restarts_it_and_those_after_it),
		WITH_FRONTEND(one_for_all_restarts_all_in_order),
		WITH_FRONTEND(temporary_member_is_stopped_and_not_started_again),
		WITH_FRONTEND(stopped_member_stays_stopped_in_one_for_one),
		WITH_FRONTEND(fourth_death_in_the_period_fails_the_group),
		WITH_FRONTEND(member_that_cannot_be_started_fails_the_group),
		WITH_FRONTEND(crash_loop_in_a_group_fails_it),
		WITH_FRONTEND(two_that_die_together_are_one_restart),
		WITH_FRONTEND(group_is_stopped_in_reverse_order),
		WITH_FRONTEND(a_frontend_that_goes_starts_no_member_again),
		WITH_FRONTEND(a_groups_events_come_from_a_dispatch_only),
		WITH_FRONTEND(bad_groups_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_obedient(run, NULL);
}
