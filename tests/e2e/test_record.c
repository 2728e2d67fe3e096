/* SPDX-License-Identifier: MIT */
/* What is recorded is the film: the same packets, the same pictures, and so the same results. */
#include "run.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 60

static struct run run;
static char folder[64], film[96], recorded[96];

static void shell(const char *format, const char *a, const char *b)
{
	char command[2048];

	snprintf(command, sizeof(command), format, a, b);
	assert_int_equal(system(command), 0);
}

static int make_film(void **state)
{
	strcpy(folder, "/tmp/weir-record-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(film, sizeof(film), "%s/film.mp4", folder);
	snprintf(recorded, sizeof(recorded), "%s/recorded", folder);
	shell("gst-launch-1.0 -q videotestsrc pattern=ball num-buffers=60 ! "
	      "video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! %s ! h264parse ! mp4mux ! "
	      "filesink location=%s >/dev/null 2>&1",
		"openh264enc", film);
	return 0;
}

static int remove_film(void **state)
{
	shell("rm -rf %s%s", folder, "");
	return 0;
}

static int teardown(void **state)
{
	run_free(&run);
	shell("rm -rf %s%s", recorded, "");
	return 0;
}

/* The only file of the recording. */
static const char *file(void)
{
	static char path[512];
	DIR *directory = opendir(recorded);
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		if (strstr(entry->d_name, ".mkv") == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", recorded, entry->d_name);
		count++;
	}
	closedir(directory);
	assert_int_equal(count, 1);
	return path;
}

/* The results of a whole run as text, without what depends on time or place. The caller frees it. */
static char *results(const char *const *args)
{
	json_t *summary;

	run_begin_with(&run, NULL, args);
	summary = run_end(&run, 60);
	assert_non_null(summary);
	assert_int_equal(exit_code(&run), 0);
	assert_int_equal((int)number_of(summary, "frames_published"), FRAMES);
	return run_results(&run, "motion", "source");
}

#define RESULTS(...) results((const char *const[]){ __VA_ARGS__, NULL })

static json_t *last_record(void)
{
	json_t *line, *last = NULL;
	size_t i;

	json_array_foreach(run.lines, i, line) if (strcmp(text_of(line, "type"), "record") == 0) last = line;
	assert_non_null(last);
	return last;
}

static void packets_are_recorded_as_they_come(void **state)
{
	char *first = RESULTS("--source", film, "--lossless", "--record", recorded), *second;
	char command[1024], output[64] = "";
	FILE *pipe;

	assert_int_equal((int)number_of(last_record(), "committed"), FRAMES);
	assert_int_equal((int)number_of(last_record(), "dropped"), 0);
	assert_int_equal(run_transitions(&run, film, "live"), 1); /* pictures */
	assert_int_equal(run_transitions(&run, "packets", "live"), 1);
	run_free(&run);
	second = RESULTS("--source", file(), "--lossless");
	assert_string_equal(first, second);
	free(first);
	free(second);

	/* Every packet has the same bytes. */
	snprintf(command, sizeof(command),
		"for f in %s %s; do ffmpeg -v error -i $f -c copy -f framemd5 - | grep -v '^#' | awk -F, '{print $6}' |"
		" md5sum; done | sort -u | wc -l",
		film, file());
	pipe = popen(command, "r");
	assert_non_null(fgets(output, sizeof(output), pipe));
	pclose(pipe);
	assert_int_equal(atoi(output), 1);
}

/* A directory of packets in several files, one of them cut: the same pictures as before the cut, and behind it. */
static void directory_of_packets_is_one_film(void **state)
{
	char *first = RESULTS("--source", film, "--lossless", "--record", recorded), *second;
	char whole[512];

	run_free(&run);
	second = RESULTS("--source", recorded, "--lossless");
	assert_string_equal(first, second);
	free(second);
	run_free(&run);

	/* The same again under an earlier name: what is not in the index comes last. */
	snprintf(whole, sizeof(whole), "%s/stream-20200101T000000.000000Z.mkv", recorded);
	shell("cp %s %s", file(), whole);
	run_begin(&run, "--source", recorded, "--lossless");
	assert_int_equal((int)number_of(run_end(&run, 60), "frames_published"), 2 * FRAMES);
	assert_int_equal(exit_code(&run), 0);
	run_free(&run);
	shell("truncate -s -6000 %s%s", whole, "");
	run_begin(&run, "--source", recorded, "--lossless");
	assert_in_range((int)number_of(run_end(&run, 60), "frames_published"), FRAMES, 2 * FRAMES - 1);
	assert_int_equal(exit_code(&run), 0);
	assert_non_null(strstr(run.err_text.bytes, "up to its last committed cluster"));
	free(first);
}

static void directory_of_pictures_and_packets_is_refused(void **state)
{
	free(RESULTS("--source", film, "--lossless", "--record", recorded));
	run_free(&run);
	free(RESULTS("--source", film, "--lossless", "--record", recorded, "--record-raw"));
	run_free(&run);
	run_begin(&run, "--source", recorded);
	run_end(&run, 20);
	assert_int_equal(exit_code(&run), 2);
	assert_non_null(strstr(run.err_text.bytes, "raw pictures and packets"));
}

static void pictures_are_recorded_and_replayed(void **state)
{
	char *first = RESULTS("--source", film, "--lossless", "--record", recorded, "--record-raw"), *second;

	assert_int_equal((int)number_of(last_record(), "committed"), FRAMES);
	run_free(&run);
	for (int i = 0; i < 2; i++) { /* a directory, a file */
		second = RESULTS("--source", i == 0 ? recorded : file(), "--lossless");
		assert_string_equal(first, second);
		free(second);
		assert_true(
			number_of(json_array_get(run.lines, json_array_size(run.lines) - 1), "copies_per_frame") == 0);
		run_free(&run);
	}
	free(first);
}

static void analyzer_triggers_the_recording_of_events(void **state)
{
	free(RESULTS("--source", film, "--lossless", "--record", recorded, "--record-events"));
	assert_int_equal((int)number_of(last_record(), "files"), 1);
	assert_true(number_of(last_record(), "committed") > 0);
}

static void source_without_packets_says_what_to_do(void **state)
{
	run_begin(&run, "--source", "test:320x240@25#25", "--record", recorded);
	run_end(&run, 20);
	assert_int_equal(exit_code(&run), 1);
	assert_non_null(strstr(run.err_text.bytes, "record its raw pictures instead"));
}

static void directory_that_cannot_be_written_is_an_error(void **state)
{
	run_begin(&run, "--source", film, "--record", "/proc/nowhere");
	run_end(&run, 20);
	assert_int_equal(exit_code(&run), 1);
	assert_non_null(strstr(run.err_text.bytes, "/proc/nowhere"));
}

static void record_camera_records_packets_and_decodes_nothing(void **state)
{
	char command[512], output[256] = "";
	FILE *pipe;

	snprintf(command, sizeof(command),
		"%s/examples/record-camera %s %s | tail -1; ffprobe -v error -count_packets -show_entries "
		"stream=codec_name,nb_read_packets -of csv=p=0 %s/*.mkv",
		getenv("WEIR_BUILD"), film, recorded, recorded);
	pipe = popen(command, "r");
	assert_true(fread(output, 1, sizeof(output) - 1, pipe) > 0);
	pclose(pipe);
	assert_string_equal(output, "1 files, 60 packets, 0 lost \nh264,60\n");
}

#define RECORD(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECORD(packets_are_recorded_as_they_come),
		RECORD(directory_of_packets_is_one_film),
		RECORD(directory_of_pictures_and_packets_is_refused),
		RECORD(pictures_are_recorded_and_replayed),
		RECORD(record_camera_records_packets_and_decodes_nothing),
		RECORD(analyzer_triggers_the_recording_of_events),
		RECORD(source_without_packets_says_what_to_do),
		RECORD(directory_that_cannot_be_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, make_film, remove_film);
}
