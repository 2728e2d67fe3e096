/* SPDX-License-Identifier: MIT */
#ifndef PICTURES_H
#define PICTURES_H

/* Synthetic pictures of any format, and an analyzer that is run on them in this process. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/analyzer.h>

struct scene_under_test {
	const struct weir_analyzer *analyzer;
	void *state;
	struct weir_format format;
	uint8_t *payload;
	uint64_t sequence;
};

/* padding_bytes widens every stride and is filled with noise that must not matter. */
static inline void scene_begin(struct scene_under_test *scene, const struct weir_analyzer *analyzer, const char *config,
	uint32_t pixel, uint32_t width, uint32_t height, uint32_t padding_bytes)
{
	*scene = (struct scene_under_test){ .analyzer = analyzer, .state = calloc(1, analyzer->state_bytes) };
	assert_int_equal(weir_format_video(&scene->format, pixel, width, height), 0);
	scene->format.payload_bytes = 0;
	for (uint32_t i = 0; i < scene->format.plane_count; i++) {
		scene->format.plane[i].offset_bytes = scene->format.payload_bytes;
		scene->format.plane[i].stride_bytes += padding_bytes;
		scene->format.payload_bytes += scene->format.plane[i].stride_bytes * height;
	}
	assert_int_equal(weir_format_check(&scene->format), 0);
	scene->payload = malloc(scene->format.payload_bytes);
	if (analyzer->init != NULL)
		assert_int_equal(analyzer->init(scene->state, config), 0);
	assert_int_equal(analyzer->format(scene->state, &scene->format), 0);
}

static inline void scene_end(struct scene_under_test *scene)
{
	scene->analyzer->finish(scene->state);
	free(scene->state);
	free(scene->payload);
}

/* A grey level that repeats itself for the same place and frame. */
static inline uint8_t noise(uint64_t frame, uint32_t x, uint32_t y)
{
	uint64_t h = (frame * 0x9e3779b97f4a7c15u) ^ (x * 0xbf58476d1ce4e5b9u) ^ (y * 0x94d049bb133111ebu);

	h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u;
	return (uint8_t)(h >> 56);
}

static inline void set_luma(struct scene_under_test *scene, uint32_t x, uint32_t y, uint8_t level)
{
	const struct weir_format *format = &scene->format;
	const uint32_t step = format->pixel == WEIR_PIXEL_RGBA ? 4 : format->pixel >= WEIR_PIXEL_RGB ? 3 : 1;

	memset(scene->payload + format->plane[0].offset_bytes + (size_t)y * format->plane[0].stride_bytes + x * step,
		level, step);
}

struct square {
	uint32_t x, y, side; /* side 0: none */
	uint8_t level;
};

/* Background: a gentle slope of light and noise of ±2 levels. All that is not luma is noise. */
static inline void draw(struct scene_under_test *scene, int light, struct square square)
{
	for (uint32_t i = 0; i < scene->format.payload_bytes; i++)
		scene->payload[i] = noise(scene->sequence, i, 77);
	for (uint32_t y = 0; y < scene->format.height; y++)
		for (uint32_t x = 0; x < scene->format.width; x++) {
			const bool inside = x - square.x < square.side && y - square.y < square.side;
			const int base = 60 + (int)(x * 40 / scene->format.width);

			set_luma(scene, x, y,
				(uint8_t)((inside ? square.level : base) + light + noise(scene->sequence, x, y) % 5 -
					  2));
		}
}

static inline struct weir_result look_at(struct scene_under_test *scene)
{
	struct weir_frame frame = {
		.sequence = ++scene->sequence,
		.size_bytes = scene->format.payload_bytes,
		.data = scene->payload,
	};
	struct weir_result result = { .sequence = frame.sequence, .score = -1 };
	struct weir_picture picture;

	assert_int_equal(weir_picture_init(&picture, &scene->format, &frame), 0);
	assert_int_equal(scene->analyzer->frame(scene->state, &picture, &result), 1);
	return result;
}

#endif
