/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"

#define PIPES 40

static struct loop *loop;
static char order[PIPES * 4];
static size_t served;

struct fed {
	struct loop_source source;
	int fd[2];
	char name;
	bool park;
};

static void serve(void *data)
{
	struct fed *fed = data;

	order[served++] = fed->name;
	if (fed->park)
		loop_park(loop, &fed->source);
}

static void open_fed(struct fed *fed, enum loop_class class, char name)
{
	assert_int_equal(pipe2(fed->fd, O_CLOEXEC), 0);
	assert_int_equal(write(fed->fd[1], "x", 1), 1);
	fed->name = name;
	fed->park = false;
	fed->source = (struct loop_source){ .fd = fed->fd[0], .class = class, .fn = serve, .data = fed };
	assert_int_equal(loop_add(loop, &fed->source), 0);
}

static void close_fed(struct fed *fed)
{
	loop_remove(loop, &fed->source);
	close(fed->fd[0]);
	close(fed->fd[1]);
}

static int setup(void **state)
{
	memset(order, 0, sizeof(order));
	served = 0;
	return loop_create(&loop);
}

static int teardown(void **state)
{
	loop_free(&loop);
	return 0;
}

static void deaths_are_served_before_what_the_dead_said(void **state)
{
	struct fed fed[4];

	open_fed(&fed[0], LOOP_OUTPUT, 'o');
	open_fed(&fed[1], LOOP_OTHER, 'x');
	open_fed(&fed[2], LOOP_CONTROL, 'c');
	open_fed(&fed[3], LOOP_DEATH, 'd');
	assert_int_equal(loop_run(loop, clock_ns() + CLOCK_S), 0);
	assert_string_equal(order, "dcox");
	for (int i = 0; i < 4; i++)
		close_fed(&fed[i]);
}

static void parked_source_is_left_out_for_a_moment(void **state)
{
	int64_t begin_ns = clock_ns();
	struct fed fed;

	open_fed(&fed, LOOP_CONTROL, 'p');
	fed.park = true;
	assert_int_equal(loop_run(loop, clock_ns()), 0);
	assert_int_equal(loop_run(loop, clock_ns()), -ETIMEDOUT);
	assert_int_equal(served, 1);
	while (served < 2)
		loop_run(loop, clock_ns() + CLOCK_S);
	assert_true(clock_ns() - begin_ns >= 10 * CLOCK_MS);
	close_fed(&fed);
}

static struct fed *victim;

static void remove_victim(void *data)
{
	serve(data);
	loop_remove(loop, &victim->source);
}

static void source_that_another_one_removes_is_not_served(void **state)
{
	struct fed fed[2];

	open_fed(&fed[0], LOOP_DEATH, 'a');
	open_fed(&fed[1], LOOP_CONTROL, 'b');
	fed[0].source.fn = remove_victim;
	victim = &fed[1];
	loop_run(loop, clock_ns());
	loop_run(loop, clock_ns());
	assert_string_equal(order, "aa");
	assert_int_equal(loop_add(loop, &fed[1].source), 0);
	close_fed(&fed[0]);
	loop_run(loop, clock_ns());
	assert_string_equal(order, "aab");
	close_fed(&fed[1]);
}

static void many_sources_can_come_and_go(void **state)
{
	static struct fed fed[PIPES];

	for (int i = 0; i < PIPES; i++)
		open_fed(&fed[i], LOOP_OTHER, 'm');
	loop_run(loop, clock_ns());
	assert_int_equal(served, PIPES);
	for (int i = 0; i < PIPES; i += 2)
		close_fed(&fed[i]);
	loop_run(loop, clock_ns());
	assert_int_equal(served, PIPES + PIPES / 2);
	for (int i = 1; i < PIPES; i += 2)
		close_fed(&fed[i]);
	assert_int_equal(loop_run(loop, clock_ns()), -ETIMEDOUT);
}

static int fired;

static void fire(void *data)
{
	struct loop_timer *timer = data;

	fired++;
	if (fired < 3)
		timer->due_ns = clock_ns() + CLOCK_MS;
}

static void timers_fire_once_for_each_setting(void **state)
{
	struct loop_timer timer = { .due_ns = 0, .fn = fire, .data = &timer };

	fired = 0;
	loop_add_timer(loop, &timer);
	while (fired < 3)
		assert_int_equal(loop_run(loop, clock_ns() + CLOCK_S), 0);
	assert_int_equal(loop_run(loop, clock_ns() + 20 * CLOCK_MS), -ETIMEDOUT);
	assert_int_equal(fired, 3);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOOP(deaths_are_served_before_what_the_dead_said),
		WITH_LOOP(parked_source_is_left_out_for_a_moment),
		WITH_LOOP(source_that_another_one_removes_is_not_served),
		WITH_LOOP(many_sources_can_come_and_go),
		WITH_LOOP(timers_fire_once_for_each_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
