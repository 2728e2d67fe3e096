/* SPDX-License-Identifier: MIT */
/* The host of analyzers, run in this process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/analyzer.h>
#include <weir/backend.h>
#include <weir/log.h>

extern const struct weir_backend weir_backend;

static char logged[8192];
static int log_lines;
static struct weir_result results[64];
static int result_count;

static void collect_log(void *data, int level, const char *module, const char *text)
{
	snprintf(logged, sizeof(logged), "%s", text);
	log_lines++;
}

static void collect_events(void *data, const struct weir_message *message)
{
	if (message->type == WEIR_EVENT_RESULT)
		assert_int_equal(weir_result_read(&results[result_count++ % 64], message->data, message->size), 0);
}

static int setup(void **state)
{
	weir_log_set(collect_log, NULL, WEIR_LOG_INFO);
	logged[0] = '\0';
	log_lines = result_count = 0;
	return 0;
}

static int64_t in_ms(int64_t ms)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec + ms * 1000000;
}

/* A host with one input, and who writes to it. */
struct hosted {
	struct weir_back *back;
	struct weir_ring *ring;
	struct weir_writer *writer;
};

static void host_begin(struct hosted *hosted, const char *args, uint32_t pixel)
{
	struct weir_ring_config config = { .slot_count = 8 };
	const struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS };
	struct weir_ring_fds fds;
	uint32_t end;

	*hosted = (struct hosted){ 0 };
	assert_int_equal(weir_back_create_local(&hosted->back, &weir_backend, args, collect_events, NULL), 0);
	assert_int_equal(weir_format_video(&config.format, pixel, 64, 48), 0);
	assert_int_equal(weir_ring_create(&hosted->ring, &config), 0);
	assert_int_equal(weir_ring_writer_fds(hosted->ring, &fds), 0);
	assert_int_equal(weir_ring_attach(hosted->ring, &policy, &end), 0);
	assert_int_equal(weir_writer_open(&hosted->writer, &fds), 0);
	assert_int_equal(weir_ring_reader_fds(hosted->ring, end, &fds), 0);
	assert_int_equal(weir_back_local_ring(hosted->back, 0, &fds), 0);
}

static void host_end(struct hosted *hosted)
{
	weir_back_local_free(&hosted->back);
	weir_writer_free(&hosted->writer);
	weir_ring_free(&hosted->ring);
}

static void publish(struct hosted *hosted, uint8_t level, uint32_t missing_bytes)
{
	struct weir_frame frame;
	uint8_t *payload;
	int r = -EAGAIN;

	for (int i = 0; i < 100 && r == -EAGAIN; i++) {
		r = weir_writer_claim(hosted->writer, &frame, &payload);
		if (r == -EAGAIN)
			weir_writer_wait(hosted->writer, in_ms(100));
	}
	assert_int_equal(r, 0);
	frame.size_bytes = weir_writer_format(hosted->writer)->payload_bytes - missing_bytes;
	frame.pts_ns = level * INT64_C(1000000000);
	frame.capture_ns = in_ms(-500);
	memset(payload, level, frame.size_bytes);
	assert_int_equal(weir_writer_publish(hosted->writer, &frame, false), 0);
}

static int run(struct hosted *hosted, int results_wanted)
{
	int r = 0;

	for (int i = 0; i < 100 && r == 0 && result_count < results_wanted; i++)
		r = weir_back_local_run(hosted->back, in_ms(100));
	return r;
}

static void frames_become_results(void **state)
{
	struct hosted hosted;

	host_begin(&hosted, "{\"analyzer\":\"brightness\"}", WEIR_PIXEL_GRAY8);
	for (int i = 1; i <= 3; i++) {
		publish(&hosted, (uint8_t)(10 * i), 0);
		assert_int_equal(run(&hosted, i), 0);
		assert_int_equal(result_count, i);
		assert_string_equal(results[i - 1].type, "brightness");
		assert_int_equal(results[i - 1].sequence, i);
		assert_true(results[i - 1].pts_ns == i * INT64_C(10000000000));
		assert_true(results[i - 1].value[0].value == 10 * i);
		assert_true(results[i - 1].score < 0);
		assert_in_range(results[i - 1].age_ns, 500000000, 5000000000);
	}
	host_end(&hosted);
}

static void configuration_reaches_the_analyzer(void **state)
{
	struct weir_back *back = NULL;

	assert_int_equal(weir_back_create_local(&back, &weir_backend,
				 "{\"analyzer\":\"motion\",\"config\":{\"threshold\":30}}", collect_events, NULL),
		0);
	weir_back_local_free(&back);
	assert_int_equal(weir_back_create_local(&back, &weir_backend,
				 "{\"analyzer\":\"motion\",\"config\":{\"threshold\":-1}}", collect_events, NULL),
		-EINVAL);
	assert_non_null(strstr(logged, "motion"));
	assert_non_null(strstr(logged, "{\"threshold\":-1}"));
	assert_int_equal(log_lines, 1);
}

static void what_cannot_be_hosted_is_refused_in_one_line(void **state)
{
	static const struct {
		const char *args;
		int r;
		const char *words[2];
	} rows[] = {
		{ "{\"analyzer\":\"nosuch\"}", -ENOENT, { "\"nosuch\"", "analyzers/nosuch.so" } },
		{ "{\"analyzer\":\"./nosuch.so\"}", -ENOENT, { "\"./nosuch.so\"", "" } },
		{ "{\"analyzer\":\"/dev/null\"}", -ENOEXEC, { "/dev/null", "cannot load" } },
		{ "{\"analyzer\":\"%s/tests/unit/odd1.so\"}", -ENOEXEC, { "ABI 99", "has 1" } },
		{ "{\"analyzer\":\"%s/tests/unit/odd2.so\"}", -ENOEXEC, { "name", "" } },
		{ "{\"analyzer\":\"%s/tests/unit/odd3.so\"}", -ENOEXEC, { "frame", "" } },
		{ "{\"analyzer\":\"%s/plugins/analyzers/host.so\"}", -ENOEXEC, { "weir_analyzer", "" } },
		{ "{\"analyzer\":7}", -EINVAL, { "analyzer", "" } },
		{ "{\"analyzer\":\"motion\",\"wait\":\"long\"}", -EINVAL, { "semaphore", "" } },
		{ "", -EINVAL, { "analyzer", "" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_back *back = NULL;
		char args[4096];

		setup(state);
		snprintf(args, sizeof(args), rows[i].args, getenv("WEIR_BUILD"));
		assert_int_equal(weir_back_create_local(&back, &weir_backend, args, collect_events, NULL), rows[i].r);
		assert_null(back);
		assert_int_equal(log_lines, 1);
		if (strstr(logged, rows[i].words[0]) == NULL || strstr(logged, rows[i].words[1]) == NULL)
			fail_msg("row %zu: %s", i, logged);
	}
}

static void a_frame_that_is_too_short_ends_it(void **state)
{
	struct hosted hosted;

	host_begin(&hosted, "{\"analyzer\":\"brightness\"}", WEIR_PIXEL_I420);
	publish(&hosted, 0, 1);
	assert_int_equal(run(&hosted, 1), -EPROTO);
	assert_int_equal(result_count, 0);
	host_end(&hosted);
}

static void a_result_with_too_many_boxes_ends_it(void **state)
{
	struct hosted hosted;
	char args[4096];

	snprintf(args, sizeof(args), "{\"analyzer\":\"%s/tests/unit/odd4.so\"}", getenv("WEIR_BUILD"));
	host_begin(&hosted, args, WEIR_PIXEL_I420);
	publish(&hosted, 0, 0);
	assert_int_equal(run(&hosted, 1), -EOVERFLOW);
	assert_int_equal(result_count, 0);
	host_end(&hosted);
}

static void what_is_no_picture_ends_it(void **state)
{
	struct weir_format format = { .kind = WEIR_KIND_AUDIO, .payload_bytes = 100 };
	struct weir_back *back = NULL;
	int r = 0;

	assert_int_equal(
		weir_back_create_local(&back, &weir_backend, "{\"analyzer\":\"motion\"}", collect_events, NULL), 0);
	assert_int_equal(weir_back_local_command(back, WEIR_COMMAND_FORMAT, &format, sizeof(format)), -EOPNOTSUPP);
	for (int i = 0; i < 10 && r == 0; i++)
		r = weir_back_local_run(back, in_ms(100));
	assert_int_equal(r, -EOPNOTSUPP);
	weir_back_local_free(&back);
}

static void snapshots_that_cannot_be_written_are_told_once(void **state)
{
	struct hosted hosted;

	host_begin(&hosted, "{\"analyzer\":\"brightness\",\"snapshots\":\"/proc/nowhere\"}", WEIR_PIXEL_RGB);
	for (int i = 1; i <= 60; i++) {
		publish(&hosted, (uint8_t)i, 0);
		assert_int_equal(run(&hosted, i), 0);
	}
	assert_int_equal(log_lines, 1);
	assert_non_null(strstr(logged, "/proc/nowhere"));
	host_end(&hosted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(frames_become_results, setup),
		cmocka_unit_test_setup(configuration_reaches_the_analyzer, setup),
		cmocka_unit_test_setup(what_cannot_be_hosted_is_refused_in_one_line, setup),
		cmocka_unit_test_setup(a_frame_that_is_too_short_ends_it, setup),
		cmocka_unit_test_setup(a_result_with_too_many_boxes_ends_it, setup),
		cmocka_unit_test_setup(what_is_no_picture_ends_it, setup),
		cmocka_unit_test_setup(snapshots_that_cannot_be_written_are_told_once, setup),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
