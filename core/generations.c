/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <weir/log.h>

#include "rings.h"

#define MIB	      UINT64_C(1048576)
#define LOANS_DEFAULT 2
#define SPARE_SLOTS   2

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

/* Its process is dead, or has closed the ring. */
void generations_close_place(struct stream_reader *reader, struct generation *generation, bool for_good)
{
	struct place *place = &generation->place[reader->index];

	if (place->state == PLACE_ATTACHED || place->state == PLACE_SENT) {
		counters_close_place(reader, generation);
		weir_ring_reap(generation->ring, place->end);
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

struct need {
	uint32_t own, depth;
};

static void add_need(struct need *need, const struct weir_policy *policy)
{
	bool picks = policy->every_nth > 1 || policy->max_fps > 0;
	uint32_t depth = policy->depth != 0 ? policy->depth : policy->mode == WEIR_POLICY_LOSSLESS ? 2 : 1;

	need->own += (policy->max_held != 0 ? policy->max_held : 1) + (picks ? depth : 0);
	if (depth > need->depth)
		need->depth = depth;
}

/* At least what weir_ring_slots_needed() will say once all readers are attached. */
uint32_t generations_slots_needed(const struct weir_stream *stream, const struct weir_policy *more)
{
	struct need need = { .depth = 1 };

	for (uint32_t i = 0; i < stream->readers; i++)
		add_need(&need, &stream->reader[i]->policy);
	if (more != NULL)
		add_need(&need, more);
	return need.own + need.depth + (stream->want.loans != 0 ? stream->want.loans : LOANS_DEFAULT) + 1;
}

static void fill_config(const struct weir_stream *stream, struct weir_ring_config *config)
{
	uint32_t needed, ends = 2 * stream->readers + 4;

	*config = (struct weir_ring_config){
		.format = stream->want.format,
		.generation = stream->last_number + 1,
		.backing = stream->config.backing,
		.slot_count = stream->want.slot_count,
		.slot_bytes = stream->want.slot_bytes,
		.ends = ends < WEIR_READERS_MAX ? ends : WEIR_READERS_MAX,
		.meta_bytes = stream->want.meta_bytes,
		.loans = stream->want.loans != 0 ? stream->want.loans : LOANS_DEFAULT,
	};
	needed = generations_slots_needed(stream, NULL);
	if (stream->config.slot_count != 0)
		config->slot_count = stream->config.slot_count;
	else if (config->slot_count < needed + SPARE_SLOTS)
		config->slot_count = needed + SPARE_SLOTS;
}

/* Enough for this generation and, while readers drain it, the next. */
static uint64_t advised_mib(uint64_t needed)
{
	struct statvfs fs;
	uint64_t total = 0;

	if (statvfs("/dev/shm", &fs) == 0)
		total = (uint64_t)fs.f_blocks * fs.f_frsize;
	return (total + 2 * needed + 16 * MIB - 1) / (16 * MIB) * 16;
}

static int explain(struct weir_stream *stream, const struct weir_ring_config *config, int status)
{
	uint64_t needed = 0, available = 0;

	if (status == -EINVAL) {
		snprintf(stream->reason, sizeof(stream->reason),
			"no such ring is possible: %u slots of %u bytes, %u loans", config->slot_count,
			config->slot_bytes, config->loans);
	} else if (status != -ENOSPC || weir_ring_space(config, &needed, &available) < 0) {
		snprintf(stream->reason, sizeof(stream->reason), "cannot create a ring: %s", strerror(-status));
	} else {
		uint64_t mib = advised_mib(needed);

		snprintf(stream->reason, sizeof(stream->reason),
			"too little shared memory: a ring of %u slots needs %" PRIu64 " bytes, /dev/shm has %" PRIu64
			" left; enlarge it: mount -o remount,size=%" PRIu64 "M /dev/shm (Docker: --shm-size=%" PRIu64
			"m), or use fewer slots",
			config->slot_count, needed, available, mib, mib);
	}
	return status;
}

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
	r = rings_send(stream->config.writer->rings, &fds, 0);
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
	struct weir_ring_config config;
	struct generation *made;
	int r;

	if (must_wait_for_reader(stream))
		return -EAGAIN;
	/* The writer has ended the old one. A reader that it had not granted yet would wait for ever. */
	generations_abandon(stream);
	fill_config(stream, &config);
	if (config.slot_count < generations_slots_needed(stream, NULL)) {
		snprintf(stream->reason, sizeof(stream->reason),
			"%u slots are too few for this decoder and these readers: %u are needed", config.slot_count,
			generations_slots_needed(stream, NULL));
		return -EINVAL;
	}
	made = calloc(1, sizeof(*made));
	r = made != NULL ? weir_ring_create(&made->ring, &config) : -ENOMEM;
	if (r < 0) {
		free(made);
		return explain(stream, &config, r);
	}
	made->number = config.generation;
	append(stream, made);
	r = hand_out(stream);
	if (r < 0) {
		generations_abandon(stream);
		return explain(stream, &config, r);
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
