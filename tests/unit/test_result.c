/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <weir/analyzer.h>

static struct weir_result example(void)
{
	return (struct weir_result){
		.type = "motion",
		.sequence = 42,
		.pts_ns = 1400000000,
		.age_ns = 3123456,
		.score = 0.25f,
		.box_count = 2,
		.box = { { .x = 0.41f, .y = 0.22f, .width = 0.1f, .height = 0.14f, .score = 0.5f, .track = 7 },
			{ .x = 0, .y = 1, .width = 0.3333333f, .height = 0, .score = 1, .label = "a \"b\"" } },
	};
}

static void json_is_the_documented_text(void **state)
{
	struct weir_result result = example();
	char text[2048];

	assert_int_equal(weir_result_json(&result, "cam \"0\"", "motion", text, sizeof(text)), 0);
	assert_string_equal(text,
		"{\"v\":1,\"type\":\"motion\",\"source\":\"cam \\\"0\\\"\",\"analyzer\":\"motion\",\"seq\":42,"
		"\"pts_ns\":1400000000,\"age_ms\":3.123,\"score\":0.25,\"boxes\":["
		"{\"x\":0.41,\"y\":0.22,\"w\":0.1,\"h\":0.14,\"score\":0.5,\"track\":7},"
		"{\"x\":0,\"y\":1,\"w\":0.3333,\"h\":0,\"score\":1,\"label\":\"a \\\"b\\\"\"}]}");
}

static void values_take_the_place_of_score_and_boxes(void **state)
{
	struct weir_result result = {
		.type = "brightness",
		.score = -1,
		.pts_ns = WEIR_TIME_NONE,
		.value_count = 2,
		.value = { { "mean", 101.5 }, { "min", 16 } },
	};
	char text[2048];

	assert_int_equal(weir_result_json(&result, "s", "b", text, sizeof(text)), 0);
	assert_string_equal(text, "{\"v\":1,\"type\":\"brightness\",\"source\":\"s\",\"analyzer\":\"b\",\"seq\":0,"
				  "\"pts_ns\":null,\"age_ms\":0,\"mean\":101.5,\"min\":16}");
}

static void no_motion_is_an_empty_list_of_boxes(void **state)
{
	struct weir_result result = { .type = "motion" };
	char text[2048];

	assert_int_equal(weir_result_json(&result, "s", "m", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "\"score\":0,\"boxes\":[]}"));
}

static void a_small_buffer_is_refused_at_every_length(void **state)
{
	struct weir_result result = example();
	char text[2048], cut[2048];

	assert_int_equal(weir_result_json(&result, "s", "m", text, sizeof(text)), 0);
	for (size_t size = 0; size <= strlen(text); size++) {
		memset(cut, 'x', sizeof(cut));
		assert_int_equal(weir_result_json(&result, "s", "m", cut, size), -ENOBUFS);
		assert_int_equal(cut[size], 'x');
	}
	assert_int_equal(weir_result_json(&result, "s", "m", cut, strlen(text) + 1), 0);
	assert_string_equal(cut, text);
}

/* The promise of the header: 32 KiB suffice for the longest names, escaped at their worst. */
static void the_longest_result_fits_the_promised_buffer(void **state)
{
	static char name[1024], text[32768];
	struct weir_result result = {
		.sequence = UINT64_MAX,
		.pts_ns = -INT64_MAX,
		.age_ns = INT64_MIN,
		.score = 3e38f,
		.value_count = WEIR_VALUES_MAX,
		.box_count = WEIR_BOXES_MAX,
	};
	json_t *json;

	memset(name, 1, sizeof(name) - 1);
	memset(result.type, 1, sizeof(result.type) - 1);
	for (int i = 0; i < WEIR_VALUES_MAX; i++) {
		memset(result.value[i].name, i + 1, sizeof(result.value[i].name) - 1);
		result.value[i].value = -1.23456789123e-300;
	}
	for (int i = 0; i < WEIR_BOXES_MAX; i++) {
		result.box[i] = (struct weir_box){ -1.2345678e-30f, -1.23e30f, -1.2345678e30f, -1.23456e30f, -3e38f,
			UINT32_MAX, "" };
		memset(result.box[i].label, 1, sizeof(result.box[i].label) - 1);
	}
	assert_int_equal(weir_result_json(&result, name, name, text, sizeof(text)), 0);
	json = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(json);
	assert_int_equal(json_array_size(json_object_get(json, "boxes")), WEIR_BOXES_MAX);
	json_decref(json);
}

static void strings_are_escaped_and_bad_utf8_is_replaced(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "\"\"" },
		{ "a\"\\/", "\"a\\\"\\\\/\"" },
		{ "\n\x1f\x7f", "\"\\u000a\\u001f\\u007f\"" },
		{ "gr\xc3\xbc\xc3\x9f\xf0\x9f\x8e\xa5", "\"gr\xc3\xbc\xc3\x9f\xf0\x9f\x8e\xa5\"" },
		{ "\xff\xc3", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(weir_json_string(rows[i].in, text, sizeof(text)), 0);
		assert_string_equal(text, rows[i].out);
	}
	assert_int_equal(weir_json_string("abc", text, 5), -ENOBUFS);
	assert_int_equal(weir_json_string("abc", text, 6), 0);
}

static void a_result_survives_the_pipe(void **state)
{
	struct weir_result sent = example(), got;

	assert_int_equal(weir_result_read(&got, &sent, weir_result_bytes(&sent)), 0);
	assert_int_equal(got.box_count, 2);
	assert_memory_equal(&got, &sent, weir_result_bytes(&sent));
}

static void a_hostile_result_is_refused_and_output_untouched(void **state)
{
	struct weir_result good = example(), bad, got = { .sequence = 99 };
	size_t size = weir_result_bytes(&good);

	assert_int_equal(weir_result_read(&got, &good, 0), -EPROTO);
	assert_int_equal(weir_result_read(&got, &good, size - 1), -EPROTO);
	assert_int_equal(weir_result_read(&got, &good, size + 1), -EPROTO);
	bad = good, bad.box_count = UINT32_MAX;
	assert_int_equal(weir_result_read(&got, &bad, size), -EPROTO);
	bad = good, bad.value_count = WEIR_VALUES_MAX + 1;
	assert_int_equal(weir_result_read(&got, &bad, size), -EPROTO);
	bad = good, memset(bad.type, 'x', sizeof(bad.type));
	assert_int_equal(weir_result_read(&got, &bad, size), -EPROTO);
	bad = good, bad.type[0] = '\0';
	assert_int_equal(weir_result_read(&got, &bad, size), -EPROTO);
	bad = good, bad.score = NAN;
	assert_int_equal(weir_result_read(&got, &bad, size), -EPROTO);
	bad = good, bad.box[1].height = INFINITY;
	assert_int_equal(weir_result_read(&got, &bad, size), -EPROTO);
	bad = good, memset(bad.box[0].label, 'x', sizeof(bad.box[0].label));
	assert_int_equal(weir_result_read(&got, &bad, size), -EPROTO);
	bad = good, bad.value_count = 1, bad.value[0].value = NAN;
	assert_int_equal(weir_result_read(&got, &bad, size), -EPROTO);
	assert_int_equal(got.sequence, 99);
}

static void a_picture_points_into_the_frame(void **state)
{
	static uint8_t payload[64 * 48 * 2];
	struct weir_format format;
	struct weir_picture picture;
	struct weir_frame frame = { .data = payload };

	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_NV12, 63, 47), 0);
	frame.size_bytes = format.payload_bytes;
	assert_int_equal(weir_picture_init(&picture, &format, &frame), 0);
	assert_int_equal(picture.width, 63);
	assert_ptr_equal(picture.plane[1], payload + format.plane[1].offset_bytes);
	assert_int_equal(picture.stride_bytes[1], 64);
	assert_ptr_equal(picture.frame, &frame);
	assert_null(picture.plane[2]);
}

static void a_short_frame_or_no_picture_is_refused(void **state)
{
	static uint8_t payload[64 * 48 * 2];
	struct weir_format format, bad;
	struct weir_picture picture;
	struct weir_frame frame = { .data = payload };

	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_I420, 64, 48), 0);
	frame.size_bytes = format.payload_bytes - 1;
	assert_int_equal(weir_picture_init(&picture, &format, &frame), -EPROTO);
	frame.size_bytes = format.payload_bytes;
	bad = format, bad.plane[2].offset_bytes += 1;
	assert_int_equal(weir_picture_init(&picture, &bad, &frame), -EPROTO);
	bad = (struct weir_format){ .kind = WEIR_KIND_ENCODED, .payload_bytes = 100 };
	assert_int_equal(weir_picture_init(&picture, &bad, &frame), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_the_documented_text),
		cmocka_unit_test(values_take_the_place_of_score_and_boxes),
		cmocka_unit_test(no_motion_is_an_empty_list_of_boxes),
		cmocka_unit_test(a_small_buffer_is_refused_at_every_length),
		cmocka_unit_test(the_longest_result_fits_the_promised_buffer),
		cmocka_unit_test(strings_are_escaped_and_bad_utf8_is_replaced),
		cmocka_unit_test(a_result_survives_the_pipe),
		cmocka_unit_test(a_hostile_result_is_refused_and_output_untouched),
		cmocka_unit_test(a_picture_points_into_the_frame),
		cmocka_unit_test(a_short_frame_or_no_picture_is_refused),
	};

	return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
