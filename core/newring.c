/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include <weir/log.h>

#define MIB	   UINT64_C(1048576)
#define MORE_SLOTS 2

/* What weir_ring_slots_needed() will say once all readers are attached. */
uint32_t newring_slots_needed(const struct weir_stream *stream, const struct weir_policy *more)
{
	struct weir_policy policies[WEIR_READERS_MAX + 1];
	uint32_t count = 0;

	for (uint32_t i = 0; i < stream->readers; i++)
		policies[count++] = stream->reader[i]->policy;
	if (more != NULL)
		policies[count++] = *more;
	return weir_policy_slots(policies, count, stream->want.loans);
}

static void fill_config(const struct weir_stream *stream, struct weir_ring_config *config)
{
	uint32_t needed, ends = 2 * stream->readers + 4;

	*config = (struct weir_ring_config){
		.format = stream->want.format,
		.generation = stream->last_number + 1,
		.backing = stream->config.backing,
		.slot_count = stream->want.slot_count,
		.slot_bytes = stream->want.slot_bytes,
		.ends = ends < WEIR_READERS_MAX ? ends : WEIR_READERS_MAX,
		.meta_bytes = stream->want.meta_bytes,
		.loans = stream->want.loans,
	};
	needed = newring_slots_needed(stream, NULL);
	if (stream->config.slot_count != 0)
		config->slot_count = stream->config.slot_count;
	else if (config->slot_count < needed + MORE_SLOTS)
		config->slot_count = needed + MORE_SLOTS;
}

/* Enough for this generation and, while readers drain it, the next. */
static uint64_t advised_mib(uint64_t needed)
{
	struct statvfs fs;
	uint64_t total = 0;

	if (statvfs("/dev/shm", &fs) == 0)
		total = (uint64_t)fs.f_blocks * fs.f_frsize;
	return (total + 2 * needed + 16 * MIB - 1) / (16 * MIB) * 16;
}

static int explain(struct weir_stream *stream, const struct weir_ring_config *config, int status)
{
	uint64_t needed = 0, available = 0;

	if (status == -EINVAL) {
		snprintf(stream->reason, sizeof(stream->reason),
			"no such ring is possible: %u slots of %u bytes, %u loans", config->slot_count,
			config->slot_bytes, config->loans);
	} else if (status != -ENOSPC || weir_ring_space(config, &needed, &available) < 0) {
		snprintf(stream->reason, sizeof(stream->reason), "cannot create a ring: %s", strerror(-status));
	} else {
		uint64_t mib = advised_mib(needed);

		snprintf(stream->reason, sizeof(stream->reason),
			"too little shared memory: a ring of %u slots needs %" PRIu64 " bytes, /dev/shm has %" PRIu64
			" left; enlarge it: mount -o remount,size=%" PRIu64 "M /dev/shm (Docker: --shm-size=%" PRIu64
			"m), or use fewer slots",
			config->slot_count, needed, available, mib, mib);
	}
	return status;
}

/* --- the spare one ------------------------------------------------------------------------------------------------ */

static bool fits(const struct weir_stream *stream, const struct weir_ring_config *config)
{
	const struct weir_ring_config *spare = &stream->spare_config;

	return stream->spare != NULL && spare->generation == config->generation && spare->backing == config->backing &&
	       spare->slot_count == config->slot_count && spare->slot_bytes == config->slot_bytes &&
	       spare->ends == config->ends && spare->meta_bytes == config->meta_bytes &&
	       spare->loans == config->loans && memcmp(&spare->format, &config->format, sizeof(config->format)) == 0;
}

void newring_prepare(struct weir_stream *stream)
{
	struct weir_ring_config config;
	int r;

	if (!stream->config.spare || stream->newest == NULL || stream->newest->gone)
		return;
	fill_config(stream, &config);
	if (fits(stream, &config) || stream->spare_refused == config.generation)
		return;
	weir_ring_free(&stream->spare);
	r = weir_ring_create(&stream->spare, &config);
	if (r < 0) {
		stream->spare_refused = config.generation;
		weir_log(WEIR_LOG_WARNING, stream->name, "no spare ring is kept: %s",
			r == -ENOSPC ? "too little shared memory" : strerror(-r));
		return;
	}
	stream->spare_config = config;
}

int newring_create(struct weir_stream *stream, struct weir_ring **ring)
{
	struct weir_ring_config config;
	uint32_t needed = newring_slots_needed(stream, NULL);
	int r;

	fill_config(stream, &config);
	if (config.slot_count < needed) {
		snprintf(stream->reason, sizeof(stream->reason),
			"%u slots are too few for this decoder and these readers: %u are needed", config.slot_count,
			needed);
		return -EINVAL;
	}
	if (fits(stream, &config)) {
		*ring = stream->spare;
		stream->spare = NULL;
		return 0;
	}
	weir_ring_free(&stream->spare); /* made for another format: its memory may be what is missing */
	r = weir_ring_create(ring, &config);
	return r < 0 ? explain(stream, &config, r) : 0;
}
