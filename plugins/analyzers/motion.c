/* SPDX-License-Identifier: MIT */
/* What moves before a background that it learns. A result for every frame: score is the share of the picture that
 * moves; boxes may be empty. Configuration (a JSON object; all optional):
 *	"threshold"  least difference from the background in grey levels, 1…255; default 15
 *	"min_area"   least area of what moves as a share of the picture, 0…1; default 0.0006
 *	"merge"      regions with a gap of up to this share of the picture's width become one box; default 0.01
 *	"confirm"    frames that something must be seen before it gets a box, 1…100; default 3
 *	"warmup"     frames that only teach the background, 1…1000; default 10
 * A box's score says how strongly it differs: mean difference of its cells, 128 grey levels or more are 1. Its track
 * number stays while it overlaps itself from frame to frame. */
#include "motion.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#define FULL_SCORE  (128 << 8)
#define SCENE_SHARE 0.6 /* more than this of the picture differs: another scene, not motion */

struct motion {
	double threshold, min_area, merge, confirm, warmup;
	struct grid grid;
	struct background background;
	struct scene scene;
	struct regions regions;
	struct tracks tracks;
};

static int option(json_t *config, const char *name, double least, double most, double *value)
{
	json_t *member = json_object_get(config, name);

	if (member == NULL)
		return 0;
	if (!json_is_number(member) || json_number_value(member) < least || json_number_value(member) > most)
		return -EINVAL;
	*value = json_number_value(member);
	json_object_del(config, name);
	return 0;
}

static int init(void *state, const char *text)
{
	struct motion *motion = state;
	json_t *config = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const struct {
		const char *name;
		double least, most, usual, *value;
	} options[] = {
		{ "threshold", 1, 255, 15, &motion->threshold },
		{ "min_area", 0, 1, 0.0006, &motion->min_area },
		{ "merge", 0, 1, 0.01, &motion->merge },
		{ "confirm", 1, 100, 3, &motion->confirm },
		{ "warmup", 1, 1000, 10, &motion->warmup },
	};
	int r = json_is_object(config) ? 0 : -EINVAL;

	for (size_t i = 0; r == 0 && i < sizeof(options) / sizeof(options[0]); i++) {
		*options[i].value = options[i].usual;
		r = option(config, options[i].name, options[i].least, options[i].most, options[i].value);
	}
	/* What is left then is a misspelt name. */
	if (r == 0 && json_object_size(config) > 0)
		r = -EINVAL;
	json_decref(config);
	return r;
}

static void finish(void *state)
{
	struct motion *motion = state;

	grid_finish(&motion->grid);
	background_finish(&motion->background);
	regions_finish(&motion->regions);
	free(motion->scene.cell);
	free(motion->scene.difference);
	free(motion->scene.mark);
	motion->scene = (struct scene){ 0 };
	motion->tracks = (struct tracks){ .next_number = motion->tracks.next_number };
}

static int set_format(void *state, const struct weir_format *format)
{
	struct motion *motion = state;
	uint32_t count;

	finish(motion);
	if (grid_init(&motion->grid, format->width, format->height) < 0)
		return -ENOMEM;
	count = motion->grid.count;
	if (background_init(&motion->background, count) < 0 || regions_init(&motion->regions, &motion->grid) < 0)
		return -ENOMEM;
	motion->scene = (struct scene){
		.cell = calloc(count, sizeof(*motion->scene.cell)),
		.mean = motion->background.mean,
		.difference = calloc(count, sizeof(*motion->scene.difference)),
		.mark = calloc(count, sizeof(*motion->scene.mark)),
	};
	if (motion->scene.cell == NULL || motion->scene.difference == NULL || motion->scene.mark == NULL)
		return -ENOMEM;
	return 0;
}

static void put_box(struct weir_result *result, const struct motion *motion, const struct track *track)
{
	const struct grid *grid = &motion->grid;
	const struct region *region = &track->region;
	const uint64_t score = region->difference / region->cells;

	result->box[result->box_count++] = (struct weir_box){
		.x = (float)region->left / grid->width,
		.y = (float)region->top / grid->height,
		.width = (float)(region->right - region->left) / grid->width,
		.height = (float)(region->bottom - region->top) / grid->height,
		.score = score < FULL_SCORE ? (float)score / FULL_SCORE : 1,
		.track = track->number,
	};
}

static void put_boxes(struct motion *motion, struct weir_result *result)
{
	struct tracks *tracks = &motion->tracks;
	uint32_t cells = 0;

	for (uint32_t i = 0; i < tracks->count; i++) {
		struct track *track = &tracks->track[i];

		if (track->missed > 0 || track->seen < motion->confirm)
			continue;
		if (track->number == 0)
			track->number = ++tracks->next_number;
		put_box(result, motion, track);
		cells += track->region.cells;
	}
	result->score = (float)cells / motion->grid.count;
}

static int look(void *state, const struct weir_picture *picture, struct weir_result *result)
{
	struct motion *motion = state;
	const uint32_t count = motion->grid.count, min_cells = (uint32_t)(motion->min_area * count) + 1;
	uint32_t marked = 0;

	result->score = 0;
	grid_reduce(&motion->grid, picture, motion->scene.cell);
	if (motion->background.frames > 0)
		marked = background_judge(&motion->background, &motion->scene, (uint32_t)(motion->threshold * 256));
	if (marked > SCENE_SHARE * count)
		motion->background.frames = 0;
	if (motion->background.frames > 0) {
		regions_find(
			&motion->regions, &motion->scene, min_cells, (uint32_t)(motion->merge * motion->grid.width));
		tracks_update(&motion->tracks, &motion->regions);
		if (motion->background.frames >= motion->warmup)
			put_boxes(motion, result);
	}
	background_learn(&motion->background, motion->scene.cell, motion->regions.fate);
	return 1;
}

__attribute__((visibility("default"))) const struct weir_analyzer weir_analyzer = {
	.abi = WEIR_ANALYZER_ABI,
	.name = "motion",
	.state_bytes = sizeof(struct motion),
	.init = init,
	.format = set_format,
	.frame = look,
	.finish = finish,
};
