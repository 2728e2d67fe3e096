/* SPDX-License-Identifier: MIT */
#ifndef WRITER_H
#define WRITER_H

/* The writer's own state: what its parts (publishing in writer.c, reuse of slots in retire.c, opening in writer_open.c)
 * share. */

#include <semaphore.h>
#include <stdbool.h>

#include <weir/writer.h>

#include "layout.h"

enum slot_state { SLOT_FREE = 0, SLOT_LOAN, SLOT_PUBLISHED };

struct slot {
	uint64_t sequence; /* of a published slot */
	uint8_t state;	   /* enum slot_state */
	bool kept;	   /* published, and the writer still reads it */
	bool pinned;	   /* in the snapshot that a refill is judging by */
};

/* The writer's own idea of a reader; of what the reader writes it reads only cursor, pins and sleeping. */
struct writer_end {
	uint64_t request;      /* the last request word complied with */
	uint64_t ack;	       /* what we answered */
	uint64_t start;	       /* the first sequence for it */
	uint64_t cursor;       /* the highest that we have seen of its own */
	uint64_t rung;	       /* the last sleeping word that we rang */
	uint64_t stall_cursor; /* where it blocked us last, since stall_since_ns (0: it does not) */
	int64_t stall_since_ns;
	uint64_t ordinal;	    /* frames that were due for it so far */
	uint64_t due[WEIR_DUE_MAX]; /* the sequences in its due words */
	int64_t next_due_ns;	    /* max_fps: no frame before this time */
	bool picks;		    /* policy_picks() when it was granted: a degraded reader does not begin to pick */
	struct weir_policy policy;
	struct end *map;
	sem_t *bell;
	int wake_fd;
};

struct weir_writer {
	struct geometry geometry;
	uint8_t *data;
	struct head *head;
	struct request *request;
	struct descriptor *descriptor;
	_Atomic uint64_t *order;
	int space_eventfd;
	int epoll_fd;	  /* with sockets: space_eventfd and all the ends' sockets, else -1 */
	uint64_t changed; /* value of request->changed that we complied with */
	uint64_t published, retired;
	uint64_t lost_total;		  /* frames that the source lost */
	uint64_t ends;			  /* bit k: end k is granted or withdrawn, so its pins count */
	uint32_t filters;		  /* bit k: end k does not want every frame */
	uint64_t saved;			  /* rings that a reader did not need */
	uint32_t turn;			  /* the end to be rung first */
	uint32_t due[2 * WEIR_SLOTS_MAX]; /* by sequence, modulo order_count: which ends want it */
	uint32_t depth;			  /* the newest so many frames are never retired */
	uint32_t loans;			  /* slots on loan or kept */
	uint64_t refilled_ticks;
	uint64_t space_epoch;
	uint32_t free_count;
	uint16_t free[WEIR_SLOTS_MAX]; /* a stack, but see take_free() */
	struct slot slot[WEIR_SLOTS_MAX];
	struct writer_end end[WEIR_READERS_MAX];
};

static_assert(WEIR_READERS_MAX <= 32, "a reader is a bit of due");

#define TURN_FRAMES 32 /* so often another reader is rung first */

/* Calls body for each end whose pins count: granted or withdrawn, but not reaped. */
#define FOR_EACH_END(writer, i)                                                                                        \
	for (uint64_t bits_ = (writer)->ends, i = 0; bits_ != 0 && (i = (uint64_t)__builtin_ctzll(bits_), true);       \
		bits_ &= bits_ - 1)

static inline void writer_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static inline bool writer_waits_for(const struct writer_end *end)
{
	return (end->ack & VERB_MASK) == VERB_ATTACH && end->policy.mode == WEIR_POLICY_LOSSLESS;
}

/* A lossless reader's cursor, clamped to what can be true. */
uint64_t writer_cursor(const struct weir_writer *writer, struct writer_end *end);

/* Which readers want a frame: bit k for end k. Called once for each frame, in order. */
uint32_t writer_judge_due(struct weir_writer *writer, const struct weir_frame *frame, uint64_t sequence);

/* Makes a published frame the newest one that is due for these readers. */
void writer_announce_due(struct weir_writer *writer, uint32_t due, uint64_t sequence, uint32_t slot);

/* Finds published slots that nobody needs any more, and makes them free. */
void writer_refill(struct weir_writer *writer);

/* Waits for a lossless reader no longer. */
void writer_degrade(struct weir_writer *writer, uint64_t end);

/* Withdraws the lossless readers that have blocked the writer for too long. True: a refill may find slots now. */
bool writer_withdraw_stalled(struct weir_writer *writer);

#endif
