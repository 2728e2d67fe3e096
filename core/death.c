/* SPDX-License-Identifier: MIT */
#include "death.h"

#include <errno.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

int death_watch(int *pidfd, int pid)
{
	int made = pidfd_open(pid, 0);

	if (made < 0 && errno != ENOSYS && errno != EPERM)
		return -errno;
	*pidfd = made;
	return 0;
}

int death_signal(int pid, int pidfd, int number)
{
	int r = pidfd >= 0 ? pidfd_send_signal(pidfd, number, NULL, 0) : kill(pid, number);

	return r < 0 ? -errno : 0;
}

static bool look(int pid, int pidfd, siginfo_t *info, int options)
{
	int r;

	*info = (siginfo_t){ 0 };
	r = waitid(pidfd >= 0 ? P_PIDFD : P_PID, (id_t)(pidfd >= 0 ? pidfd : pid), info, WEXITED | WNOHANG | options);
	return r < 0 ? errno == ECHILD : info->si_pid != 0;
}

bool death_has_come(int pid, int pidfd)
{
	siginfo_t info;

	return look(pid, pidfd, &info, WNOWAIT);
}

bool death_fetch(int pid, int pidfd, siginfo_t *info)
{
	return look(pid, pidfd, info, 0);
}
