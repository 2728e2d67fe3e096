/* SPDX-License-Identifier: MIT */
#include "luma.h"
#include "motion.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_WANTED 256u
#define SHIFT_MAX    4u /* sums of 16 × 16 pixels fit in 16 bits */

int grid_init(struct grid *grid, uint32_t width, uint32_t height)
{
	uint32_t shift = 1;

	while (shift < SHIFT_MAX && width >> shift > CELLS_WANTED)
		shift++;
	*grid = (struct grid){
		.cell_shift = shift,
		.width = (width + (1u << shift) - 1) >> shift,
		.height = (height + (1u << shift) - 1) >> shift,
	};
	grid->count = grid->width * grid->height;
	grid->columns = malloc(((size_t)grid->width << shift) * sizeof(*grid->columns));
	grid->scratch = malloc(width);
	return grid->columns != NULL && grid->scratch != NULL ? 0 : -ENOMEM;
}

void grid_finish(struct grid *grid)
{
	free(grid->columns);
	free(grid->scratch);
	*grid = (struct grid){ 0 };
}

static void add_row(uint16_t *restrict sum, const uint8_t *restrict row, uint32_t width)
{
	for (uint32_t x = 0; x < width; x++)
		sum[x] = (uint16_t)(sum[x] + row[x]);
}

/* Adds neighbours in place: half as many sums of twice the width. */
static void halve(uint16_t *sum, uint32_t width)
{
	for (uint32_t x = 0; x < width; x++)
		sum[x] = (uint16_t)(sum[2 * x] + sum[2 * x + 1]);
}

void grid_reduce(const struct grid *grid, const struct weir_picture *picture, uint16_t *cell)
{
	const uint32_t side = 1u << grid->cell_shift, padded = grid->width << grid->cell_shift;

	for (uint32_t row = 0; row < grid->height; row++, cell += grid->width) {
		memset(grid->columns, 0, padded * sizeof(*grid->columns));
		for (uint32_t i = 0; i < side; i++) {
			uint32_t y = row * side + i;

			/* Cells that stick out are filled up with the last row and column. */
			y = y < picture->height ? y : picture->height - 1;
			add_row(grid->columns, luma_row(picture, y, grid->scratch), picture->width);
		}
		for (uint32_t x = picture->width; x < padded; x++)
			grid->columns[x] = grid->columns[picture->width - 1];
		for (uint32_t width = padded / 2; width >= grid->width; width /= 2)
			halve(grid->columns, width);
		for (uint32_t x = 0; x < grid->width; x++)
			cell[x] = (uint16_t)(grid->columns[x] << (8 - 2 * grid->cell_shift));
	}
}
