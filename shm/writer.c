/* SPDX-License-Identifier: MIT */
#include <weir/writer.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"
#include "ticks.h"

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
	uint64_t rung;	       /* the last sleeping word that we rang */
	uint64_t stall_cursor; /* where it blocked us last, since stall_since_ns (0: it does not) */
	int64_t stall_since_ns;
	struct weir_policy policy;
	struct end *map;
	sem_t *bell;
	int eventfd;
};

struct weir_writer {
	struct geometry geometry;
	uint8_t *data;
	struct head *head;
	struct request *request;
	struct descriptor *descriptor;
	_Atomic uint64_t *order;
	int space_eventfd;
	uint64_t changed; /* value of request->changed that we complied with */
	uint64_t published, retired;
	uint64_t lost_total; /* frames that the source lost */
	uint64_t ends;	     /* bit k: end k is granted or withdrawn, so its pins count */
	uint32_t depth;	     /* the newest so many frames are never retired */
	uint32_t loans;	     /* slots on loan or kept */
	uint64_t refilled_ticks;
	uint64_t space_epoch;
	uint32_t free_count;
	uint16_t free[WEIR_SLOTS_MAX]; /* a stack: few hot slots beat many cold ones */
	struct slot slot[WEIR_SLOTS_MAX];
	struct writer_end end[WEIR_READERS_MAX];
};

static void count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

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
		end->start = writer->published + 1;
		end->rung = end->stall_cursor = 0;
		end->stall_since_ns = 0;
		atomic_store_explicit(&grant->start, end->start, memory_order_relaxed);
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
	for (uint32_t i = 0; i < writer->geometry.end_count; i++) {
		struct writer_end *end = &writer->end[i];
		uint64_t word = atomic_load_explicit(&writer->request->end[i].word, memory_order_acquire);

		if (word != end->request)
			comply(writer, i, word);
		if ((end->ack & VERB_MASK) == VERB_ATTACH || (end->ack & VERB_MASK) == VERB_WITHDRAW)
			writer->ends |= UINT64_C(1) << i;
		if (is_granted(end) && end->policy.depth > depth)
			depth = end->policy.depth;
	}
	writer->depth = depth;
}

#define FOR_EACH_END(writer, i)                                                                                        \
	for (uint64_t bits_ = (writer)->ends, i = 0; bits_ != 0 && (i = (uint64_t)__builtin_ctzll(bits_), true);       \
		bits_ &= bits_ - 1)

/* --- free slots -------------------------------------------------------------------------------------------------- */

/* A lossless reader's cursor, clamped to what can be true. */
static uint64_t read_cursor(const struct weir_writer *writer, const struct writer_end *end)
{
	uint64_t cursor = atomic_load_explicit(&end->map->cursor, memory_order_acquire);

	if (cursor < end->start)
		return end->start;
	return cursor > writer->published + 1 ? writer->published + 1 : cursor;
}

static bool is_lossless(const struct writer_end *end)
{
	return is_granted(end) && end->policy.mode == WEIR_POLICY_LOSSLESS;
}

/* The lowest sequence that must be kept: the newest ones for those with a depth, and from the slowest lossless cursor
 * on. */
static uint64_t retire_limit(const struct weir_writer *writer)
{
	uint64_t limit = writer->published >= writer->depth ? writer->published + 1 - writer->depth : 0;

	FOR_EACH_END(writer, i)
	{
		const struct writer_end *end = &writer->end[i];

		if (is_lossless(end)) {
			uint64_t cursor = read_cursor(writer, end);

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
static void refill(struct weir_writer *writer)
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

/* model: Evict. Withdraws the cursors that have blocked us for stall_ns without moving; their pins count on. */
static bool withdraw_stalled(struct weir_writer *writer)
{
	int64_t now_ns = clock_now_ns();
	bool withdrawn = false;

	FOR_EACH_END(writer, i)
	{
		struct writer_end *end = &writer->end[i];
		uint64_t cursor;

		if (!is_lossless(end))
			continue;
		cursor = read_cursor(writer, end);
		if (cursor > writer->retired) {
			end->stall_since_ns = 0; /* others are slower */
		} else if (end->stall_since_ns == 0 || end->stall_cursor != cursor) {
			end->stall_cursor = cursor;
			end->stall_since_ns = now_ns;
		} else if (now_ns - end->stall_since_ns > end->policy.stall_ns) {
			struct grant *grant = &writer->head->grant[i];

			end->policy.mode = WEIR_POLICY_DROP_OLDEST;
			count(&writer->head->stalled);
			atomic_store_explicit(&grant->stalled, 1, memory_order_relaxed);
			if (end->policy.on_stall == WEIR_STALL_EVICT) {
				end->ack = (end->ack & ~(uint64_t)VERB_MASK) | VERB_WITHDRAW;
				atomic_store_explicit(&grant->ack, end->ack, memory_order_release);
			}
			withdrawn = true;
		}
	}
	return withdrawn;
}

static void note_low_water(struct weir_writer *writer)
{
	if (writer->free_count < atomic_load_explicit(&writer->head->free_low_water, memory_order_relaxed))
		atomic_store_explicit(&writer->head->free_low_water, writer->free_count, memory_order_relaxed);
}

int weir_writer_claim(struct weir_writer *writer, struct weir_frame *frame, uint8_t **payload)
{
	uint32_t slot;

	weir_writer_attend(writer);
	if (writer->loans >= writer->geometry.loans)
		return -EBUSY;
	if (writer->free_count == 0 || ticks_now() - writer->refilled_ticks > TICKS_10_US)
		refill(writer);
	if (writer->free_count == 0 && withdraw_stalled(writer))
		refill(writer);
	if (writer->free_count == 0) {
		count(&writer->head->claim_waits);
		note_low_water(writer);
		return -EAGAIN;
	}
	slot = writer->free[--writer->free_count];
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
		count(&writer->head->rung_semaphore);
	} else {
		eventfd_ring(end->eventfd);
		count(&writer->head->rung_eventfd);
	}
}

static void ring_sleepers(struct weir_writer *writer)
{
	atomic_thread_fence(memory_order_seq_cst);
	FOR_EACH_END(writer, i)
	{
		struct writer_end *end = &writer->end[i];
		uint64_t sleeping = atomic_load_explicit(&end->map->sleeping, memory_order_relaxed);

		if ((sleeping & SLEEP_ASLEEP) != 0 && sleeping != end->rung)
			ring_sleeper(writer, end, sleeping);
	}
}

/* model: Publish. Slot and descriptor, then the order word, then `published`: what is not published never existed. */
int weir_writer_publish(struct weir_writer *writer, struct weir_frame *frame, bool keep)
{
	struct slot *slot = &writer->slot[frame->slot < WEIR_SLOTS_MAX ? frame->slot : 0];
	uint64_t sequence = writer->published + 1;

	if (frame->slot >= writer->geometry.slot_count || slot->state != SLOT_LOAN ||
		frame->size_bytes > writer->geometry.slot_bytes ||
		atomic_load_explicit(&writer->head->ended, memory_order_relaxed) != 0)
		return -EINVAL;
	if (frame->dropped_before != 0) {
		writer->lost_total += frame->dropped_before;
		atomic_store_explicit(&writer->head->source_lost, writer->lost_total, memory_order_relaxed);
	}
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
	ring_sleepers(writer);
	return 0;
}

void weir_writer_count_copy(struct weir_writer *writer)
{
	count(&writer->head->copied);
}

void weir_writer_end(struct weir_writer *writer)
{
	atomic_store_explicit(&writer->head->ended, writer->published + 1, memory_order_release);
	ring_sleepers(writer);
}

bool weir_writer_drained(struct weir_writer *writer)
{
	weir_writer_attend(writer);
	FOR_EACH_END(writer, i)
	if (is_lossless(&writer->end[i]) && read_cursor(writer, &writer->end[i]) <= writer->published)
		return false;
	return true;
}

/* --- waiting for a slot --------------------------------------------------------------------------------------------
 */

int weir_writer_fd(const struct weir_writer *writer)
{
	return writer->space_eventfd;
}

/* Asleep first, then another look: a release in between is seen here, a later one sees the epoch and rings. */
int weir_writer_arm(struct weir_writer *writer)
{
	writer->space_epoch += SLEEP_EPOCH;
	atomic_store_explicit(&writer->head->space, writer->space_epoch | SLEEP_ASLEEP, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	weir_writer_attend(writer);
	refill(writer);
	return writer->free_count > 0 ? 1 : 0;
}

void weir_writer_disarm(struct weir_writer *writer)
{
	atomic_store_explicit(&writer->head->space, writer->space_epoch, memory_order_release);
	eventfd_clear(writer->space_eventfd);
}

int weir_writer_wait(struct weir_writer *writer, int64_t deadline_ns)
{
	int r = 0;

	if (weir_writer_arm(writer) == 0)
		r = eventfd_wait(writer->space_eventfd, deadline_ns);
	weir_writer_disarm(writer);
	return r;
}

/* --- opening -------------------------------------------------------------------------------------------------------
 */

const struct weir_format *weir_writer_format(const struct weir_writer *writer)
{
	return &writer->geometry.format;
}

uint64_t weir_writer_generation(const struct weir_writer *writer)
{
	return writer->geometry.generation;
}

uint32_t weir_writer_slot_bytes(const struct weir_writer *writer)
{
	return writer->geometry.slot_bytes;
}

static int take_ends(struct weir_writer *writer, struct weir_ring_fds *fds)
{
	for (uint32_t i = 0; i < writer->geometry.end_count; i++) {
		int *fd = &fds->fd[RING_FD_ENDS + RING_END_FDS * i];
		struct writer_end *end = &writer->end[i];
		int r = segment_map((void **)&end->map, fd[RING_END_FD_END], LAYOUT_PAGE, false);

		if (r == 0 && fd[RING_END_FD_BELL] >= 0)
			r = segment_map((void **)&end->bell, fd[RING_END_FD_BELL], LAYOUT_PAGE, true);
		if (r < 0)
			return r;
		end->eventfd = fd[RING_END_FD_EVENTFD];
		fd[RING_END_FD_EVENTFD] = -1;
	}
	return 0;
}

static int take_ring(struct weir_writer *writer, struct weir_ring_fds *fds)
{
	int r = segment_map((void **)&writer->request, fds->fd[RING_FD_REQUEST], layout_request_bytes(), false);

	if (r < 0)
		return r;
	writer->geometry = writer->request->geometry;
	r = layout_check(&writer->geometry);
	if (r < 0 || fds->count != RING_FD_ENDS + RING_END_FDS * writer->geometry.end_count)
		return -EPROTO;
	if ((r = segment_map(
		     (void **)&writer->data, fds->fd[RING_FD_DATA], layout_data_bytes(&writer->geometry), true)) < 0 ||
		(r = segment_map((void **)&writer->head, fds->fd[RING_FD_HEAD], layout_head_bytes(&writer->geometry),
			 true)) < 0)
		return r;
	/* From here on our mappings are the only writable ones. For shm_open's objects there are no seals: EINVAL. */
	if (((r = segment_seal(WEIR_BACKING_SEALED, fds->fd[RING_FD_DATA], SEGMENT_SEALS_OURS)) < 0 && r != -EPERM) ||
		((r = segment_seal(WEIR_BACKING_SEALED, fds->fd[RING_FD_HEAD], SEGMENT_SEALS_OURS)) < 0 && r != -EPERM))
		return r;
	writer->space_eventfd = fds->fd[RING_FD_SPACE];
	fds->fd[RING_FD_SPACE] = -1;
	return take_ends(writer, fds);
}

int weir_writer_open(struct weir_writer **writer, struct weir_ring_fds *fds)
{
	struct weir_writer *made = NULL;
	int r = -EINVAL;

	if (fds->role != RING_ROLE_WRITER || fds->count < RING_FD_ENDS || fds->count > WEIR_RING_FDS_MAX)
		goto fail;
	r = -ENOMEM;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		goto fail;
	made->space_eventfd = -1;
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++)
		made->end[i].eventfd = -1;
	r = take_ring(made, fds);
	if (r < 0)
		goto fail;
	made->order = head_order(made->head);
	made->descriptor = head_descriptor(made->head, &made->geometry);
	made->depth = 1;
	for (uint32_t i = made->geometry.slot_count; i > 0; i--)
		made->free[made->free_count++] = (uint16_t)(i - 1);
	atomic_store_explicit(&made->head->free_low_water, made->free_count, memory_order_relaxed);
	weir_writer_attend(made);
	weir_ring_fds_close(fds);
	*writer = made;
	return 0;
fail:
	weir_ring_fds_close(fds);
	weir_writer_free(&made);
	return r;
}

void weir_writer_free(struct weir_writer **writer)
{
	struct weir_writer *old = *writer;

	if (old == NULL)
		return;
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++) {
		segment_unmap(old->end[i].map, LAYOUT_PAGE);
		segment_unmap(old->end[i].bell, LAYOUT_PAGE);
		segment_close(&old->end[i].eventfd);
	}
	segment_unmap(old->data, layout_data_bytes(&old->geometry));
	segment_unmap(old->head, layout_head_bytes(&old->geometry));
	segment_unmap(old->request, layout_request_bytes());
	segment_close(&old->space_eventfd);
	free(old);
	*writer = NULL;
}
