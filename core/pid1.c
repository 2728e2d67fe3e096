/* SPDX-License-Identifier: MIT */
#include "pid1.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a container the program may be the first process. Its duties are another process's: this one. It reaps whatever
 * is orphaned, and cannot be confused with a parent that waits for children of its own. */

/* Reaps all that there is. The program's end is ours, with its status as a shell would tell it. */
static void reap_all(pid_t program)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == program)
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	if (pid < 0 && errno == ECHILD)
		_exit(1);
}

static _Noreturn void be_first(pid_t program, const sigset_t *signals)
{
	for (;;) {
		siginfo_t info;
		int number = sigwaitinfo(signals, &info);

		if (number == SIGCHLD)
			reap_all(program);
		else if (number > 0 && info.si_code != SI_KERNEL) /* the terminal's went to the whole group */
			kill(program, number);
	}
}

int pid1_leave(void)
{
	sigset_t signals, before;
	pid_t program;

	if (getpid() != 1)
		return 0;
	sigfillset(&signals);
	sigprocmask(SIG_SETMASK, &signals, &before);
	program = fork();
	if (program > 0)
		be_first(program, &signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return program < 0 ? -EAGAIN : 0;
}
