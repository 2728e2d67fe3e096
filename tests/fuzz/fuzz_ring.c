/* SPDX-License-Identifier: MIT */
/* A ring in which one party writes anything into its pages, at any moment, while the others go on as they should. */
#include "fuzz.h"

#include <errno.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"

#include <weir/reader.h>
#include <weir/writer.h>

#define SLOTS	  24
#define READERS	  3
#define STEPS_MAX 200

/* Who lies; who trusts its own pages and those of the rest. The supervisor's lies meet readers and observers only: a
 * writer and its supervisor are one family. */
enum liar { LIAR_WRITER, LIAR_READER, LIAR_SUPERVISOR, LIARS };

struct stage {
	enum liar liar;
	struct weir_ring *ring, *observer;
	struct weir_writer *writer;
	struct weir_reader *reader[READERS];
	struct weir_frame held[READERS];
	struct head *head;     /* writable, as its writer has it */
	struct end *own;       /* writable, as reader 0 has it */
	struct request *asked; /* writable, as its supervisor has it */
	uint32_t end[READERS];
};

static struct weir_policy policy_of(struct fuzz_input *input)
{
	uint64_t choice = fuzz_take(input, 2);

	return (struct weir_policy){
		.mode = choice % 3,
		.depth = choice / 3 % 4,
		.max_held = choice / 12 % 3,
		.on_stall = choice / 36 % 2,
		.stall_ns = 1 + (int64_t)(choice / 72 % 2) * 1000000,
		.every_nth = choice / 144 % 3,
		.max_fps = choice / 432 % 2 != 0 ? 25 : 0,
	};
}

static void open_stage(struct stage *stage, struct fuzz_input *input)
{
	struct weir_ring_config config = {
		.slot_count = SLOTS, .ends = READERS + 1, .loans = 1, .meta_bytes = 64, .no_semaphores = true
	};
	struct weir_ring_fds fds;

	stage->liar = fuzz_take(input, 1) % LIARS;
	config.backing = WEIR_BACKING_SEALED;
	config.untrusted = fuzz_take(input, 1) % 2 != 0;
	FUZZ_CHECK(weir_format_video(&config.format, WEIR_PIXEL_GRAY8, 64, 64) == 0);
	FUZZ_CHECK(weir_ring_create(&stage->ring, &config) == 0);
	stage->asked = stage->ring->request;
	for (int i = 0; i < READERS; i++) {
		struct weir_policy policy = policy_of(input);

		if (weir_ring_attach(stage->ring, &policy, &stage->end[i]) < 0)
			stage->end[i] = UINT32_MAX;
	}
	FUZZ_CHECK(weir_ring_writer_fds(stage->ring, &fds) == 0);
	FUZZ_CHECK(segment_map((void **)&stage->head, fds.fd[RING_FD_HEAD], layout_head_bytes(&stage->ring->geometry),
			   true) == 0);
	FUZZ_CHECK(weir_writer_open(&stage->writer, &fds) == 0);
	if (stage->end[0] == UINT32_MAX)
		return;
	FUZZ_CHECK(weir_ring_reader_fds(stage->ring, stage->end[0], &fds) == 0);
	FUZZ_CHECK(segment_map((void **)&stage->own, fds.fd[RING_FD_ENDS + RING_END_FD_END], LAYOUT_PAGE, true) == 0);
	weir_ring_fds_close(&fds);
}

static void close_stage(struct stage *stage)
{
	struct geometry geometry = stage->ring->geometry;

	for (int i = 0; i < READERS; i++)
		weir_reader_free(&stage->reader[i]);
	weir_writer_free(&stage->writer);
	weir_ring_free(&stage->observer);
	weir_ring_free(&stage->ring);
	segment_unmap(stage->head, layout_head_bytes(&geometry));
	segment_unmap(stage->own, LAYOUT_PAGE);
}

/* A value that may hit something: anything, small, near what is published, an order word near it. */
static uint64_t lie(const struct stage *stage, struct fuzz_input *input)
{
	uint64_t near = atomic_load(&stage->head->published) + fuzz_take(input, 1) - 16;

	switch (fuzz_take(input, 1) % 5) {
	case 0: return fuzz_take(input, 8);
	case 1: return fuzz_take(input, 1);
	case 2: return near;
	case 3: return near << ORDER_SLOT_BITS | fuzz_take(input, 2) % (1 << ORDER_SLOT_BITS);
	default: return fuzz_take(input, 1) << VERB_BITS | fuzz_take(input, 1) % 4;
	}
}

/* Words that a writer's pages consist of: what a reader acts on. */
static void lie_as_writer(struct stage *stage, uint64_t place, uint64_t value)
{
	const struct geometry *geometry = &stage->ring->geometry;
	struct head *head = stage->head;
	struct descriptor *descriptor = &head_descriptor(head, geometry)[place / 16 % SLOTS];
	struct grant *grant = &head->grant[place / 16 % (READERS + 1)];

	switch (place % 16) {
	case 0:
	case 1: head->published = value; break;
	case 2: head->retired = value; break;
	case 3:
	case 4:
	case 5: head_order(head)[value >> ORDER_SLOT_BITS & (geometry->order_count - 1)] = value; break;
	case 6: grant->ack = value; break;
	case 7: grant->start = value; break;
	case 8: grant->stalled = (uint32_t)value; break;
	case 9: grant->due[place / 64 % WEIR_DUE_MAX].word = value; break;
	case 10: grant->due[place / 64 % WEIR_DUE_MAX].ordinal = value; break;
	case 11: grant->due_count = value; break;
	case 12: *(volatile uint32_t *)&descriptor->size_bytes = (uint32_t)value; break;
	case 13: *(volatile uint32_t *)&descriptor->meta_bytes = (uint32_t)value; break;
	case 14: *(volatile uint32_t *)&descriptor->due = (uint32_t)value; break;
	default: head->ended = value;
	}
}

static void lie_as_reader(struct end *own, uint64_t place, uint64_t value)
{
	switch (place % 4) {
	case 0: own->cursor = value; break;
	case 1: own->sleeping = value; break;
	default: own->pin[place / 4 % WEIR_HELD_MAX] = value;
	}
}

static void scribble(struct stage *stage, struct fuzz_input *input)
{
	uint64_t head_words = layout_head_bytes(&stage->ring->geometry) / 8;
	uint64_t place = fuzz_take(input, 2), value = lie(stage, input);

	if (place >= 1 << 15 && stage->liar == LIAR_READER && stage->own != NULL)
		lie_as_reader(stage->own, place, value);
	else if (place >= 1 << 15 && stage->liar != LIAR_READER)
		lie_as_writer(stage, place, value);
	else if (stage->liar == LIAR_READER && stage->own != NULL)
		((_Atomic uint64_t *)(void *)stage->own)[place % (LAYOUT_PAGE / 8)] = value;
	else if (stage->liar == LIAR_SUPERVISOR && place % 2 == 0)
		((_Atomic uint64_t *)(void *)stage->asked)[place / 2 % (layout_request_bytes() / 8)] = value;
	else if (stage->liar != LIAR_READER)
		((_Atomic uint64_t *)(void *)stage->head)[place % head_words] = value;
}

static void open_reader(struct stage *stage, int i)
{
	struct weir_ring_fds fds;

	if (stage->reader[i] == NULL && stage->end[i] != UINT32_MAX &&
		weir_ring_reader_fds(stage->ring, stage->end[i], &fds) == 0)
		weir_reader_open(&stage->reader[i], &fds);
}

static void observe(struct stage *stage)
{
	struct weir_ring_fds fds;

	if (stage->observer == NULL && weir_ring_observer_fds(stage->ring, &fds) == 0)
		weir_ring_observe(&stage->observer, &fds);
}

static void look(const struct weir_ring *ring)
{
	struct weir_ring_stats stats;
	struct weir_end_stats end_stats;

	if (ring == NULL)
		return;
	weir_ring_stats(ring, &stats);
	for (uint32_t i = 0; i < WEIR_READERS_MAX + 1; i++)
		weir_ring_end_stats(ring, i, &end_stats);
}

/* Reads all that the frame claims to have. */
static void use(struct stage *stage, int i, const struct weir_frame *frame)
{
	volatile uint8_t seen;

	/* A supervisor may say that the same memory is other slots. */
	if (stage->liar != LIAR_SUPERVISOR)
		FUZZ_CHECK(frame->slot < SLOTS && frame->size_bytes <= LAYOUT_PAGE && frame->meta_bytes <= 64);
	for (uint32_t k = 0; k < frame->size_bytes; k++)
		seen = frame->data[k];
	for (uint32_t k = 0; k < frame->meta_bytes; k++)
		seen = frame->meta[k];
	(void)seen;
	stage->held[i] = *frame;
}

static void acquire(struct stage *stage, int i)
{
	struct weir_frame frame;
	int r;

	open_reader(stage, i);
	if (stage->reader[i] == NULL)
		return;
	r = weir_reader_acquire(stage->reader[i], &frame);
	FUZZ_CHECK(r == 0 || r == -EAGAIN || r == -ENODATA || r == -EPIPE || r == -ESTALE || r == -EBUSY);
	if (r == 0)
		use(stage, i, &frame);
}

static void publish(struct stage *stage, uint64_t how)
{
	struct weir_frame frame;
	uint8_t *payload;
	int r = weir_writer_claim(stage->writer, &frame, &payload);

	FUZZ_CHECK(r == 0 || r == -EAGAIN || r == -EBUSY);
	if (r < 0)
		return;
	FUZZ_CHECK(frame.slot < SLOTS);
	memset(payload, (int)how, 64);
	frame.size_bytes = (uint32_t)how % 64;
	frame.meta_bytes = (uint32_t)how % 8;
	frame.capture_ns = (int64_t)how * 10000000;
	r = weir_writer_publish(stage->writer, &frame, false);
	if (r < 0) /* the end was published */
		FUZZ_CHECK(weir_writer_drop(stage->writer, frame.slot) == 0);
}

static void sleep_and_wake(struct stage *stage, int i)
{
	if (stage->reader[i] == NULL)
		return;
	weir_reader_arm(stage->reader[i]);
	weir_reader_disarm(stage->reader[i]);
	weir_reader_wait(stage->reader[i], clock_now_ns());
}

/* What the writer and the supervisor do; they take no part where they are the ones that lie. */
static void go_on(struct stage *stage, uint64_t what, uint64_t how)
{
	struct weir_policy policy = { .mode = (uint32_t)how % 3 };
	uint32_t i = (uint32_t)how % (READERS + 2), end;

	if (what < 4 && stage->liar == LIAR_READER) {
		switch (what) {
		case 0: publish(stage, how); break;
		case 1: weir_writer_drained(stage->writer); break;
		case 2: weir_writer_wait(stage->writer, clock_now_ns()); break;
		default:
			if (how == 255)
				weir_writer_end(stage->writer);
		}
	} else if (what >= 4 && stage->liar != LIAR_SUPERVISOR) {
		switch (what) {
		case 4: weir_ring_attach(stage->ring, &policy, &end); break;
		case 5: weir_ring_withdraw(stage->ring, i); break;
		case 6: weir_ring_reap(stage->ring, i); break;
		default:
			if (how % 8 == 7)
				weir_ring_writer_gone(stage->ring);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, data + bytes };
	struct stage stage = { 0 };

	open_stage(&stage, &input);
	for (int step = 0; step < STEPS_MAX && input.at < input.end; step++) {
		uint64_t what = fuzz_take(&input, 1);
		/* Who lies as a reader does not believe in its own page. */
		int i = stage.liar == LIAR_READER ? 1 + (int)(what / 16 % 2) : (int)(what / 16 % READERS);

		switch (what % 16) {
		case 0:
		case 1:
		case 2:
		case 3: scribble(&stage, &input); break;
		case 4: acquire(&stage, i); break;
		case 5:
			if (stage.reader[i] != NULL)
				weir_reader_release(stage.reader[i], &stage.held[i]);
			break;
		case 6: sleep_and_wake(&stage, i); break;
		case 7:
			observe(&stage);
			look(stage.observer);
			break;
		default:
			if (what % 16 != 15 || stage.liar != LIAR_SUPERVISOR)
				look(stage.ring);
			go_on(&stage, what % 8, fuzz_take(&input, 1));
		}
	}
	close_stage(&stage);
	fuzz_check_descriptors();
	return 0;
}
