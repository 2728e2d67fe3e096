/* SPDX-License-Identifier: MIT */
#include "shm_kfail.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

/* What only core calls. */

WRAP(int, pipe2, -1, EMFILE, (int *fds, int flags), (fds, flags))
WRAP(int, pidfd_open, -1, EMFILE, (int pid, unsigned flags), (pid, flags))
WRAP(int, signalfd, -1, EMFILE, (int fd, const sigset_t *set, int flags), (fd, set, flags))
WRAP(void *, realloc, NULL, ENOMEM, (void *at, size_t bytes), (at, bytes))
WRAP(char *, strdup, NULL, ENOMEM, (const char *text), (text))
