/* SPDX-License-Identifier: MIT */
#include "motion.h"

#include <errno.h>
#include <stdlib.h>

#define FAST_FRAMES   32 /* teach a still cell four times as quickly */
#define LEARN_SHIFT   5	 /* a still cell's mean follows the picture by 1/32 a frame */
#define CREEP	      8	 /* a moving cell's mean by so much, 8.8: 40 grey levels in 51 s at 25 frames a second */
#define SPREAD_START  (2 << 8)
#define SPREAD_FACTOR 4 /* mean absolute deviations that are still usual */

int background_init(struct background *background, uint32_t count)
{
	*background = (struct background){
		.count = count,
		.mean = calloc(count, sizeof(*background->mean)),
		.spread = calloc(count, sizeof(*background->spread)),
	};
	return background->mean != NULL && background->spread != NULL ? 0 : -ENOMEM;
}

void background_finish(struct background *background)
{
	free(background->mean);
	free(background->spread);
	*background = (struct background){ 0 };
}

/* The median difference in whole grey levels: as long as less than half of the picture moves, that is the light. Every
 * third cell is enough. */
static int median_light(const struct background *background, const uint16_t *cell)
{
	uint32_t bin[512] = { 0 }, total = 0, passed = 0;
	int level = 0;

	for (uint32_t i = 0; i < background->count; i += 3, total++)
		bin[256 + ((cell[i] - background->mean[i] + 128) >> 8)]++;
	while (passed + bin[level] <= total / 2)
		passed += bin[level++];
	return (level - 256) * 256;
}

uint32_t background_judge(struct background *background, struct scene *scene, uint32_t threshold)
{
	const uint16_t *restrict cell = scene->cell, *restrict mean = background->mean;
	const uint16_t *restrict spread = background->spread;
	const int light = median_light(background, cell);
	uint32_t marked = 0;

	background->light = light;
	for (uint32_t i = 0; i < background->count; i++) {
		int d = abs(cell[i] - mean[i] - light), usual = spread[i] * SPREAD_FACTOR;
		int strong = usual > (int)threshold ? usual : (int)threshold, weak = strong - strong / 3;

		scene->difference[i] = (uint16_t)(d < UINT16_MAX ? d : UINT16_MAX);
		scene->mark[i] = (uint8_t)((d > strong) + (d > weak));
		marked += d > weak;
	}
	return marked;
}

/* d / 2^shift, rounded to the nearest: a plain shift would pull every mean down. */
static int part(int d, int shift)
{
	return (d + (1 << (shift - 1))) >> shift;
}

static uint16_t clamp(int level)
{
	return (uint16_t)(level < 0 ? 0 : level > UINT16_MAX ? UINT16_MAX : level);
}

static void learn_first(struct background *background, const uint16_t *cell)
{
	for (uint32_t i = 0; i < background->count; i++) {
		background->mean[i] = cell[i];
		background->spread[i] = SPREAD_START;
	}
}

static void learn_usual(struct background *background, const uint16_t *cell, const uint8_t *fate)
{
	const int shift = background->frames < FAST_FRAMES ? LEARN_SHIFT - 2 : LEARN_SHIFT;
	const int light = part(background->light, shift);

	for (uint32_t i = 0; i < background->count; i++) {
		const int mean = background->mean[i], spread = background->spread[i], d = cell[i] - mean;

		if (fate[i] == FATE_MOVING) {
			background->mean[i] = clamp(mean + light + (d > background->light ? CREEP : -CREEP));
		} else if (fate[i] == FATE_GHOST) {
			background->mean[i] = clamp(cell[i] - background->light);
			background->spread[i] = SPREAD_START;
		} else {
			background->mean[i] = clamp(mean + part(d, shift));
			background->spread[i] =
				clamp(spread + part(abs(d - background->light) - spread, LEARN_SHIFT + 1));
		}
	}
}

void background_learn(struct background *background, const uint16_t *cell, const uint8_t *fate)
{
	if (background->frames == 0)
		learn_first(background, cell);
	else
		learn_usual(background, cell, fate);
	background->frames += background->frames < UINT32_MAX;
}
