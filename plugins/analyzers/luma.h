/* SPDX-License-Identifier: MIT */
#ifndef LUMA_H
#define LUMA_H

/* The luma of one row of any picture. */

#include <weir/analyzer.h>

/* BT.601, as video is coded; integers, so that every machine gets the same. */
static inline void luma_from_rgb(uint8_t *luma, const uint8_t *row, uint32_t width, uint32_t step, int red, int blue)
{
	for (uint32_t x = 0; x < width; x++, row += step)
		luma[x] = (uint8_t)((77 * row[red] + 150 * row[1] + 29 * row[blue] + 128) >> 8);
}

/* Row y: in the picture itself where it has a luma plane, else computed into scratch, which holds a row. */
static inline const uint8_t *luma_row(const struct weir_picture *picture, uint32_t y, uint8_t *scratch)
{
	const uint8_t *row = picture->plane[0] + (size_t)y * picture->stride_bytes[0];

	switch (picture->pixel) {
	case WEIR_PIXEL_RGB: luma_from_rgb(scratch, row, picture->width, 3, 0, 2); return scratch;
	case WEIR_PIXEL_BGR: luma_from_rgb(scratch, row, picture->width, 3, 2, 0); return scratch;
	case WEIR_PIXEL_RGBA: luma_from_rgb(scratch, row, picture->width, 4, 0, 2); return scratch;
	default: return row;
	}
}

#endif
