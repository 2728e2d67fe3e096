/* SPDX-License-Identifier: MIT */
#ifndef READER_H
#define READER_H

/* The reader's own state: what its parts (acquiring in reader.c, sleeping in sleep.c, opening in reader_open.c) share.
 */

#include <semaphore.h>
#include <stdbool.h>

#include <weir/reader.h>

#include "layout.h"

struct weir_reader {
	struct geometry geometry;
	uint8_t *data;
	struct head *head;
	struct request *request;
	struct end *end; /* writable: ours */
	struct descriptor *descriptor;
	_Atomic uint64_t *order;
	sem_t *bell;
	struct grant *grant;
	struct weir_policy policy;
	uint64_t id;	     /* of our attachment */
	uint64_t next;	     /* the next sequence to acquire; 0: not granted yet */
	uint64_t last;	     /* the last sequence acquired, or the one before our start */
	uint64_t lost_total; /* as the last descriptor had it */
	uint64_t sleep_word; /* our last one */
	uint64_t space_rung; /* the last sleeping word of the writer that we rang */
	uint32_t index;
	pid_t owner;		      /* who opened it: a child that it forked has the mapping, but not the part */
	int wake_fd;		      /* wakes us */
	int space_fd;		      /* wakes the writer; with sockets the same as wake_fd */
	uint64_t held[WEIR_HELD_MAX]; /* sequences; 0: this pin is free */
	bool eluded;		      /* there was something, but it could not be had: do not try again at once */
	bool degraded;		      /* and has been told so */
	bool filters, picks;	      /* policy_filters(), policy_picks() */
	uint64_t ordinal;	      /* of the last due frame */
	int64_t spin_ns, arrived_ns, cadence_ns;
};

static inline void reader_add(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

/* Acquires the last frame once more, for nothing: the code and the lines that the next one needs, cold after a pause,
 * are warm then. */
void reader_rehearse(const struct weir_reader *reader);

/* Begins at the start that the writer granted. False: it has not granted yet. */
bool reader_join(struct weir_reader *reader);

/* True if acquire would not return -EAGAIN. */
bool reader_is_ready(const struct weir_reader *reader);

#endif
