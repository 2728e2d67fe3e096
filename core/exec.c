/* SPDX-License-Identifier: MIT */
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ZYGOTE_SOCKET 3

/* The program finds in its environment what it is to be, and in weir_init() becomes that; it gets no arguments. This is
 * what its variables hold. */
#define ENTRY_FORMAT "%d:%d" /* descriptor, frontend's pid */

/* Our environment and one more entry; only the array is new. */
static char **extend_environment(char *entry)
{
	size_t count = 0;
	char **env;

	while (environ != NULL && environ[count] != NULL)
		count++;
	env = calloc(count + 2, sizeof(*env));
	if (env == NULL)
		return NULL;
	if (count > 0)
		memcpy(env, environ, count * sizeof(*env));
	env[count] = entry;
	return env;
}

/* posix_spawn() is safe although the program may have threads by now: it runs nothing of ours before the exec. */
static int spawn_self(pid_t *pid, int socket, char **env)
{
	char *argv[] = { program_invocation_name, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int r;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket, ZYGOTE_SOCKET); /* first: it may be 0 or 1 */
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attributes, &none);
	r = -posix_spawn(pid, ZYGOTE_PROGRAM, &actions, &attributes, argv, env);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int zygote_exec(int *socket, pid_t *pid)
{
	char entry[64], **env;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	snprintf(entry, sizeof(entry), ZYGOTE_ENV "=" ENTRY_FORMAT, ZYGOTE_SOCKET, getpid());
	env = extend_environment(entry);
	r = env != NULL ? spawn_self(pid, pair[1], env) : -ENOMEM;
	free(env);
	close(pair[1]);
	if (r < 0)
		close(pair[0]);
	else
		*socket = pair[0];
	return r;
}

int zygote_exec_child_back(int order_fd, int frontend)
{
	char *argv[] = { program_invocation_name, NULL }, entry[64];

	snprintf(entry, sizeof(entry), ENTRY_FORMAT, order_fd, frontend);
	if (setenv(ZYGOTE_ORDER_ENV, entry, 1) == 0)
		execv(ZYGOTE_PROGRAM, argv);
	return -errno;
}

int zygote_inherited(const char *variable, int *frontend)
{
	const char *value = getenv(variable);
	int fd = -1;

	if (value == NULL || sscanf(value, ENTRY_FORMAT, &fd, frontend) != 2)
		return -1;
	unsetenv(variable);
	return fd;
}
