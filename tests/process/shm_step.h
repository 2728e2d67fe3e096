/* SPDX-License-Identifier: MIT */
#ifndef SHM_STEP_H
#define SHM_STEP_H

/* A child that is stopped at a chosen instruction. Its code marks the beginning and the end of what is stepped through;
 * a system call counts as one step. */

#include <stdbool.h>
#include <sys/types.h>

/* Forks a child that runs back(job) under ptrace, and lets it run to its first mark. 0 if it never got there. */
pid_t step_fork(void (*back)(void *job), void *job);

/* In the child: stops until the parent goes on. */
void step_mark_back(void);

/* Executes at most so many instructions of a child that stands at its first mark or between two. Returns how many were
 * executed; *ended: it stands at the next mark. -1: it died. */
long step_run(pid_t pid, long steps, bool *ended);

/* Lets the child run to its next mark; false if it died or did not get there in time. */
bool step_resume(pid_t pid);

#endif
