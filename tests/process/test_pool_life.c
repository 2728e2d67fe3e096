/* SPDX-License-Identifier: MIT */
#include "pool_backends.h"

#include <malloc.h>

#define MS (SECOND / 1000)

/* What becomes of the workers of a pool: in order, at the right time, and nothing is left of them. */

static bool has_event(const struct crew *crew, enum weir_pool_event event)
{
	return (crew->events & 1u << event) != 0;
}

static int count_lines(const struct crew *crew, const char *with)
{
	int count = 0;

	for (const char *at = crew->fixture->output; (at = strstr(at, with)) != NULL; at++)
		count++;
	return count;
}

static void await_lines(struct crew *crew, const char *with, int count)
{
	UNTIL(crew->fixture, count_lines(crew, with) >= count);
	assert_int_equal(count_lines(crew, with), count);
}

static void await_workers(struct crew *crew, uint32_t count)
{
	UNTIL(crew->fixture, crew_counters(crew).workers == count);
}

static void join(struct crew *crew)
{
	assert_int_equal(weir_pool_join(crew->pool, now_ns() + PATIENCE_S * SECOND), 0);
	assert_true(has_event(crew, WEIR_POOL_FINISHED));
	assert_int_equal(crew_counters(crew).workers, 0);
}

/* --- ends -------------------------------------------------------------------------------------------------------- */

static void a_closed_pool_finishes_its_jobs_and_its_workers_leave(void **state)
{
	struct weir_job_config config = { 0 };
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 2, .ahead = 1 });
	for (int i = 0; i < 10; i++)
		crew_submit(crew, "sleep 20");
	assert_int_equal(weir_pool_join(crew->pool, now_ns()), -EBUSY);
	weir_pool_close(crew->pool);
	assert_int_equal(weir_pool_submit(crew->pool, NULL, &config, 0), -ESHUTDOWN);
	join(crew);
	assert_int_equal(crew_counters(crew).succeeded, 10);
	await_lines(crew, "enter", 2);
	await_lines(crew, "leave 0", 2);
}

static void an_unused_pool_can_be_closed_at_once(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 3 });
	weir_pool_close(crew->pool);
	join(crew);
	assert_int_equal(crew->ended, 0);
}

static void a_stopped_pool_kills_what_runs_and_lets_the_idle_leave(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 2 });
	await_workers(crew, 2);
	crew_submit(crew, "hang");
	UNTIL(crew->fixture, crew_counters(crew).sent == 1);
	weir_pool_stop(crew->pool);
	join(crew);
	assert_int_equal(crew->ended, 1);
	assert_int_equal(crew->outcome[0].end, WEIR_JOB_DROPPED);
	await_lines(crew, "leave 0", 1);
}

static void joining_ends_at_its_deadline(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	crew_submit(crew, "hang");
	weir_pool_close(crew->pool);
	assert_int_equal(weir_pool_join(crew->pool, now_ns() + 100 * MS), -ETIMEDOUT);
	assert_int_equal(crew->ended, 0);
	weir_pool_stop(crew->pool);
	join(crew);
	assert_int_equal(crew->ended, 1);
}

static void a_freed_pool_says_nothing_more_and_leaves_no_process(void **state)
{
	struct crew *crew = *state;
	int pid[2];

	crew_create(crew, (struct weir_pool_config){ .workers = 2, .stop_ns = 50 * MS });
	for (int i = 0; i < 2; i++)
		crew_submit(crew, "pid");
	crew_await(crew, 2);
	for (int i = 0; i < 2; i++)
		pid[i] = atoi(crew->outcome[i].text);
	crew_submit(crew, "hang");
	UNTIL(crew->fixture, crew_counters(crew).sent == 1);
	weir_pool_free(&crew->pool);
	assert_null(crew->pool);
	weir_pool_free(&crew->pool);
	UNTIL(crew->fixture, is_gone(pid[0]) && is_gone(pid[1]));
	assert_int_equal(crew->ended, 2);
}

static void free_within(struct crew *crew, const struct weir_job_result *result)
{
	crew->hook = NULL;
	weir_pool_free(&crew->pool);
}

static void a_pool_may_be_freed_while_its_callback_runs(void **state)
{
	const struct weir_job_config jobs[] = { { .data = "pid", .size = 4 }, { .data = "pid", .size = 4 } };
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	crew->hook = free_within;
	assert_int_equal(weir_pool_map(crew->pool, jobs, 2, NULL, now_ns() + PATIENCE_S * SECOND), -ESHUTDOWN);
	assert_int_equal(crew->ended, 1);
	fixture_run(crew->fixture, 50 * MS);
}

static void a_frontend_frees_the_pools_that_are_left(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 2 });
	crew_do(crew, "pid");
	crew_submit(crew, "sleep 50");
	UNTIL(crew->fixture, crew_counters(crew).sent == 1);
	crew->pool = NULL; /* the sanitizer would find it */
	weir_frontend_free(&crew->fixture->frontend);
	assert_int_equal(crew->ended, 1);
	assert_int_equal(weir_frontend_create(&crew->fixture->frontend, NULL), 0);
}

/* A sanitizer has a heap of its own, and counts nothing here. */
static void pools_that_were_freed_leave_no_memory(void **state)
{
	struct crew *crew = *state;
	size_t before = 0;

	for (int i = 0; i < 30; i++) {
		crew_create(crew, (struct weir_pool_config){ .workers = 2, .args = "quiet" });
		crew_do(crew, "pid");
		weir_pool_free(&crew->pool);
		fixture_run(crew->fixture, 20 * MS);
		if (i == 9)
			before = mallinfo2().uordblks;
	}
	UNTIL(crew->fixture, mallinfo2().uordblks < before + 20000);
}

/* --- recycling --------------------------------------------------------------------------------------------------- */

static void a_worker_is_replaced_after_so_many_jobs_and_leaves_in_order(void **state)
{
	struct crew *crew = *state;
	char pid[4][64];

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .max_jobs = 2, .ahead = 5 });
	for (int i = 0; i < 4; i++)
		crew_submit(crew, "pid");
	crew_await(crew, 4);
	for (int i = 0; i < 4; i++)
		snprintf(pid[i], sizeof(pid[i]), "%s", crew->outcome[i].text);
	assert_string_equal(pid[0], pid[1]);
	assert_string_not_equal(pid[1], pid[2]);
	assert_string_equal(pid[2], pid[3]);
	await_lines(crew, "leave 0", 2);
	await_workers(crew, 1);
	await_lines(crew, "enter", 3);
	assert_int_equal(crew_counters(crew).recycled, 2);
	assert_int_equal(crew_counters(crew).deaths, 0);
}

static struct weir_pool *closed_at_done;

static void close_at_done(struct fixture *fixture, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_CHILD_STATE && event->to == WEIR_CHILD_DONE)
		weir_pool_close(closed_at_done);
}

/* The order to start it again is out, when there is no more work for it. */
static void a_pool_may_be_closed_while_a_worker_is_recycled(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .max_jobs = 1 });
	closed_at_done = crew->pool;
	crew->fixture->hook = close_at_done;
	crew_do(crew, "pid");
	UNTIL(crew->fixture, has_event(crew, WEIR_POOL_FINISHED));
	crew->fixture->hook = NULL;
}

static void a_worker_is_replaced_when_it_has_grown_too_large(void **state)
{
	struct crew *crew = *state;
	char pid[64];

	crew_create(crew, (struct weir_pool_config){ .workers = 1, .max_bytes = UINT64_C(256) << 20 });
	snprintf(pid, sizeof(pid), "%s", crew_do(crew, "pid")->text);
	assert_string_equal(crew_do(crew, "pid")->text, pid);
	assert_int_equal(crew_do(crew, "eat 300")->status, 0);
	assert_string_not_equal(crew_do(crew, "pid")->text, pid);
	assert_int_equal(crew_counters(crew).recycled, 1);
	await_lines(crew, "leave 0", 1);
}

/* --- SIGTERM from outside ---------------------------------------------------------------------------------------- */

static void sigterm_lets_an_idle_worker_leave(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	kill(atoi(crew_do(crew, "pid")->text), SIGTERM);
	await_lines(crew, "leave 0", 1);
	assert_int_equal(crew_do(crew, "pid")->status, 0); /* and another one comes */
}

static void sigterm_lets_a_worker_finish_its_job(void **state)
{
	struct crew *crew = *state;
	int pid;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	pid = atoi(crew_do(crew, "pid")->text);
	crew_submit(crew, "sleep 300");
	UNTIL(crew->fixture, crew_counters(crew).sent == 1);
	kill(pid, SIGTERM);
	crew_await(crew, 2);
	assert_int_equal(crew->outcome[1].end, WEIR_JOB_DONE);
	await_lines(crew, "leave 0", 1);
	assert_true(crew->outcome[1].ran_ns >= 200 * MS || crew->outcome[1].status == -EINTR);
}

/* --- more and fewer ---------------------------------------------------------------------------------------------- */

static void a_pool_grows_and_shrinks(void **state)
{
	struct crew *crew = *state;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	await_workers(crew, 1);
	assert_int_equal(weir_pool_resize(crew->pool, 0), -EINVAL);
	assert_int_equal(weir_pool_resize(crew->pool, WEIR_POOL_WORKERS_MAX + 1), -EINVAL);
	assert_int_equal(weir_pool_resize(crew->pool, 4), 0);
	await_workers(crew, 4);
	for (int i = 0; i < 8; i++)
		crew_submit(crew, "sleep 10");
	assert_int_equal(weir_pool_resize(crew->pool, 2), 0); /* those with a job finish it first */
	crew_await(crew, 8);
	assert_int_equal(crew_counters(crew).succeeded, 8);
	await_lines(crew, "leave 0", 2);
	await_workers(crew, 2);
	assert_int_equal(weir_pool_resize(crew->pool, 3), 0);
	await_workers(crew, 3);
	assert_int_equal(crew_counters(crew).deaths, 0);
}

static void a_worker_that_is_shut_down_on_purpose_stays_away(void **state)
{
	struct crew *crew = *state;
	struct weir_child *worker;

	crew_create(crew, (struct weir_pool_config){ .workers = 2 });
	await_workers(crew, 2);
	assert_int_equal(weir_pool_activate(crew->pool, &worker), 0);
	weir_pool_deactivate(crew->pool, worker);
	weir_child_stop(worker);
	fixture_await(crew->fixture, worker, WEIR_CHILD_DONE);
	for (int i = 0; i < 10; i++)
		assert_int_equal(crew_do(crew, "pid")->status, 0);
	assert_int_equal(weir_child_state(worker), WEIR_CHILD_DONE);
	assert_int_equal(crew_counters(crew).workers, 1);
	assert_int_equal(weir_child_start(worker), 0);
	await_workers(crew, 2);
}

/* --- activation -------------------------------------------------------------------------------------------------- */

static int state_of(struct weir_child *worker)
{
	int active = -1;
	size_t size = sizeof(active);

	assert_int_equal(
		weir_child_call(worker, LABOURER_STATE, NULL, 0, &active, &size, now_ns() + PATIENCE_S * SECOND), 0);
	return active;
}

static void cached_workers_are_activated_used_and_put_back(void **state)
{
	struct crew *crew = *state;
	struct weir_child *worker, *other;
	int pid;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	await_workers(crew, 1);
	assert_int_equal(weir_pool_activate(crew->pool, &worker), 0);
	assert_int_equal(weir_pool_activate(crew->pool, &other), -EAGAIN);
	pid = weir_child_pid(worker);
	assert_int_equal(state_of(worker), 1);
	crew_submit(crew, "pid");
	fixture_run(crew->fixture, 50 * MS);
	assert_int_equal(crew->ended, 0); /* it is not for jobs now */
	assert_int_equal(crew_counters(crew).active, 1);
	weir_pool_deactivate(crew->pool, worker);
	crew_await(crew, 1);
	assert_int_equal(state_of(worker), 0);
	assert_int_equal(weir_child_pid(worker), pid);
}

static void an_active_worker_that_dies_is_replaced_by_an_active_one(void **state)
{
	struct crew *crew = *state;
	struct weir_child *worker;
	int pid;

	crew_create(crew, (struct weir_pool_config){ .workers = 1 });
	await_workers(crew, 1);
	assert_int_equal(weir_pool_activate(crew->pool, &worker), 0);
	pid = weir_child_pid(worker);
	kill(pid, SIGKILL);
	UNTIL(crew->fixture, weir_child_pid(worker) != pid && weir_child_state(worker) == WEIR_CHILD_RUNNING);
	assert_int_equal(state_of(worker), 1);
	weir_pool_close(crew->pool); /* it goes with the others */
	join(crew);
}

/* --- without a fork ---------------------------------------------------------------------------------------------- */

static void take_message(void *data, const struct weir_message *message)
{
	*(struct weir_message *)data = *message;
}

static void a_worker_runs_in_this_process_as_well(void **state)
{
	struct weir_message reply = { 0 };
	struct weir_back *back;

	assert_int_equal(weir_back_create_local(&back, &labourer, "quiet", take_message, &reply), 0);
	assert_int_equal(weir_back_local_command(back, WEIR_COMMAND_JOB, "fail 7", 7), 0);
	assert_int_equal(reply.status, -7);
	assert_int_equal(weir_back_local_command(back, WEIR_COMMAND_JOB, "echo", 5), 0);
	assert_int_equal(reply.status, 0);
	assert_int_equal(reply.size, 5);
	weir_back_local_free(&back);
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &labourer, NULL };
	const struct weir_init_config init = { .backends = backends };
#define CREW(test) cmocka_unit_test_setup_teardown(test, crew_setup, crew_teardown)
	const struct CMUnitTest tests[] = {
		CREW(a_closed_pool_finishes_its_jobs_and_its_workers_leave),
		CREW(an_unused_pool_can_be_closed_at_once),
		CREW(a_stopped_pool_kills_what_runs_and_lets_the_idle_leave),
		CREW(joining_ends_at_its_deadline),
		CREW(a_freed_pool_says_nothing_more_and_leaves_no_process),
		CREW(a_pool_may_be_freed_while_its_callback_runs),
		CREW(a_frontend_frees_the_pools_that_are_left),
		CREW(pools_that_were_freed_leave_no_memory),
		CREW(a_worker_is_replaced_after_so_many_jobs_and_leaves_in_order),
		CREW(a_pool_may_be_closed_while_a_worker_is_recycled),
		CREW(a_worker_is_replaced_when_it_has_grown_too_large),
		CREW(sigterm_lets_an_idle_worker_leave),
		CREW(sigterm_lets_a_worker_finish_its_job),
		CREW(a_pool_grows_and_shrinks),
		CREW(a_worker_that_is_shut_down_on_purpose_stays_away),
		CREW(cached_workers_are_activated_used_and_put_back),
		CREW(an_active_worker_that_dies_is_replaced_by_an_active_one),
		cmocka_unit_test(a_worker_runs_in_this_process_as_well),
	};

	if (weir_init(&init) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
