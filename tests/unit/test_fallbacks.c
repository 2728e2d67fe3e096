/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fds.h"
#include "threads.h"

/* Containers forbid unshare() and old kernels know no close_range(): what then? Each test runs in a process of its own,
 * from which the filter cannot be taken again. */

static int forbid(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_unshare, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
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
