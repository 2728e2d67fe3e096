/* SPDX-License-Identifier: MIT */
/* Real footage: people walk through a car park (768 × 576, 795 frames). */
#include "run.h"

#include <dirent.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 795

static struct run run;

static int teardown(void **state)
{
	run_free(&run);
	return 0;
}

/* Checks that one analyzer told about every frame exactly once, in order. */
static void assert_each_frame_once(const char *name)
{
	json_t *line;
	size_t i;
	int next = 1;

	json_array_foreach(run.lines, i, line) if (strcmp(text_of(line, "analyzer"), name) == 0)
		assert_int_equal((int)number_of(line, "seq"), next++);
	assert_int_equal(next - 1, FRAMES);
}

static void lossless_delivers_every_frame_once_to_each_analyzer(void **state)
{
	json_t *summary, *analyzer;
	size_t i;

	run_begin(&run, "--source", VTEST, "--lossless");
	summary = run_end(&run, 60);
	assert_int_equal(exit_code(&run), 0);
	assert_non_null(summary);
	assert_each_frame_once("motion");
	assert_each_frame_once("brightness");
	assert_string_equal(text_of(summary, "exit"), "eos");
	assert_int_equal((int)number_of(summary, "frames_published"), FRAMES);
	json_array_foreach(json_object_get(summary, "analyzers"), i, analyzer)
	{
		assert_int_equal((int)number_of(analyzer, "delivered"), FRAMES);
		assert_int_equal((int)number_of(analyzer, "overtaken"), 0);
		assert_int_equal((int)number_of(analyzer, "skipped"), 0);
		assert_int_equal((int)number_of(analyzer, "missed"), 0);
		assert_int_equal((int)number_of(analyzer, "restarts"), 0);
	}
	assert_int_equal(json_array_size(json_object_get(summary, "analyzers")), 2);
	assert_true(number_of(summary, "copies_per_frame") <= 1);
	assert_true(number_of(json_object_get(summary, "wakeups"), "semaphore") >= 0);
	assert_true(number_of(json_object_get(summary, "wakeups"), "eventfd") >= 0);
}

static void two_runs_give_the_same_results(void **state)
{
	char *first[2] = { NULL, NULL };

	for (int i = 0; i < 2; i++) {
		char *motion, *brightness;

		run_begin(&run, "--source", VTEST, "--lossless");
		assert_non_null(run_end(&run, 60));
		motion = run_results(&run, "motion", NULL);
		brightness = run_results(&run, "brightness", NULL);
		if (i == 0) {
			first[0] = motion, first[1] = brightness;
		} else {
			assert_true(strlen(motion) > 100000);
			assert_string_equal(motion, first[0]);
			assert_string_equal(brightness, first[1]);
			free(motion);
			free(brightness);
		}
		run_free(&run);
	}
	free(first[0]);
	free(first[1]);
}

/* Somebody looked at these frames and noted a pixel on everybody who walks there. */
static const struct {
	int frame;
	struct {
		int x, y;
	} person[8];
} people[] = {
	{ 199, { { 105, 183 }, { 241, 234 }, { 511, 183 }, { 623, 316 }, { 717, 300 }, { 688, 125 }, { 714, 125 } } },
	{ 230, { { 62, 209 }, { 313, 198 }, { 530, 325 }, { 687, 258 }, { 746, 340 }, { 660, 142 }, { 682, 142 } } },
	{ 260, { { 53, 205 }, { 179, 180 }, { 352, 255 }, { 508, 215 }, { 560, 290 }, { 635, 150 }, { 655, 155 } } },
	{ 620, { { 80, 209 }, { 133, 175 }, { 478, 212 }, { 598, 313 }, { 639, 343 }, { 402, 491 } } },
	{ 680, { { 193, 190 }, { 277, 194 }, { 388, 175 }, { 497, 200 }, { 537, 183 }, { 482, 290 }, { 186, 390 } } },
};
#define PEOPLE_FRAMES (sizeof(people) / sizeof(people[0]))

static bool is_on(const json_t *box, int x, int y)
{
	const double px = x / 768.0, py = y / 576.0, left = number_of(box, "x"), top = number_of(box, "y");

	return px >= left && px <= left + number_of(box, "w") && py >= top && py <= top + number_of(box, "h");
}

static void boxes_lie_on_the_people_who_walk_there(void **state)
{
	int checked = 0, without_person = 0;
	json_t *line, *box;
	size_t i, b;

	run_begin(&run, "--source", VTEST, "--lossless", "--analyzer", "motion");
	assert_non_null(run_end(&run, 60));
	json_array_foreach(run.lines, i, line) for (size_t f = 0; f < PEOPLE_FRAMES; f++)
	{
		json_t *boxes = json_object_get(line, "boxes");
		double area = 0;
		int hits[64] = { 0 };

		if (boxes == NULL || (int)number_of(line, "seq") != people[f].frame)
			continue;
		checked++;
		for (int p = 0; p < 8 && people[f].person[p].x != 0; p++) {
			bool found = false;

			json_array_foreach(boxes, b, box) if (is_on(box, people[f].person[p].x, people[f].person[p].y))
			{
				hits[b]++;
				found = true;
			}
			if (!found)
				fail_msg("frame %d: no box on person %d", people[f].frame, p);
		}
		json_array_foreach(boxes, b, box)
		{
			area += number_of(box, "w") * number_of(box, "h");
			without_person += hits[b] == 0;
			/* Nobody stands three deep: boxes tell people apart. */
			assert_true(hits[b] <= 3);
		}
		assert_true(area < 0.1);
	}
	assert_int_equal(checked, PEOPLE_FRAMES);
	assert_true(without_person <= 1);
}

static void frames_come_in_the_size_and_format_asked_for(void **state)
{
	static const char *const formats[] = { "I420", "NV12", "GRAY8", "RGB" };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		json_t *summary;

		run_begin(&run, "--source", VTEST, "--lossless", "--size", "321x241", "--format", formats[i]);
		summary = run_end(&run, 60);
		assert_int_equal(exit_code(&run), 0);
		assert_int_equal((int)number_of(analyzer_in(summary, "motion"), "delivered"), FRAMES);
		run_free(&run);
	}
}

/* Red pixels that a box has drawn, in the middle of its upper side. */
static int red_pixels(const char *path)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	uint8_t *rgb;
	int red = 0;

	assert_int_not_equal(png_image_begin_read_from_file(&image, path), 0);
	assert_int_equal(image.width, 768);
	assert_int_equal(image.height, 576);
	image.format = PNG_FORMAT_RGB;
	rgb = malloc(PNG_IMAGE_SIZE(image));
	assert_int_not_equal(png_image_finish_read(&image, NULL, rgb, 0, NULL), 0);
	for (size_t i = 0; i < (size_t)768 * 576; i++)
		red += rgb[3 * i] == 255 && rgb[3 * i + 1] == 32 && rgb[3 * i + 2] == 32;
	free(rgb);
	return red;
}

static void snapshots_show_the_boxes_once_a_second(void **state)
{
	char directory[] = "/tmp/weir-snapshots-XXXXXX", path[512];
	int pictures = 0, with_boxes = 0;
	struct dirent *entry;
	DIR *dir;

	assert_non_null(mkdtemp(directory));
	run_begin(&run, "--source", VTEST, "--lossless", "--analyzer", "motion", "--snapshots", directory);
	assert_non_null(run_end(&run, 60));
	assert_int_equal(exit_code(&run), 0);
	dir = opendir(directory);
	while ((entry = readdir(dir)) != NULL) {
		unsigned long long sequence;

		if (entry->d_name[0] == '.' && entry->d_name[strspn(entry->d_name, ".")] == '\0')
			continue;
		assert_int_equal(sscanf(entry->d_name, "motion-%8llu.png", &sequence), 1);
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		pictures++;
		with_boxes += red_pixels(path) > 100;
		unlink(path);
	}
	closedir(dir);
	rmdir(directory);
	/* 795 frames at 10 a second; the first second is still. */
	assert_in_range(pictures, 70, 81);
	assert_true(with_boxes >= pictures - 3);
}

static void results_go_to_a_file_and_nothing_to_stdout(void **state)
{
	char path[] = "/tmp/weir-json-XXXXXX";
	const int fd = mkstemp(path);
	char line[32768];
	int lines = 0;
	FILE *file;

	assert_true(fd >= 0);
	close(fd);
	run_begin(&run, "--source", VTEST, "--lossless", "--analyzer", "brightness", "--json", path);
	assert_null(run_end(&run, 60));
	assert_int_equal(exit_code(&run), 0);
	assert_int_equal(run.out_text.size, 0);
	file = fopen(path, "r");
	while (fgets(line, sizeof(line), file) != NULL)
		lines += strstr(line, "\"type\":\"brightness\"") != NULL;
	fclose(file);
	unlink(path);
	assert_int_equal(lines, FRAMES);
	assert_non_null(strstr(line, "\"type\":\"summary\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(lossless_delivers_every_frame_once_to_each_analyzer, teardown),
		cmocka_unit_test_teardown(two_runs_give_the_same_results, teardown),
		cmocka_unit_test_teardown(boxes_lie_on_the_people_who_walk_there, teardown),
		cmocka_unit_test_teardown(frames_come_in_the_size_and_format_asked_for, teardown),
		cmocka_unit_test_teardown(snapshots_show_the_boxes_once_a_second, teardown),
		cmocka_unit_test_teardown(results_go_to_a_file_and_nothing_to_stdout, teardown),
	};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
