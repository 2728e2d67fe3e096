/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include <weir/log.h>

static int lines;
static char last[4096];

static void note(void *data, int level, const char *module, const char *text)
{
	lines++;
	snprintf(last, sizeof(last), "%s %d %s %s", (const char *)data, level, module, text);
}

static void sink_gets_lines_of_its_levels_only(void **state)
{
	lines = 0;
	weir_log_set(note, (void *)"data", WEIR_LOG_WARNING);
	weir_log(WEIR_LOG_INFO, "test", "not this");
	assert_int_equal(lines, 0);
	weir_log(WEIR_LOG_WARNING, "test", "number %d\nand\rmore", 7);
	assert_int_equal(lines, 1);
	assert_string_equal(last, "data 1 test number 7 and more");
	weir_log(-9, "test", "%s", "clamped");
	assert_string_equal(last, "data 0 test clamped");
	weir_log_set(NULL, NULL, WEIR_LOG_INFO);
}

static void errno_is_preserved(void **state)
{
	weir_log_set(note, (void *)"", WEIR_LOG_INFO);
	errno = ENOTTY;
	weir_log(WEIR_LOG_ERROR, "test", "%s", "noise");
	assert_int_equal(errno, ENOTTY);
	weir_log_set(NULL, NULL, WEIR_LOG_INFO);
}

static void default_sink_writes_one_line_to_stderr(void **state)
{
	static char longest[5000];
	char got[8192] = "";
	int fd[2], saved = dup(STDERR_FILENO);
	ssize_t size;

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	dup2(fd[1], STDERR_FILENO);
	weir_log(WEIR_LOG_ERROR, "module", "text");
	memset(longest, 'x', sizeof(longest) - 1);
	weir_log(WEIR_LOG_INFO, "module", "%s", longest);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd[1]);
	size = read(fd[0], got, sizeof(got) - 1);
	close(fd[0]);
	assert_true(size > 1000);
	assert_memory_equal(got, "error module: text\ninfo module: xxx", 35);
	assert_int_equal(got[size - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sink_gets_lines_of_its_levels_only),
		cmocka_unit_test(errno_is_preserved),
		cmocka_unit_test(default_sink_writes_one_line_to_stderr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
