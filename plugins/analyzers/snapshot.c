/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/log.h>

#define EVERY_NS     1000000000
#define EVERY_FRAMES 25
#define LINE	     2 /* pixels */

static const uint8_t line_colour[3] = { 255, 32, 32 };

int snapshot_init(struct snapshot *snapshot, const char *directory, const char *name)
{
	*snapshot = (struct snapshot){ .directory = strdup(directory), .name = strdup(name) };
	if (snapshot->directory == NULL || snapshot->name == NULL) {
		snapshot_finish(snapshot);
		return -ENOMEM;
	}
	for (char *c = snapshot->name; *c != '\0'; c++)
		*c = *c == '/' ? '-' : *c;
	(void)mkdir(directory, 0777);
	return 0;
}

void snapshot_finish(struct snapshot *snapshot)
{
	free(snapshot->directory);
	free(snapshot->name);
	*snapshot = (struct snapshot){ 0 };
}

static uint8_t clamp(int level)
{
	return (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
}

/* BT.601, video range. */
static void rgb_from_yuv(uint8_t *rgb, int y, int u, int v)
{
	y = 298 * (y - 16) + 128;
	rgb[0] = clamp((y + 409 * (v - 128)) >> 8);
	rgb[1] = clamp((y - 100 * (u - 128) - 208 * (v - 128)) >> 8);
	rgb[2] = clamp((y + 516 * (u - 128)) >> 8);
}

static const uint8_t *row_of(const struct weir_picture *picture, uint32_t plane, uint32_t y)
{
	return picture->plane[plane] + (size_t)y * picture->stride_bytes[plane];
}

static void pixel_rgb(const struct weir_picture *picture, uint32_t x, uint32_t y, uint8_t *rgb)
{
	const uint8_t *row = row_of(picture, 0, y);

	switch (picture->pixel) {
	case WEIR_PIXEL_I420:
		rgb_from_yuv(rgb, row[x], row_of(picture, 1, y / 2)[x / 2], row_of(picture, 2, y / 2)[x / 2]);
		break;
	case WEIR_PIXEL_NV12: {
		const uint8_t *chroma = row_of(picture, 1, y / 2) + x / 2 * 2;

		rgb_from_yuv(rgb, row[x], chroma[0], chroma[1]);
		break;
	}
	case WEIR_PIXEL_GRAY8: memset(rgb, row[x], 3); break;
	case WEIR_PIXEL_BGR: rgb[0] = row[3 * x + 2], rgb[1] = row[3 * x + 1], rgb[2] = row[3 * x]; break;
	case WEIR_PIXEL_RGB: memcpy(rgb, row + 3 * (size_t)x, 3); break;
	case WEIR_PIXEL_RGBA: memcpy(rgb, row + 4 * (size_t)x, 3); break;
	}
}

/* A place on an axis of so many pixels; boxes come from an analyzer and may lie anywhere. */
static uint32_t place(float share, uint32_t pixels)
{
	const float at = roundf(share * (float)pixels);

	return at > 0 ? at < (float)pixels ? (uint32_t)at : pixels : 0;
}

static void draw_box(uint8_t *rgb, uint32_t width, uint32_t height, const struct weir_box *box)
{
	const uint32_t left = place(box->x, width), right = place(box->x + box->width, width);
	const uint32_t top = place(box->y, height), bottom = place(box->y + box->height, height);

	for (uint32_t y = top; y < bottom; y++)
		for (uint32_t x = left; x < right; x++)
			if (y - top < LINE || bottom - y <= LINE || x - left < LINE || right - x <= LINE)
				memcpy(rgb + 3 * ((size_t)y * width + x), line_colour, 3);
}

static int write_png(const char *path, uint8_t *rgb, uint32_t width, uint32_t height)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = width,
		.height = height,
		.format = PNG_FORMAT_RGB,
		.flags = PNG_IMAGE_FLAG_FAST,
	};

	errno = 0;
	if (png_image_write_to_file(&image, path, 0, rgb, 0, NULL))
		return 0;
	return errno > 0 ? -errno : -EIO;
}

static int take(const struct snapshot *snapshot, const struct weir_picture *picture, const struct weir_result *result)
{
	uint8_t *rgb = malloc((size_t)picture->width * picture->height * 3);
	char *path = NULL, *temporary = NULL;
	int r = -ENOMEM;

	if (rgb == NULL ||
		asprintf(&path, "%s/%s-%08" PRIu64 ".png", snapshot->directory, snapshot->name, result->sequence) < 0 ||
		asprintf(&temporary, "%s/.%s.part", snapshot->directory, snapshot->name) < 0)
		goto done;
	for (uint32_t y = 0; y < picture->height; y++)
		for (uint32_t x = 0; x < picture->width; x++)
			pixel_rgb(picture, x, y, rgb + 3 * ((size_t)y * picture->width + x));
	for (uint32_t i = 0; i < result->box_count; i++)
		draw_box(rgb, picture->width, picture->height, &result->box[i]);
	r = write_png(temporary, rgb, picture->width, picture->height);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(temporary);
done:
	free(temporary);
	free(path);
	free(rgb);
	return r;
}

static bool due(struct snapshot *snapshot, int64_t pts_ns)
{
	snapshot->frames++;
	if (!snapshot->taken)
		return true;
	if (pts_ns == WEIR_TIME_NONE || snapshot->last_pts_ns == WEIR_TIME_NONE)
		return snapshot->frames >= EVERY_FRAMES;
	/* Time that runs backwards is another generation of the stream. */
	return pts_ns < snapshot->last_pts_ns || pts_ns - snapshot->last_pts_ns >= EVERY_NS;
}

void snapshot_offer(struct snapshot *snapshot, const struct weir_picture *picture, const struct weir_result *result)
{
	int r;

	if (!due(snapshot, result->pts_ns))
		return;
	snapshot->taken = true;
	snapshot->frames = 0;
	snapshot->last_pts_ns = result->pts_ns;
	r = take(snapshot, picture, result);
	if (r < 0 && !snapshot->warned)
		weir_log(WEIR_LOG_WARNING, "host", "no snapshots: cannot write to \"%s\": %s", snapshot->directory,
			strerror(-r));
	snapshot->warned |= r < 0;
}
