/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../seccomp.h"
#include "fds.h"
#include "threads.h"

/* Containers forbid unshare() and old kernels know no close_range(): what then? Each test runs in a process of its own,
 * from which the filter cannot be taken again. */

static int forbid(void)
{
	struct sock_filter filter[] = {
		FILTER_CALL,
		FILTER_ANSWER(unshare, EPERM),
		FILTER_ANSWER(close_range, ENOSYS),
		FILTER_ALLOW,
	};

	return FILTER(filter);
}

static int run_apart(int (*fn)(void))
{
	int status, pid = fork();

	if (pid == 0)
		_exit(forbid() < 0 ? 99 : fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void *sleep_for_ever(void *data)
{
	for (;;)
		pause();
	return NULL;
}

static int count_threads(void)
{
	char names[256] = "";
	pthread_t thread;

	if (threads_check_single(names, sizeof(names)) != 0)
		return 1;
	if (pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0)
		return 2;
	pthread_setname_np(thread, "sleeper");
	if (threads_check_single(names, sizeof(names)) != -EBUSY)
		return 3;
	return strcmp(names, "sleeper") == 0 ? 0 : 4;
}

static void threads_are_counted_without_unshare(void **state)
{
	assert_int_equal(run_apart(count_threads), 0);
}

static int close_many(void)
{
	int last = 0;

	for (int i = 0; i < 100; i++)
		last = dup(STDIN_FILENO);
	if (last < 100)
		return 1;
	fds_close_from(10);
	for (int fd = 10; fd <= last; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 2;
	return fcntl(9, F_GETFD) >= 0 ? 0 : 3;
}

static void descriptors_are_closed_without_close_range(void **state)
{
	assert_int_equal(run_apart(close_many), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_are_counted_without_unshare),
		cmocka_unit_test(descriptors_are_closed_without_close_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
