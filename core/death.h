/* SPDX-License-Identifier: MIT */
#ifndef DEATH_H
#define DEATH_H

/* Deaths of our own children. With a pidfd they wake us; kernels and sandboxes that have none leave us with the pid,
 * and with looking again and again. A pid cannot mean another process before the child is reaped, which is done here
 * only. */

#include <signal.h>
#include <stdbool.h>

/* *pidfd: to be closed by the caller; -1: there is no such thing here. -errno: no descriptor left, … */
int death_watch(int *pidfd, int pid);
int death_signal(int pid, int pidfd, int number);

/* True if it is dead, but not reaped yet. */
bool death_has_come(int pid, int pidfd);
/* True if it is dead: now it is reaped. info->si_pid is 0 if somebody else has done that. */
bool death_fetch(int pid, int pidfd, siginfo_t *info);

#endif
