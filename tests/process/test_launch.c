/* SPDX-License-Identifier: MIT */
#include <weir/launch.h>

#include <malloc.h>

#include "../holdings.h"
#include "pool_backends.h"

#define MS (SECOND / 1000)

/* Launches, and what became of the last one that ended. */

static struct {
	int count;
	struct weir_launch_result result;
	char name[64], reason[128];
} ended;

static void take_end(void *data, const struct weir_launch_result *result)
{
	ended.count++;
	ended.result = *result;
	snprintf(ended.name, sizeof(ended.name), "%s", result->name);
	snprintf(ended.reason, sizeof(ended.reason), "%s", result->reason);
}

static void launch(struct fixture *fixture, struct weir_launch_config config)
{
	if (config.name == NULL)
		config.name = "launched";
	config.ended = take_end;
	config.user = fixture;
	ended.count = 0;
	assert_int_equal(weir_launch(fixture->frontend, &config), 0);
}

static void await_end(struct fixture *fixture)
{
	UNTIL(fixture, ended.count > 0);
	fixture_run(fixture, 20 * MS);
	assert_int_equal(ended.count, 1);
	assert_ptr_equal(ended.result.user, fixture);
}

static void run_shell(struct fixture *fixture, const char *script, struct weir_launch_config config)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	config.argv = argv;
	launch(fixture, config);
	await_end(fixture);
}

static void run_function(struct fixture *fixture, const char *job, struct weir_launch_config config)
{
	config.backend = "labourer";
	config.data = job;
	config.size = strlen(job) + 1;
	launch(fixture, config);
	await_end(fixture);
}

/* --- command lines ----------------------------------------------------------------------------------------------- */

static void a_command_gets_its_arguments_as_they_are(void **state)
{
	struct fixture *fixture = *state;
	const char *const argv[] = { "printf", "%s|", "a b", "", "$HOME", "3:x", "ä\"'", NULL };

	launch(fixture, (struct weir_launch_config){ .argv = argv });
	await_end(fixture);
	assert_true(ended.result.success);
	assert_string_equal(ended.name, "launched");
	assert_string_equal(fixture->output, "a b||$HOME|3:x|ä\"'|\n");
}

static void only_exit_code_0_is_a_success(void **state)
{
	struct fixture *fixture = *state;

	run_shell(fixture, "exit 0", (struct weir_launch_config){ 0 });
	assert_true(ended.result.success);
	assert_int_equal(ended.result.exit_code, 0);
	run_shell(fixture, "exit 2", (struct weir_launch_config){ 0 });
	assert_false(ended.result.success);
	assert_int_equal(ended.result.exit_code, 2);
	ASSERT_HAS(ended.reason, "exit status 2");
	run_shell(fixture, "kill -SEGV $$", (struct weir_launch_config){ 0 });
	assert_false(ended.result.success);
	assert_int_equal(ended.result.exit_code, -1);
	assert_int_equal(ended.result.signal_number, SIGSEGV);
	ASSERT_HAS(ended.reason, "SIGSEGV");
}

static void a_command_that_does_not_exist_says_so(void **state)
{
	struct fixture *fixture = *state;
	const char *const argv[] = { "/no/such/program", NULL };

	launch(fixture, (struct weir_launch_config){ .argv = argv });
	await_end(fixture);
	assert_false(ended.result.success);
	assert_int_equal(ended.result.exit_code, -1); /* it could as well have exited with 1 */
	assert_int_equal(ended.result.signal_number, 0);
	ASSERT_HAS(ended.reason, "No such file");
}

static void the_largest_limit_is_none(void **state)
{
	run_shell(*state, "sleep 0.1", (struct weir_launch_config){ .limit_ns = INT64_MAX });
	assert_true(ended.result.success);
	run_function(*state, "echo", (struct weir_launch_config){ .limit_ns = INT64_MAX });
	assert_true(ended.result.success);
}

static void a_command_over_its_limit_is_terminated(void **state)
{
	struct fixture *fixture = *state;
	const char *const argv[] = { "sleep", "1000", NULL };
	int64_t begun_ns = now_ns();

	launch(fixture, (struct weir_launch_config){ .argv = argv, .limit_ns = 100 * MS, .term_ns = 9 * SECOND });
	await_end(fixture);
	assert_true(ended.result.late);
	assert_false(ended.result.success);
	assert_int_equal(ended.result.signal_number, SIGTERM);
	ASSERT_HAS(ended.reason, "limit of 0.1 s");
	assert_true(now_ns() - begun_ns >= 100 * MS);
}

static void a_command_that_is_deaf_to_sigterm_is_killed_with_what_it_started(void **state)
{
	struct fixture *fixture = *state;
	int pid;

	run_shell(fixture, "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1; done",
		(struct weir_launch_config){ .limit_ns = 500 * MS, .term_ns = 50 * MS });
	assert_int_equal(ended.result.signal_number, SIGKILL);
	assert_true(ended.result.late);
	pid = atoi(fixture->output);
	assert_true(pid > 0);
	UNTIL(fixture, is_gone(pid));
}

/* It reacts to SIGTERM with an exit code of 0; but it was too late. */
static void an_exit_in_order_after_the_limit_is_no_success(void **state)
{
	run_shell(*state, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done",
		(struct weir_launch_config){ .limit_ns = 500 * MS, .term_ns = 9 * SECOND });
	assert_int_equal(ended.result.exit_code, 0);
	assert_true(ended.result.late);
	assert_false(ended.result.success);
}

static void a_command_has_default_signals_and_nothing_of_ours(void **state)
{
	struct fixture *fixture = *state;

	run_shell(fixture, "grep -E 'Sig(Ign|Blk|Cgt)' /proc/$$/status | sort -u; ls /proc/$$/fd | tr '\\n' ' '",
		(struct weir_launch_config){ 0 });
	ASSERT_HAS(fixture->output, "SigIgn:\t0000000000000000");
	ASSERT_HAS(fixture->output, "SigBlk:\t0000000000000000");
	ASSERT_HAS(fixture->output, "\n0 1 2 ");
	assert_null(strstr(fixture->output, "\n0 1 2 3 4"));
}

/* --- functions --------------------------------------------------------------------------------------------------- */

static void a_function_runs_once_and_its_process_leaves_in_order(void **state)
{
	struct fixture *fixture = *state;

	run_function(fixture, "echo", (struct weir_launch_config){ .args = "for it" });
	assert_true(ended.result.success);
	assert_string_equal(fixture->output, "launched enter for it\nlaunched leave 0\n");
}

static void a_function_that_fails_tells_its_status(void **state)
{
	run_function(*state, "fail 5", (struct weir_launch_config){ 0 });
	assert_false(ended.result.success);
	assert_int_equal(ended.result.status, -EIO);
	assert_int_equal(ended.result.exit_code, 0);
	ASSERT_HAS(ended.reason, "Input/output");
}

static void a_function_that_dies_is_no_success(void **state)
{
	run_function(*state, "signal 9", (struct weir_launch_config){ 0 });
	assert_false(ended.result.success);
	assert_int_equal(ended.result.signal_number, SIGKILL);
	run_function(*state, "echo", (struct weir_launch_config){ .args = "broken" });
	assert_false(ended.result.success);
	ASSERT_HAS(ended.reason, "could not start");
}

static void a_function_that_hangs_is_ended_at_its_limit(void **state)
{
	int64_t begun_ns = now_ns();

	run_function(*state, "hang", (struct weir_launch_config){ .limit_ns = SECOND });
	assert_true(ended.result.late);
	assert_true(now_ns() - begun_ns < 19 * SECOND / 10); /* it is not given its time a second time */
	run_function(*state, "stop", (struct weir_launch_config){ .limit_ns = 100 * MS });
	assert_true(ended.result.late);
	assert_false(ended.result.success);
}

/* --- forgetting -------------------------------------------------------------------------------------------------- */

static void wrong_launches_are_refused(void **state)
{
	struct fixture *fixture = *state;
	const char *const none[] = { NULL }, *const some[] = { "true", NULL };
	const char *huge[2] = { calloc(1, 40000), NULL };

	memset((char *)(uintptr_t)huge[0], 'x', 39999);
	assert_int_equal(weir_launch(fixture->frontend, &(struct weir_launch_config){ .name = "a" }), -EINVAL);
	assert_int_equal(
		weir_launch(fixture->frontend, &(struct weir_launch_config){ .name = "a", .argv = none }), -EINVAL);
	assert_int_equal(weir_launch(fixture->frontend,
				 &(struct weir_launch_config){ .name = "a", .argv = some, .backend = "b" }),
		-EINVAL);
	assert_int_equal(weir_launch(fixture->frontend, &(struct weir_launch_config){ .argv = some }), -EINVAL);
	assert_int_equal(
		weir_launch(fixture->frontend, &(struct weir_launch_config){ .name = "a", .argv = huge }), -E2BIG);
	assert_int_equal(weir_launch(fixture->frontend, &(struct weir_launch_config){ .name = "a",
								.backend = "labourer",
								.data = huge[0],
								.size = WEIR_MESSAGE_BYTES_MAX + 1 }),
		-EMSGSIZE);
	free((char *)(uintptr_t)huge[0]);
}

static void a_launch_does_not_wait_and_leaves_no_zombie(void **state)
{
	struct fixture *fixture = *state;
	const char *const argv[] = { "sleep", "0.2", NULL };
	int64_t begun_ns = now_ns();
	int before;

	for (int i = 0; i < 20; i++)
		assert_int_equal(
			weir_launch(fixture->frontend, &(struct weir_launch_config){ .name = "quick", .argv = argv }),
			0);
	assert_true(now_ns() - begun_ns < 150 * MS);
	before = (int)fixture->moves;
	UNTIL(fixture, (int)fixture->moves >= before + 20 * 3); /* starting, running, done */
	fixture_run(fixture, 100 * MS);
	assert_int_equal(count_children(), 1); /* the zygote */
}

/* A sanitizer has a heap of its own, and counts nothing here. */
static void launches_that_have_ended_leave_no_memory(void **state)
{
	struct fixture *fixture = *state;
	size_t before = 0;

	for (int i = 0; i < 40; i++) {
		run_shell(fixture, "exit 0", (struct weir_launch_config){ 0 });
		if (i == 9)
			before = mallinfo2().uordblks;
	}
	UNTIL(fixture, mallinfo2().uordblks < before + 20000);
}

static void a_frontend_that_goes_ends_what_was_launched(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo $$; exec sleep 1000", NULL };
	struct fixture *fixture = *state;
	int pid;

	launch(fixture, (struct weir_launch_config){ .argv = argv });
	UNTIL(fixture, fixture->output_lines > 0);
	pid = atoi(fixture->output);
	assert_false(is_gone(pid));
	weir_frontend_free(&fixture->frontend);
	assert_true(is_gone(pid));
	assert_int_equal(ended.count, 0);
	assert_int_equal(weir_frontend_create(&fixture->frontend, NULL), 0);
}

/* Neither while it works nor while it leaves is it given the rest of its 60 s. */
static void a_frontend_that_goes_does_not_wait_for_a_function(void **state)
{
	static const struct {
		const char *job, *args;
		enum weir_child_state until;
	} at[] = { { "hang", "", WEIR_CHILD_RUNNING }, { "echo", "lingering", WEIR_CHILD_STOPPING } };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		int64_t begun_ns;

		launch(fixture, (struct weir_launch_config){ .backend = "labourer",
					.args = at[i].args,
					.data = at[i].job,
					.size = strlen(at[i].job) + 1 });
		UNTIL(fixture, fixture->moves > 0 && fixture->move[fixture->moves - 1].to == (int)at[i].until);
		fixture_run(fixture, 100 * MS);
		begun_ns = now_ns();
		weir_frontend_free(&fixture->frontend);
		assert_true(now_ns() - begun_ns < 10 * SECOND);
		assert_int_equal(ended.count, 0);
		assert_int_equal(weir_frontend_create(&fixture->frontend,
					 &(struct weir_frontend_config){ .event = fixture_event, .data = fixture }),
			0);
	}
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &labourer, NULL };
	const struct weir_init_config init = { .backends = backends };
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(a_command_gets_its_arguments_as_they_are),
		WITH_FRONTEND(only_exit_code_0_is_a_success),
		WITH_FRONTEND(a_command_that_does_not_exist_says_so),
		WITH_FRONTEND(the_largest_limit_is_none),
		WITH_FRONTEND(a_command_over_its_limit_is_terminated),
		WITH_FRONTEND(a_command_that_is_deaf_to_sigterm_is_killed_with_what_it_started),
		WITH_FRONTEND(an_exit_in_order_after_the_limit_is_no_success),
		WITH_FRONTEND(a_command_has_default_signals_and_nothing_of_ours),
		WITH_FRONTEND(a_function_runs_once_and_its_process_leaves_in_order),
		WITH_FRONTEND(a_function_that_fails_tells_its_status),
		WITH_FRONTEND(a_function_that_dies_is_no_success),
		WITH_FRONTEND(a_function_that_hangs_is_ended_at_its_limit),
		WITH_FRONTEND(wrong_launches_are_refused),
		WITH_FRONTEND(a_launch_does_not_wait_and_leaves_no_zombie),
		WITH_FRONTEND(launches_that_have_ended_leave_no_memory),
		WITH_FRONTEND(a_frontend_that_goes_ends_what_was_launched),
		WITH_FRONTEND(a_frontend_that_goes_does_not_wait_for_a_function),
	};

	if (weir_init(&init) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
