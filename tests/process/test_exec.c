/* SPDX-License-Identifier: MIT */
#include "../holdings.h"
#include "obedient.h"
#include "stream_scene.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Children for which the program is executed again. */

#define SECRET "rtsp://user:opensesame@camera/"

/* --- a backend that locks itself in ------------------------------------------------------------------------------ */

static int answer_exec_with(uint32_t answer)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_execve, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0
		       ? -errno
		       : 0;
}

static int enter_caged_back(struct weir_back *back, void *state, const char *args)
{
	return strcmp(args, SECRET) == 0 ? answer_exec_with(SECCOMP_RET_KILL_PROCESS) : -EINVAL;
}

static int command_caged_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	if (message->type != ORDER_ESCAPE)
		return 0;
	execl("/bin/true", "true", NULL);
	return -errno;
}

static const struct weir_backend caged = {
	.abi = WEIR_BACKEND_ABI,
	.name = "caged",
	.enter = enter_caged_back,
	.command = command_caged_back,
};

/* --- tests ------------------------------------------------------------------------------------------------------- */

static struct weir_child *add_exec(struct fixture *fixture, const char *name, const char *backend, const char *args)
{
	return fixture_add(fixture,
		(struct weir_child_config){ .name = name, .backend = backend, .args = args, .spawn = WEIR_SPAWN_EXEC });
}

static struct facts learn(struct fixture *fixture, struct weir_child *child)
{
	struct facts facts;
	size_t size = sizeof(facts);

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	assert_int_equal(
		weir_child_call(child, ORDER_FACTS, NULL, 0, &facts, &size, now_ns() + PATIENCE_S * SECOND), 0);
	return facts;
}

static int have_the_same_layout(const struct facts *one, const struct facts *other)
{
	return (one->libc == other->libc) + (one->stack == other->stack) +
	       (memcmp(one->cookie, other->cookie, sizeof(one->cookie)) == 0);
}

static void child_has_a_layout_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	struct facts forked[2] = { learn(fixture, add_running(fixture, "one")),
		learn(fixture, add_running(fixture, "two")) };
	struct facts own[2] = { learn(fixture, add_exec(fixture, "three", "obedient", NULL)),
		learn(fixture, add_exec(fixture, "four", "obedient", NULL)) };

	assert_int_equal(have_the_same_layout(&forked[0], &forked[1]), 3);
	assert_int_equal(have_the_same_layout(&forked[0], &own[0]), 0);
	assert_int_equal(have_the_same_layout(&own[0], &own[1]), 0);
}

static void child_gets_the_process_that_others_get(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child =
		fixture_add(fixture, (struct weir_child_config){ .name = "a rather long name",
					     .backend = "obedient",
					     .spawn = WEIR_SPAWN_EXEC,
					     .limits = { .files = 100, .file_bytes = 1 << 20, .oom_score_adj = 7 } });
	struct facts facts = learn(fixture, child);

	assert_int_equal(facts.pid, weir_child_pid(child));
	assert_int_equal(facts.parent, getpid());
	assert_int_equal(facts.group, facts.pid);
	assert_int_equal(facts.fds, 6);
	assert_int_equal(facts.blocked, 0);
	assert_int_equal(facts.wrong_cpus, 0);
	assert_int_equal(facts.core_limit, 0);
	assert_int_equal(facts.files_limit, 100);
	assert_int_equal(facts.oom_score_adj, 7);
	assert_int_equal(call(child, ORDER_OVERWRITE, 0), -EFBIG);
	assert_string_equal(facts.comm, "a rather long n");
	ASSERT_HAS(facts.cmdline, "test_exec: a rather long name");
}

static void zygote_that_was_itself_made_by_exec_does_the_same(void **state)
{
	struct fixture *fixture = *state;
	int zygote = 0;

	UNTIL(fixture, (zygote = find_zygote()) != 0);
	kill(zygote, SIGKILL);
	UNTIL(fixture, is_gone(zygote));
	ASSERT_HAS(learn(fixture, add_exec(fixture, "late", "obedient", NULL)).cmdline, "test_exec: late");
}

static int has(int pid, const char *file, const char *text)
{
	char path[64], line[65536];
	size_t got;
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	stream = fopen(path, "re");
	assert_non_null(stream);
	got = fread(line, 1, sizeof(line), stream);
	fclose(stream);
	return memmem(line, got, text, strlen(text)) != NULL;
}

/* Only after the exec may a child forbid itself another one. */
static void child_can_lock_itself_in_and_shows_no_arguments(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_exec(fixture, "caged", "caged", SECRET);

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	assert_true(has(weir_child_pid(child), "cmdline", "caged"));
	assert_false(has(weir_child_pid(child), "cmdline", "sesame"));
	assert_false(has(weir_child_pid(child), "environ", "sesame"));
	assert_int_equal(call(child, ORDER_STATUS, 0), 0);
	send_order(child, ORDER_ESCAPE, 0);
	UNTIL(fixture, weir_child_restarts(child) == 1);
	ASSERT_HAS(fixture_reason(fixture, child, WEIR_CHILD_BACKOFF), "killed by SIGSYS");
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
}

static void frames_pass_and_killed_children_come_back(void **state)
{
	struct scene scene = { .fixture = *state };
	struct weir_stream_config config = { .name = "stream" };
	struct report report;
	uint32_t input;

	config.writer = scene.source = add_exec(scene.fixture, "source", "source", "0 1000 0 0");
	scene.sink[0] = add_exec(scene.fixture, "sink", "sink", "eventfd");
	assert_int_equal(weir_stream_create(scene.fixture->frontend, &scene.stream, &config), 0);
	assert_int_equal(weir_stream_add_reader(scene.stream, scene.sink[0], &lossless, &input), 0);
	await_published(&scene, 50);
	kill(weir_child_pid(scene.source), SIGKILL);
	UNTIL(scene.fixture, stream_stats(&scene).generations == 2);
	await_published(&scene, 50);
	report = ask(scene.sink[0]);
	assert_true(report.frames >= 50);
	assert_int_equal(report.wrong + report.unsaid, 0);
	assert_int_equal(report.formats, 2);
	kill(weir_child_pid(scene.sink[0]), SIGKILL);
	UNTIL(scene.fixture, weir_child_restarts(scene.sink[0]) == 1);
	fixture_await(scene.fixture, scene.sink[0], WEIR_CHILD_RUNNING);
	UNTIL(scene.fixture, ask(scene.sink[0]).frames > 0);
	assert_int_equal(ask(scene.sink[0]).wrong, 0);
}

static void stop_runs_leave(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_exec(fixture, "child", "obedient", NULL);

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	weir_child_stop(child);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	assert_int_equal(fixture->messages, 1);
	assert_int_equal(fixture->message_type[0], EVENT_LEFT);
	assert_int_equal(fixture->message_value[0], WEIR_LEAVE_STOP);
	assert_string_equal(fixture_reason(fixture, child, WEIR_CHILD_DONE), "stopped");
}

static void child_must_be_ready_in_time(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(fixture, (struct weir_child_config){ .backend = "failing",
								.args = "slow",
								.restart = WEIR_RESTART_TEMPORARY,
								.spawn = WEIR_SPAWN_EXEC,
								.ready_ns = SECOND / 5 });

	fixture_await(fixture, child, WEIR_CHILD_FAILED);
	ASSERT_HAS(fixture_reason(fixture, child, WEIR_CHILD_FAILED), "did not get ready within 0.2 s");
}

static int count_zygote_fds(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", find_zygote());
	return count_entries(path, "");
}

static void starts_leave_nothing_behind(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_exec(fixture, "child", "obedient", NULL);
	struct holdings before;
	int fds;

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	before = hold();
	fds = count_zygote_fds();
	for (int i = 0; i < 50; i++) {
		weir_child_stop(child);
		fixture_await(fixture, child, WEIR_CHILD_DONE);
		assert_int_equal(weir_child_start(child), 0);
		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	}
	assert_int_equal(learn(fixture, child).fds, 6);
	fixture_run(fixture, SECOND / 5);
	assert_same(&before, "after starts");
	assert_int_equal(count_zygote_fds(), fds);
}

static void backend_that_is_not_there_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_exec(fixture, "child", "/nowhere/to/be.so", NULL);

	fixture_await(fixture, child, WEIR_CHILD_FAILED);
	ASSERT_HAS(fixture_reason(fixture, child, WEIR_CHILD_FAILED), "plugin /nowhere/to/be.so: ");
}

static void unknown_way_to_spawn_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child_config config = { .name = "child", .backend = "obedient", .spawn = WEIR_SPAWN_EXEC + 1 };
	struct weir_child *child;

	assert_int_equal(weir_child_add(fixture->frontend, &child, &config), -EINVAL);
}

/* --- programs that cannot be executed again ---------------------------------------------------------------------- */

#define REFUSED "refused" /* execve() is */
#define PICKY	"WEIR_TEST_PICKY"

static struct weir_end last_end;

static void note_end(struct fixture *fixture, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_CHILD_STATE)
		last_end = event->end;
}

/* Two restarts, then it is given up. */
static const char *fail_to_start(struct fixture *fixture)
{
	struct weir_child *child = fixture_add(
		fixture, (struct weir_child_config){ .backend = "obedient", .spawn = WEIR_SPAWN_EXEC, .intensity = 2 });

	add_running(fixture, "forked");
	fixture->hook = note_end;
	fixture_await(fixture, child, WEIR_CHILD_FAILED);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_BACKOFF), 2);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_RUNNING), 0);
	return fixture_reason(fixture, child, WEIR_CHILD_FAILED);
}

static void refused_exec_is_a_failed_start(void **state)
{
	ASSERT_HAS(fail_to_start(*state), "cannot execute the program again (/proc/self/exe): Permission denied");
	assert_int_equal(last_end.kind, WEIR_END_START);
}

static void program_that_does_not_come_to_init_is_told_so(void **state)
{
	ASSERT_HAS(fail_to_start(*state), "exit status 64, before it came to weir_init()");
	assert_int_equal(last_end.kind, WEIR_END_EXIT);
	assert_int_equal(last_end.code, 64);
}

static int run_refused(void)
{
	const struct CMUnitTest tests[] = { WITH_FRONTEND(refused_exec_is_a_failed_start) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

static int run_picky(void)
{
	const struct CMUnitTest tests[] = { WITH_FRONTEND(program_that_does_not_come_to_init_is_told_so) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* This program, as one of those; its results go where they do not mix with ours. */
static void run_as(const char *what)
{
	const char *argv[] = { "test_exec", what, NULL };
	posix_spawn_file_actions_t actions;
	int status, pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, (char **)(uintptr_t)argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void exec_can_be_refused(void **state)
{
	run_as(REFUSED);
}

static void arguments_may_not_be_looked_at_before_init(void **state)
{
	run_as(PICKY);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(child_has_a_layout_of_its_own),
		WITH_FRONTEND(child_gets_the_process_that_others_get),
		WITH_FRONTEND(zygote_that_was_itself_made_by_exec_does_the_same),
		WITH_FRONTEND(child_can_lock_itself_in_and_shows_no_arguments),
		WITH_FRONTEND(frames_pass_and_killed_children_come_back),
		WITH_FRONTEND(stop_runs_leave),
		WITH_FRONTEND(child_must_be_ready_in_time),
		WITH_FRONTEND(starts_leave_nothing_behind),
		WITH_FRONTEND(backend_that_is_not_there_is_named),
		WITH_FRONTEND(unknown_way_to_spawn_is_refused),
		cmocka_unit_test(exec_can_be_refused),
		cmocka_unit_test(arguments_may_not_be_looked_at_before_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	static const struct weir_backend *more[8] = { &caged };
	const char *what = argc > 1 ? argv[1] : "";

	if (argc < 2 && getenv(PICKY) != NULL)
		return 64;
	if (strcmp(what, PICKY) == 0)
		setenv(PICKY, "1", 1);
	if (strcmp(what, REFUSED) == 0 && answer_exec_with(SECCOMP_RET_ERRNO | EACCES) < 0)
		return 1;
	add_backends(more, stream_backends);
	return run_obedient(strcmp(what, PICKY) == 0	 ? run_picky
			    : strcmp(what, REFUSED) == 0 ? run_refused
							 : run,
		more);
}
