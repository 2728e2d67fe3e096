/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
/* Behind stdin, stdout and stderr: the descriptors of enum zygote_fd up to the output; across an exec all of them, and
 * the order. */
#define FIRST_FD    3
#define ORDER_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

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

/* Moves descriptors to FIRST_FD and the following ones, and closes all behind them. */
static int place_fds_back(const int *from, int count, int flags)
{
	int fd[ZYGOTE_FDS + 1];

	for (int i = 0; i < count; i++) {
		fd[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FIRST_FD + count);
		if (fd[i] < 0)
			return -errno;
	}
	for (int i = 0; i < count; i++)
		if (dup3(fd[i], FIRST_FD + i, flags) < 0)
			return -errno;
	fds_close_from(FIRST_FD + count);
	return 0;
}

static int take_output_back(const struct child_start *start)
{
	int output = start->fd[ZYGOTE_FD_OUTPUT];

	return dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ? -errno : 0;
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

static _Noreturn void fail_back(int events, int status, enum message_exit how, const char *why)
{
	back_tell_exit(events, status, how, why);
	_exit(1);
}

/* --- by exec ----------------------------------------------------------------------------------------------------- */

/* The order travels in memory, for its arguments may hold secrets. */
static int pack_back(const struct zygote_order *order)
{
	size_t bytes = offsetof(struct zygote_order, args) + strlen(order->args) + 1;
	int fd = memfd_create("weir-order", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	errno = ENOMEM; /* a short write has none */
	if (write(fd, order, bytes) == (ssize_t)bytes && fcntl(fd, F_ADD_SEALS, ORDER_SEALS) == 0)
		return fd;
	r = -errno;
	fds_close(&fd);
	return r;
}

/* It is in its groups, has its signals, and the parent-death signal outlives the exec: nobody can lose it on the way.
 * Limits and what else the new program could stumble over come afterwards. */
static _Noreturn void exec_back(const struct child_start *start)
{
	int fd[ZYGOTE_FDS + 1], events = start->fd[ZYGOTE_FD_EVENTS];
	char why[ZYGOTE_TEXT_BYTES];
	int r = fd[ZYGOTE_FDS] = pack_back(start->order);

	if (r >= 0) {
		memcpy(fd, start->fd, ZYGOTE_FDS * sizeof(*fd));
		/* The loader, too, may have something to say. */
		if (take_output_back(start) < 0 || place_fds_back(fd, ZYGOTE_FDS + 1, 0) < 0)
			_exit(1);
		events = FIRST_FD + ZYGOTE_FD_EVENTS;
		r = zygote_exec_child_back(FIRST_FD + ZYGOTE_FDS, start->frontend);
	}
	snprintf(why, sizeof(why), "cannot execute the program again (" ZYGOTE_PROGRAM "): %s", strerror(-r));
	fail_back(events, r, MESSAGE_EXIT_NO_START, why);
}

/* --- a life ------------------------------------------------------------------------------------------------------ */

static _Noreturn void live_back(const struct child_start *start)
{
	const struct zygote_order *order = start->order;
	const struct weir_backend *backend;
	struct back_config config = {
		.name = order->name,
		.args = order->args,
		.commands = FIRST_FD + ZYGOTE_FD_COMMANDS,
		.events = FIRST_FD + ZYGOTE_FD_EVENTS,
		.rings = FIRST_FD + ZYGOTE_FD_RINGS,
		.poison = order->poison,
		.poisons = order->poisons,
	};
	char why[ZYGOTE_TEXT_BYTES] = "cannot set its limits";
	int r;

	if (order->is_worker)
		job_become_worker_back();
	if (page_map_back(&config.page, start->fd[ZYGOTE_FD_PAGE]) < 0 || take_output_back(start) < 0 ||
		place_fds_back(start->fd, ZYGOTE_FD_OUTPUT, O_CLOEXEC) < 0)
		_exit(1);
	page_beat_back(config.page);
	r = limit_all_back(&order->limits);
	if (r == 0)
		r = plugin_find(&backend, order->backend, why, sizeof(why));
	if (r < 0)
		fail_back(config.events, r, MESSAGE_EXIT_NEVER_STARTS, why);
	r = back_run(backend, &config);
	fflush(NULL);
	/* Not exit(): handlers that the program registered are for the program. */
	_exit(r == 0 ? 0 : 1);
}

_Noreturn void child_run_back(const struct child_start *start)
{
	renew_rseq_back();
	adopt_back(start);
	enter_cgroups_back(start);
	mark_back(start);
	settle_back(start);
	if (start->order->spawn == WEIR_SPAWN_EXEC)
		exec_back(start);
	live_back(start);
}

void child_resume_back(int order_fd, int frontend)
{
	static struct zygote_order order;
	struct child_start start = { .frontend = frontend, .parent = -1, .order = &order };
	int seals = fcntl(order_fd, F_GET_SEALS);

	if (seals < 0 || (seals & ORDER_SEALS) != ORDER_SEALS ||
		pread(order_fd, &order, sizeof(order), 0) < (ssize_t)offsetof(struct zygote_order, args) + 1)
		return;
	for (int i = 0; i < ZYGOTE_FDS; i++)
		start.fd[i] = FIRST_FD + i;
	adopt_back(&start); /* again: a program with capabilities has lost the signal */
	title_init_back();
	settle_back(&start);
	live_back(&start);
}
