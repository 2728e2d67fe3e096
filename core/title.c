/* SPDX-License-Identifier: MIT */
#include "title.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *area;
static size_t area_bytes;

/* The kernel shows the memory in which it once laid down argv and, right behind it, the environment. glibc hands argv
 * to constructors of shared libraries, too. */
__attribute__((constructor)) static void find_area(int argc, char **argv, char **env)
{
	char *end;

	if (argc < 1 || argv == NULL || argv[0] == NULL)
		return;
	area = end = argv[0];
	for (int i = 0; i < argc && argv[i] == end; i++)
		end += strlen(end) + 1;
	for (int i = 0; env != NULL && env[i] == end; i++)
		end += strlen(end) + 1;
	area_bytes = (size_t)(end - area);
}

void title_init_back(void)
{
	char *program = strdup(program_invocation_short_name);

	if (program != NULL)
		program_invocation_name = program_invocation_short_name = program;
	for (char **env = environ; env != NULL && *env != NULL; env++) {
		char *copy = NULL;

		if (*env >= area && *env < area + area_bytes)
			copy = strdup(*env);
		if (copy != NULL)
			*env = copy;
		else if (*env >= area && *env < area + area_bytes)
			area_bytes = (size_t)(*env - area);
	}
}

void title_set_back(const char *name)
{
	char title[160];

	prctl(PR_SET_NAME, name, 0, 0, 0);
	if (area_bytes < 2)
		return;
	snprintf(title, sizeof(title), "%s: %s", program_invocation_short_name, name);
	/* All of it: a program's arguments may hold a password that it is about to overwrite in its own copy only. */
	memset(area, 0, area_bytes);
	strncpy(area, title, area_bytes - 1);
}
