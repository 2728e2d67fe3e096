/* SPDX-License-Identifier: MIT */
#include <weir/reader.h>

#include <errno.h>
#include <stdlib.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"

/* A reader of the newest frame that is overtaken while it pins tries again so often, then says -EAGAIN. */
#define TRIES_MAX 16

struct held {
	uint64_t sequence; /* 0: this pin is free */
};

struct weir_reader {
	struct geometry geometry;
	uint8_t *data;
	struct head *head;
	struct request *request;
	struct end *end; /* writable: ours */
	struct descriptor *descriptor;
	_Atomic uint64_t *order;
	sem_t *bell;
	struct grant *grant;
	struct weir_policy policy;
	uint64_t id;	     /* of our attachment */
	uint64_t next;	     /* the next sequence to acquire; 0: not granted yet */
	uint64_t last;	     /* the last sequence acquired, or the one before our start */
	uint64_t lost_total; /* as the last descriptor had it */
	uint64_t sleep_word; /* our last one */
	uint64_t space_rung; /* the last sleeping word of the writer that we rang */
	uint32_t index;
	int eventfd, space_eventfd;
	struct held held[WEIR_HELD_MAX];
};

static void add(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

/* model: Join. Our own verb for us, or VERB_NONE when the end is not (or no longer) ours. */
static enum verb granted_verb(const struct weir_reader *reader)
{
	uint64_t ack = atomic_load_explicit(&reader->grant->ack, memory_order_acquire);

	return ack >> VERB_BITS == reader->id ? (enum verb)(ack & VERB_MASK) : VERB_NONE;
}

static bool join(struct weir_reader *reader)
{
	if (reader->next != 0)
		return true;
	if (granted_verb(reader) != VERB_ATTACH)
		return false;
	reader->next = atomic_load_explicit(&reader->grant->start, memory_order_relaxed);
	if (reader->next == 0)
		return false;
	reader->last = reader->next - 1;
	atomic_store_explicit(&reader->end->cursor, reader->next, memory_order_release);
	return true;
}

/* Why there is nothing to acquire. The order matters: an end of stream stays one when its writer exits. */
static int idle_status(const struct weir_reader *reader)
{
	bool gone = atomic_load_explicit(&reader->request->writer_gone, memory_order_acquire) != 0;
	uint64_t ended = atomic_load_explicit(&reader->head->ended, memory_order_acquire);
	uint64_t published = atomic_load_explicit(&reader->head->published, memory_order_acquire);

	if (reader->next != 0 && reader->next <= published)
		return -EAGAIN;
	if (ended != 0 && (reader->next == 0 || reader->next >= ended))
		return reader->next != 0 || gone ? -ENODATA : -EAGAIN;
	return gone ? -EPIPE : -EAGAIN;
}

/* The sequence that our policy gives next, or 0. */
static uint64_t choose(const struct weir_reader *reader, uint64_t published)
{
	uint64_t sequence = reader->next;

	if (published < reader->next)
		return 0;
	if (reader->policy.mode == WEIR_POLICY_LATEST)
		return published;
	if (reader->policy.mode == WEIR_POLICY_DROP_OLDEST && published - sequence >= reader->policy.depth)
		sequence = published + 1 - reader->policy.depth;
	return sequence;
}

/* model: Pin, Check. The pin is stored before `retired` is read; the writer raises `retired` before it reads pins. */
static bool pin(struct weir_reader *reader, uint32_t index, uint64_t sequence, uint32_t *slot)
{
	uint64_t word;

	atomic_store_explicit(&reader->end->pin[index], sequence, memory_order_seq_cst);
	word = atomic_load_explicit(
		&reader->order[sequence & (reader->geometry.order_count - 1)], memory_order_acquire);
	if (atomic_load_explicit(&reader->head->retired, memory_order_seq_cst) <= sequence &&
		word >> ORDER_SLOT_BITS == sequence && (word & ORDER_SLOT_MASK) < reader->geometry.slot_count) {
		*slot = word & ORDER_SLOT_MASK;
		return true;
	}
	atomic_store_explicit(&reader->end->pin[index], 0, memory_order_release);
	return false;
}

/* Copies the descriptor, checks the copy, uses the copy: its writer may change it at any moment. */
static void describe(
	struct weir_reader *reader, struct weir_frame *frame, uint32_t index, uint32_t slot, uint64_t sequence)
{
	struct descriptor copy = *(volatile struct descriptor *)&reader->descriptor[slot];
	uint64_t lost = copy.lost_total - reader->lost_total;

	if (copy.size_bytes > reader->geometry.slot_bytes) {
		copy.size_bytes = 0;
		copy.flags |= WEIR_FRAME_CORRUPT;
	}
	*frame = (struct weir_frame){
		.sequence = sequence,
		.dropped_before = sequence - reader->last - 1 + (lost <= copy.lost_total ? lost : 0),
		.pts_ns = copy.pts_ns,
		.dts_ns = copy.dts_ns,
		.duration_ns = copy.duration_ns,
		.capture_ns = copy.capture_ns,
		.wall_ns = copy.wall_ns,
		.flags = copy.flags,
		.size_bytes = copy.size_bytes,
		.slot = slot,
		.pin = index,
		.data = reader->data + (size_t)slot * reader->geometry.slot_bytes,
	};
	reader->lost_total = copy.lost_total;
}

/* model: Advance. Only now does the cursor move: a lossless writer reads cursors before pins. */
static void took(struct weir_reader *reader, uint32_t index, uint64_t sequence)
{
	struct end *end = reader->end;

	reader->held[index].sequence = sequence;
	if (sequence > reader->next)
		add(&end->overtaken, sequence - reader->next);
	add(&end->delivered, 1);
	atomic_store_explicit(&end->last, sequence, memory_order_relaxed);
	reader->last = sequence;
	reader->next = sequence + 1;
	atomic_store_explicit(&end->cursor, reader->next, memory_order_release);
}

int weir_reader_acquire(struct weir_reader *reader, struct weir_frame *frame)
{
	uint32_t index = 0, slot;

	if (granted_verb(reader) == VERB_WITHDRAW)
		return -ESTALE;
	if (!join(reader))
		return idle_status(reader);
	while (index < reader->policy.max_held && reader->held[index].sequence != 0)
		index++;
	if (index == reader->policy.max_held)
		return -EBUSY;
	for (int i = 0; i < TRIES_MAX; i++) {
		uint64_t published = atomic_load_explicit(&reader->head->published, memory_order_acquire);
		uint64_t sequence = choose(reader, published), retired;

		if (sequence == 0)
			return idle_status(reader);
		retired = atomic_load_explicit(&reader->head->retired, memory_order_acquire);
		if (sequence < retired && retired <= published)
			sequence = retired; /* overtaken; a lossless reader has been degraded */
		if (pin(reader, index, sequence, &slot)) {
			describe(reader, frame, index, slot, sequence);
			took(reader, index, sequence);
			return 0;
		}
	}
	return -EAGAIN;
}

/* model: Release. Clear the pin, fence, look whether the writer sleeps for want of a slot. */
int weir_reader_release(struct weir_reader *reader, const struct weir_frame *frame)
{
	uint64_t space;

	if (frame->pin >= reader->policy.max_held || frame->sequence == 0 ||
		reader->held[frame->pin].sequence != frame->sequence)
		return -EINVAL;
	reader->held[frame->pin].sequence = 0;
	atomic_store_explicit(&reader->end->pin[frame->pin], 0, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	space = atomic_load_explicit(&reader->head->space, memory_order_relaxed);
	if ((space & SLEEP_ASLEEP) != 0 && space != reader->space_rung) {
		reader->space_rung = space;
		eventfd_ring(reader->space_eventfd);
	}
	return 0;
}

/* --- sleeping ------------------------------------------------------------------------------------------------------
 */

/* model: Sleep. A new odd epoch, a fence, another look. True: something is there, do not sleep. */
static bool fall_asleep(struct weir_reader *reader, uint64_t how)
{
	uint64_t published;

	reader->sleep_word = (reader->sleep_word & ~(uint64_t)(SLEEP_EPOCH - 1)) + SLEEP_EPOCH;
	atomic_store_explicit(&reader->end->sleeping, reader->sleep_word | how | SLEEP_ASLEEP, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	published = atomic_load_explicit(&reader->head->published, memory_order_acquire);
	if (join(reader) && published >= reader->next)
		return true;
	return idle_status(reader) != -EAGAIN;
}

static void wake_up(struct weir_reader *reader)
{
	atomic_store_explicit(&reader->end->sleeping, reader->sleep_word, memory_order_release);
}

int weir_reader_fd(const struct weir_reader *reader)
{
	return reader->eventfd;
}

int weir_reader_arm(struct weir_reader *reader)
{
	if (!fall_asleep(reader, 0))
		return 0;
	wake_up(reader);
	return 1;
}

void weir_reader_disarm(struct weir_reader *reader)
{
	wake_up(reader);
	if (eventfd_clear(reader->eventfd))
		add(&reader->end->woken_eventfd, 1);
}

int weir_reader_wait(struct weir_reader *reader, int64_t deadline_ns)
{
	bool posted = false;
	int r = 0;

	if (reader->bell == NULL) {
		if (weir_reader_arm(reader) != 0)
			return 0;
		r = eventfd_wait(reader->eventfd, deadline_ns);
		weir_reader_disarm(reader);
		return r;
	}
	if (!fall_asleep(reader, SLEEP_BY_SEMAPHORE))
		r = ring_bell_wait(reader->bell, deadline_ns, &posted);
	wake_up(reader);
	if (posted)
		add(&reader->end->woken_semaphore, 1);
	return r;
}

/* --- opening -------------------------------------------------------------------------------------------------------
 */

const struct weir_format *weir_reader_format(const struct weir_reader *reader)
{
	return &reader->geometry.format;
}

uint64_t weir_reader_generation(const struct weir_reader *reader)
{
	return reader->geometry.generation;
}

static int take_ring(struct weir_reader *reader, struct weir_ring_fds *fds)
{
	int *end_fd = &fds->fd[RING_FD_ENDS];
	uint64_t word;
	int r = segment_map((void **)&reader->request, fds->fd[RING_FD_REQUEST], layout_request_bytes(), false);

	if (r < 0)
		return r;
	reader->geometry = reader->request->geometry;
	r = layout_check(&reader->geometry);
	if (r < 0 || fds->end >= reader->geometry.end_count)
		return -EPROTO;
	if ((r = segment_map(
		     (void **)&reader->data, fds->fd[RING_FD_DATA], layout_data_bytes(&reader->geometry), false)) < 0 ||
		(r = segment_map((void **)&reader->head, fds->fd[RING_FD_HEAD], layout_head_bytes(&reader->geometry),
			 false)) < 0 ||
		(r = segment_map((void **)&reader->end, end_fd[RING_END_FD_END], LAYOUT_PAGE, true)) < 0)
		return r;
	if (end_fd[RING_END_FD_BELL] >= 0 &&
		(r = segment_map((void **)&reader->bell, end_fd[RING_END_FD_BELL], LAYOUT_PAGE, true)) < 0)
		return r;
	word = atomic_load_explicit(&reader->request->end[fds->end].word, memory_order_acquire);
	reader->id = word >> VERB_BITS;
	reader->policy = reader->request->end[fds->end].policy;
	if (reader->id == 0 || reader->policy.max_held == 0 || reader->policy.max_held > WEIR_HELD_MAX ||
		reader->policy.depth == 0)
		return -EPROTO;
	reader->index = fds->end;
	reader->eventfd = end_fd[RING_END_FD_EVENTFD];
	reader->space_eventfd = fds->fd[RING_FD_SPACE];
	end_fd[RING_END_FD_EVENTFD] = fds->fd[RING_FD_SPACE] = -1;
	return 0;
}

int weir_reader_open(struct weir_reader **reader, struct weir_ring_fds *fds)
{
	struct weir_reader *made = NULL;
	int r = -EINVAL;

	if (fds->role != RING_ROLE_READER || fds->count != RING_FD_ENDS + RING_END_FDS)
		goto fail;
	r = -ENOMEM;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		goto fail;
	made->eventfd = made->space_eventfd = -1;
	r = take_ring(made, fds);
	if (r < 0)
		goto fail;
	made->order = head_order(made->head);
	made->descriptor = head_descriptor(made->head, &made->geometry);
	made->grant = &made->head->grant[made->index];
	weir_ring_fds_close(fds);
	*reader = made;
	return 0;
fail:
	weir_ring_fds_close(fds);
	weir_reader_free(&made);
	return r;
}

void weir_reader_free(struct weir_reader **reader)
{
	struct weir_reader *old = *reader;

	if (old == NULL)
		return;
	if (old->end != NULL) {
		for (uint32_t i = 0; i < WEIR_HELD_MAX; i++)
			atomic_store_explicit(&old->end->pin[i], 0, memory_order_release);
		atomic_store_explicit(&old->end->cursor, UINT64_MAX, memory_order_release);
		atomic_store_explicit(&old->end->left, 1, memory_order_release);
		if (old->space_eventfd >= 0)
			eventfd_ring(old->space_eventfd);
	}
	segment_unmap(old->data, layout_data_bytes(&old->geometry));
	segment_unmap(old->head, layout_head_bytes(&old->geometry));
	segment_unmap(old->request, layout_request_bytes());
	segment_unmap(old->end, LAYOUT_PAGE);
	segment_unmap(old->bell, LAYOUT_PAGE);
	segment_close(&old->eventfd);
	segment_close(&old->space_eventfd);
	free(old);
	*reader = NULL;
}
