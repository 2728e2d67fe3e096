/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX      16
#define CHILD_SECONDS 60

struct page *page;
static bool is_quick;
static int cpus[2];

int bench_init(bool quick)
{
	cpu_set_t set;
	int found = 0;

	is_quick = quick;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET(i, &set))
			cpus[found++] = i;
	if (found < 2)
		cpus[1] = cpus[0];
	page = bench_shared(sizeof(*page));
	return 0;
}

uint32_t bench_count(uint32_t full, uint32_t quick)
{
	return is_quick ? quick : full;
}

void *bench_shared(size_t bytes)
{
	void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (made == MAP_FAILED)
		abort();
	return made;
}

int bench_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(page->why, sizeof(page->why), format, arguments);
	va_end(arguments);
	return -EIO;
}

void sleep_until_ns(int64_t until_ns)
{
	struct timespec until = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

pid_t bench_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm(CHILD_SECONDS);
	return 0;
}

static int reap(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void bench_end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	reap(pid);
}

void bench_pin_back(uint32_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus[cpu], &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void bench_meet_back(uint32_t count)
{
	static uint32_t wanted; /* each process counts its own meetings */
	uint32_t turns = 0;

	wanted += count;
	atomic_fetch_add(&page->met, 1);
	while (atomic_load(&page->met) < wanted)
		spin_once(&turns);
}

static void judge(pid_t pid, const struct job *job, int *result)
{
	int status = reap(pid);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (page->why[0] == '\0' && WIFSIGNALED(status))
		bench_fail("process %u was ended by signal %d%s", job->index, WTERMSIG(status),
			WTERMSIG(status) == SIGALRM ? " (it took over a minute)" : "");
	else if (page->why[0] == '\0')
		bench_fail("process %u failed", job->index);
	*result = -EIO;
}

int bench_run(double *figure, const struct job *jobs, uint32_t count, void *context)
{
	struct pollfd fds[JOBS_MAX];
	pid_t pids[JOBS_MAX];
	uint32_t left = 0;
	int r = 0;

	for (uint32_t i = 0; i < count; i++) {
		pids[i] = bench_fork();
		if (pids[i] == 0) {
			bench_pin_back(jobs[i].cpu);
			_exit(jobs[i].run_back(context, jobs[i].index) == 0 ? 0 : 1);
		}
		fds[i] = (struct pollfd){ .fd = pids[i] > 0 ? pidfd_open(pids[i], 0) : -1, .events = POLLIN };
		if (fds[i].fd < 0)
			r = bench_fail("fork: %s", strerror(errno));
		left += pids[i] > 0;
	}
	while (left > 0) {
		for (uint32_t i = 0; r < 0 && i < count; i++)
			if (pids[i] > 0)
				kill(pids[i], SIGKILL);
		if (r == 0 && poll(fds, count, -1) < 0)
			continue;
		for (uint32_t i = 0; i < count; i++)
			if (pids[i] > 0 && (r < 0 || fds[i].revents != 0)) {
				judge(pids[i], &jobs[i], &r);
				close(fds[i].fd);
				fds[i].fd = -1;
				pids[i] = 0;
				left--;
			}
	}
	if (r == 0)
		*figure = page->figure;
	return r;
}

int bench_pair(
	double *figure, int (*writer_back)(void *, uint32_t), int (*reader_back)(void *, uint32_t), void *context)
{
	const struct job jobs[] = { { reader_back, 1, 1 }, { writer_back, 0, 0 } };

	return bench_run(figure, jobs, COUNT_OF(jobs), context);
}
