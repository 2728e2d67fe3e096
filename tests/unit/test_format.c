/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weir/frame.h>

static void i420_of_odd_size_is_padded_as_gstreamer_does(void **state)
{
	struct weir_format format;

	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_I420, 321, 241), 0);
	assert_int_equal(format.plane_count, 3);
	assert_int_equal(format.plane[0].stride_bytes, 324);
	assert_int_equal(format.plane[1].offset_bytes, 324 * 242);
	assert_int_equal(format.plane[1].stride_bytes, 164);
	assert_int_equal(format.plane[2].offset_bytes, 324 * 242 + 164 * 121);
	assert_int_equal(format.payload_bytes, 324 * 242 + 2 * 164 * 121);
	assert_int_equal(weir_format_check(&format), 0);
}

static void every_pixel_format_passes_its_own_check(void **state)
{
	struct weir_format format;

	for (uint32_t pixel = WEIR_PIXEL_I420; pixel <= WEIR_PIXEL_RGBA; pixel++)
		for (uint32_t side = 1; side < 20; side++) {
			assert_int_equal(weir_format_video(&format, pixel, side, 21 - side), 0);
			assert_int_equal(weir_format_check(&format), 0);
			assert_int_equal(weir_pixel_from_name(weir_pixel_name(pixel)), pixel);
		}
}

static void impossible_pictures_are_refused(void **state)
{
	struct weir_format format;

	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_I420, 0, 1), -EINVAL);
	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_I420, 1, 0), -EINVAL);
	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_I420, 1, 32769), -EINVAL);
	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_I420, 32769, 1), -EINVAL);
	assert_int_equal(weir_format_video(&format, 99, 16, 16), -EINVAL);
	assert_null(weir_pixel_name(99));
	assert_int_equal(weir_pixel_from_name("YUY2"), WEIR_PIXEL_NONE);
}

static void a_plane_outside_the_payload_is_refused(void **state)
{
	struct weir_format format, bad;

	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_NV12, 64, 48), 0);
	bad = format, bad.plane[1].offset_bytes += 1;
	assert_int_equal(weir_format_check(&bad), -EPROTO);
	bad = format, bad.plane[0].stride_bytes = 63;
	assert_int_equal(weir_format_check(&bad), -EPROTO);
	bad = format, bad.plane[0].stride_bytes = UINT32_MAX;
	assert_int_equal(weir_format_check(&bad), -EPROTO);
	bad = format, bad.plane_count = 1;
	assert_int_equal(weir_format_check(&bad), -EPROTO);
	bad = format, bad.payload_bytes = 100;
	assert_int_equal(weir_format_check(&bad), -EPROTO);
	bad = format, memset(bad.caps, 'x', sizeof(bad.caps));
	assert_int_equal(weir_format_check(&bad), -EPROTO);
	bad = format, bad.kind = 77;
	assert_int_equal(weir_format_check(&bad), -EPROTO);
}

static void a_picture_that_is_none_does_not_pass(void **state)
{
	struct weir_format format, bad;

	assert_int_equal(weir_format_video(&format, WEIR_PIXEL_RGB, 64, 48), 0);
	bad = format, bad.width = 0;
	assert_int_equal(weir_format_check(&bad), -EPROTO);
	bad = format, bad.pixel = 99;
	assert_int_equal(weir_format_check(&bad), -EPROTO);
}

static void what_is_no_picture_needs_no_planes(void **state)
{
	struct weir_format format = { .payload_bytes = 1000 };

	for (format.kind = WEIR_KIND_ENCODED; format.kind <= WEIR_KIND_OTHER; format.kind++)
		assert_int_equal(weir_format_check(&format), 0);
	format.kind = 0;
	assert_int_equal(weir_format_check(&format), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(i420_of_odd_size_is_padded_as_gstreamer_does),
		cmocka_unit_test(every_pixel_format_passes_its_own_check),
		cmocka_unit_test(impossible_pictures_are_refused),
		cmocka_unit_test(a_picture_that_is_none_does_not_pass),
		cmocka_unit_test(what_is_no_picture_needs_no_planes),
		cmocka_unit_test(a_plane_outside_the_payload_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
