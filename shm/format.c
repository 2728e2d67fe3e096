/* SPDX-License-Identifier: MIT */
#include <weir/frame.h>

#include <errno.h>
#include <string.h>

#define SIDE_MAX 32768u

static const char *const pixel_names[] = {
	[WEIR_PIXEL_I420] = "I420",
	[WEIR_PIXEL_NV12] = "NV12",
	[WEIR_PIXEL_GRAY8] = "GRAY8",
	[WEIR_PIXEL_RGB] = "RGB",
	[WEIR_PIXEL_BGR] = "BGR",
	[WEIR_PIXEL_RGBA] = "RGBA",
};
#define PIXELS (sizeof(pixel_names) / sizeof(pixel_names[0]))

const char *weir_pixel_name(uint32_t pixel)
{
	return pixel < PIXELS ? pixel_names[pixel] : NULL;
}

uint32_t weir_pixel_from_name(const char *name)
{
	for (uint32_t pixel = 1; pixel < PIXELS; pixel++)
		if (strcmp(pixel_names[pixel], name) == 0)
			return pixel;
	return WEIR_PIXEL_NONE;
}

static uint32_t round_up(uint32_t value, uint32_t step)
{
	return (value + step - 1) / step * step;
}

static void add_plane(struct weir_format *format, uint32_t stride, uint32_t rows)
{
	struct weir_plane *plane = &format->plane[format->plane_count++];

	plane->offset_bytes = format->payload_bytes;
	plane->stride_bytes = stride;
	format->payload_bytes += stride * rows;
}

/* The layout is that of gst_video_info_set_format() (GStreamer's video-info.c, fill_planes). */
int weir_format_video(struct weir_format *format, uint32_t pixel, uint32_t width, uint32_t height)
{
	struct weir_format made = { .kind = WEIR_KIND_VIDEO, .pixel = pixel, .width = width, .height = height };

	if (width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX)
		return -EINVAL;
	switch (pixel) {
	case WEIR_PIXEL_I420:
		add_plane(&made, round_up(width, 4), round_up(height, 2));
		add_plane(&made, round_up((width + 1) / 2, 4), (height + 1) / 2);
		add_plane(&made, round_up((width + 1) / 2, 4), (height + 1) / 2);
		break;
	case WEIR_PIXEL_NV12:
		add_plane(&made, round_up(width, 4), round_up(height, 2));
		add_plane(&made, round_up(width, 4), (height + 1) / 2);
		break;
	case WEIR_PIXEL_GRAY8: add_plane(&made, round_up(width, 4), height); break;
	case WEIR_PIXEL_RGB:
	case WEIR_PIXEL_BGR: add_plane(&made, round_up(width * 3, 4), height); break;
	case WEIR_PIXEL_RGBA: add_plane(&made, width * 4, height); break;
	default: return -EINVAL;
	}
	*format = made;
	return 0;
}

/* Bytes of one row and number of rows of a plane: what a reader will touch. */
static void plane_extent(const struct weir_format *format, uint32_t plane, uint32_t *row_bytes, uint32_t *rows)
{
	uint32_t chroma_width = (format->width + 1) / 2, chroma_rows = (format->height + 1) / 2;

	*row_bytes = format->width;
	*rows = format->height;
	switch (format->pixel) {
	case WEIR_PIXEL_I420:
		*row_bytes = plane == 0 ? format->width : chroma_width;
		*rows = plane == 0 ? format->height : chroma_rows;
		break;
	case WEIR_PIXEL_NV12:
		*row_bytes = plane == 0 ? format->width : 2 * chroma_width;
		*rows = plane == 0 ? format->height : chroma_rows;
		break;
	case WEIR_PIXEL_RGB:
	case WEIR_PIXEL_BGR: *row_bytes = 3 * format->width; break;
	case WEIR_PIXEL_RGBA: *row_bytes = 4 * format->width; break;
	}
}

int weir_format_check(const struct weir_format *format)
{
	struct weir_format plain;

	if (memchr(format->caps, '\0', sizeof(format->caps)) == NULL)
		return -EPROTO;
	if (format->kind != WEIR_KIND_VIDEO)
		return format->kind >= WEIR_KIND_ENCODED && format->kind <= WEIR_KIND_OTHER ? 0 : -EPROTO;
	if (weir_format_video(&plain, format->pixel, format->width, format->height) < 0 ||
		format->plane_count != plain.plane_count)
		return -EPROTO;
	for (uint32_t i = 0; i < format->plane_count; i++) {
		const struct weir_plane *plane = &format->plane[i];
		uint32_t row_bytes, rows;

		plane_extent(format, i, &row_bytes, &rows);
		if (plane->stride_bytes < row_bytes ||
			plane->offset_bytes + (uint64_t)plane->stride_bytes * (rows - 1) + row_bytes >
				format->payload_bytes)
			return -EPROTO;
	}
	return 0;
}
