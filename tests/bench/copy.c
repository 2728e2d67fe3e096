/* SPDX-License-Identifier: MIT */
/* Pictures copied into slots and read line by line: memory decides. The ceiling is a copy into as many buffers of the
 * same kind of memory by one process alone. */
#include "rig.h"

#include <string.h>

#include "stream.h"

#define STREAMING  0x100u /* in a contender's argument, beside the number of slots */
#define SLOTS	   0xffu
#define BARE_SLOTS 4
#define SLOT_BYTES 3112960u /* whole pages, as in a ring */

struct copying {
	struct rig rig;
	uint8_t *source, *buffers;
	uint32_t frames, slots;
	bool streaming;
};
static struct copying copying;

static void put(const struct copying *own, uint8_t *slot, uint64_t stamp)
{
	*(uint64_t *)own->source = stamp;
	if (own->streaming)
		stream_copy(slot, own->source, PICTURE_BYTES);
	else
		memcpy(slot, own->source, PICTURE_BYTES);
}

static int write_back(void *context, uint32_t index)
{
	struct copying *own = context;
	struct weir_writer *writer = rig_writer_back(&own->rig);
	struct weir_frame frame;

	if (writer == NULL)
		return -EIO;
	bench_meet_back(2);
	for (uint32_t i = 1; i <= own->frames; i++) {
		uint8_t *payload = rig_claim_back(writer, &frame);

		if (payload == NULL)
			return -EIO;
		put(own, payload, i);
		frame.size_bytes = PICTURE_BYTES;
		if (weir_writer_publish(writer, &frame, false) < 0)
			return bench_fail("weir_writer_publish");
	}
	return 0;
}

static int read_back(void *context, uint32_t index)
{
	struct copying *own = context;
	struct weir_reader *reader = rig_reader_back(&own->rig, 0);
	struct weir_frame frame;
	int64_t from_ns = 0;

	if (reader == NULL)
		return -EIO;
	bench_meet_back(2);
	for (uint32_t i = 1; i <= own->frames; i++) {
		if (rig_acquire_back(reader, &frame, WAIT_BUSY) < 0)
			return -EIO;
		stream_read(frame.data, PICTURE_BYTES);
		if (*(const uint64_t *)frame.data != i)
			return bench_fail("frame %u carries another stamp", i);
		weir_reader_release(reader, &frame);
		if (i == own->frames / 5)
			from_ns = now_ns();
	}
	page->figure = (now_ns() - from_ns) / 1e3 / (own->frames - own->frames / 5);
	return 0;
}

/* The ceiling. */
static int copy_back(void *context, uint32_t index)
{
	struct copying *own = context;
	int64_t from_ns = 0;

	for (uint32_t i = 1; i <= own->frames; i++) {
		put(own, own->buffers + (size_t)(i % own->slots) * SLOT_BYTES, i);
		if (i == own->frames / 5)
			from_ns = now_ns();
	}
	page->figure = (now_ns() - from_ns) / 1e3 / (own->frames - own->frames / 5);
	return 0;
}

/* --- the same between two processes, with two counters only ------------------------------------------------------- */

static void wait_for(const _Atomic uint32_t *counter, uint32_t value)
{
	uint32_t turns = 0;

	while (atomic_load_explicit(counter, memory_order_acquire) < value)
		spin_once(&turns);
}

static int bare_write_back(void *context, uint32_t index)
{
	struct copying *own = context;

	bench_meet_back(2);
	for (uint32_t i = 1; i <= own->frames; i++) {
		wait_for(&page->done, i > own->slots ? i - own->slots : 0);
		put(own, own->buffers + (size_t)(i % own->slots) * SLOT_BYTES, i);
		atomic_store_explicit(&page->sent, i, memory_order_release);
	}
	return 0;
}

static int bare_read_back(void *context, uint32_t index)
{
	struct copying *own = context;
	int64_t from_ns = 0;

	bench_meet_back(2);
	for (uint32_t i = 1; i <= own->frames; i++) {
		wait_for(&page->sent, i);
		stream_read(own->buffers + (size_t)(i % own->slots) * SLOT_BYTES, PICTURE_BYTES);
		atomic_store_explicit(&page->done, i, memory_order_release);
		if (i == own->frames / 5)
			from_ns = now_ns();
	}
	page->figure = (now_ns() - from_ns) / 1e3 / (own->frames - own->frames / 5);
	return 0;
}

static void prepare(uint32_t argument)
{
	if (copying.source == NULL) {
		copying.source = bench_shared(PICTURE_BYTES);
		memset(copying.source, 0x55, PICTURE_BYTES);
		copying.buffers = bench_shared(BARE_SLOTS * SLOT_BYTES);
	}
	copying.frames = bench_count(400, 20);
	copying.slots = argument & SLOTS;
	copying.streaming = (argument & STREAMING) != 0;
}

static int run_ring(double *figure, uint32_t argument)
{
	const struct rig_config config = {
		.pictures = true,
		.slots = argument & SLOTS,
		.readers = 1,
		.policy = RIG_LOSSLESS,
	};
	int r;

	prepare(argument);
	r = rig_make(&copying.rig, &config);
	if (r < 0)
		return r;
	r = bench_pair(figure, write_back, read_back, &copying);
	rig_free(&copying.rig);
	return r;
}

static int run_plain(double *figure, uint32_t argument)
{
	const struct job job = { copy_back, 0, 0 };

	prepare(argument);
	return bench_run(figure, &job, 1, &copying);
}

static int run_bare(double *figure, uint32_t argument)
{
	prepare(argument);
	return bench_pair(figure, bare_write_back, bare_read_back, &copying);
}

enum {
	PLAIN,
	RING_4,
	BARE,
	RING_20,
	PLAIN_STREAMING,
	STREAMING_4,
	BARE_STREAMING,
	STREAMING_20,
	ICEORYX_COPY,
	ZMQ_COPY
};

static const struct contender contenders[] = {
	[PLAIN] = { "memcpy", run_plain, BARE_SLOTS },
	[RING_4] = { "Weir, 4 slots", run_ring, 4 },
	[BARE] = { "bare counters", run_bare, BARE_SLOTS },
	[RING_20] = { "Weir, 20 slots", run_ring, 20 },
	[PLAIN_STREAMING] = { "streaming", run_plain, BARE_SLOTS | STREAMING },
	[STREAMING_4] = { "Weir, 4 slots, streaming", run_ring, 4 | STREAMING },
	[BARE_STREAMING] = { "bare counters, streaming", run_bare, BARE_SLOTS | STREAMING },
	[STREAMING_20] = { "Weir, 20 slots, streaming", run_ring, 20 | STREAMING },
	[ICEORYX_COPY] = { "iceoryx", ICEORYX(iceoryx_handover), 1 },
	[ZMQ_COPY] = { "ZeroMQ", ZMQ(zmq_copy), 0 },
};

static const struct row rows[] = {
	{ "1080p frame, memcpy in, all read, 4 slots", RING_4, PLAIN, .bar_ratio = 1 / 0.95 },
	{ "the same beside two processes with counters only", RING_4, BARE },
	{ "the same, 20 slots, beside 4 slots", RING_20, RING_4, .bar_ratio = 1.05 },
	{ "the same, 20 slots, beside iceoryx", RING_20, ICEORYX_COPY },
	{ "the same, 20 slots, beside ZeroMQ", RING_20, ZMQ_COPY },
	{ "non-temporal copy in, all read, 4 slots", STREAMING_4, PLAIN_STREAMING, .bar_ratio = 1 / 0.95 },
	{ "the same beside two processes with counters only", STREAMING_4, BARE_STREAMING },
	{ "the same, 20 slots, beside 4 slots", STREAMING_20, STREAMING_4, .bar_ratio = 1.05 },
	{ "the same, 20 slots, beside memcpy in", STREAMING_20, RING_20 },
};

const struct group copy_group = { "copy", "µs/frame", 20, 1, contenders, COUNT_OF(contenders), rows, COUNT_OF(rows) };
