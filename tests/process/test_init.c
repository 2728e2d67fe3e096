/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "../holdings.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test_backends.h"

static const struct weir_init_config init = { .backends = test_backends };
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *wait_at_gate(void *name)
{
	prctl(PR_SET_NAME, name, 0, 0, 0);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return NULL;
}

static void await_name(const char *name)
{
	int64_t end_ns = now_ns() + PATIENCE_S * SECOND;

	/* The thread must have named itself, or the refusal names it by the program's name. */
	while (now_ns() < end_ns) {
		DIR *tasks = opendir("/proc/self/task");
		const struct dirent *task;
		int found = 0;

		while ((task = readdir(tasks)) != NULL) {
			char path[300], comm[32] = "";
			FILE *file;

			snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
			file = fopen(path, "re");
			if (file == NULL)
				continue;
			if (fgets(comm, sizeof(comm), file) != NULL)
				found |= strncmp(comm, name, strlen(name)) == 0;
			fclose(file);
		}
		closedir(tasks);
		if (found)
			return;
	}
	fail();
}

static void threads_before_init_are_refused_by_name(void **state)
{
	struct weir_frontend *frontend = NULL;
	pthread_t thread[2];

	pthread_mutex_lock(&gate);
	pthread_create(&thread[0], NULL, wait_at_gate, (void *)"pool-spawner");
	pthread_create(&thread[1], NULL, wait_at_gate, (void *)"openblas");
	await_name("pool-spawner");
	await_name("openblas");
	assert_int_equal(weir_init(&init), -EBUSY);
	ASSERT_HAS(weir_init_error(), "pool-spawner");
	ASSERT_HAS(weir_init_error(), "openblas");
	assert_int_equal(count_children(), 0);
	assert_int_equal(weir_frontend_create(&frontend, NULL), -EPERM);
	pthread_mutex_unlock(&gate);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
}

/* --- each of these in a process of its own, for weir_init() works but once ---------------------------------------- */

static int run_apart(int (*fn)(void))
{
	int status, pid = fork();

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static char last_reason[256], last_output[256];

static void note(void *data, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_CHILD_STATE)
		snprintf(last_reason, sizeof(last_reason), "%s", event->reason);
	if (event->type == WEIR_EVENT_OUTPUT)
		snprintf(last_output, sizeof(last_output), "%s", event->text);
}

/* Runs one child until it is in that state. */
static int run_until(struct weir_child_config config, enum weir_child_state state, uint32_t order)
{
	struct weir_frontend_config frontend_config = { .event = note };
	int64_t end_ns = now_ns() + PATIENCE_S * SECOND;
	struct weir_frontend *frontend;
	struct weir_child *child;
	bool told = false;

	config.name = "child";
	if (weir_frontend_create(&frontend, &frontend_config) < 0 || weir_child_add(frontend, &child, &config) < 0)
		return 10;
	while (weir_child_state(child) != state && now_ns() < end_ns) {
		weir_frontend_dispatch(frontend, now_ns() + SECOND / 10);
		if (order != 0 && !told && weir_child_state(child) == WEIR_CHILD_RUNNING)
			told = weir_child_send(child, order, &(int){ 1 }, sizeof(int)) == 0 &&
			       weir_child_send(child, ORDER_LEAVE, &(int){ 0 }, sizeof(int)) == 0;
	}
	if (weir_child_state(child) != state)
		return 11;
	weir_frontend_free(&frontend);
	return 0;
}

/* The mutex is held by this process: its threads wait for ever. */
static int preload_threaded(void)
{
	pthread_t thread;

	return -pthread_create(&thread, NULL, wait_at_gate, (void *)"openblas");
}

static int enter_nothing_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static const struct weir_backend threaded = {
	.abi = WEIR_BACKEND_ABI,
	.name = "threaded",
	.preload = preload_threaded,
	.enter = enter_nothing_back,
};

static int spawn_beside_a_thread(void)
{
	static const struct weir_backend *const backends[] = { &threaded, NULL };
	static const char *const preload[] = { "threaded", NULL };
	const struct weir_init_config config = { .backends = backends, .preload = preload };
	int r;

	pthread_mutex_lock(&gate);
	if (weir_init(&config) < 0)
		return 1;
	r = run_until((struct weir_child_config){ .backend = "threaded", .intensity = 1 }, WEIR_CHILD_FAILED, 0);
	if (r != 0)
		return r;
	return strstr(last_reason, "a preloaded plugin has started threads: ") != NULL &&
			       strstr(last_reason, "openblas") != NULL
		       ? 0
		       : 2;
}

/* Checked before every spawn, too (row 9). */
static void thread_of_a_preloaded_plugin_is_named(void **state)
{
	assert_int_equal(run_apart(spawn_beside_a_thread), 0);
}

static int init_beside_a_kernel_thread(void)
{
	char parameters[120] = { 0 }; /* struct io_uring_params */

	parameters[8] = 1 << 1; /* flags: IORING_SETUP_SQPOLL */
	if (syscall(__NR_io_uring_setup, 8, parameters) < 0)
		return 0; /* not here: then there is no such thread either */
	if (weir_init(&init) != -EBUSY)
		return 1;
	return strstr(weir_init_error(), "iou-sqp-") != NULL ? 0 : 2;
}

static void kernel_thread_of_a_ring_is_named(void **state)
{
	assert_int_equal(run_apart(init_beside_a_kernel_thread), 0);
}

static int start_without_standard_fds(void)
{
	int r;

	for (int fd = 0; fd < 3; fd++)
		close(fd);
	if (weir_init(&init) < 0)
		return 1;
	for (int fd = 0; fd < 3; fd++)
		if (!isatty(fd) && lseek(fd, 0, SEEK_CUR) < 0)
			return 2; /* neither a terminal nor /dev/null: a socket or a pipe of ours */
	r = run_until((struct weir_child_config){ .backend = "obedient", .restart = WEIR_RESTART_TRANSIENT },
		WEIR_CHILD_DONE, ORDER_PRINT);
	return r != 0 ? r : strcmp(last_output, "line 0") == 0 ? 0 : 3;
}

static void program_without_standard_descriptors_can_start_children(void **state)
{
	assert_int_equal(run_apart(start_without_standard_fds), 0);
}

/* As a shell that ignores it may have started this program. */
static int start_with_sigchld_ignored(void)
{
	int r;

	signal(SIGCHLD, SIG_IGN);
	if (weir_init(&init) < 0)
		return 1;
	r = run_until((struct weir_child_config){ .backend = "obedient", .restart = WEIR_RESTART_TRANSIENT },
		WEIR_CHILD_DONE, ORDER_PRINT);
	return r != 0 ? r : strcmp(last_reason, "exit status 0") == 0 ? 0 : 3;
}

static void program_that_inherits_an_ignored_sigchld_learns_how_children_end(void **state)
{
	assert_int_equal(run_apart(start_with_sigchld_ignored), 0);
}

static int begin_anew(void)
{
	struct weir_frontend *frontend = NULL;

	if (weir_frontend_create(&frontend, NULL) != -EPERM)
		return 4;
	if (weir_init(&init) < 0)
		return 5;
	return run_until((struct weir_child_config){ .backend = "obedient" }, WEIR_CHILD_RUNNING, 0);
}

static int init_and_fork(void)
{
	if (weir_init(&init) < 0)
		return 1;
	return run_apart(begin_anew);
}

/* As one that puts itself into the background is. */
static void fork_of_a_program_has_to_begin_anew(void **state)
{
	assert_int_equal(run_apart(init_and_fork), 0);
}

static volatile int stop_threads;

static void *churn(void *data)
{
	while (!stop_threads)
		free(malloc((size_t)(rand() % 10000)));
	return NULL;
}

/* Just joined threads are still counted for a moment: that must not matter. */
static void threads_after_init_do_not_hinder_restarts(void **state)
{
	pthread_t thread[4];
	struct fixture *fixture = NULL;
	struct weir_child *child;

	assert_int_equal(weir_init(&init), 0);
	assert_string_equal(weir_init_error(), "");
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, churn, NULL);
	assert_int_equal(fixture_setup((void **)&fixture), 0);
	child = fixture_add(fixture,
		(struct weir_child_config){ .backend = "obedient", .intensity = 64, .period_ns = SECOND / 1000 });
	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	while (weir_child_restarts(child) < 50) {
		uint32_t restarts = weir_child_restarts(child);

		assert_int_equal(weir_child_call(child, ORDER_STATUS, NULL, 0, NULL, NULL, now_ns() + 10 * SECOND), 0);
		if (restarts % 4 == 0) { /* out of the back-off */
			weir_child_stop(child);
			fixture_await(fixture, child, WEIR_CHILD_DONE);
			assert_int_equal(weir_child_start(child), 0);
		} else {
			kill(weir_child_pid(child), SIGKILL);
		}
		UNTIL(fixture, weir_child_restarts(child) > restarts && weir_child_state(child) == WEIR_CHILD_RUNNING);
	}
	stop_threads = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	fixture_teardown((void **)&fixture);
}

int main(void)
{
	/* In this order: the last one initialises. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_before_init_are_refused_by_name),
		cmocka_unit_test(thread_of_a_preloaded_plugin_is_named),
		cmocka_unit_test(kernel_thread_of_a_ring_is_named),
		cmocka_unit_test(program_without_standard_descriptors_can_start_children),
		cmocka_unit_test(program_that_inherits_an_ignored_sigchld_learns_how_children_end),
		cmocka_unit_test(fork_of_a_program_has_to_begin_anew),
		cmocka_unit_test(threads_after_init_do_not_hinder_restarts),
	};

	if (getenv("WEIR_ZYGOTE") != NULL) /* this is a zygote made by exec: not to begin all of this again */
		return weir_init(&init);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
