/* SPDX-License-Identifier: MIT */
#include "shm_step.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "shm_harness.h"

void step_mark_back(void)
{
	raise(SIGSTOP);
}

/* Tracer and tracee take turns: on one processor a step costs half of what it costs on two. */
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

pid_t step_fork(void (*back)(void *job), void *job)
{
	static bool stays;
	pid_t pid;
	int status;

	if (!stays)
		stay_here();
	stays = true;
	pid = harness_fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		back(job);
		_exit(0);
	}
	status = harness_wait(pid);
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
		return pid;
	if (WIFSTOPPED(status))
		harness_kill(pid);
	harness_fail("the child ended before its mark: status %x", status);
	return 0;
}

long step_run(pid_t pid, long steps, bool *ended)
{
	*ended = false;
	for (long done = 0; done < steps; done++) {
		int status;

		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
			return -1;
		status = harness_wait(pid);
		if (!WIFSTOPPED(status))
			return -1;
		if (WSTOPSIG(status) == SIGSTOP) {
			*ended = true;
			return done;
		}
		if (WSTOPSIG(status) != SIGTRAP)
			return -1;
	}
	return steps;
}

bool step_resume(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0)
		return false;
	status = harness_wait(pid);
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
		return true;
	return harness_fail("the resumed child did not reach its mark: status %x", status);
}
