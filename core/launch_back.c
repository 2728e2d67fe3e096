/* SPDX-License-Identifier: MIT */
#include "launch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "back.h"

/* NULL terminated, in one piece with its strings; NULL: no memory, or not a command line. */
static char **decode_back(const char *text)
{
	size_t bytes = strlen(text) + 1, count = 0;
	/* Each argument takes two bytes of text at least. */
	char **argv = calloc(1, (bytes / 2 + 2) * sizeof(*argv) + bytes);
	char *copy = argv != NULL ? (char *)(argv + bytes / 2 + 2) : NULL;

	while (argv != NULL && *text != '\0') {
		char *end;
		size_t length = strtoul(text, &end, 10);

		if (*end != ':' || strlen(end + 1) < length) {
			free(argv);
			return NULL;
		}
		argv[count++] = memcpy(copy, end + 1, length);
		copy += length + 1;
		text = end + 1 + length;
	}
	return argv;
}

static int enter_exec_back(struct weir_back *back, void *state, const char *args)
{
	char **argv = decode_back(args);
	int r;

	if (argv == NULL || argv[0] == NULL)
		return -EINVAL;
	/* The control pipes close themselves when it has become the other program. */
	back_send(back, MESSAGE_READY, 0, 0, NULL, 0);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	execvp(argv[0], argv);
	r = -errno;
	free(argv);
	return r;
}

const struct weir_backend launch_exec = {
	.abi = WEIR_BACKEND_ABI,
	.name = LAUNCH_EXEC_NAME,
	.enter = enter_exec_back,
};
