/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include "segment.h"
#include "ticks.h"

uint64_t writer_cursor(const struct weir_writer *writer, struct writer_end *end)
{
	uint64_t cursor = atomic_load_explicit(&end->map->cursor, memory_order_acquire);

	/* It cannot go back: one that went back and forth would never be found to stall. */
	if (cursor < end->cursor)
		cursor = end->cursor;
	if (cursor > writer->published)
		cursor = writer->published + 1;
	end->cursor = cursor;
	if (cursor > writer->published)
		return cursor;
	if (policy_filters(&end->policy)) {
		uint32_t own = 1u << (end - writer->end);

		/* It counts as past the frames that it does not want. */
		if (cursor < writer->retired)
			cursor = writer->retired;
		while (cursor <= writer->published &&
			(writer->due[cursor & (writer->geometry.order_count - 1)] & own) == 0)
			cursor++;
	}
	return cursor;
}

/* The lowest sequence that must be kept: the newest ones for those with a depth, and from the slowest lossless cursor
 * on. */
static uint64_t retire_limit(struct weir_writer *writer)
{
	uint64_t limit = writer->published >= writer->depth ? writer->published + 1 - writer->depth : 0;

	FOR_EACH_END(writer, i)
	{
		struct writer_end *end = &writer->end[i];

		if (writer_waits_for(end)) {
			uint64_t cursor = writer_cursor(writer, end);

			if (cursor < limit)
				limit = cursor;
		}
	}
	return limit;
}

static void mark_pinned(struct weir_writer *writer, uint64_t sequence)
{
	for (uint32_t i = 0; i < writer->geometry.slot_count; i++)
		if (writer->slot[i].state == SLOT_PUBLISHED && writer->slot[i].sequence == sequence)
			writer->slot[i].pinned = true;
}

/* model: Retire, then Scan. Cursors are read before pins (a lossless reader pins before it advances), and pins after
 * `retired` is raised: a reader whose pin we miss sees that its sequence is retired. */
void writer_refill(struct weir_writer *writer)
{
	uint64_t limit = retire_limit(writer);

	writer->refilled_ticks = ticks_now();
	if (limit > writer->retired) {
		writer->retired = limit;
		atomic_store_explicit(&writer->head->retired, limit, memory_order_seq_cst);
	}
	FOR_EACH_END(writer, i)
	{
		const struct writer_end *end = &writer->end[i];

		for (uint32_t j = 0; j < end->policy.depth && end->picks; j++)
			if (end->due[j] != 0)
				mark_pinned(writer, end->due[j]);
		for (uint32_t j = 0; j < end->policy.max_held; j++) {
			uint64_t pin = atomic_load_explicit(&end->map->pin[j], memory_order_seq_cst);

			if (pin != 0 && pin < writer->retired)
				mark_pinned(writer, pin);
		}
	}
	for (uint32_t i = 0; i < writer->geometry.slot_count; i++) {
		struct slot *slot = &writer->slot[i];

		if (slot->state == SLOT_PUBLISHED && slot->sequence < writer->retired && !slot->kept && !slot->pinned) {
			slot->state = SLOT_FREE;
			writer->free[writer->free_count++] = (uint16_t)i;
		}
		slot->pinned = false;
	}
}

void writer_degrade(struct weir_writer *writer, uint64_t end)
{
	writer->end[end].policy.mode = WEIR_POLICY_DROP_OLDEST;
	writer_count(&writer->head->stalled);
	atomic_store_explicit(&writer->head->grant[end].stalled, 1, memory_order_relaxed);
}

/* model: Evict. Withdraws the cursors that have blocked us for stall_ns without moving; their pins count on. */
bool writer_withdraw_stalled(struct weir_writer *writer)
{
	int64_t now_ns = clock_now_ns();
	bool withdrawn = false;

	FOR_EACH_END(writer, i)
	{
		struct writer_end *end = &writer->end[i];
		uint64_t cursor;

		if (!writer_waits_for(end))
			continue;
		cursor = writer_cursor(writer, end);
		if (cursor > writer->retired) {
			end->stall_since_ns = 0; /* others are slower */
		} else if (end->stall_since_ns == 0 || end->stall_cursor != cursor) {
			end->stall_cursor = cursor;
			end->stall_since_ns = now_ns;
		} else if (now_ns - end->stall_since_ns > end->policy.stall_ns) {
			struct grant *grant = &writer->head->grant[i];

			writer_degrade(writer, i);
			if (end->policy.on_stall == WEIR_STALL_EVICT) {
				end->ack = (end->ack & ~(uint64_t)VERB_MASK) | VERB_WITHDRAW;
				atomic_store_explicit(&grant->ack, end->ack, memory_order_release);
			}
			withdrawn = true;
		}
	}
	return withdrawn;
}

/* --- frames that not everybody wants -------------------------------------------------------------------------------
 */

static bool is_due(struct writer_end *end, uint64_t sequence, int64_t time_ns)
{
	int64_t interval_ns;

	if (end->policy.every_nth > 1 && (sequence - end->start) % end->policy.every_nth != 0)
		return false;
	if (!(end->policy.max_fps > 0) || time_ns == WEIR_TIME_NONE)
		return true;
	interval_ns = (int64_t)(1e9 / end->policy.max_fps);
	if (end->next_due_ns == INT64_MIN || time_ns > end->next_due_ns + interval_ns || /* the first, or after a gap */
		time_ns < end->next_due_ns - 2 * interval_ns)				 /* time went back */
		end->next_due_ns = time_ns;
	/* The source's times jitter: a little early is due, too; the mean rate stays as asked for. */
	if (time_ns + interval_ns / 16 < end->next_due_ns)
		return false;
	end->next_due_ns += interval_ns;
	return true;
}

uint32_t writer_judge_due(struct weir_writer *writer, const struct weir_frame *frame, uint64_t sequence)
{
	int64_t time_ns = frame->capture_ns != 0 ? frame->capture_ns : frame->pts_ns;
	uint32_t due = ~writer->filters;

	for (uint32_t bits = writer->filters; bits != 0; bits &= bits - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(bits);

		if (!is_due(&writer->end[i], sequence, time_ns))
			continue;
		due |= 1u << i;
		writer->end[i].ordinal++;
		atomic_store_explicit(&writer->head->grant[i].due_count, writer->end[i].ordinal, memory_order_relaxed);
	}
	writer->due[sequence & (writer->geometry.order_count - 1)] = due;
	return due;
}

/* A word being changed is 0 meanwhile, so that a reader that finds the same word twice has read its ordinal. The old
 * frame is protected until its word is gone; after that a refill looks at the pins (as with `retired`). */
void writer_announce_due(struct weir_writer *writer, uint32_t due, uint64_t sequence, uint32_t slot)
{
	for (uint32_t bits = due; bits != 0; bits &= bits - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(bits);
		struct writer_end *end = &writer->end[i];
		struct due *word;
		uint64_t place;

		if (!end->picks)
			continue;
		place = (end->ordinal - 1) % end->policy.depth;
		word = &writer->head->grant[i].due[place];
		end->due[place] = sequence;
		atomic_store_explicit(&word->word, 0, memory_order_seq_cst);
		atomic_store_explicit(&word->ordinal, end->ordinal, memory_order_release);
		atomic_store_explicit(&word->word, sequence << ORDER_SLOT_BITS | slot, memory_order_seq_cst);
	}
}
