/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <poll.h>
#include <string.h>

int rig_make(struct rig *rig, const struct rig_config *config)
{
	struct weir_ring_config ring = {
		.slot_count = config->slots,
		.loans = 1,
		.ends = config->readers,
	};
	int r;

	memset(rig, 0, sizeof(*rig));
	if (config->pictures)
		r = weir_format_video(&ring.format, WEIR_PIXEL_NV12, 1920, 1080);
	else
		r = weir_format_video(&ring.format, WEIR_PIXEL_GRAY8, MESSAGE_BYTES, 1);
	if (r < 0 || (r = weir_ring_create(&rig->ring, &ring)) < 0)
		goto fail;
	for (; rig->readers < config->readers; rig->readers++) {
		uint32_t i = rig->readers;

		if ((r = weir_ring_attach(rig->ring, &config->policy, &rig->end[i])) < 0 ||
			(r = weir_ring_reader_fds(rig->ring, rig->end[i], &rig->reader_fds[i])) < 0)
			goto fail;
	}
	if ((r = weir_ring_writer_fds(rig->ring, &rig->writer_fds)) < 0)
		goto fail;
	return 0;
fail:
	rig_free(rig);
	return bench_fail("a ring of %u slots: %s", config->slots, strerror(-r));
}

void rig_free(struct rig *rig)
{
	weir_ring_fds_close(&rig->writer_fds);
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++)
		weir_ring_fds_close(&rig->reader_fds[i]);
	weir_ring_free(&rig->ring);
}

struct weir_writer *rig_writer_back(struct rig *rig)
{
	struct weir_writer *writer = NULL;
	int r = weir_writer_open(&writer, &rig->writer_fds);

	rig_free(rig);
	if (r < 0)
		bench_fail("weir_writer_open: %s", strerror(-r));
	return writer;
}

struct weir_reader *rig_reader_back(struct rig *rig, uint32_t index)
{
	struct weir_reader *reader = NULL;
	int r = weir_reader_open(&reader, &rig->reader_fds[index]);

	rig_free(rig);
	if (r < 0)
		bench_fail("weir_reader_open: %s", strerror(-r));
	return reader;
}

uint8_t *rig_claim_back(struct weir_writer *writer, struct weir_frame *frame)
{
	uint32_t turns = 0;
	uint8_t *payload;
	int r;

	while ((r = weir_writer_claim(writer, frame, &payload)) == -EAGAIN)
		spin_once(&turns);
	if (r < 0)
		bench_fail("weir_writer_claim: %s", strerror(-r));
	return r < 0 ? NULL : payload;
}

static void wait_eventfd(struct weir_reader *reader)
{
	struct pollfd fd = { .fd = weir_reader_fd(reader), .events = POLLIN };

	if (weir_reader_arm(reader) != 0)
		return;
	poll(&fd, 1, WEIR_WAIT_BOUND_NS / 1000000);
	weir_reader_disarm(reader);
}

int rig_acquire_back(struct weir_reader *reader, struct weir_frame *frame, enum waiting waiting)
{
	uint32_t turns = 0;
	int r;

	if (waiting == WAIT_SEMAPHORE)
		r = weir_reader_acquire_until(reader, frame, INT64_MAX);
	else
		while ((r = weir_reader_acquire(reader, frame)) == -EAGAIN) {
			if (waiting == WAIT_BUSY)
				spin_once(&turns);
			else
				wait_eventfd(reader);
		}
	return r < 0 ? bench_fail("weir_reader_acquire: %s", strerror(-r)) : 0;
}
