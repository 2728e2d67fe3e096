/* SPDX-License-Identifier: MIT */
/* What a ring takes beside its slots. */
#include "rig.h"

#include <string.h>

#define SLOTS 20

static int run(double *figure, uint32_t ends)
{
	struct weir_ring_config config = { .slot_count = SLOTS, .ends = ends };
	uint64_t needed_bytes, available_bytes, slot_bytes;
	int r = weir_format_video(&config.format, WEIR_PIXEL_NV12, 1920, 1080);

	if (r == 0)
		r = weir_ring_space(&config, &needed_bytes, &available_bytes);
	if (r < 0)
		return bench_fail("weir_ring_space: %s", strerror(-r));
	slot_bytes = (config.format.payload_bytes + 4095) / 4096 * 4096;
	*figure = (needed_bytes - SLOTS * slot_bytes) / 1024.;
	return 0;
}

static const struct contender contenders[] = {
	{ "Weir", run, 1 },
	{ "Weir", run, 8 },
	{ "Weir", run, 32 },
};

static const struct row rows[] = {
	{ "beside the slots, 1 end", 0, NO_PEER, .bar = 64 + 12 },
	{ "beside the slots, 8 ends", 1, NO_PEER, .bar = 64 + 8 * 12 },
	{ "beside the slots, 32 ends", 2, NO_PEER, .bar = 64 + 32 * 12 },
};

const struct group memory_group = { "memory", "KiB", 1, 1, contenders, COUNT_OF(contenders), rows, COUNT_OF(rows) };
