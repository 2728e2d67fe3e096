/* SPDX-License-Identifier: MIT */
#ifndef CHILD_H
#define CHILD_H

#include "zygote.h"

struct child_start {
	int frontend, parent; /* pids: who will be our parent, and who is it now */
	const struct zygote_order *order;
	int fd[ZYGOTE_FDS_MAX];
};

/* All of a child's life, from fork to exit. */
_Noreturn void child_run_back(const struct child_start *start);

#endif
