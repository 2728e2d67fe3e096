/* SPDX-License-Identifier: MIT */
#ifndef ROUDI_H
#define ROUDI_H

/* iceoryx's daemon: a fresh one for each run, because it keeps what processes left behind. */

#include <stdbool.h>
#include <sys/types.h>

/* The names that our processes join it by. */
#define ROUDI_WRITER "weir-bench-writer"
#define ROUDI_READER "weir-bench-reader"

struct roudi {
	pid_t pid;
	int lock_fd;
};

/* There can be one on a machine only: waits for other benches. -ENOPKG: not installed; else see bench_fail().
 * monitoring: it looks after its processes, and cleans up behind those that died. */
int roudi_start(struct roudi *roudi, bool monitoring);
void roudi_stop(struct roudi *roudi);

#endif
