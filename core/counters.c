/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>

/* Everything here was written by children: it may be nonsense, but must not lead to more than wrong numbers. */

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void add_end(struct weir_reader_stats *sum, const struct weir_end_stats *end)
{
	sum->delivered += end->delivered;
	sum->overtaken += end->overtaken;
	sum->skipped += end->skipped;
	sum->woken_eventfd += end->woken_eventfd;
	sum->woken_semaphore += end->woken_semaphore;
}

static void add_ring(struct weir_stream_stats *sum, const struct generation *generation)
{
	struct weir_ring_stats ring;

	weir_ring_stats(generation->ring, &ring);
	sum->published += ring.published;
	sum->source_lost += ring.source_lost;
	sum->copied += ring.copied;
	sum->claim_waits += ring.claim_waits;
	sum->stalled += ring.stalled;
	sum->rung_eventfd += ring.rung_eventfd;
	sum->rung_semaphore += ring.rung_semaphore;
	sum->slot_count = ring.slot_count;
	sum->free_low_water = ring.free_low_water;
}

void counters_close_place(struct stream_reader *reader, const struct generation *generation)
{
	struct weir_end_stats end;

	if (weir_ring_end_stats(generation->ring, generation->place[reader->index].end, &end) < 0)
		return;
	add_end(&reader->sum, &end);
	reader->stalled |= end.stalled;
}

void counters_close_ring(struct weir_stream *stream, const struct generation *generation)
{
	add_ring(&stream->sum, generation);
}

uint64_t counters_published(const struct weir_stream *stream)
{
	uint64_t published = stream->sum.published;

	for (const struct generation *at = stream->oldest; at != NULL; at = at->newer) {
		struct weir_ring_stats ring;

		weir_ring_stats(at->ring, &ring);
		published += ring.published;
	}
	return published;
}

void weir_stream_stats(const struct weir_stream *stream, struct weir_stream_stats *stats)
{
	*stats = stream->sum;
	for (const struct generation *at = stream->oldest; at != NULL; at = at->newer)
		add_ring(stats, at);
}

/* What an attached reader has still to take of this ring. */
static uint64_t pending(const struct generation *generation, const struct weir_end_stats *end)
{
	struct weir_ring_stats ring;
	uint64_t next = end->cursor > end->start ? end->cursor : end->start;

	weir_ring_stats(generation->ring, &ring);
	return end->attached && end->start != 0 ? minus(ring.published + 1, next) : 0;
}

static const struct stream_reader *find(const struct weir_stream *stream, const struct weir_child *child)
{
	for (uint32_t i = 0; i < stream->readers; i++)
		if (stream->reader[i]->child == child)
			return stream->reader[i];
	return NULL;
}

int weir_stream_reader_stats(
	const struct weir_stream *stream, const struct weir_child *child, struct weir_reader_stats *stats)
{
	const struct stream_reader *reader = find(stream, child);
	struct weir_reader_stats made;
	uint64_t known;

	if (reader == NULL)
		return -ENOENT;
	made = reader->sum;
	made.stalled = reader->stalled;
	for (const struct generation *at = stream->oldest; at != NULL; at = at->newer) {
		const struct place *place = &at->place[reader->index];
		struct weir_end_stats end;

		if (place->state != PLACE_ATTACHED && place->state != PLACE_SENT)
			continue;
		if (weir_ring_end_stats(at->ring, place->end, &end) < 0)
			continue;
		add_end(&made, &end);
		made.stalled |= end.stalled;
		made.pending += pending(at, &end);
	}
	known = made.delivered + made.overtaken + made.skipped + made.pending;
	made.published = minus(counters_published(stream), reader->published_before);
	made.missed = minus(made.published, known);
	*stats = made;
	return 0;
}
