/* SPDX-License-Identifier: MIT */
#ifndef RIG_H
#define RIG_H

/* A ring with its supervisor in the bench's own process, and its writer and readers in forked ones. */

#include <weir/reader.h>
#include <weir/writer.h>

#include "bench.h"

#define PICTURE_BYTES 3110400u /* 1920×1080 NV12 */
#define MESSAGE_BYTES 64u

enum waiting { WAIT_BUSY, WAIT_EVENTFD, WAIT_SEMAPHORE };

struct rig {
	struct weir_ring *ring;
	struct weir_ring_fds writer_fds;
	struct weir_ring_fds reader_fds[WEIR_READERS_MAX];
	uint32_t end[WEIR_READERS_MAX];
	uint32_t readers;
};

struct rig_config {
	bool pictures; /* slots of PICTURE_BYTES, else of MESSAGE_BYTES */
	uint32_t slots;
	uint32_t readers;
	struct weir_policy policy; /* of all readers */
};

/* A lossless reader that is never given up, however busy the machine is. */
#define RIG_LOSSLESS                                                                                                   \
	{                                                                                                              \
		.mode = WEIR_POLICY_LOSSLESS, .depth = 1, .stall_ns = INT64_C(60000000000)                             \
	}

int rig_make(struct rig *rig, const struct rig_config *config);
void rig_free(struct rig *rig);

/* Each opens its side and drops all descriptors that are another's. NULL: see bench_fail(). */
struct weir_writer *rig_writer_back(struct rig *rig);
struct weir_reader *rig_reader_back(struct rig *rig, uint32_t index);

/* Claims; a lossless reader that is behind is waited for. NULL: see bench_fail(). */
uint8_t *rig_claim_back(struct weir_writer *writer, struct weir_frame *frame);

/* Acquires the next frame, waiting in the given way. */
int rig_acquire_back(struct weir_reader *reader, struct weir_frame *frame, enum waiting waiting);

#endif
