/* SPDX-License-Identifier: MIT */
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "fds.h"
#include "plugin.h"
#include "threads.h"
#include "title.h"

/* Forking twice, not clone(CLONE_PARENT): the child must be the frontend's own to wait for, but a raw clone skips
 * glibc's fork handling (atfork handlers of the libraries that we preloaded, malloc's locks) and leaves the cached tid
 * of the main thread stale, which breaks pthread_kill() and error-checking mutexes in the child. So there is a process
 * in between, which does nothing but fork(); when it exits the child becomes the frontend's, which is the nearest
 * subreaper. That one is made with vfork(): with GStreamer's plugins preloaded a copy of this process takes 2 ms to
 * make and to drop. POSIX does not promise that fork() works in there, but glibc's does: the zygote stands still
 * meanwhile, has no other thread, and what fork() locks it unlocks again. Only rseq is lost on the way (child.c). */

static void answer_back(int socket, uint32_t id, int status, int pid, const char *text)
{
	struct zygote_answer answer = { .id = id, .status = status, .pid = pid };

	snprintf(answer.text, sizeof(answer.text), "%s", text);
	fds_send(socket, &answer, sizeof(answer), NULL, 0);
}

static void preload_back(const struct weir_init_config *config, char *text, size_t size)
{
	text[0] = '\0';
	for (const char *const *name = config->preload; name != NULL && *name != NULL; name++) {
		const struct weir_backend *backend;
		char why[ZYGOTE_TEXT_BYTES - 128];
		int r = plugin_find(&backend, *name, why, sizeof(why));

		if (r == 0 && backend->preload != NULL) {
			r = backend->preload();
			snprintf(why, sizeof(why), "preload failed: %s", strerror(-r));
		}
		if (r < 0)
			snprintf(text, size, "%s: %s", *name, why);
	}
}

/* In the process in between: tells the child's pid, and makes room. */
static _Noreturn void between_back(struct child_start *start, int pid_pipe)
{
	int32_t pid;

	start->parent = getpid();
	pid = fork();
	if (pid == 0)
		child_run_back(start);
	if (pid < 0)
		pid = -errno;
	_exit(write(pid_pipe, &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
}

/* A function of its own: nothing lives across the vfork(). */
static __attribute__((noinline)) pid_t start_between_back(struct child_start *start, int pid_pipe)
{
	pid_t between = vfork();

	if (between == 0)
		between_back(start, pid_pipe);
	return between;
}

/* The child's pid, once it is the frontend's child; or -errno. */
static int spawn_back(struct child_start *start)
{
	int32_t pid = -EAGAIN;
	int pid_pipe[2], status, r;
	pid_t between;

	if (pipe2(pid_pipe, O_CLOEXEC) < 0)
		return -errno;
	between = start_between_back(start, pid_pipe[1]);
	r = between < 0 ? -errno : 0;
	close(pid_pipe[1]);
	if (r == 0) {
		/* Dead and reaped first: only then has the frontend become the child's parent. */
		while (waitpid(between, &status, 0) < 0 && errno == EINTR)
			;
		if (read(pid_pipe[0], &pid, sizeof(pid)) != sizeof(pid))
			pid = -EAGAIN;
		r = pid;
	}
	close(pid_pipe[0]);
	return r;
}

static void obey_back(int socket, const struct zygote_order *order, struct child_start *start)
{
	char threads[ZYGOTE_TEXT_BYTES - 64], text[ZYGOTE_TEXT_BYTES] = "";
	int r = threads_check_single(threads, sizeof(threads));

	if (r < 0) {
		snprintf(text, sizeof(text), "a preloaded plugin has started threads: %s", threads);
	} else {
		r = spawn_back(start);
		if (r < 0)
			snprintf(text, sizeof(text), "fork: %s", strerror(-r));
	}
	answer_back(socket, order->id, r < 0 ? r : 0, r < 0 ? 0 : r, text);
}

static void enter_back(int socket, int frontend_pid)
{
	sigset_t none;
	int null;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != frontend_pid)
		_exit(0);	   /* it died before it could be the death of us */
	setpgid(0, 0);		   /* Ctrl-C is for the frontend */
	unsetenv("NOTIFY_SOCKET"); /* and so is systemd */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* It may have come as 0, 1 or 2, if the program was started without them. */
	socket = fcntl(socket, F_DUPFD_CLOEXEC, 4);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup3(socket, 3, O_CLOEXEC);
	fds_close_from(4);
	title_init_back();
	title_set_back("zygote");
}

_Noreturn void zygote_run_back(int socket, int frontend_pid, const struct weir_init_config *config)
{
	static struct zygote_order order;
	struct child_start start = { .frontend = frontend_pid, .order = &order };
	char text[ZYGOTE_TEXT_BYTES];

	enter_back(socket, frontend_pid);
	socket = 3;
	preload_back(config, text, sizeof(text));
	answer_back(socket, 0, 0, 0, text);
	for (;;) {
		size_t count = ZYGOTE_FDS_MAX;
		int size = fds_receive(socket, &order, sizeof(order), start.fd, &count);

		if (size == -EPIPE)
			_exit(0);
		if (size < (int)offsetof(struct zygote_order, args) + 1 || count != ZYGOTE_FDS + order.cgroups)
			_exit(1);
		obey_back(socket, &order, &start);
		for (size_t i = 0; i < count; i++)
			fds_close(&start.fd[i]);
		/* The arguments may hold passwords; all later children would inherit them. */
		explicit_bzero(&order, sizeof(order));
	}
}
