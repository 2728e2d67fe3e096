/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>
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

static int count_children(void)
{
	siginfo_t info = { 0 };

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
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
	/* In this order: the second one initialises. A zygote that is made by exec begins here, too. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_before_init_are_refused_by_name),
		cmocka_unit_test(threads_after_init_do_not_hinder_restarts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
