/* SPDX-License-Identifier: MIT */
#ifndef THREADS_H
#define THREADS_H

#include <stddef.h>

/* 0: this process has one thread (then no other exists that could start one: the answer stays true until we do).
 * -EBUSY: it has more; names lists them ("pool-spawner, openblas"). Blocks for at most 5 ms. */
int threads_check_single(char *names, size_t size);

#endif
