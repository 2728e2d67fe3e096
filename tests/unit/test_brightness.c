/* SPDX-License-Identifier: MIT */
#include "pictures.h"

extern const struct weir_analyzer weir_analyzer;

static double value_of(const struct weir_result *result, const char *name)
{
	for (uint32_t i = 0; i < result->value_count; i++)
		if (strcmp(result->value[i].name, name) == 0)
			return result->value[i].value;
	fail_msg("no value %s", name);
	return 0;
}

/* Also with padded rows and odd sides: what is outside of the picture is noise from 0 to 255. */
static void mean_min_and_max_are_exact_in_every_format(void **state)
{
	static const uint32_t sides[][2] = { { 1, 1 }, { 2, 3 }, { 33, 17 }, { 64, 48 } };

	for (uint32_t pixel = WEIR_PIXEL_I420; pixel <= WEIR_PIXEL_RGBA; pixel++)
		for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
			const uint32_t width = sides[i][0], height = sides[i][1];
			struct scene_under_test scene;
			struct weir_result result;

			scene_begin(&scene, &weir_analyzer, "{}", pixel, width, height, 20);
			draw(&scene, 0, (struct square){ 0 });
			for (uint32_t at = 0; at < width * height; at++)
				set_luma(&scene, at % width, at / width, 100);
			set_luma(&scene, width - 1, height - 1, 40);
			set_luma(&scene, 0, 0, 200);
			result = look_at(&scene);
			assert_true(result.score < 0);
			assert_true(value_of(&result, "max") == 200);
			assert_true(value_of(&result, "min") == (width * height == 1 ? 200 : 40));
			if (width * height > 1)
				assert_float_equal(value_of(&result, "mean"),
					(100.0 * (width * height - 2) + 240) / (width * height), 1e-9);
			scene_end(&scene);
		}
}

static void colours_weigh_as_in_bt601(void **state)
{
	static const struct {
		uint32_t pixel;
		uint8_t bytes[4];
		double luma;
	} rows[] = {
		{ WEIR_PIXEL_RGB, { 255, 0, 0 }, 77 },
		{ WEIR_PIXEL_BGR, { 0, 0, 255 }, 77 },
		{ WEIR_PIXEL_RGBA, { 0, 0, 255, 9 }, 29 },
		{ WEIR_PIXEL_RGB, { 0, 255, 0 }, 149 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene_under_test scene;
		struct weir_result result;

		scene_begin(&scene, &weir_analyzer, "{}", rows[i].pixel, 1, 1, 0);
		memcpy(scene.payload, rows[i].bytes, scene.format.payload_bytes);
		result = look_at(&scene);
		assert_true(value_of(&result, "mean") == rows[i].luma);
		scene_end(&scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mean_min_and_max_are_exact_in_every_format),
		cmocka_unit_test(colours_weigh_as_in_bt601),
	};

	return cmocka_run_group_tests_name("brightness", tests, NULL, NULL);
}
