/* SPDX-License-Identifier: MIT */
#ifndef MOTION_H
#define MOTION_H

/* The parts of motion.so. A picture is reduced to a grid of cells (grid.c); every cell is compared with what is usual
 * there (background.c); unusual cells make regions (regions.c); regions that last become numbered boxes (tracks.c).
 * Integers only: the same frames give the same boxes on every machine. Luma of cells is 8.8 fixed point. */

#include <stdbool.h>
#include <weir/analyzer.h>

struct grid {
	uint32_t cell_shift;	       /* a cell has 2^cell_shift pixels a side */
	uint32_t width, height, count; /* cells */
	uint16_t *columns;	       /* sums of pixel columns over one row of cells, padded to whole cells */
	uint8_t *scratch;	       /* one row of luma */
};

int grid_init(struct grid *grid, uint32_t width, uint32_t height);
void grid_finish(struct grid *grid);
/* Writes the mean of each cell. */
void grid_reduce(const struct grid *grid, const struct weir_picture *picture, uint16_t *cell);

enum mark { CELL_STILL = 0, CELL_WEAK = 1, CELL_STRONG = 2 };
enum fate { FATE_STILL = 0, FATE_MOVING, FATE_GHOST, FATE_REFUSED };

/* One picture against its background, a value for each cell. */
struct scene {
	uint16_t *cell;	      /* the picture */
	const uint16_t *mean; /* the background */
	uint16_t *difference; /* between them, without a change of light */
	uint8_t *mark;	      /* enum mark: how unusual the difference is */
};

struct background {
	uint32_t count;	  /* cells */
	uint32_t frames;  /* learned from since the last reset */
	uint16_t *mean;	  /* of each cell */
	uint16_t *spread; /* of each cell: mean absolute deviation from mean */
	int light;	  /* how much brighter the whole picture is than the background, as of now */
};

int background_init(struct background *background, uint32_t count);
void background_finish(struct background *background);
/* Sets difference and mark of every cell. Returns how many are not CELL_STILL. threshold: 8.8 grey levels. */
uint32_t background_judge(struct background *background, struct scene *scene, uint32_t threshold);
/* Learns from a picture; fate (enum fate, of each cell) says how quickly. */
void background_learn(struct background *background, const uint16_t *cell, const uint8_t *fate);

struct region {
	uint32_t left, top, right, bottom; /* cells; right and bottom are outside */
	uint32_t cells;			   /* that differ */
	uint64_t difference;		   /* of all of them */
};
#define REGIONS_MAX 256

struct regions {
	const struct grid *grid;
	uint8_t *closed, *work;
	uint8_t *fate;	 /* enum fate of each cell */
	uint32_t *queue; /* cells of the region in work */
	uint32_t count;
	struct region region[REGIONS_MAX];
};

int regions_init(struct regions *regions, const struct grid *grid);
void regions_finish(struct regions *regions);
/* Finds connected regions of at least min_cells that hold a strong cell; merges those with gaps up to merge_cells. */
void regions_find(struct regions *regions, const struct scene *scene, uint32_t min_cells, uint32_t merge_cells);

#define TRACKS_MAX WEIR_BOXES_MAX

struct track {
	struct region region; /* where it was seen last */
	uint32_t number;      /* 1, 2, 3… */
	uint32_t seen;	      /* frames */
	uint32_t missed;      /* frames since it was seen last */
};

struct tracks {
	uint32_t count, next_number;
	struct track track[TRACKS_MAX];
};

/* Gives each region to the track that it overlaps most, or to a new one. */
void tracks_update(struct tracks *tracks, const struct regions *regions);

#endif
