/* SPDX-License-Identifier: MIT */
#ifndef LAYOUT_H
#define LAYOUT_H

/* The contract between processes: what lies where in the memory objects of a ring, who writes it, in which order.
 *
 * Every word has one writer. Objects (and who maps them writable): data and head (the writer), end[k] (the reader that
 * it is granted to), request (the supervisor), bell[k] (writer and reader; hints only). All others map them read-only
 * or not at all. What a dead process wrote is thrown away: a dead writer's ring as a whole, a dead reader's end by
 * withdrawing its grant; the supervisor zeroes an end before it is granted again.
 *
 * Which operations are seq_cst, and why. Two pairs of processes each store one word and then load the other's; if both
 * loads could miss the other's store, a frame would be overwritten under a reader, or a wake-up lost (store buffering,
 * possible even on x86):
 *   pin/retire   reader: pin = s; load retired       writer: retired = R; load pins
 *   sleep/wake   reader: sleeping = epoch; look again writer: published = s; load sleeping (the same for space)
 *   pin/due      the same with due words, which protect single frames below `retired`
 * So these stores and loads are seq_cst, or separated by a seq_cst fence. Everything else is release/acquire:
 * `published` (makes slot, descriptor and order word visible), a cleared pin (the reader is done with the bytes), `ack`
 * (makes start visible), `changed` (makes the requests visible). */

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/ring.h>

static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "a lock would not be shared, nor crash-safe");

#define LAYOUT_MAGIC   0x52494557u /* "WEIR" */
#define LAYOUT_VERSION 1u
#define LAYOUT_LINE    64
#define LAYOUT_PAGE    4096u
#define META_MAX       65536u

/* An order word says which slot carries a sequence: sequence << ORDER_SLOT_BITS | slot. */
#define ORDER_SLOT_BITS 10
#define ORDER_SLOT_MASK ((1u << ORDER_SLOT_BITS) - 1)
static_assert(sizeof(struct weir_policy) == 40, "no padding, which would tell peers what stood on a stack");
static_assert(WEIR_SLOTS_MAX <= 1 << ORDER_SLOT_BITS, "a slot number fits an order word");

/* A sleeping word: epoch << 2 | SLEEP_BY_SEMAPHORE | SLEEP_ASLEEP. A new epoch each time: a plain flag loses wake-ups.
 */
#define SLEEP_ASLEEP	   1u
#define SLEEP_BY_SEMAPHORE 2u
#define SLEEP_EPOCH	   4u

/* A request word and its acknowledgement: attach id << 2 | verb. Ids are never reused within a ring. */
enum verb {
	VERB_NONE = 0,
	VERB_ATTACH = 1, /* request: attach this reader; ack: granted, start is valid */
	VERB_WITHDRAW =
		2,     /* request: wait for this reader no longer; ack: done so, or the writer did it itself (stall) */
	VERB_REAP = 3, /* request: the reader is dead; ack: neither its cursor nor its pins are looked at any more */
};
#define VERB_BITS 2
#define VERB_MASK 3u

struct geometry {
	uint32_t magic, version;
	uint64_t generation;
	uint32_t slot_count, slot_bytes; /* slot_bytes is whole pages */
	uint32_t order_count;		 /* a power of two, at least 2 × slot_count */
	uint32_t end_count;
	uint32_t loans;
	uint32_t has_bells;
	uint32_t has_sockets; /* wake-ups are messages on a socket pair for each end, not eventfds */
	uint32_t meta_bytes;
	struct weir_format format;
};

/* Written by the supervisor. */
struct request_end {
	alignas(LAYOUT_LINE) _Atomic uint64_t word;
	struct weir_policy policy; /* stored before word says VERB_ATTACH */
	_Atomic uint64_t degrade;  /* the attach id: wait for this reader no longer, but let it go on */
};

struct request {
	struct geometry geometry;		       /* constant */
	alignas(LAYOUT_LINE) _Atomic uint64_t changed; /* goes up after each change of the words below */
	_Atomic uint32_t writer_gone;
	struct request_end end[WEIR_READERS_MAX];
};

/* Buckets of latencies: two for each power of two, from 256 ns to over a minute. */
#define LATENCY_BUCKETS 64
#define LATENCY_LOWEST	8

static inline uint32_t latency_bucket(uint64_t ns)
{
	uint32_t power, bucket;

	if (ns < 1u << LATENCY_LOWEST)
		return 0;
	power = 63 - (uint32_t)__builtin_clzll(ns);
	bucket = 2 * (power - LATENCY_LOWEST) + (ns >> (power - 1) & 1);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* Written by the reader. Cursor and pins share a line; the sleeping word, which the writer reads for every frame, has
 * one of its own. */
struct end {
	alignas(LAYOUT_LINE) _Atomic uint64_t cursor; /* the next sequence to acquire; UINT64_MAX: left */
	_Atomic uint64_t pin[WEIR_HELD_MAX];	      /* sequences held, 0: none */
	alignas(LAYOUT_LINE) _Atomic uint64_t sleeping;
	alignas(LAYOUT_LINE) _Atomic uint64_t delivered, overtaken, skipped, last;
	_Atomic uint64_t woken_eventfd, woken_semaphore;
	_Atomic uint64_t latency_max_ns;
	_Atomic uint32_t left;
	_Atomic uint64_t latency[LATENCY_BUCKETS]; /* frames acquired, by latency_bucket() */
};
static_assert(sizeof(struct end) <= LAYOUT_PAGE, "an end is one page");

/* Written by the writer. */
struct grant {
	alignas(LAYOUT_LINE) _Atomic uint64_t ack;
	_Atomic uint64_t start;	     /* the first sequence that this reader may get */
	_Atomic uint64_t lost_total; /* as in a descriptor, before that one */
	_Atomic uint32_t stalled;
	/* For a lossy reader with every_nth or max_fps: how many frames were due for it, the one being published
	 * included; and the newest of them. They are protected like those from `retired` on, though they may be older.
	 */
	_Atomic uint64_t due_count;
	struct due {
		alignas(16) _Atomic uint64_t word; /* like an order word; 0: none, or being changed */
		_Atomic uint64_t ordinal;	   /* how many frames were due for this reader up to this one */
	} due[WEIR_DUE_MAX];
};

struct descriptor {
	alignas(LAYOUT_LINE) uint64_t sequence;
	uint64_t lost_total; /* frames that the source lost before this one, since the ring began */
	int64_t pts_ns, dts_ns, duration_ns, capture_ns, wall_ns;
	uint32_t flags, size_bytes, meta_bytes;
	uint32_t due; /* bit k: end k wants this frame */
};

struct head {
	alignas(LAYOUT_LINE) _Atomic uint64_t published; /* the last sequence; 0: none yet */
	_Atomic uint64_t ended;				 /* 0, or 1 + the last sequence that there will be */
	alignas(LAYOUT_LINE) _Atomic uint64_t retired;	 /* slots of sequences below this one may be reused */
	alignas(LAYOUT_LINE) _Atomic uint64_t space;	 /* the writer's own sleeping word, while it waits for a slot */
	alignas(LAYOUT_LINE) _Atomic uint64_t source_lost, copied, claim_waits, rung_eventfd, rung_semaphore, saved;
	_Atomic uint64_t stalled;
	_Atomic uint32_t free_low_water;
	struct grant grant[WEIR_READERS_MAX];
	/* then _Atomic uint64_t order[order_count], struct descriptor descriptor[slot_count], meta of each slot */
};

static inline _Atomic uint64_t *head_order(struct head *head)
{
	return (_Atomic uint64_t *)(head + 1);
}

static inline struct descriptor *head_descriptor(struct head *head, const struct geometry *geometry)
{
	return (struct descriptor *)(head_order(head) + geometry->order_count);
}

static inline uint8_t *head_meta(struct head *head, const struct geometry *geometry, uint32_t slot)
{
	return (uint8_t *)(head_descriptor(head, geometry) + geometry->slot_count) + slot * geometry->meta_bytes;
}

/* order_count is a power of two ≥ 8, so the descriptors begin on a line. */
static inline uint64_t layout_pages(uint64_t bytes)
{
	return (bytes + LAYOUT_PAGE - 1) / LAYOUT_PAGE * LAYOUT_PAGE;
}

static inline uint64_t layout_head_bytes(const struct geometry *geometry)
{
	return layout_pages(sizeof(struct head) + geometry->order_count * sizeof(uint64_t) +
			    geometry->slot_count * (sizeof(struct descriptor) + geometry->meta_bytes));
}

static inline uint64_t layout_data_bytes(const struct geometry *geometry)
{
	return (uint64_t)geometry->slot_count * geometry->slot_bytes;
}

static inline uint64_t layout_request_bytes(void)
{
	return layout_pages(sizeof(struct request));
}

/* Pages of their own, one for each end. */
static inline uint64_t layout_view_bytes(const struct geometry *geometry)
{
	return (uint64_t)geometry->end_count * LAYOUT_PAGE;
}

static inline bool policy_filters(const struct weir_policy *policy)
{
	return policy->every_nth > 1 || policy->max_fps > 0;
}

/* True if the reader takes its frames from the due words: single frames are kept for it, wherever `retired` stands. */
static inline bool policy_picks(const struct weir_policy *policy)
{
	return policy_filters(policy) && policy->mode != WEIR_POLICY_LOSSLESS;
}

/* 0 if a geometry that another process wrote can be used, else -EPROTO. */
int layout_check(const struct geometry *geometry);

#endif
