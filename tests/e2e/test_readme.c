/* SPDX-License-Identifier: MIT */
/* What the README tells a reader to do, done. */
#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct run run;
static char directory[] = "/tmp/weir-readme-XXXXXX", library[64];

/* The README's first C block, as a file of its own. */
static void extract(const char *path)
{
	char readme[4096], line[4096];
	FILE *from, *to = fopen(path, "w");
	bool inside = false;
	int lines = 0;

	snprintf(readme, sizeof(readme), "%s/README.md", getenv("WEIR_SOURCE"));
	from = fopen(readme, "r");
	assert_non_null(from);
	assert_non_null(to);
	while (fgets(line, sizeof(line), from) != NULL) {
		if (strncmp(line, "```", 3) == 0) {
			if (lines > 0)
				break;
			inside = strcmp(line, "```c\n") == 0;
		} else if (inside) {
			fputs(line, to);
			lines++;
		}
	}
	fclose(from);
	fclose(to);
	assert_true(lines > 20);
}

static int compile_analyzer(void **state)
{
	char source[64], command[8192];

	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(source, sizeof(source), "%s/dark.c", directory);
	snprintf(library, sizeof(library), "%s/dark.so", directory);
	extract(source);
	snprintf(command, sizeof(command),
		"cc -shared -fPIC -O2 -Wall -Wextra -Wno-unused-parameter -Werror -I%s/core/include -I%s/shm/include "
		"%s -o %s",
		getenv("WEIR_SOURCE"), getenv("WEIR_SOURCE"), source, library);
	if (system(command) != 0)
		return -1;
	unlink(source);
	return 0;
}

static int remove_analyzer(void **state)
{
	unlink(library);
	rmdir(directory);
	return 0;
}

static int teardown(void **state)
{
	run_free(&run);
	return 0;
}

static double is_dark(const char *pattern)
{
	char source[256];
	json_t *line;
	double dark;

	snprintf(source, sizeof(source),
		"pipeline:videotestsrc pattern=%s num-buffers=20 ! video/x-raw,width=64,height=48,framerate=25/1",
		pattern);
	run_begin(&run, "--source", source, "--lossless", "--format", "GRAY8", "--analyzer", library, "--analyzer",
		"motion");
	line = run_next(&run, "dark", "dark", 20);
	dark = number_of(line, "dark");
	assert_non_null(run_end(&run, 20));
	assert_int_equal(exit_code(&run), 0);
	run_free(&run);
	return dark;
}

static void the_analyzer_in_the_readme_works(void **state)
{
	assert_true(is_dark("black") == 1);
	assert_true(is_dark("white") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_analyzer_in_the_readme_works, teardown),
	};

	return cmocka_run_group_tests_name("readme", tests, compile_analyzer, remove_analyzer);
}
