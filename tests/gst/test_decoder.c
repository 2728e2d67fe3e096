/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clip.h"

#define FRAMES	60u
#define STEP_NS INT64_C(40000000)

struct counted {
	unsigned next;
	int64_t first_pts_ns;
};

/* Every frame once, in order, with the right time between them. */
static void check_number(void *data, const struct weir_format *format, const struct weir_frame *frame)
{
	struct counted *counted = data;

	assert_int_equal(format->width, CLIP_WIDTH);
	assert_int_equal(
		clip_number(frame->data + format->plane[0].offset_bytes, format->plane[0].stride_bytes), counted->next);
	assert_int_equal(frame->sequence, counted->next + 1);
	assert_int_equal(frame->dropped_before, 0);
	if (counted->next == 0)
		counted->first_pts_ns = frame->pts_ns;
	/* Containers count in milliseconds, or coarser. */
	assert_in_range(frame->pts_ns - counted->first_pts_ns - counted->next * STEP_NS + 1000000, 0, 2000000);
	counted->next++;
}

static void check_clip(const char *name, const char *format)
{
	struct counted counted = { 0 };
	struct session session = { .frame = check_number, .data = &counted };

	session_open(&session, "{'source': '%s', 'lossless': true%s}", clip_path(name), format);
	session_run(&session, 0, 0);
	assert_int_equal(session.status, 1);
	assert_int_equal(counted.next, FRAMES);
	assert_int_equal(session.ended, 1);
	session_assert_states(&session, WEIR_SOURCE_CONNECTING, WEIR_SOURCE_LIVE, WEIR_SOURCE_ENDED, 0);
	session_close(&session);
}

static void every_frame_of_a_clip_comes_once_in_order_and_on_time(void **state)
{
	check_clip("h264.mp4", "");
	check_clip("h264.mkv", "");
	check_clip("vp8.webm", "");
	check_clip("jpeg.avi", "");
	check_clip("sound.mkv", "");
}

static void every_format_that_can_be_asked_for_shows_the_same_frames(void **state)
{
	check_clip("h264.mp4", ", 'format': 'I420'");
	check_clip("h264.mp4", ", 'format': 'NV12'");
	check_clip("h264.mp4", ", 'format': 'GRAY8'");
	check_clip("jpeg.avi", ", 'format': 'NV12'");
}

static void size_format_and_slots_that_were_asked_for_are_those_of_the_ring(void **state)
{
	struct session session = { 0 };

	session_open(&session,
		"{'source': '%s', 'lossless': true, 'format': 'RGB', 'width': 161, 'height': 121, 'slots': 17}",
		clip_path("vp8.webm"));
	session_run(&session, 0, 0);
	assert_int_equal(session.frames, FRAMES);
	assert_int_equal(session.want.format.pixel, WEIR_PIXEL_RGB);
	assert_int_equal(session.want.format.width, 161);
	assert_int_equal(session.want.format.height, 121);
	assert_int_equal(session.want.slot_count, 17);
	session_close(&session);
}

static void without_lossless_a_file_plays_in_real_time(void **state)
{
	int64_t start_us = g_get_monotonic_time();
	struct session session = { 0 };

	session_open(&session, "{'source': '%s'}", clip_path("h264.mp4"));
	session_run(&session, 0, 0);
	assert_true(g_get_monotonic_time() - start_us > FRAMES * STEP_NS / 1000 * 9 / 10);
	assert_int_equal(session.frames, FRAMES);
	session_close(&session);
}

static void the_test_source_ends_after_the_frames_that_it_was_told(void **state)
{
	struct session session = { 0 };

	session_open(&session, "{'source': 'test:64x48@100#20', 'lossless': true}");
	session_run(&session, 0, 0);
	assert_int_equal(session.frames, 20);
	assert_int_equal(session.want.format.width, 64);
	assert_int_equal(session.want.format.height, 48);
	assert_int_equal(session.want.format.rate_num, 100);
	assert_int_equal(session.status, 1);
	session_close(&session);
}

static void a_ring_that_is_to_be_renewed_is_followed_by_another_without_loss(void **state)
{
	struct session session = { 0 };
	struct weir_ring_stats stats;

	session_open(&session, "{'source': 'test:64x48@100#200', 'lossless': true}");
	session_run(&session, 20, 0);
	assert_int_equal(weir_back_local_command(session.back, WEIR_COMMAND_RENEW, NULL, 0), 0);
	session_run(&session, 0, 0);
	assert_int_equal(session.rings, 2);
	assert_int_equal(session.ended, 2);
	assert_int_equal(session.frames, 200);
	weir_ring_stats(session.ring[1], &stats);
	assert_in_range(stats.copied, 0, 5); /* what was under way; the rest is made in the new ring */
	session_close(&session);
}

static void count_changes(void *data, const struct weir_format *format, const struct weir_frame *frame)
{
	guint *sums = data, sum = 0;

	for (uint32_t i = 0; i < frame->size_bytes; i++)
		sum = sum * 31 + frame->data[i];
	sums[1] += sums[0] != sum;
	sums[0] = sum;
}

static void something_moves_in_the_test_source(void **state)
{
	guint sums[2] = { 0 };
	struct session session = { .frame = count_changes, .data = sums };

	session_open(&session, "{'source': 'test:160x120@100', 'lossless': true}");
	session_run(&session, 20, 0);
	assert_true(sums[1] >= 19);
	session_close(&session);
}

static void a_pipeline_description_is_decoded(void **state)
{
	struct counted counted = { 0 };
	struct session session = { .frame = check_number, .data = &counted };

	session_open(&session, "{'source': 'pipeline:filesrc location=%s ! qtdemux ! h264parse', 'lossless': true}",
		clip_path("h264.mp4"));
	session_run(&session, 0, 0);
	assert_int_equal(counted.next, FRAMES);
	session_close(&session);
}

static void new_caps_in_a_stream_begin_a_generation(void **state)
{
	struct session session = { 0 };

	session_open(&session, "{'source': 'pipeline:videotestsrc num-buffers=7 ! video/x-raw,format=I420,width=320,"
			       "height=240 ! concat name=c videotestsrc num-buffers=5 ! video/x-raw,format=I420,width="
			       "160,height=120 ! c. c.', 'lossless': true}");
	session_run(&session, 0, 0);
	assert_int_equal(session.frames, 12);
	assert_int_equal(session.rings, 2);
	assert_int_equal(session.ended, 2);
	assert_int_equal(session.status, 1);
	session_close(&session);
}

/* --- what goes wrong ------------------------------------------------------------------------------------------- */

static void assert_fails(const char *source, int status, const char *text)
{
	struct session session = { 0 };

	session_open(&session, "{'source': '%s', 'lossless': true}", source);
	session_run_to_failure(&session, status, text);
	assert_int_equal(session.frames, 0);
	session_close(&session);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void a_source_that_cannot_work_fails_with_one_clear_line(void **state)
{
	assert_fails("/nowhere/clip.mp4", -ENOENT, "no such file: /nowhere/clip.mp4");
	assert_fails(clip_dir(), -EINVAL, "is a directory without a recording");
	write_file(clip_path("empty.mp4"), "");
	assert_fails(clip_path("empty.mp4"), -EBADMSG, "is empty");
	write_file(clip_path("text.mp4"), "This is not a film.\nNeither is this line, nor is the next one.\n");
	assert_fails(clip_path("text.mp4"), -EBADMSG, "is no video");
	assert_fails(clip_path("tone.ogg"), -EBADMSG, "is no video");
	assert_fails("pipeline:videotestsrc ! nosuchelement", -EINVAL, "nosuchelement");
	assert_fails("test:12x", -EINVAL, "test:640x480@30#100");
	assert_fails("v4l2:/dev/video-none", -ENODEV, "no such camera: /dev/video-none; plug it in");
}

static void bad_arguments_are_named(void **state)
{
	static const char *const cases[][2] = {
		{ "no json", "not JSON" },
		{ "{'format': 'I420'}", "source" },
		{ "{'source': 'test', 'sauce': 1}", "sauce" },
		{ "{'source': 'test', 'format': 'YUY2'}", "YUY2" },
		{ "{'source': 'test', 'width': 100}", "100x0" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session session = { 0 };

		session_open(&session, "%s", cases[i][0]);
		session_run(&session, 0, 0);
		assert_int_equal(session.status, -EINVAL);
		assert_non_null(strstr(session_text(&session), cases[i][1]));
		session_close(&session);
	}
}

static void a_truncated_file_gives_what_it_has_and_says_that_it_was_cut(void **state)
{
	static const char *const names[] = { "cut.mkv", "cut.avi", "cut.webm" };

	for (unsigned i = 0; i < 3; i++) {
		struct counted counted = { 0 };
		struct session session = { .frame = check_number, .data = &counted };

		session_open(&session, "{'source': '%s', 'lossless': true}", clip_path(names[i]));
		session_run(&session, 0, 0);
		assert_in_range(counted.next, 10, FRAMES - 10);
		session_assert_states(&session, WEIR_SOURCE_CONNECTING, WEIR_SOURCE_LIVE, WEIR_SOURCE_CUT, 0);
		if (strstr(session_text(&session), "cut short") == NULL)
			fail_msg("%s: %s", names[i], session_text(&session));
		assert_int_equal(session.status, 1);
		session_close(&session);
	}
	/* Its index is at its end, and gone. decodebin keeps that to itself every few times. */
	for (int i = 0; i < 10; i++)
		assert_fails(clip_path("cut.mp4"), -EBADMSG, "cut short");
}

static void a_refused_ring_fails_with_the_frontends_reason(void **state)
{
	struct session session = { .refuse = true };

	session_open(&session, "{'source': 'test'}");
	session_run(&session, 0, 0);
	assert_true(session.status < 0);
	assert_non_null(strstr(session_text(&session), "No ring for 640x480"));
	session_close(&session);
}

static void make_clips(void)
{
	static const char *const cut[][2] = { { "h264.mkv", "cut.mkv" }, { "jpeg.avi", "cut.avi" },
		{ "vp8.webm", "cut.webm" }, { "h264.mp4", "cut.mp4" } };
	gchar *data;
	gsize size;

	clip_make(clip_path("h264.mp4"), "openh264enc ! h264parse ! mp4mux", FRAMES);
	clip_make(clip_path("h264.mkv"), "openh264enc ! h264parse ! matroskamux", FRAMES);
	clip_make(clip_path("vp8.webm"), "vp8enc deadline=1 ! webmmux", FRAMES);
	clip_make(clip_path("jpeg.avi"), "jpegenc ! avimux", FRAMES);
	clip_make(clip_path("sound.mkv"),
		"openh264enc ! h264parse ! matroskamux name=m audiotestsrc num-buffers=100 ! vorbisenc ! m. m.",
		FRAMES);
	clip_make(clip_path("tone.ogg"), "fakesink audiotestsrc num-buffers=100 ! vorbisenc ! oggmux", FRAMES);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(g_file_get_contents(clip_path(cut[i][0]), &data, &size, NULL));
		assert_true(g_file_set_contents(clip_path(cut[i][1]), data, (gssize)(size / 2), NULL));
		g_free(data);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_of_a_clip_comes_once_in_order_and_on_time),
		cmocka_unit_test(every_format_that_can_be_asked_for_shows_the_same_frames),
		cmocka_unit_test(size_format_and_slots_that_were_asked_for_are_those_of_the_ring),
		cmocka_unit_test(without_lossless_a_file_plays_in_real_time),
		cmocka_unit_test(the_test_source_ends_after_the_frames_that_it_was_told),
		cmocka_unit_test(a_ring_that_is_to_be_renewed_is_followed_by_another_without_loss),
		cmocka_unit_test(something_moves_in_the_test_source),
		cmocka_unit_test(a_pipeline_description_is_decoded),
		cmocka_unit_test(new_caps_in_a_stream_begin_a_generation),
		cmocka_unit_test(a_source_that_cannot_work_fails_with_one_clear_line),
		cmocka_unit_test(bad_arguments_are_named),
		cmocka_unit_test(a_truncated_file_gives_what_it_has_and_says_that_it_was_cut),
		cmocka_unit_test(a_refused_ring_fails_with_the_frontends_reason),
	};
	int failed;

	gst_init(&argc, &argv);
	make_clips();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	clip_remove_dir();
	return failed;
}
