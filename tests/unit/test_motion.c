/* SPDX-License-Identifier: MIT */
#include "pictures.h"

#include <errno.h>
#include <math.h>

extern const struct weir_analyzer weir_analyzer;

static const struct square nothing = { 0 };

static struct weir_result show(struct scene_under_test *scene, int light, struct square square)
{
	draw(scene, light, square);
	return look_at(scene);
}

/* Teaches the background, then lets a square enter from the left, 2 pixels a frame. */
static struct weir_result walk(struct scene_under_test *scene, uint32_t frames, struct square *square)
{
	struct weir_result result = { 0 };

	for (int i = 0; i < 20; i++)
		assert_int_equal(show(scene, 0, nothing).box_count, 0);
	for (uint32_t i = 0; i < frames; i++, square->x += 2)
		result = show(scene, 0, *square);
	square->x -= 2;
	return result;
}

static void assert_box_on(const struct weir_box *box, const struct square *square, const struct weir_format *format)
{
	const float cell = 4; /* pixels: a cell, and one more for the closing */

	assert_float_equal(box->x * format->width, square->x, cell);
	assert_float_equal(box->y * format->height, square->y, cell);
	assert_float_equal(box->width * format->width, square->side, 2 * cell);
	assert_float_equal(box->height * format->height, square->side, 2 * cell);
}

static void a_moving_square_is_boxed_in_every_format(void **state)
{
	for (uint32_t pixel = WEIR_PIXEL_I420; pixel <= WEIR_PIXEL_RGBA; pixel++)
		for (uint32_t odd = 0; odd < 4; odd++) {
			struct square square = { 30, 50, 32, 180 };
			struct scene_under_test scene;
			struct weir_result result;

			scene_begin(&scene, &weir_analyzer, "{}", pixel, 256 + odd, 160 - odd, odd * 4);
			result = walk(&scene, 20, &square);
			assert_int_equal(result.box_count, 1);
			assert_box_on(&result.box[0], &square, &scene.format);
			assert_true(result.box[0].score > 0.5 && result.box[0].score <= 1);
			assert_true(result.score > 0.01 && result.score < 0.05);
			scene_end(&scene);
		}
}

static void a_dark_square_is_found_as_well_as_a_bright_one(void **state)
{
	struct square square = { 30, 50, 32, 10 };
	struct scene_under_test scene;
	struct weir_result result;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 640, 480, 0);
	result = walk(&scene, 20, &square);
	assert_int_equal(result.box_count, 1);
	assert_box_on(&result.box[0], &square, &scene.format);
	scene_end(&scene);
}

static void a_track_keeps_its_number_and_a_second_thing_gets_another(void **state)
{
	struct square square = { 30, 20, 32, 180 };
	struct scene_under_test scene;
	struct weir_result result;
	uint32_t first, other;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 256, 160, 0);
	first = walk(&scene, 10, &square).box[0].track;
	assert_int_not_equal(first, 0);
	for (int i = 0; i < 10; i++, square.x += 2) {
		draw(&scene, 0, square);
		for (uint32_t at = 0; at < 32 * 32; at++)
			set_luma(&scene, 200 + at % 32, 110 + at / 32, 200);
		result = look_at(&scene);
	}
	assert_int_equal(result.box_count, 2);
	other = result.box[0].track == first ? result.box[1].track : result.box[0].track;
	assert_true(result.box[0].track == first || result.box[1].track == first);
	assert_int_not_equal(other, 0);
	assert_int_not_equal(other, first);
	scene_end(&scene);
}

static void a_track_survives_being_hidden_for_some_frames(void **state)
{
	struct square square = { 30, 20, 32, 180 };
	struct scene_under_test scene;
	struct weir_result result;
	uint32_t number;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 256, 160, 0);
	number = walk(&scene, 10, &square).box[0].track;
	for (int i = 0; i < 5; i++)
		assert_int_equal(show(&scene, 0, nothing).box_count, 0);
	result = show(&scene, 0, square);
	assert_int_equal(result.box_count, 1);
	assert_int_equal(result.box[0].track, number);
	scene_end(&scene);
}

static void a_still_scene_gives_no_box(void **state)
{
	struct scene_under_test scene;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_NV12, 320, 240, 0);
	for (int i = 0; i < 100; i++) {
		struct weir_result result = show(&scene, 0, nothing);

		assert_int_equal(result.box_count, 0);
		assert_true(result.score == 0);
	}
	scene_end(&scene);
}

static void a_flash_of_two_frames_gets_no_box(void **state)
{
	struct scene_under_test scene;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 256, 160, 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(
			show(&scene, 0, i / 2 == 15 ? (struct square){ 30, 50, 32, 180 } : nothing).box_count, 0);
	scene_end(&scene);
}

/* The sun comes out over a third of the picture: 40 levels in 200 frames. The median does not see that. */
static void a_slow_change_of_one_part_is_learned(void **state)
{
	struct scene_under_test scene;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 240, 160, 0);
	for (uint32_t i = 0; i < 250; i++) {
		draw(&scene, 0, nothing);
		for (uint32_t at = 0; at < 80 * 160; at++)
			set_luma(&scene, at % 80, at / 80, (uint8_t)(60 + (i < 50 ? 0 : i - 50) / 5));
		assert_int_equal(look_at(&scene).box_count, 0);
	}
	scene_end(&scene);
}

static void a_step_of_light_gives_no_box(void **state)
{
	struct scene_under_test scene;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 320, 240, 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(show(&scene, i < 50 ? 0 : i < 100 ? 60 : -30, nothing).box_count, 0);
	scene_end(&scene);
}

static void motion_is_seen_across_a_step_of_light(void **state)
{
	struct square square = { 30, 50, 32, 160 };
	struct scene_under_test scene;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 256, 160, 0);
	(void)walk(&scene, 10, &square);
	for (int i = 0; i < 10; i++) {
		struct weir_result result;

		square.x += 2;
		result = show(&scene, 50, square);
		assert_int_equal(result.box_count, 1);
		assert_box_on(&result.box[0], &square, &scene.format);
	}
	scene_end(&scene);
}

/* What stands in the picture when learning begins must not leave a box behind when it goes. */
static void a_ghost_is_forgotten_at_once(void **state)
{
	struct scene_under_test scene;
	struct weir_result result;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 256, 160, 0);
	for (int i = 0; i < 20; i++)
		(void)show(&scene, 0, (struct square){ 100, 60, 32, 200 });
	for (int i = 0; i < 10; i++)
		result = show(&scene, 0, nothing);
	assert_int_equal(result.box_count, 0);
	scene_end(&scene);
}

static void another_scene_is_learned_anew(void **state)
{
	struct scene_under_test scene;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 256, 160, 0);
	for (int i = 0; i < 60; i++) {
		draw(&scene, 0, nothing);
		for (uint32_t at = 0; i >= 30 && at < 256 * 160; at++)
			set_luma(&scene, at % 256, at / 256, (at % 256 / 16 + at / 256 / 16) % 2 ? 250 : 5);
		assert_int_equal(look_at(&scene).box_count, 0);
	}
	scene_end(&scene);
}

static void the_same_frames_give_the_same_results(void **state)
{
	static struct weir_result first[120];

	for (int run = 0; run < 2; run++) {
		struct square square = { 0, 20, 24, 190 };
		struct scene_under_test scene;

		scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_I420, 321, 241, 8);
		for (int i = 0; i < 120; i++, square.x += 2) {
			struct weir_result result = show(&scene, i / 40, i < 20 ? nothing : square);

			if (run == 0)
				first[i] = result;
			else
				assert_memory_equal(&result, &first[i], sizeof(result));
		}
		scene_end(&scene);
	}
	assert_int_equal(first[60].box_count, 1);
}

static void the_smallest_and_thinnest_pictures_are_harmless(void **state)
{
	static const uint32_t sides[][2] = { { 1, 1 }, { 1, 100 }, { 100, 1 }, { 2, 2 }, { 5, 3 }, { 4097, 3 } };

	for (uint32_t pixel = WEIR_PIXEL_I420; pixel <= WEIR_PIXEL_RGBA; pixel++)
		for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
			struct scene_under_test scene;

			scene_begin(&scene, &weir_analyzer, "{\"confirm\":1,\"warmup\":1}", pixel, sides[i][0],
				sides[i][1], 0);
			for (int n = 0; n < 10; n++) {
				struct weir_result result = show(&scene, n % 3 * 60, (struct square){ 0, 0, 1, 200 });

				for (uint32_t b = 0; b < result.box_count; b++) {
					assert_true(result.box[b].x >= 0 &&
						    result.box[b].x + result.box[b].width <= 1.0001f);
					assert_true(result.box[b].y >= 0 &&
						    result.box[b].y + result.box[b].height <= 1.0001f);
				}
			}
			scene_end(&scene);
		}
}

static void a_new_size_starts_afresh(void **state)
{
	struct square square = { 30, 50, 32, 180 };
	struct scene_under_test scene;
	struct weir_format bigger;

	scene_begin(&scene, &weir_analyzer, "{}", WEIR_PIXEL_GRAY8, 256, 160, 0);
	assert_int_equal(walk(&scene, 10, &square).box_count, 1);
	assert_int_equal(weir_format_video(&bigger, WEIR_PIXEL_GRAY8, 640, 400), 0);
	assert_int_equal(weir_analyzer.format(scene.state, &bigger), 0);
	scene.format = bigger;
	scene.payload = realloc(scene.payload, bigger.payload_bytes);
	square = (struct square){ 30, 50, 32, 180 };
	assert_int_equal(walk(&scene, 10, &square).box_count, 1);
	scene_end(&scene);
}

static void configuration_is_checked(void **state)
{
	static const struct {
		const char *config;
		int r;
	} rows[] = {
		{ "{}", 0 },
		{ "{\"threshold\":20,\"min_area\":0.01,\"merge\":0,\"confirm\":1,\"warmup\":5}", 0 },
		{ "{\"threshold\":0}", -EINVAL },
		{ "{\"threshold\":\"much\"}", -EINVAL },
		{ "{\"treshold\":20}", -EINVAL },
		{ "[]", -EINVAL },
		{ "", -EINVAL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		void *motion = calloc(1, weir_analyzer.state_bytes);

		assert_int_equal(weir_analyzer.init(motion, rows[i].config), rows[i].r);
		weir_analyzer.finish(motion);
		free(motion);
	}
}

static void min_area_keeps_small_things_out(void **state)
{
	struct square square = { 30, 50, 32, 180 };
	struct scene_under_test scene;

	scene_begin(&scene, &weir_analyzer, "{\"min_area\":0.05}", WEIR_PIXEL_GRAY8, 256, 160, 0);
	assert_int_equal(walk(&scene, 20, &square).box_count, 0);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_moving_square_is_boxed_in_every_format),
		cmocka_unit_test(a_dark_square_is_found_as_well_as_a_bright_one),
		cmocka_unit_test(a_track_keeps_its_number_and_a_second_thing_gets_another),
		cmocka_unit_test(a_track_survives_being_hidden_for_some_frames),
		cmocka_unit_test(a_still_scene_gives_no_box),
		cmocka_unit_test(a_flash_of_two_frames_gets_no_box),
		cmocka_unit_test(a_slow_change_of_one_part_is_learned),
		cmocka_unit_test(a_step_of_light_gives_no_box),
		cmocka_unit_test(motion_is_seen_across_a_step_of_light),
		cmocka_unit_test(a_ghost_is_forgotten_at_once),
		cmocka_unit_test(another_scene_is_learned_anew),
		cmocka_unit_test(the_same_frames_give_the_same_results),
		cmocka_unit_test(the_smallest_and_thinnest_pictures_are_harmless),
		cmocka_unit_test(a_new_size_starts_afresh),
		cmocka_unit_test(configuration_is_checked),
		cmocka_unit_test(min_area_keeps_small_things_out),
	};

	return cmocka_run_group_tests_name("motion", tests, NULL, NULL);
}
