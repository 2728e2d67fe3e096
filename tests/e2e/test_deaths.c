/* SPDX-License-Identifier: MIT */
/* What dies, stops or ends, and who must not notice. */
#include "run.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../holdings.h"

static struct run run;

static int teardown(void **state)
{
	run_free(&run);
	return 0;
}

/* Reads results of one analyzer until this sequence (in one generation). */
static void read_until(const char *analyzer, double sequence)
{
	while (number_of(run_next(&run, analyzer, NULL, 30), "seq") < sequence)
		;
}

static json_t *state_of(const char *process, const char *to)
{
	json_t *line;

	do
		line = run_next(&run, "state", process, 30);
	while (strcmp(text_of(line, "to"), to) != 0);
	return line;
}

static void assert_adds_up(json_t *summary, const char *name)
{
	json_t *analyzer = analyzer_in(summary, name);

	assert_int_equal((int)number_of(summary, "frames_published"),
		(int)(number_of(analyzer, "delivered") + number_of(analyzer, "overtaken") +
			number_of(analyzer, "skipped") + number_of(analyzer, "missed") +
			number_of(analyzer, "pending")));
}

static void an_analyzer_that_hangs_at_the_end_is_told_and_ends_the_run(void **state)
{
	json_t *summary;

	run_begin(&run, "--source", PACED(200, 100), "--lossless");
	read_until("motion", 100);
	assert_int_equal(kill(run_child(&run, "motion"), SIGSTOP), 0);
	summary = run_end(&run, 60);
	assert_int_equal(exit_code(&run), 1);
	assert_non_null(strstr(run.err_text.bytes, "takes no more frames"));
	assert_adds_up(summary, "motion");
	assert_int_equal((int)number_of(analyzer_in(summary, "brightness"), "delivered"), 200);
}

static void an_analyzer_that_dies_too_often_is_given_up_and_the_other_goes_on(void **state)
{
	run_begin(&run, "--source", "test");
	for (int i = 0; i < 6; i++) {
		run_next(&run, "motion", NULL, 30);
		assert_int_equal(kill(run_child(&run, "motion"), SIGKILL), 0);
		state_of("motion", i < 5 ? "running" : "failed");
	}
	for (int i = 0; i < 30; i++)
		run_next(&run, "brightness", NULL, 30);
	run_kill(&run, SIGTERM);
	(void)run_end(&run, 30);
	assert_int_equal(exit_code(&run), 0);
	assert_non_null(strstr(run.err_text.bytes, "given up"));
}

static void a_film_that_always_kills_its_decoder_there_is_given_up(void **state)
{
	run_begin(&run, "--source", VTEST);
	for (int i = 0; i < 3; i++) {
		state_of("decoder", "running");
		/* A frame of this life is on its way. */
		while (number_of(run_next(&run, "motion", NULL, 30), "seq") > 3)
			;
		assert_int_equal(kill(run_child(&run, "decoder"), SIGABRT), 0);
		state_of("decoder", i < 2 ? "backoff" : "failed");
	}
	(void)run_end(&run, 30);
	assert_int_equal(exit_code(&run), 1);
	assert_non_null(strstr(run.err_text.bytes, "died 3 times at position 1 of its input"));
}

static void a_killed_analyzer_is_back_and_the_other_loses_nothing(void **state)
{
	json_t *summary;
	double seen;

	run_begin(&run, "--source", PACED(500, 100), "--lossless");
	read_until("motion", 100);
	assert_int_equal(kill(run_child(&run, "motion"), SIGKILL), 0);
	assert_non_null(strstr(text_of(state_of("motion", "backoff"), "reason"), "SIGKILL"));
	state_of("motion", "running");
	seen = number_of(run_next(&run, "motion", NULL, 30), "seq");
	assert_true(seen > 100);
	summary = run_end(&run, 30);
	assert_int_equal(exit_code(&run), 0);
	assert_int_equal((int)number_of(summary, "frames_published"), 500);
	assert_int_equal((int)number_of(analyzer_in(summary, "brightness"), "delivered"), 500);
	assert_int_equal((int)number_of(analyzer_in(summary, "brightness"), "restarts"), 0);
	assert_int_equal((int)number_of(analyzer_in(summary, "motion"), "restarts"), 1);
	assert_true(number_of(analyzer_in(summary, "motion"), "missed") > 0);
	assert_int_equal((int)number_of(summary, "generations"), 1);
	assert_adds_up(summary, "motion");
}

static void a_killed_decoder_is_back_within_a_second(void **state)
{
	json_t *summary;
	double killed_s;

	run_begin(&run, "--source", "test");
	read_until("motion", 30);
	read_until("brightness", 30);
	killed_s = seconds();
	assert_int_equal(kill(run_child(&run, "decoder"), SIGKILL), 0);
	while (number_of(run_next(&run, "motion", NULL, 30), "seq") >= 30)
		;
	assert_true(seconds() - killed_s < PROMPT_S);
	while (number_of(run_next(&run, "brightness", NULL, 30), "seq") >= 30)
		;
	read_until("motion", 10);
	run_kill(&run, SIGINT);
	summary = run_end(&run, 60);
	assert_int_equal(exit_code(&run), 0);
	assert_int_equal((int)number_of(summary, "generations"), 2);
	assert_int_equal((int)number_of(analyzer_in(summary, "motion"), "restarts"), 0);
	assert_int_equal((int)number_of(analyzer_in(summary, "brightness"), "restarts"), 0);
	assert_adds_up(summary, "motion");
}

static int results_within(const char *analyzer, double for_s)
{
	json_t *line;
	size_t i;
	int count = 0;

	run_read(&run, 0.05);
	run.cursor = json_array_size(run.lines);
	run_read(&run, for_s);
	for (i = run.cursor; i < json_array_size(run.lines); i++) {
		line = json_array_get(run.lines, i);
		count += strcmp(text_of(line, "analyzer"), analyzer) == 0;
	}
	return count;
}

static void a_stopped_analyzer_costs_the_other_no_frame(void **state)
{
	int before, during;
	pid_t stopped;
	json_t *summary;

	run_begin(&run, "--source", "test");
	read_until("motion", 10);
	read_until("brightness", 20);
	stopped = run_child(&run, "brightness");
	before = results_within("motion", 2);
	assert_int_equal(kill(stopped, SIGSTOP), 0);
	during = results_within("motion", 2);
	assert_int_equal(results_within("brightness", 0.5), 0);
	assert_int_equal(kill(stopped, SIGCONT), 0);
	assert_true(before > 20);
	assert_true(during >= before * 8 / 10);
	run_next(&run, "brightness", NULL, 30);
	run_kill(&run, SIGINT);
	summary = run_end(&run, 60);
	assert_true(number_of(analyzer_in(summary, "brightness"), "overtaken") > 20);
	assert_adds_up(summary, "motion");
	assert_adds_up(summary, "brightness");
}

static void a_killed_frontend_takes_all_along(void **state)
{
	run_begin(&run, "--source", "test");
	read_until("motion", 20);
	assert_true(run_children(&run) >= 3);
	run_kill(&run, SIGKILL);
	(void)run_end(&run, 60);
	assert_true(run.end_s < PROMPT_S);
	assert_int_equal(run_children(&run), 0);
	for (int i = 0; count_shm_names() > 0 && i < 20; i++)
		usleep(50000);
	assert_int_equal(count_shm_names(), 0);
}

static void an_interrupt_ends_it_with_a_summary(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM };

	for (int i = 0; i < 2; i++) {
		json_t *summary;

		run_begin(&run, "--source", "test");
		read_until("motion", 20);
		run_kill(&run, signals[i]);
		summary = run_end(&run, 60);
		assert_int_equal(exit_code(&run), 0);
		assert_true(run.end_s < PROMPT_S);
		assert_non_null(summary);
		assert_string_equal(text_of(summary, "exit"), "signal");
		assert_true(number_of(summary, "frames_published") >= 20);
		run_free(&run);
	}
}

static void results_come_soon_and_seconds_end_it(void **state)
{
	const double begun_s = seconds();
	json_t *line;

	run_begin(&run, "--seconds", "4");
	line = run_next(&run, "motion", NULL, 30);
	assert_true(seconds() - begun_s < 3 + PROMPT_S);
	assert_string_equal(text_of(line, "source"), "test");
	assert_true(number_of(line, "age_ms") >= 0);
	/* Something moves in the test source. */
	do
		line = run_next(&run, "motion", NULL, 30);
	while (json_array_size(json_object_get(line, "boxes")) == 0);
	assert_non_null(run_end(&run, 60));
	assert_int_equal(exit_code(&run), 0);
	assert_true(run.end_s >= 4 && run.end_s < 4 + 2 * PROMPT_S);
}

/* The pipe holds 64 KiB, the results are five times that: the rest waits in the program's memory. */
static void who_does_not_read_its_results_stops_nothing(void **state)
{
	json_t *summary;

	run_begin(&run, "--source", VTEST, "--lossless");
	sleep(4);
	summary = run_end(&run, 60);
	assert_int_equal((int)number_of(analyzer_in(summary, "motion"), "delivered"), 795);
	assert_int_equal((int)number_of(summary, "output_lost"), 0);
	assert_true(json_array_size(run.lines) > 2 * 795);
	run_free(&run);

	run_begin(&run, "--source", PACED(100000, 2000), "--lossless");
	sleep(4);
	run_kill(&run, SIGINT);
	assert_int_equal(waitpid(run.pid, &run.status, 0), run.pid);
	run.exited = true;
	assert_true(seconds() - run.begin_s < PROMPT_S);
	assert_int_equal(exit_code(&run), 0);
}

static void who_has_read_enough_ends_it(void **state)
{
	run_begin(&run, "--source", "test");
	read_until("motion", 5);
	close(run.out);
	run.out = -1;
	(void)run_end(&run, 60);
	assert_int_equal(exit_code(&run), 0);
}

static int terminal;

static void use_terminal(void)
{
	dup2(terminal, STDERR_FILENO);
}

static void a_terminal_shows_one_status_line_that_changes(void **state)
{
	static const char *const args[] = { "--source", "test", "--seconds", "4", NULL };
	char shown[16384];
	size_t size = 0;
	int master;

	assert_int_equal(openpty(&master, &terminal, NULL, NULL, NULL), 0);
	run_begin_with(&run, use_terminal, args);
	close(terminal);
	assert_non_null(run_end(&run, 60));
	for (ssize_t got = 1; got > 0 && size<sizeof(shown) - 1; size += got> 0 ? (size_t)got : 0)
		got = read(master, shown + size, sizeof(shown) - 1 - size);
	close(master);
	shown[size] = '\0';
	assert_non_null(strstr(shown, "\r\033[Ktest live"));
	assert_non_null(strstr(shown, " | brightness "));
	assert_null(strchr(shown, '\n'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_analyzer_that_hangs_at_the_end_is_told_and_ends_the_run, teardown),
		cmocka_unit_test_teardown(an_analyzer_that_dies_too_often_is_given_up_and_the_other_goes_on, teardown),
		cmocka_unit_test_teardown(a_film_that_always_kills_its_decoder_there_is_given_up, teardown),
		cmocka_unit_test_teardown(a_killed_analyzer_is_back_and_the_other_loses_nothing, teardown),
		cmocka_unit_test_teardown(a_killed_decoder_is_back_within_a_second, teardown),
		cmocka_unit_test_teardown(a_stopped_analyzer_costs_the_other_no_frame, teardown),
		cmocka_unit_test_teardown(a_killed_frontend_takes_all_along, teardown),
		cmocka_unit_test_teardown(an_interrupt_ends_it_with_a_summary, teardown),
		cmocka_unit_test_teardown(who_does_not_read_its_results_stops_nothing, teardown),
		cmocka_unit_test_teardown(who_has_read_enough_ends_it, teardown),
		cmocka_unit_test_teardown(a_terminal_shows_one_status_line_that_changes, teardown),
		cmocka_unit_test_teardown(results_come_soon_and_seconds_end_it, teardown),
	};

	return cmocka_run_group_tests_name("deaths", tests, NULL, NULL);
}
