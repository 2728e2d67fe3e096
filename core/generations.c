/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/log.h>

#include "rings.h"

/* Rings that wait for a reader which does not drain: the writer must not fill the memory with more. */
#define UNSENT_MAX 2

static bool is_lossless(const struct stream_reader *reader)
{
	return reader->policy.mode == WEIR_POLICY_LOSSLESS;
}

/* A lossless reader is attached when it is able to read: its start-up must not stop the writer. A lossy one does no
 * harm, and misses less. */
static bool is_eligible(const struct stream_reader *reader)
{
	enum weir_child_state state = reader->child->state;

	if (reader->child->pid == 0)
		return false;
	return state == WEIR_CHILD_RUNNING || (state == WEIR_CHILD_STARTING && !is_lossless(reader));
}

bool generations_is_over(const struct generation *generation)
{
	struct weir_ring_stats stats;

	weir_ring_stats(generation->ring, &stats);
	return generation->gone || stats.ended;
}

void generations_abandon(struct weir_stream *stream)
{
	struct generation *newest = stream->newest;

	if (newest == NULL || newest->gone)
		return;
	newest->gone = true;
	weir_ring_writer_gone(newest->ring);
}

/* --- places ------------------------------------------------------------------------------------------------------ */

/* The slots that the dead reader held may still be read or written by the kernel: they stay out of use as long as this
 * ring lives, so its writer is asked to turn to another one. */
static void renew(struct weir_stream *stream, struct generation *generation)
{
	if (generation != stream->newest || generation->gone || generation->renewing)
		return;
	generation->renewing = control_send(stream->config.writer, WEIR_COMMAND_RENEW, 0, &stream->config.output,
				       sizeof(stream->config.output)) == 0;
}

/* Its process is dead, or has closed the ring. */
void generations_close_place(struct stream_reader *reader, struct generation *generation, bool for_good)
{
	struct place *place = &generation->place[reader->index];

	if (place->state == PLACE_ATTACHED || place->state == PLACE_SENT) {
		counters_close_place(reader, generation);
		if (weir_ring_reap(generation->ring, place->end) == 1)
			renew(reader->stream, generation);
		place->state = PLACE_NONE;
	}
	if (for_good)
		place->state = PLACE_CLOSED;
}

bool generations_has_place(const struct stream_reader *reader)
{
	for (const struct generation *at = reader->stream->oldest; at != NULL; at = at->newer) {
		enum place_state state = at->place[reader->index].state;

		if (state == PLACE_ATTACHED || state == PLACE_SENT)
			return true;
	}
	return false;
}

static void attach(struct stream_reader *reader, struct generation *generation)
{
	struct place *place = &generation->place[reader->index];
	int r = weir_ring_attach(generation->ring, &reader->policy, &place->end);

	if (r == 0) {
		place->state = PLACE_ATTACHED;
	} else if (r != -EBUSY) { /* busy: until the writer has let go of a dead reader's end */
		place->state = PLACE_CLOSED;
		weir_log(WEIR_LOG_ERROR, reader->stream->name, "%s cannot read this generation: %s",
			reader->child->name, r == -ENOSPC ? "the ring has too few slots" : strerror(-r));
	}
}

static uint32_t count_in_flight(const struct stream_reader *reader)
{
	uint32_t count = 0;

	for (const struct generation *at = reader->stream->oldest; at != NULL; at = at->newer)
		count += at->place[reader->index].state == PLACE_SENT;
	return count;
}

static void send_place(struct stream_reader *reader, struct generation *generation)
{
	struct place *place = &generation->place[reader->index];
	struct weir_ring_fds fds = { 0 };
	int r;

	if (count_in_flight(reader) >= STREAM_IN_FLIGHT_MAX)
		return;
	r = weir_ring_reader_fds(generation->ring, place->end, &fds);
	if (r == 0)
		r = rings_send(reader->child->rings, &fds, reader->input);
	if (r == 0) {
		place->state = PLACE_SENT;
		reader->sent_generation = generation->number;
		return;
	}
	weir_ring_fds_close(&fds);
	/* A sealed ring that its writer never opened will never be readable. */
	if (r != -EAGAIN || generation->gone)
		generations_close_place(reader, generation, true);
}

void generations_place(struct weir_stream *stream)
{
	for (struct generation *at = stream->oldest; at != NULL; at = at->newer) {
		bool is_open = at == stream->newest && !generations_is_over(at);

		for (uint32_t i = 0; i < stream->readers; i++) {
			struct stream_reader *reader = stream->reader[i];

			if (at->place[i].state == PLACE_NONE && is_open && is_eligible(reader))
				attach(reader, at);
			if (at->place[i].state == PLACE_ATTACHED && reader->child->pid != 0)
				send_place(reader, at);
		}
	}
}

/* --- making ------------------------------------------------------------------------------------------------------ */

/* A reader that does not drain must not make rings pile up: it misses the oldest that it has not been sent. */
static void drop_unsent(struct weir_stream *stream, uint32_t i)
{
	struct generation *oldest = NULL;
	uint32_t count = 0;

	for (struct generation *at = stream->oldest; at != NULL; at = at->newer) {
		if (at->place[i].state != PLACE_ATTACHED)
			continue;
		oldest = oldest != NULL ? oldest : at;
		count++;
	}
	if (count > UNSENT_MAX)
		generations_close_place(stream->reader[i], oldest, true);
}

static void append(struct weir_stream *stream, struct generation *generation)
{
	if (stream->newest != NULL)
		stream->newest->newer = generation;
	else
		stream->oldest = generation;
	stream->newest = generation;
	stream->last_number = generation->number;
	stream->sum.generations++;
	stream->sum.format = *weir_ring_format(generation->ring);
}

/* Readers are attached before the writer gets its descriptors: it grants them before its first frame. */
static int hand_out(struct weir_stream *stream)
{
	struct weir_ring_fds fds;
	int r;

	for (uint32_t i = 0; i < stream->readers; i++)
		if (is_eligible(stream->reader[i]))
			attach(stream->reader[i], stream->newest);
	r = weir_ring_writer_fds(stream->newest->ring, &fds);
	if (r < 0)
		return r;
	r = rings_send(stream->config.writer->rings, &fds, stream->config.output);
	if (r < 0)
		weir_ring_fds_close(&fds);
	return r;
}

static bool must_wait_for_reader(const struct weir_stream *stream)
{
	for (uint32_t i = 0; i < stream->readers; i++) {
		const struct stream_reader *reader = stream->reader[i];
		enum weir_child_state state = reader->child->state;

		if (is_lossless(reader) && (state == WEIR_CHILD_IDLE || state == WEIR_CHILD_STARTING))
			return true; /* its ready_ns is the bound */
	}
	return false;
}

int generations_make(struct weir_stream *stream)
{
	struct generation *made;
	int r;

	if (must_wait_for_reader(stream))
		return -EAGAIN;
	/* The writer has ended the old one. A reader that it had not granted yet would wait for ever. */
	generations_abandon(stream);
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	r = newring_create(stream, &made->ring);
	if (r < 0) {
		free(made);
		return r;
	}
	made->number = weir_ring_generation(made->ring);
	append(stream, made);
	r = hand_out(stream);
	if (r < 0) {
		generations_abandon(stream);
		snprintf(stream->reason, sizeof(stream->reason), "cannot hand out a ring: %s", strerror(-r));
		return r;
	}
	for (uint32_t i = 0; i < stream->readers; i++)
		drop_unsent(stream, i);
	generations_place(stream);
	return 0;
}

static bool is_needed(const struct weir_stream *stream, const struct generation *generation)
{
	if (generation == stream->newest && !generations_is_over(generation))
		return true;
	for (uint32_t i = 0; i < stream->readers; i++)
		if (generation->place[i].state == PLACE_ATTACHED || generation->place[i].state == PLACE_SENT)
			return true;
	return false;
}

void generations_release(struct weir_stream *stream, bool all)
{
	struct generation **link = &stream->oldest, *last = NULL;

	while (*link != NULL) {
		struct generation *at = *link;

		if (!all && is_needed(stream, at)) {
			last = at;
			link = &at->newer;
			continue;
		}
		counters_close_ring(stream, at);
		*link = at->newer;
		weir_ring_free(&at->ring);
		free(at);
	}
	stream->newest = last;
}
