/* SPDX-License-Identifier: MIT */
#ifndef CHILD_H
#define CHILD_H

#include "zygote.h"

struct child_start {
	int frontend, parent; /* pids: who will be our parent, and who is it now; -1: the same */
	const struct zygote_order *order;
	int fd[ZYGOTE_FDS_MAX];
};

/* All of a child's life, from fork to exit; or to the exec that begins it again. */
_Noreturn void child_run_back(const struct child_start *start);

/* And from there on, in weir_init(). Returns if this descriptor holds no order. */
void child_resume_back(int order_fd, int frontend);

#endif
