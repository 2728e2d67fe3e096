/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <errno.h>
#include <sys/epoll.h>

#include "ring.h"
#include "segment.h"
#include "ticks.h"

static bool is_granted(const struct writer_end *end)
{
	return (end->ack & VERB_MASK) == VERB_ATTACH;
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

/* model: Attend. Grants start at the next frame, so a reader misses none that is published after its grant. */
static void comply(struct weir_writer *writer, uint32_t i, uint64_t word)
{
	struct writer_end *end = &writer->end[i];
	struct grant *grant = &writer->head->grant[i];
	bool new_reader = word >> VERB_BITS != end->request >> VERB_BITS;

	if ((word & VERB_MASK) == VERB_ATTACH && new_reader) {
		end->policy = writer->request->end[i].policy;
		end->picks = policy_picks(&end->policy);
		end->start = end->cursor = writer->published + 1;
		end->rung = end->stall_cursor = end->ordinal = 0;
		end->next_due_ns = INT64_MIN;
		atomic_store_explicit(&grant->due_count, 0, memory_order_relaxed);
		for (uint32_t j = 0; j < WEIR_DUE_MAX; j++) {
			end->due[j] = 0;
			atomic_store_explicit(&grant->due[j].word, 0, memory_order_relaxed);
		}
		end->stall_since_ns = 0;
		atomic_store_explicit(&grant->start, end->start, memory_order_relaxed);
		atomic_store_explicit(&grant->lost_total, writer->lost_total, memory_order_relaxed);
		atomic_store_explicit(&grant->stalled, 0, memory_order_relaxed);
	}
	end->request = word;
	end->ack = word;
	atomic_store_explicit(&grant->ack, word, memory_order_release);
}

void weir_writer_attend(struct weir_writer *writer)
{
	uint64_t changed = atomic_load_explicit(&writer->request->changed, memory_order_acquire);
	uint32_t depth = 1;

	if (changed == writer->changed)
		return;
	writer->changed = changed;
	writer->ends = 0;
	writer->filters = 0;
	for (uint32_t i = 0; i < writer->geometry.end_count; i++) {
		struct writer_end *end = &writer->end[i];
		uint64_t word = atomic_load_explicit(&writer->request->end[i].word, memory_order_acquire);

		if (word != end->request)
			comply(writer, i, word);
		if ((end->ack & VERB_MASK) == VERB_ATTACH || (end->ack & VERB_MASK) == VERB_WITHDRAW)
			writer->ends |= UINT64_C(1) << i;
		if (!is_granted(end))
			continue;
		if (writer_waits_for(end) && atomic_load_explicit(&writer->request->end[i].degrade,
						     memory_order_acquire) == word >> VERB_BITS)
			writer_degrade(writer, i);
		if (policy_filters(&end->policy))
			writer->filters |= 1u << i;
		if (!end->picks && end->policy.depth > depth)
			depth = end->policy.depth;
	}
	writer->depth = depth;
}

/* --- claiming ----------------------------------------------------------------------------------------------------- */

static void note_low_water(struct weir_writer *writer)
{
	if (writer->free_count < atomic_load_explicit(&writer->head->free_low_water, memory_order_relaxed))
		atomic_store_explicit(&writer->head->free_low_water, writer->free_count, memory_order_relaxed);
}

/* Few hot slots beat many cold ones, but the lines of the one that was freed last are still in its reader's cache: the
 * one before it is taken (4 slots then cost what 4 buffers taken in turn do, and 20 slots cost no more). */
static uint32_t take_free(struct weir_writer *writer)
{
	uint32_t at = writer->free_count > 1 ? writer->free_count - 2 : 0;
	uint32_t slot = writer->free[at];

	writer->free[at] = writer->free[--writer->free_count];
	return slot;
}

int weir_writer_claim(struct weir_writer *writer, struct weir_frame *frame, uint8_t **payload)
{
	uint64_t refilled_ticks = writer->refilled_ticks;
	uint32_t slot;

	weir_writer_attend(writer);
	if (writer->loans >= writer->geometry.loans)
		return -EBUSY;
	if (writer->free_count == 0 || ticks_now() - writer->refilled_ticks > TICKS_10_US)
		writer_refill(writer);
	if (writer->free_count == 0 && writer_withdraw_stalled(writer))
		writer_refill(writer);
	if (writer->free_count == 0) {
		writer_count(&writer->head->claim_waits);
		note_low_water(writer);
		return -EAGAIN;
	}
	slot = take_free(writer);
	if (writer->refilled_ticks != refilled_ticks) /* else there may be more that are free: nobody has looked */
		note_low_water(writer);
	writer->slot[slot].state = SLOT_LOAN;
	writer->loans++;
	*frame = (struct weir_frame){
		.pts_ns = WEIR_TIME_NONE,
		.dts_ns = WEIR_TIME_NONE,
		.duration_ns = WEIR_TIME_NONE,
		.slot = slot,
		.data = writer->data + (size_t)slot * writer->geometry.slot_bytes,
	};
	*payload = writer->data + (size_t)slot * writer->geometry.slot_bytes;
	return 0;
}

void *weir_writer_meta(struct weir_writer *writer, uint32_t slot)
{
	if (slot >= writer->geometry.slot_count || writer->slot[slot].state != SLOT_LOAN)
		return NULL;
	return head_meta(writer->head, &writer->geometry, slot);
}

int weir_writer_drop(struct weir_writer *writer, uint32_t slot)
{
	struct slot *own = &writer->slot[slot < WEIR_SLOTS_MAX ? slot : 0];

	if (slot >= writer->geometry.slot_count)
		return -EINVAL;
	if (own->state == SLOT_LOAN) {
		own->state = SLOT_FREE;
		writer->free[writer->free_count++] = (uint16_t)slot;
	} else if (own->state == SLOT_PUBLISHED && own->kept) {
		own->kept = false;
	} else {
		return -EINVAL;
	}
	writer->loans--;
	return 0;
}

/* --- publishing ------------------------------------------------------------------------------------------------ */

/* model: Ring. A reader that is asleep in an epoch that we have not rung yet is rung once. */
static void ring_sleeper(struct weir_writer *writer, struct writer_end *end, uint64_t sleeping)
{
	end->rung = sleeping;
	if ((sleeping & SLEEP_BY_SEMAPHORE) != 0 && end->bell != NULL) {
		ring_bell_post(end->bell);
		writer_count(&writer->head->rung_semaphore);
	} else {
		wake_ring(end->wake_fd, writer->geometry.has_sockets);
		writer_count(&writer->head->rung_eventfd);
	}
}

/* Who is rung first runs first: after some frames it is the last, so that no reader is always behind all others; not
 * after each, because a reader in another place wakes on another processor, where nothing of it is warm. */
static void ring_sleepers(struct weir_writer *writer, uint32_t due)
{
	uint32_t turn = writer->turn;
	uint64_t ends = writer->ends & due;

	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t rest = (uint32_t)(ends >> turn | ends << (32 - turn)); rest != 0; rest &= rest - 1) {
		uint32_t i = (turn + (uint32_t)__builtin_ctz(rest)) % 32;
		struct writer_end *end = &writer->end[i];
		uint64_t sleeping = atomic_load_explicit(&end->map->sleeping, memory_order_relaxed);

		if ((sleeping & SLEEP_ASLEEP) == 0 || sleeping == end->rung) {
			writer->saved++;
			continue;
		}
		if (writer->turn == turn && writer->published % TURN_FRAMES == 0)
			writer->turn = (i + 1) % 32;
		ring_sleeper(writer, end, sleeping);
	}
	atomic_store_explicit(&writer->head->saved, writer->saved, memory_order_relaxed);
}

/* model: Publish. Slot and descriptor, then the order word, then `published`: what is not published never existed. */
int weir_writer_publish(struct weir_writer *writer, struct weir_frame *frame, bool keep)
{
	struct slot *slot = &writer->slot[frame->slot < WEIR_SLOTS_MAX ? frame->slot : 0];
	uint64_t sequence = writer->published + 1;
	uint32_t due = UINT32_MAX;

	if (frame->slot >= writer->geometry.slot_count || slot->state != SLOT_LOAN ||
		frame->size_bytes > writer->geometry.slot_bytes || frame->meta_bytes > writer->geometry.meta_bytes ||
		atomic_load_explicit(&writer->head->ended, memory_order_relaxed) != 0)
		return -EINVAL;
	if (frame->dropped_before != 0) {
		writer->lost_total += frame->dropped_before;
		atomic_store_explicit(&writer->head->source_lost, writer->lost_total, memory_order_relaxed);
	}
	if (writer->filters != 0)
		due = writer_judge_due(writer, frame, sequence);
	writer->descriptor[frame->slot] = (struct descriptor){
		.sequence = sequence,
		.lost_total = writer->lost_total,
		.pts_ns = frame->pts_ns,
		.dts_ns = frame->dts_ns,
		.duration_ns = frame->duration_ns,
		.capture_ns = frame->capture_ns,
		.wall_ns = frame->wall_ns,
		.flags = frame->flags,
		.size_bytes = frame->size_bytes,
		.meta_bytes = frame->meta_bytes,
		.due = due,
	};
	atomic_store_explicit(&writer->order[sequence & (writer->geometry.order_count - 1)],
		sequence << ORDER_SLOT_BITS | frame->slot, memory_order_relaxed);
	atomic_store_explicit(&writer->head->published, sequence, memory_order_release);

	writer->published = frame->sequence = sequence;
	slot->sequence = sequence;
	slot->state = SLOT_PUBLISHED;
	slot->kept = keep;
	if (!keep)
		writer->loans--;
	if (writer->filters != 0)
		writer_announce_due(writer, due & writer->filters, sequence, frame->slot);
	ring_sleepers(writer, due);
	return 0;
}

void weir_writer_count_copy(struct weir_writer *writer)
{
	writer_count(&writer->head->copied);
}

void weir_writer_end(struct weir_writer *writer)
{
	atomic_store_explicit(&writer->head->ended, writer->published + 1, memory_order_release);
	ring_sleepers(writer, UINT32_MAX);
}

uint64_t weir_writer_backlog(struct weir_writer *writer)
{
	uint64_t slowest = writer->published + 1;

	weir_writer_attend(writer);
	FOR_EACH_END(writer, i)
	if (writer_waits_for(&writer->end[i])) {
		uint64_t cursor = writer_cursor(writer, &writer->end[i]);

		if (cursor < slowest)
			slowest = cursor;
	}
	return writer->published + 1 - slowest;
}

bool weir_writer_drained(struct weir_writer *writer)
{
	return weir_writer_backlog(writer) == 0;
}

/* --- waiting for a slot --------------------------------------------------------------------------------------------
 */

int weir_writer_fd(const struct weir_writer *writer)
{
	return writer->epoll_fd >= 0 ? writer->epoll_fd : writer->space_eventfd;
}

/* Asleep first, then another look: a release in between is seen here, a later one sees the epoch and rings. */
int weir_writer_arm(struct weir_writer *writer)
{
	writer->space_epoch += SLEEP_EPOCH;
	atomic_store_explicit(&writer->head->space, writer->space_epoch | SLEEP_ASLEEP, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	weir_writer_attend(writer);
	writer_refill(writer);
	return writer->free_count > 0 ? 1 : 0;
}

/* Its reader has shut it down: it would wake us for ever. The reader looks again at its own times. The end is used up
 * by it (the supervisor grants ends with sockets once). */
static void forget_bell(struct weir_writer *writer, struct writer_end *end)
{
	if (end->wake_fd < 0)
		return;
	/* Others hold the socket, so that closing it would not take it out. */
	epoll_ctl(writer->epoll_fd, EPOLL_CTL_DEL, end->wake_fd, NULL);
	segment_close(&end->wake_fd);
}

void weir_writer_disarm(struct weir_writer *writer)
{
	atomic_store_explicit(&writer->head->space, writer->space_epoch, memory_order_release);
	wake_clear(writer->space_eventfd, false);
	for (uint32_t i = 0; writer->epoll_fd >= 0 && i < writer->geometry.end_count; i++)
		if (wake_clear(writer->end[i].wake_fd, true) < 0)
			forget_bell(writer, &writer->end[i]);
}

int weir_writer_wait(struct weir_writer *writer, int64_t deadline_ns)
{
	int r = 0;

	if (weir_writer_arm(writer) == 0)
		r = wake_wait(weir_writer_fd(writer), deadline_ns);
	weir_writer_disarm(writer);
	return r;
}
