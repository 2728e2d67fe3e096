/* SPDX-License-Identifier: MIT */
#include "motion.h"

#define FORGET_FRAMES 12

static uint32_t overlap(uint32_t a_first, uint32_t a_end, uint32_t b_first, uint32_t b_end)
{
	const uint32_t first = a_first > b_first ? a_first : b_first, end = a_end < b_end ? a_end : b_end;

	return first < end ? end - first : 0;
}

static uint32_t common_area(const struct region *a, const struct region *b)
{
	return overlap(a->left, a->right, b->left, b->right) * overlap(a->top, a->bottom, b->top, b->bottom);
}

/* The region that is not yet taken and overlaps the track most, or regions->count. */
static uint32_t best_region(const struct track *track, const struct regions *regions, const bool *taken)
{
	uint32_t best = regions->count, best_area = 0;

	for (uint32_t i = 0; i < regions->count; i++) {
		const uint32_t area = taken[i] ? 0 : common_area(&track->region, &regions->region[i]);

		if (area > best_area)
			best = i, best_area = area;
	}
	return best;
}

void tracks_update(struct tracks *tracks, const struct regions *regions)
{
	bool taken[REGIONS_MAX] = { false };
	uint32_t kept = 0;

	/* Old tracks come first in the array, and so choose first. */
	for (uint32_t i = 0; i < tracks->count; i++) {
		struct track track = tracks->track[i];
		const uint32_t best = best_region(&track, regions, taken);

		if (best < regions->count) {
			taken[best] = true;
			track.region = regions->region[best];
			track.seen++;
			track.missed = 0;
		} else if (++track.missed > FORGET_FRAMES || track.seen == 1) {
			continue;
		}
		tracks->track[kept++] = track;
	}
	for (uint32_t i = 0; i < regions->count && kept < TRACKS_MAX; i++)
		if (!taken[i])
			tracks->track[kept++] = (struct track){ regions->region[i], 0, 1, 0 };
	tracks->count = kept;
}
