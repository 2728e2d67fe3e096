/* SPDX-License-Identifier: MIT */
/* What goes wrong is told in one clear line, ends with a status, and leaves nothing behind. */
#include "run.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static struct run run;
static char text_file[64], truncated_file[64];

static int teardown(void **state)
{
	run_free(&run);
	return 0;
}

static int make_files(void **state)
{
	static char bytes[300000];
	FILE *file = fopen(VTEST, "rb");
	int fd;

	if (file == NULL || fread(bytes, 1, sizeof(bytes), file) != sizeof(bytes))
		return -1;
	fclose(file);
	strcpy(truncated_file, "/tmp/weir-cut-XXXXXX");
	fd = mkstemp(truncated_file);
	if (fd < 0 || write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
		return -1;
	close(fd);
	strcpy(text_file, "/tmp/weir-text-XXXXXX");
	fd = mkstemp(text_file);
	if (fd < 0 || write(fd, "no pictures here\n", 17) != 17)
		return -1;
	close(fd);
	return 0;
}

static int remove_files(void **state)
{
	unlink(text_file);
	unlink(truncated_file);
	return 0;
}

/* One line on stderr that has all of these words; nothing but states and the summary on stdout. */
static void assert_one_line(const char *const *words)
{
	if (count_lines(run.err_text.bytes) != 1)
		fail_msg("not one line: %s", run.err_text.bytes != NULL ? run.err_text.bytes : "(none)");
	for (; *words != NULL; words++)
		if (strstr(run.err_text.bytes, *words) == NULL)
			fail_msg("\"%s\" is missing in: %s", *words, run.err_text.bytes);
}

struct failure {
	const char *args[12];
	const char *words[4];
};

static void expect_failure(const struct failure *failure, int code)
{
	run_begin_with(&run, NULL, failure->args);
	(void)run_end(&run, 60);
	if (exit_code(&run) != code)
		fail_msg("exit status %d instead of %d: %s", exit_code(&run), code,
			run.err_text.bytes != NULL ? run.err_text.bytes : "");
	assert_one_line(failure->words);
	run_free(&run);
}

static void a_source_that_cannot_be_opened_is_told(void **state)
{
	const struct failure rows[] = {
		{ { "--source", "/nowhere/film.mp4" }, { "/nowhere/film.mp4" } },
		{ { "--source", "/tmp" }, { "/tmp" } },
		{ { "--source", text_file }, { text_file } },
		{ { "--source", "rtsp://127.0.0.1:9/stream" }, { "rtsp://127.0.0.1:9/stream" } },
		{ { "--source", "v4l2:/dev/video0" }, { "/dev/video0" } },
		{ { "--source", "pipeline:nosuchelement" }, { "nosuchelement" } },
		{ { "--source", "nosuch://host/x" }, { "nosuch" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_failure(&rows[i], 1);
}

static void an_analyzer_that_cannot_be_loaded_is_told(void **state)
{
	const struct failure rows[] = {
		{ { "--analyzer", "nosuch" }, { "there is no analyzer \"nosuch\"", "analyzers/nosuch.so" } },
		{ { "--analyzer", "motion", "--analyzer", "./nosuch.so" }, { "there is no analyzer \"./nosuch.so\"" } },
		{ { "--analyzer", text_file }, { text_file } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_failure(&rows[i], 1);
}

static void results_that_are_no_numbers_are_told_and_counted(void **state)
{
	char odd[256];
	json_t *summary;

	snprintf(odd, sizeof(odd), "%s/tests/unit/odd5.so", getenv("WEIR_BUILD"));
	run_begin(&run, "--source", PACED(20, 100), "--lossless", "--analyzer", odd);
	summary = run_end(&run, 30);
	assert_int_equal(exit_code(&run), 0);
	assert_int_equal((int)number_of(analyzer_in(summary, "odd5"), "delivered"), 20);
	assert_int_equal((int)number_of(analyzer_in(summary, "odd5"), "bad_results"), 20);
	assert_one_line((const char *const[]){ "odd5", "a result that is none", NULL });
}

static void bad_usage_is_told_with_what_would_be_right(void **state)
{
	static const struct failure rows[] = {
		{ { "--size", "0x0" }, { "--size 0x0", "640x480" } },
		{ { "--size", "640" }, { "--size 640", "640x480" } },
		{ { "--size", "640x480x3" }, { "--size", "640x480" } },
		{ { "--seconds", "0" }, { "--seconds 0", "above 0" } },
		{ { "--seconds", "soon" }, { "--seconds soon", "number" } },
		{ { "--slots", "1" }, { "--slots 1", "2 to 1024" } },
		{ { "--slots", "-4" }, { "--slots -4", "2 to 1024" } },
		{ { "--format", "YUY2" }, { "--format YUY2", "NV12" } },
		{ { "--stats", "-1" }, { "--stats -1" } },
		{ { "--json", "a", "--json", "b" }, { "--json is given twice" } },
		{ { "--source", "test", "--source", "test" }, { "--source is given twice" } },
		{ { "--analyzer", "motion", "--analyzer", "motion" }, { "two analyzers are called motion" } },
		{ { "--json", "/tmp/x", "--snapshots", "/tmp/x" }, { "both name /tmp/x" } },
		{ { "--snapshots", "/dev/null" }, { "/dev/null", "directory" } },
		{ { "--loss"
		    "y" },
			{ "--lossy" } },
		{ { "--source" }, { "--source needs a value" } },
		{ { "film.mp4" }, { "film.mp4", "--source" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_failure(&rows[i], 2);
}

static void an_output_that_cannot_be_written_is_told(void **state)
{
	static const struct failure rows[] = {
		{ { "--json", "/nowhere/results.json" }, { "/nowhere/results.json" } },
		{ { "--json", "/dev/full" }, { "/dev/full", "No space left" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_failure(&rows[i], 1);
}

static void slots_that_do_not_suffice_are_told(void **state)
{
	static const struct failure rows[] = {
		{ { "--slots", "2" }, { "--slots" } },
		{ { "--slots", "6" }, { "6 slots are too few", "are needed" } }, /* for the decoder's loans */
		{ { "--slots", "7", "--lossless", "--source", VTEST }, { "7 slots are too few", "are needed" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_failure(&rows[i], 1);
}

static void close_stdout(void)
{
	close(STDOUT_FILENO);
}

static void a_closed_stdout_is_told_and_gives_its_number_to_nothing_else(void **state)
{
	static const char *const args[] = { "--seconds", "5", NULL };

	run_begin_with(&run, close_stdout, args);
	(void)run_end(&run, 60);
	assert_int_equal(exit_code(&run), 1);
	assert_one_line((const char *const[]){ "Bad file descriptor", NULL });
}

static void a_truncated_film_gives_what_it_has(void **state)
{
	json_t *summary;

	run_begin(&run, "--source", truncated_file, "--lossless");
	summary = run_end(&run, 60);
	assert_non_null(summary);
	assert_int_equal(exit_code(&run), 1);
	assert_one_line((const char *const[]){ truncated_file, "cut short", NULL });
	assert_in_range((int)number_of(summary, "frames_published"), 5, 100);
	assert_int_equal((int)number_of(analyzer_in(summary, "motion"), "delivered"),
		(int)number_of(summary, "frames_published"));
}

static void help_goes_to_stdout(void **state)
{
	run_begin(&run, "--help");
	run.no_json = true;
	(void)run_end(&run, 60);
	assert_int_equal(exit_code(&run), 0);
	assert_non_null(strstr(run.out_text.bytes, "--lossless"));
	assert_non_null(strstr(run.out_text.bytes, "Exit status"));
	assert_int_equal(run.err_text.size, 0);
}

/* A file system of its own for /dev/shm, as in a container. */
static void small_shared_memory(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=16m") < 0) {
		perror("cannot mount a small /dev/shm (this test needs root)");
		_exit(99);
	}
}

static void too_little_shared_memory_is_told_with_bytes_and_command(void **state)
{
	static const char *const args[] = { "--source", "test", "--size", "1920x1080", NULL };
	static const char *const words[] = { "16777216", "/dev/shm", "mount -o remount,size=", NULL };

	run_begin_with(&run, small_shared_memory, args);
	(void)run_end(&run, 60);
	assert_int_equal(exit_code(&run), 1);
	assert_one_line(words);
}

static void a_small_picture_works_in_little_shared_memory(void **state)
{
	static const char *const args[] = { "--source", "test", "--size", "320x240", "--seconds", "2", NULL };

	run_begin_with(&run, small_shared_memory, args);
	assert_non_null(run_end(&run, 60));
	assert_int_equal(exit_code(&run), 0);
}

/* A server that accepts connections and never says a word. */
static int silent_server(int *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static void credentials_are_shown_nowhere(void **state)
{
	char source[128], shown[64];
	int port, server = silent_server(&port);

	snprintf(source, sizeof(source), "rtsp://admin:geheim!7@127.0.0.1:%d/stream?password=geheim", port);
	snprintf(shown, sizeof(shown), "@127.0.0.1:%d/stream", port);
	run_begin(&run, "--source", source, "--stats", "0.2");
	run_next(&run, "state", "motion", 30);
	run_read(&run, 1);
	assert_true(run_children(&run) >= 3);
	assert_true(run_shows(&run, shown));
	assert_false(run_shows(&run, "geheim"));
	run_kill(&run, SIGTERM);
	(void)run_end(&run, 60);
	assert_true(run.end_s < PROMPT_S);
	assert_non_null(strstr(run.err_text.bytes, shown));
	assert_null(strstr(run.err_text.bytes, "geheim"));
	assert_null(strstr(run.out_text.bytes, "geheim"));
	run_free(&run);
	close(server);

	/* However the password is written, and wherever a message is cut. */
	for (int i = 0; i < 3; i++) {
		static char odd[3][512] = { "rtsp://admin:ge heim@127.0.0.1:1/x",
			"pipeline:rtspsrc location=rtsp://127.0.0.1:1/x user-pw = 'ge heim'" };

		snprintf(odd[2], sizeof(odd[2]), "rtsp://admin:%0400dheim@127.0.0.1:1/x", 0);
		run_begin(&run, "--source", odd[i], "--stats", "0.2");
		(void)run_end(&run, 60);
		assert_int_equal(exit_code(&run), 1);
		assert_null(strstr(run.err_text.bytes, "heim"));
		assert_null(strstr(run.out_text.bytes, "heim"));
		assert_null(strstr(run.out_text.bytes, "00000000"));
		run_free(&run);
	}

	run_begin(&run, "--sauce", source);
	(void)run_end(&run, 60);
	assert_int_equal(exit_code(&run), 2);
	assert_null(strstr(run.err_text.bytes, "geheim"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_source_that_cannot_be_opened_is_told, teardown),
		cmocka_unit_test_teardown(an_analyzer_that_cannot_be_loaded_is_told, teardown),
		cmocka_unit_test_teardown(results_that_are_no_numbers_are_told_and_counted, teardown),
		cmocka_unit_test_teardown(bad_usage_is_told_with_what_would_be_right, teardown),
		cmocka_unit_test_teardown(an_output_that_cannot_be_written_is_told, teardown),
		cmocka_unit_test_teardown(slots_that_do_not_suffice_are_told, teardown),
		cmocka_unit_test_teardown(a_closed_stdout_is_told_and_gives_its_number_to_nothing_else, teardown),
		cmocka_unit_test_teardown(a_truncated_film_gives_what_it_has, teardown),
		cmocka_unit_test_teardown(help_goes_to_stdout, teardown),
		cmocka_unit_test_teardown(too_little_shared_memory_is_told_with_bytes_and_command, teardown),
		cmocka_unit_test_teardown(a_small_picture_works_in_little_shared_memory, teardown),
		cmocka_unit_test_teardown(credentials_are_shown_nowhere, teardown),
	};

	return cmocka_run_group_tests_name("errors", tests, make_files, remove_files);
}
