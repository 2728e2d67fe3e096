/* SPDX-License-Identifier: MIT */
#include <weir/ring.h>

#include <errno.h>

#include "ring.h"

#define PEEK(word) atomic_load_explicit(&(word), memory_order_relaxed)

void weir_ring_stats(const struct weir_ring *ring, struct weir_ring_stats *stats)
{
	struct head *head = ring->head;

	*stats = (struct weir_ring_stats){
		.published = atomic_load_explicit(&head->published, memory_order_acquire),
		.source_lost = PEEK(head->source_lost),
		.copied = PEEK(head->copied),
		.claim_waits = PEEK(head->claim_waits),
		.rung_eventfd = PEEK(head->rung_eventfd),
		.rung_semaphore = PEEK(head->rung_semaphore),
		.rings_saved = PEEK(head->saved),
		.stalled = PEEK(head->stalled),
		.slot_count = ring->geometry.slot_count,
		.free_low_water = PEEK(head->free_low_water),
		.ended = PEEK(head->ended) != 0,
	};
}

uint32_t ring_pins(const struct weir_ring *ring, uint32_t end)
{
	uint32_t pins = 0;

	for (uint32_t i = 0; i < WEIR_HELD_MAX; i++)
		pins += PEEK(ring->end[end].map->pin[i]) != 0;
	return pins;
}

/* The upper bound of the bucket in which the given share of all frames is reached. */
static int64_t latency_quantile(const struct end *end, double share)
{
	uint64_t total = 0, sum = 0;

	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
		total += PEEK(end->latency[i]);
	for (uint32_t i = 0; i < LATENCY_BUCKETS && total != 0; i++) {
		sum += PEEK(end->latency[i]);
		if ((double)sum >= share * (double)total)
			return (int64_t)((i % 2 != 0 ? UINT64_C(4) : UINT64_C(3)) << (LATENCY_LOWEST + i / 2 - 1));
	}
	return 0;
}

int weir_ring_end_stats(const struct weir_ring *ring, uint32_t end, struct weir_end_stats *stats)
{
	const struct end *own;
	struct grant *grant;
	uint64_t word, ack;

	if (end >= ring->geometry.end_count)
		return -EINVAL;
	own = ring->end[end].map;
	grant = &ring->head->grant[end];
	word = atomic_load_explicit(&ring->request->end[end].word, memory_order_acquire);
	ack = atomic_load_explicit(&grant->ack, memory_order_acquire);
	if (word == 0)
		return -EINVAL;
	*stats = (struct weir_end_stats){
		.attached = ack >> VERB_BITS == word >> VERB_BITS && (ack & VERB_MASK) != VERB_REAP,
		.left = PEEK(own->left) != 0,
		.delivered = PEEK(own->delivered),
		.overtaken = PEEK(own->overtaken),
		.skipped = PEEK(own->skipped),
		.last = PEEK(own->last),
		.woken_eventfd = PEEK(own->woken_eventfd),
		.woken_semaphore = PEEK(own->woken_semaphore),
		.held = ring_pins(ring, end),
		.cursor = PEEK(own->cursor),
		.policy = ring->request->end[end].policy,
		.latency_p50_ns = latency_quantile(own, 0.5),
		.latency_p99_ns = latency_quantile(own, 0.99),
		.latency_max_ns = (int64_t)PEEK(own->latency_max_ns),
	};
	if (ack >> VERB_BITS == word >> VERB_BITS) {
		stats->start = PEEK(grant->start);
		stats->stalled = PEEK(grant->stalled) != 0;
	}
	return 0;
}
