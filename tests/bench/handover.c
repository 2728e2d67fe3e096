/* SPDX-License-Identifier: MIT */
/* Handing over pictures that were stamped only: what the ring itself costs. No frame may be lost. */
#include "rig.h"

#include "roundtrip.h"

#define SLOTS 20

struct handover {
	struct rig rig;
	enum waiting waiting;
	uint32_t frames, warm_up;
};

static int write_back(void *context, uint32_t index)
{
	struct handover *handover = context;
	struct weir_writer *writer = rig_writer_back(&handover->rig);
	struct weir_frame frame;

	if (writer == NULL)
		return -EIO;
	bench_meet_back(2);
	for (uint32_t i = 1; i <= handover->frames; i++) {
		uint8_t *payload = rig_claim_back(writer, &frame);

		if (payload == NULL)
			return -EIO;
		*(uint64_t *)payload = i;
		frame.size_bytes = PICTURE_BYTES;
		if (weir_writer_publish(writer, &frame, false) < 0)
			return bench_fail("weir_writer_publish");
	}
	return 0;
}

static int read_back(void *context, uint32_t index)
{
	struct handover *handover = context;
	struct weir_reader *reader = rig_reader_back(&handover->rig, 0);
	struct weir_frame frame;
	int64_t from_ns = 0;

	if (reader == NULL)
		return -EIO;
	bench_meet_back(2);
	for (uint32_t i = 1; i <= handover->frames; i++) {
		if (rig_acquire_back(reader, &frame, handover->waiting) < 0)
			return -EIO;
		if (*(const uint64_t *)frame.data != i)
			return bench_fail("frame %u carries another stamp", i);
		weir_reader_release(reader, &frame);
		if (i == handover->warm_up)
			from_ns = now_ns();
	}
	page->figure = (now_ns() - from_ns) / 1e3 / (handover->frames - handover->warm_up);
	return 0;
}

static int run(double *figure, uint32_t waiting)
{
	const struct rig_config config = { .pictures = true, .slots = SLOTS, .readers = 1, .policy = RIG_LOSSLESS };
	static struct handover handover;
	struct weir_ring_stats stats;
	int r;

	handover.waiting = (enum waiting)waiting;
	handover.frames = bench_count(200000, 4000);
	handover.warm_up = handover.frames / 4;
	r = rig_make(&handover.rig, &config);
	if (r < 0)
		return r;
	r = bench_pair(figure, write_back, read_back, &handover);
	weir_ring_stats(handover.rig.ring, &stats);
	if (r == 0 && waiting != WAIT_BUSY && stats.rung_eventfd + stats.rung_semaphore < bench_count(1, 0))
		r = bench_fail("the reader never slept");
	rig_free(&handover.rig);
	return r;
}

enum { BUSY, LINE, ICEORYX_BUSY, EVENTFD, SEMAPHORE };

static const struct contender contenders[] = {
	[BUSY] = { "Weir, busy", run, WAIT_BUSY },
	[LINE] = { "a line's round trip", floor_spin, 0 },
	[ICEORYX_BUSY] = { "iceoryx", ICEORYX(iceoryx_handover), 0 },
	[EVENTFD] = { "Weir, eventfd", run, WAIT_EVENTFD },
	[SEMAPHORE] = { "Weir, semaphore", run, WAIT_SEMAPHORE },
};

static const struct row rows[] = {
	{ "1080p frame, stamped, busy reader", BUSY, NO_PEER, .bar = 0.25 },
	{ "the same beside iceoryx", BUSY, ICEORYX_BUSY, .bar_ratio = 1 / 8. },
	{ "the same beside one cache line there and back", BUSY, LINE },
	{ "1080p frame, stamped, reader sleeps on eventfd", EVENTFD, NO_PEER, .bar = 0.8 },
	{ "1080p frame, stamped, reader sleeps on semaphore", SEMAPHORE, NO_PEER, .bar = 0.8 },
};

const struct group handover_group = { "hand-over", "µs/frame", 20, 1, contenders, COUNT_OF(contenders), rows,
	COUNT_OF(rows) };
