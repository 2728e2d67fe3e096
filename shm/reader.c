/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include <errno.h>
#include <string.h>

#include "ring.h"
#include "segment.h"

/* A reader of the newest frame that is overtaken while it pins tries again so often, then says -EAGAIN. */
#define TRIES_MAX 16

/* model: Join. Our own verb for us, or VERB_NONE when the end is not (or no longer) ours. */
static enum verb granted_verb(const struct weir_reader *reader)
{
	uint64_t ack = atomic_load_explicit(&reader->grant->ack, memory_order_acquire);

	return ack >> VERB_BITS == reader->id ? (enum verb)(ack & VERB_MASK) : VERB_NONE;
}

bool reader_join(struct weir_reader *reader)
{
	if (reader->next != 0)
		return true;
	if (granted_verb(reader) != VERB_ATTACH)
		return false;
	reader->next = atomic_load_explicit(&reader->grant->start, memory_order_relaxed);
	if (reader->next == 0)
		return false;
	reader->last = reader->next - 1;
	reader->lost_total = atomic_load_explicit(&reader->grant->lost_total, memory_order_relaxed);
	atomic_store_explicit(&reader->end->cursor, reader->next, memory_order_release);
	return true;
}

/* What to try next, and where its order word stands. */
struct candidate {
	uint64_t sequence; /* 0: nothing */
	uint64_t ordinal;  /* of a due frame */
	_Atomic uint64_t *word;
};

/* model: Unannounced. A writer that died between `published` and the due word: the frame counts. */
static struct candidate choose_unannounced(const struct weir_reader *reader)
{
	uint64_t published = atomic_load_explicit(&reader->head->published, memory_order_acquire);
	_Atomic uint64_t *order = &reader->order[published & (reader->geometry.order_count - 1)];
	uint64_t slot = atomic_load_explicit(order, memory_order_acquire) & ORDER_SLOT_MASK;

	if (published < reader->next || slot >= reader->geometry.slot_count ||
		(*(volatile uint32_t *)&reader->descriptor[slot].due >> reader->index & 1) == 0)
		return (struct candidate){ 0 };
	return (struct candidate){
		.sequence = published,
		.ordinal = atomic_load_explicit(&reader->grant->due_count, memory_order_relaxed),
		.word = order,
	};
}

/* The oldest of the due frames that we have not had yet. */
static struct candidate choose_due(const struct weir_reader *reader)
{
	/* First, so that all that is read after it is the writer's last word. */
	bool gone = atomic_load_explicit(&reader->request->writer_gone, memory_order_acquire) != 0;
	struct candidate best = { 0 };

	for (uint32_t i = 0; i < reader->policy.depth; i++) {
		struct due *due = &reader->grant->due[i];
		uint64_t sequence = atomic_load_explicit(&due->word, memory_order_acquire) >> ORDER_SLOT_BITS;

		if (sequence >= reader->next && (best.sequence == 0 || sequence < best.sequence)) {
			best.sequence = sequence;
			best.ordinal = atomic_load_explicit(&due->ordinal, memory_order_acquire);
			best.word = &due->word;
		}
	}
	return best.sequence == 0 && gone ? choose_unannounced(reader) : best;
}

static struct candidate choose(const struct weir_reader *reader, uint64_t published)
{
	uint64_t sequence = reader->next;
	uint64_t retired = atomic_load_explicit(&reader->head->retired, memory_order_acquire);

	if (reader->next == 0 || published < reader->next)
		return (struct candidate){ 0 };
	if (reader->picks)
		return choose_due(reader);
	if (reader->policy.mode == WEIR_POLICY_LATEST)
		sequence = published;
	else if (reader->policy.mode == WEIR_POLICY_DROP_OLDEST && published - sequence >= reader->policy.depth)
		sequence = published + 1 - reader->policy.depth;
	if (sequence < retired && retired <= published)
		sequence = retired; /* overtaken; a lossless reader has been degraded */
	return (struct candidate){
		.sequence = sequence,
		.word = &reader->order[sequence & (reader->geometry.order_count - 1)],
	};
}

/* Why there is nothing to acquire. The order matters: what was published before the end or the death is taken first,
 * and an end of stream stays one when its writer exits. */
static int idle_status(const struct weir_reader *reader)
{
	bool gone = atomic_load_explicit(&reader->request->writer_gone, memory_order_acquire) != 0;
	uint64_t ended = atomic_load_explicit(&reader->head->ended, memory_order_acquire);
	uint64_t published = atomic_load_explicit(&reader->head->published, memory_order_acquire);

	if (choose(reader, published).sequence != 0)
		return -EAGAIN;
	if (ended != 0 && (reader->next != 0 || gone))
		return -ENODATA;
	return gone ? -EPIPE : -EAGAIN;
}

bool reader_is_ready(const struct weir_reader *reader)
{
	uint64_t published = atomic_load_explicit(&reader->head->published, memory_order_acquire);

	return (!reader->eluded && choose(reader, published).sequence != 0) || idle_status(reader) != -EAGAIN;
}

/* model: Pin, Check. The pin is stored before `retired` (or the due word) is read; the writer raises `retired` (or
 * changes the due word) before it reads pins. */
static bool pin(struct weir_reader *reader, uint32_t index, const struct candidate *candidate, uint32_t *slot)
{
	uint64_t word;

	atomic_store_explicit(&reader->end->pin[index], candidate->sequence, memory_order_seq_cst);
	word = atomic_load_explicit(candidate->word, memory_order_seq_cst);
	if (word >> ORDER_SLOT_BITS == candidate->sequence && (word & ORDER_SLOT_MASK) < reader->geometry.slot_count &&
		(reader->picks ||
			atomic_load_explicit(&reader->head->retired, memory_order_seq_cst) <= candidate->sequence)) {
		*slot = word & ORDER_SLOT_MASK;
		return true;
	}
	return false;
}

/* model: Release. Clear the pin, fence, look whether the writer sleeps for want of a slot. */
static void unpin(struct weir_reader *reader, uint32_t index)
{
	uint64_t space;

	atomic_store_explicit(&reader->end->pin[index], 0, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	space = atomic_load_explicit(&reader->head->space, memory_order_relaxed);
	if ((space & SLEEP_ASLEEP) != 0 && space != reader->space_rung) {
		reader->space_rung = space;
		wake_ring(reader->space_fd, reader->geometry.has_sockets);
	}
}

/* Copies the descriptor, checks the copy, uses the copy: its writer may change it at any moment. */
static struct descriptor read_descriptor(const struct weir_reader *reader, uint32_t slot)
{
	struct descriptor copy = *(volatile struct descriptor *)&reader->descriptor[slot];

	if (copy.size_bytes > reader->geometry.slot_bytes || copy.meta_bytes > reader->geometry.meta_bytes) {
		copy.size_bytes = copy.meta_bytes = 0;
		copy.flags |= WEIR_FRAME_CORRUPT;
	}
	return copy;
}

/* True once. */
static bool is_news_that_degraded(struct weir_reader *reader)
{
	if (reader->policy.mode != WEIR_POLICY_LOSSLESS || reader->degraded)
		return false;
	reader->degraded = atomic_load_explicit(&reader->grant->stalled, memory_order_relaxed) != 0;
	return reader->degraded;
}

static void describe(struct weir_reader *reader, struct weir_frame *frame, uint32_t index, uint32_t slot,
	const struct descriptor *copy, uint64_t sequence)
{
	uint64_t lost = copy->lost_total - reader->lost_total;

	*frame = (struct weir_frame){
		.sequence = sequence,
		.dropped_before = sequence - reader->last - 1 + (lost <= copy->lost_total ? lost : 0),
		.pts_ns = copy->pts_ns,
		.dts_ns = copy->dts_ns,
		.duration_ns = copy->duration_ns,
		.capture_ns = copy->capture_ns,
		.wall_ns = copy->wall_ns,
		.flags = copy->flags,
		.size_bytes = copy->size_bytes,
		.slot = slot,
		.pin = index,
		.meta_bytes = copy->meta_bytes,
		.meta = head_meta(reader->head, &reader->geometry, slot),
		.data = reader->data + (size_t)slot * reader->geometry.slot_bytes,
	};
	frame->flags &= ~(uint32_t)WEIR_FRAME_DEGRADED;
	if (is_news_that_degraded(reader))
		frame->flags |= WEIR_FRAME_DEGRADED;
	reader->lost_total = copy->lost_total;
}

static void note_time(struct weir_reader *reader, int64_t capture_ns)
{
	struct end *end = reader->end;
	int64_t now_ns, latency_ns;

	if (capture_ns <= 0 && reader->spin_ns == 0)
		return;
	now_ns = clock_now_ns();
	if (reader->spin_ns != 0) {
		int64_t gap_ns = now_ns - reader->arrived_ns;

		if (reader->cadence_ns == 0 && reader->arrived_ns != 0)
			reader->cadence_ns = gap_ns;
		else if (reader->arrived_ns != 0)
			reader->cadence_ns += (gap_ns - reader->cadence_ns) / 8;
		reader->arrived_ns = now_ns;
	}
	if (capture_ns <= 0)
		return;
	latency_ns = now_ns > capture_ns ? now_ns - capture_ns : 0;
	reader_add(&end->latency[latency_bucket((uint64_t)latency_ns)], 1);
	if ((uint64_t)latency_ns > atomic_load_explicit(&end->latency_max_ns, memory_order_relaxed))
		atomic_store_explicit(&end->latency_max_ns, (uint64_t)latency_ns, memory_order_relaxed);
}

/* model: Advance. Only now does the cursor move: a lossless writer reads cursors before pins. */
static void advance(struct weir_reader *reader, const struct candidate *candidate, bool wanted)
{
	uint64_t passed = candidate->sequence - reader->next, overtaken = passed;
	struct end *end = reader->end;

	if (reader->picks) {
		overtaken = candidate->ordinal - reader->ordinal - 1;
		if (overtaken > passed)
			overtaken = passed;
		reader->ordinal = candidate->ordinal;
	} else if (reader->filters && atomic_load_explicit(&reader->grant->stalled, memory_order_relaxed) == 0) {
		overtaken = 0; /* the writer goes past what a lossless reader does not want */
	}
	if (passed != 0) {
		reader_add(&end->overtaken, overtaken);
		reader_add(&end->skipped, passed - overtaken);
	}
	if (wanted) {
		reader_add(&end->delivered, 1);
		atomic_store_explicit(&end->last, candidate->sequence, memory_order_relaxed);
		reader->last = candidate->sequence;
	} else {
		reader_add(&end->skipped, 1);
	}
	reader->next = candidate->sequence + 1;
	atomic_store_explicit(&end->cursor, reader->next, memory_order_release);
}

static int take_next(struct weir_reader *reader, struct weir_frame *frame, uint32_t index)
{
	bool gone = atomic_load_explicit(&reader->request->writer_gone, memory_order_acquire) != 0;

	reader->eluded = false;
	/* A writer that lies could have us pass over frames for ever: no more than a ring holds, then -EAGAIN. */
	for (uint32_t tries = 0, passed = 0; tries < TRIES_MAX && passed <= reader->geometry.order_count; tries++) {
		uint64_t published = atomic_load_explicit(&reader->head->published, memory_order_acquire);
		struct candidate candidate = choose(reader, published);
		struct descriptor copy;
		uint32_t slot;

		if (candidate.sequence == 0)
			return idle_status(reader);
		if (!pin(reader, index, &candidate, &slot)) {
			unpin(reader, index);
			continue;
		}
		__builtin_prefetch(reader->data + (size_t)slot * reader->geometry.slot_bytes);
		copy = read_descriptor(reader, slot);
		if (reader->filters && !reader->picks && (copy.due >> reader->index & 1) == 0) {
			advance(reader, &candidate, false);
			unpin(reader, index);
			tries = 0;
			passed++;
			continue;
		}
		describe(reader, frame, index, slot, &copy, candidate.sequence);
		reader->held[index] = candidate.sequence;
		advance(reader, &candidate, true);
		note_time(reader, copy.capture_ns);
		return 0;
	}
	reader->eluded = true;
	/* After its death nothing changes any more: it had not published what it said. */
	return gone ? -EPIPE : -EAGAIN;
}

int weir_reader_acquire(struct weir_reader *reader, struct weir_frame *frame)
{
	uint32_t index = 0;

	if (granted_verb(reader) == VERB_WITHDRAW)
		return -ESTALE;
	if (!reader_join(reader))
		return idle_status(reader);
	while (index < reader->policy.max_held && reader->held[index] != 0)
		index++;
	return index < reader->policy.max_held ? take_next(reader, frame, index) : -EBUSY;
}

/* Pins, cursor and counters go to a page that nobody else sees. */
void reader_rehearse(const struct weir_reader *reader)
{
	struct weir_reader own = *reader;
	struct end scratch = { 0 };
	struct weir_frame frame;

	own.end = &scratch;
	own.next = own.last;
	own.space_rung = atomic_load_explicit(&own.head->space, memory_order_relaxed); /* there is nothing to give up */
	memset(own.held, 0, sizeof(own.held));
	take_next(&own, &frame, 0);
}

int weir_reader_release(struct weir_reader *reader, const struct weir_frame *frame)
{
	if (frame->pin >= reader->policy.max_held || frame->sequence == 0 ||
		reader->held[frame->pin] != frame->sequence)
		return -EINVAL;
	reader->held[frame->pin] = 0;
	unpin(reader, frame->pin);
	return 0;
}
