/* SPDX-License-Identifier: MIT */
#ifndef POOL_H
#define POOL_H

/* What the two files of a pool share: pool.c has its work, pool_api.c what the program calls. */

#include "frontend.h"
#include "jobs.h"

struct pool_worker {
	struct weir_pool *pool;
	struct weir_child *child; /* or NULL */
	uint32_t index;
	bool comes_back;			 /* it leaves because we want a new process */
	struct weir_message batch[MESSAGES_MAX]; /* jobs that are about to be written */
	uint32_t batched;
	size_t batch_bytes;
};

struct weir_pool {
	struct weir_frontend *frontend;
	struct weir_pool *next;
	struct jobs jobs;
	struct loop_timer timer;
	struct pool_worker worker[WEIR_POOL_WORKERS_MAX];
	char *name, *backend, *args;
	bool freed;	     /* by the program; goes when nobody is in here any more */
	uint32_t visitors;   /* calls of the program that dispatch */
	uint32_t map_number; /* of the present or last weir_pool_map() */
	size_t map_pending, map_failed;
};

/* Something has changed: it is looked at in the present or the next round. */
void pool_kick(struct weir_pool *pool);
void pool_init(struct weir_pool *pool);
/* Has a process in this place, if there is none. */
int pool_start_worker(struct weir_pool *pool, uint32_t index);

#endif
