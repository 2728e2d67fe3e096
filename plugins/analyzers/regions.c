/* SPDX-License-Identifier: MIT */
#include "motion.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GHOST_EDGES 3 /* a ghost has so many halves of the picture's edges in the background */

int regions_init(struct regions *regions, const struct grid *grid)
{
	*regions = (struct regions){
		.grid = grid,
		.closed = malloc(grid->count),
		.work = calloc((size_t)grid->width * (grid->height + 2), 1),
		.fate = malloc(grid->count),
		.queue = calloc(grid->count, sizeof(*regions->queue)),
	};
	return regions->closed != NULL && regions->work != NULL && regions->fate != NULL && regions->queue != NULL
		       ? 0
		       : -ENOMEM;
}

void regions_finish(struct regions *regions)
{
	free(regions->closed);
	free(regions->work);
	free(regions->fate);
	free(regions->queue);
	*regions = (struct regions){ 0 };
}

/* Sets every cell of whose 3 × 3 neighbours (and itself) at least so many are set; outside nothing is set. */
static void rank(struct regions *regions, uint8_t *cell, uint8_t least)
{
	const uint32_t width = regions->grid->width, height = regions->grid->height;

	/* A margin of one row above and below that stays zero. */
	for (uint32_t y = 0; y < height; y++) {
		const uint8_t *from = cell + y * width;
		uint8_t *to = regions->work + (y + 1) * width;

		for (uint32_t x = 1; x + 1 < width; x++)
			to[x] = (uint8_t)(from[x - 1] + from[x] + from[x + 1]);
		to[0] = (uint8_t)(from[0] + (width > 1 ? from[1] : 0));
		if (width > 1)
			to[width - 1] = (uint8_t)(from[width - 2] + from[width - 1]);
	}
	for (uint32_t y = 0; y < height; y++) {
		const uint8_t *above = regions->work + y * width, *here = above + width, *below = here + width;

		for (uint32_t x = 0; x < width; x++)
			cell[y * width + x] = above[x] + here[x] + below[x] >= least;
	}
}

static void invert(uint8_t *cell, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		cell[i] ^= 1;
}

/* Drops speckles and threads (a fluttering tape), then closes gaps of up to two cells: dilates, then erodes (dilates
 * what is not set). */
static void close_gaps(struct regions *regions, const uint8_t *mark)
{
	const uint32_t count = regions->grid->count;

	for (uint32_t i = 0; i < count; i++)
		regions->closed[i] = mark[i] != CELL_STILL;
	rank(regions, regions->closed, 4);
	rank(regions, regions->closed, 1);
	invert(regions->closed, count);
	rank(regions, regions->closed, 4);
	rank(regions, regions->closed, 1);
	invert(regions->closed, count);
}

/* Finds all that is connected with the first cell, and returns how many cells that is (they stand in the queue). */
static uint32_t flood(struct regions *regions, uint32_t first, struct region *region)
{
	const uint32_t width = regions->grid->width, height = regions->grid->height;
	uint32_t queued = 0;

	*region = (struct region){ .left = width, .top = height };
	regions->fate[first] = FATE_REFUSED;
	regions->queue[queued++] = first;
	for (uint32_t done = 0; done < queued; done++) {
		const uint32_t at = regions->queue[done], x = at % width, y = at / width;

		region->left = x < region->left ? x : region->left;
		region->top = y < region->top ? y : region->top;
		region->right = x >= region->right ? x + 1 : region->right;
		region->bottom = y >= region->bottom ? y + 1 : region->bottom;
		for (uint32_t ny = y - (y > 0); ny <= y + 1 && ny < height; ny++)
			for (uint32_t nx = x - (x > 0); nx <= x + 1 && nx < width; nx++) {
				const uint32_t next = ny * width + nx;

				if (regions->closed[next] == 0 || regions->fate[next] != FATE_STILL)
					continue;
				regions->fate[next] = FATE_REFUSED;
				regions->queue[queued++] = next;
			}
	}
	return queued;
}

static uint32_t gap(uint32_t a_first, uint32_t a_end, uint32_t b_first, uint32_t b_end)
{
	if (a_end <= b_first)
		return b_first - a_end;
	return b_end <= a_first ? a_first - b_end : 0;
}

static void join(struct region *a, const struct region *b)
{
	a->left = b->left < a->left ? b->left : a->left;
	a->top = b->top < a->top ? b->top : a->top;
	a->right = b->right > a->right ? b->right : a->right;
	a->bottom = b->bottom > a->bottom ? b->bottom : a->bottom;
	a->cells += b->cells;
	a->difference += b->difference;
}

/* Pieces of one thing mostly stand above each other (a head, a body, legs), so they must share columns. */
static bool merge_once(struct regions *regions, uint32_t merge_cells)
{
	for (uint32_t i = 0; i < regions->count; i++)
		for (uint32_t j = i + 1; j < regions->count; j++) {
			struct region *a = &regions->region[i], *b = &regions->region[j];

			if (gap(a->left, a->right, b->left, b->right) > 0 ||
				gap(a->top, a->bottom, b->top, b->bottom) > merge_cells)
				continue;
			join(a, b);
			*b = regions->region[--regions->count];
			return true;
		}
	return false;
}

static uint32_t distance(int a, int b)
{
	return (uint32_t)abs(a - b);
}

/* Adds up what a found region consists of. Returns what becomes of it. A region whose edges stand in the background,
 * not in the picture, is the ghost of something that was there while the background was learned, and has left. */
static enum fate measure(const struct regions *regions, const struct scene *scene, uint32_t queued, uint32_t min_cells,
	struct region *region)
{
	const uint32_t width = regions->grid->width, last = regions->grid->count - 1;
	uint64_t now = 0, before = 0;
	bool strong = false;

	for (uint32_t i = 0; i < queued; i++) {
		const uint32_t at = regions->queue[i];
		const uint32_t right = at < last ? at + 1 : at, below = at + width <= last ? at + width : at;

		now += distance(scene->cell[at], scene->cell[right]) + distance(scene->cell[at], scene->cell[below]);
		before += distance(scene->mean[at], scene->mean[right]) + distance(scene->mean[at], scene->mean[below]);
		if (scene->mark[at] == CELL_STILL)
			continue;
		strong |= scene->mark[at] == CELL_STRONG;
		region->cells++;
		region->difference += scene->difference[at];
	}
	if (!strong || region->cells < min_cells)
		return FATE_REFUSED;
	return 2 * before > GHOST_EDGES * now ? FATE_GHOST : FATE_MOVING;
}

void regions_find(struct regions *regions, const struct scene *scene, uint32_t min_cells, uint32_t merge_cells)
{
	regions->count = 0;
	close_gaps(regions, scene->mark);
	memset(regions->fate, FATE_STILL, regions->grid->count);
	for (uint32_t i = 0; i < regions->grid->count; i++) {
		struct region region;
		enum fate fate;
		uint32_t queued;

		if (regions->closed[i] == 0 || regions->fate[i] != FATE_STILL)
			continue;
		queued = flood(regions, i, &region);
		fate = measure(regions, scene, queued, (min_cells + 3) / 4, &region);
		for (uint32_t j = 0; fate != FATE_REFUSED && j < queued; j++)
			regions->fate[regions->queue[j]] = (uint8_t)fate;
		if (fate == FATE_MOVING && regions->count < REGIONS_MAX)
			regions->region[regions->count++] = region;
	}
	while (merge_once(regions, merge_cells))
		;
	for (uint32_t i = 0; i < regions->count;)
		if (regions->region[i].cells < min_cells)
			regions->region[i] = regions->region[--regions->count];
		else
			i++;
}
