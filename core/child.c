/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "back.h"
#include "clock.h"
#include "fds.h"
#include "message.h"
#include "plugin.h"
#include "title.h"

#define RSEQ_BYTES 32 /* as glibc registers it */
#define FIRST_FD   3  /* behind stdin, stdout and stderr: the descriptors of enum zygote_fd but the last */

/* The parent-death signal counts for the parent of the moment in which it is set, so wait until that is the frontend;
 * and look again: it may have died just before. */
static void adopt_back(const struct child_start *start)
{
	int parent;

	while ((parent = getppid()) == start->parent)
		clock_sleep(CLOCK_MS / 20);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (parent != start->frontend || getppid() != start->frontend)
		_exit(1);
}

/* Moves the descriptors that stay to fixed places and closes everything else. */
static int take_fds_back(const struct child_start *start)
{
	int fd[ZYGOTE_FDS];

	for (int i = 0; i <= ZYGOTE_FD_OUTPUT; i++) {
		fd[i] = fcntl(start->fd[i], F_DUPFD_CLOEXEC, FIRST_FD + ZYGOTE_FDS);
		if (fd[i] < 0)
			return -errno;
	}
	if (dup2(fd[ZYGOTE_FD_OUTPUT], STDOUT_FILENO) < 0 || dup2(fd[ZYGOTE_FD_OUTPUT], STDERR_FILENO) < 0)
		return -errno;
	for (int i = 0; i < ZYGOTE_FD_OUTPUT; i++)
		if (dup3(fd[i], FIRST_FD + i, O_CLOEXEC) < 0)
			return -errno;
	fds_close_from(FIRST_FD + ZYGOTE_FD_OUTPUT);
	return 0;
}

/* The kernel forgets the area of a process that shares its memory, as the one in between did, and a fork() inherits
 * nothing then; but glibc believes that sched_getcpu() may read it. */
static void renew_rseq_back(void)
{
#ifdef RSEQ_SIG
	if (__rseq_size > 0)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, RSEQ_BYTES, 0, RSEQ_SIG);
#endif
}

static int limit_back(int resource, uint64_t soft, uint64_t hard)
{
	struct rlimit limit = { .rlim_cur = soft, .rlim_max = hard };

	return soft == 0 || setrlimit((__rlimit_resource_t)resource, &limit) == 0 ? 0 : -errno;
}

static int limit_all_back(const struct weir_limits *limits)
{
	struct rlimit no_core = { 0, 0 };
	int fd, r = 0;

	if (!limits->core_dumps)
		setrlimit(RLIMIT_CORE, &no_core);
	if ((r = limit_back(RLIMIT_AS, limits->address_bytes, limits->address_bytes)) < 0 ||
		(r = limit_back(RLIMIT_FSIZE, limits->file_bytes, limits->file_bytes)) < 0 ||
		(r = limit_back(RLIMIT_CPU, limits->cpu_s, (uint64_t)limits->cpu_s + 1)) < 0 ||
		(r = limit_back(RLIMIT_NOFILE, limits->files, limits->files)) < 0 || limits->oom_score_adj == 0)
		return r;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dprintf(fd, "%d", limits->oom_score_adj) < 0)
		r = -errno;
	fds_close(&fd);
	return r;
}

/* First of all: what it forks from now on is in there, too. Where it cannot, its process group must do. */
static void enter_cgroups_back(const struct child_start *start)
{
	for (uint32_t i = 0; i < start->order->cgroups; i++)
		if (write(start->fd[ZYGOTE_FDS + i], "0", 1) < 0)
			return;
}

/* What it forks and execs can be told by this from the program's own. */
static void mark_back(const struct child_start *start)
{
	char mark[48];

	snprintf(mark, sizeof(mark), "%d.%u", start->frontend, start->order->id);
	setenv(ZYGOTE_CHILD_ENV, mark, 1);
}

static void settle_back(const struct child_start *start)
{
	static const int ended_by[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD };
	sigset_t none;

	setpgid(0, 0);
	for (size_t i = 0; i < sizeof(ended_by) / sizeof(ended_by[0]); i++)
		signal(ended_by[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	title_set_back(start->order->name);
	/* stdout is a pipe now; whole lines are what the frontend wants. */
	setvbuf(stdout, NULL, _IOLBF, 0);
}

_Noreturn void child_run_back(const struct child_start *start)
{
	const struct zygote_order *order = start->order;
	const struct weir_backend *backend;
	struct back_config config = {
		.name = order->name,
		.args = order->args,
		.poison = order->poison,
		.poisons = order->poisons,
	};
	char why[ZYGOTE_TEXT_BYTES] = "cannot set its limits";
	int r;

	renew_rseq_back();
	adopt_back(start);
	enter_cgroups_back(start);
	mark_back(start);
	settle_back(start);
	if (order->is_worker)
		job_become_worker_back();
	if (page_map_back(&config.page, start->fd[ZYGOTE_FD_PAGE]) < 0 || take_fds_back(start) < 0)
		_exit(1);
	config.commands = FIRST_FD + ZYGOTE_FD_COMMANDS;
	config.events = FIRST_FD + ZYGOTE_FD_EVENTS;
	config.rings = FIRST_FD + ZYGOTE_FD_RINGS;
	r = limit_all_back(&order->limits);
	if (r == 0)
		r = plugin_find(&backend, order->backend, why, sizeof(why));
	if (r < 0)
		back_tell_exit(config.events, r, true, why);
	else
		r = back_run(backend, &config);
	fflush(NULL);
	/* Not exit(): handlers that the program registered are for the program. */
	_exit(r == 0 ? 0 : 1);
}
