/* SPDX-License-Identifier: MIT */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNNERS_MAX 8

extern char **environ;

static pid_t running[RUNNERS_MAX]; /* 0: none */

static void swap(pid_t old, pid_t new)
{
	int i = 0;

	while (i < RUNNERS_MAX && running[i] != old)
		i++;
	assert_true(i < RUNNERS_MAX);
	running[i] = new;
}

int runner_clean_up(void **state)
{
	for (int i = 0; i < RUNNERS_MAX; i++)
		if (running[i] != 0) {
			kill(running[i], SIGKILL);
			waitpid(running[i], NULL, 0);
			running[i] = 0;
		}
	return 0;
}

int64_t runner_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void runner_sleep_ms(int64_t ms)
{
	poll(NULL, 0, (int)ms);
}

void runner_start(struct runner *runner, const char *prefix, const char *format, ...)
{
	char pipeline[1024], command[2048], number[16];
	char *argv[] = { (char *)"sh", (char *)"-c", command, (char *)"sh", number, pipeline, NULL };
	int fd = memfd_create("counters", 0); /* not CLOEXEC: it is the runner's */
	va_list list;

	va_start(list, format);
	vsnprintf(pipeline, sizeof(pipeline), format, list);
	va_end(list);
	snprintf(command, sizeof(command), "%s \"$WEIR_BUILD\"/tests/gst/gst_runner \"$@\"",
		prefix != NULL ? prefix : "exec");
	snprintf(number, sizeof(number), "%d", fd);
	assert_true(fd >= 0 && ftruncate(fd, sizeof(struct runner_counters)) == 0);
	runner->counters = mmap(NULL, sizeof(struct runner_counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(runner->counters != MAP_FAILED);
	assert_int_equal(posix_spawnp(&runner->pid, "sh", NULL, NULL, argv, environ), 0);
	swap(0, runner->pid);
	close(fd);
	if (getenv("RUNNER_VERBOSE") != NULL)
		fprintf(stderr, "# %d: %s\n", (int)runner->pid, pipeline);
}

/* Waits for its end, at most 20 s. */
static int reap(struct runner *runner)
{
	int64_t end_ns = runner_now_ns() + 20000000000;
	pid_t reaped = 0;
	int status = 0;

	while ((reaped = waitpid(runner->pid, &status, WNOHANG)) == 0 && runner_now_ns() < end_ns)
		runner_sleep_ms(2);
	if (reaped == 0)
		fail_msg("a pipeline did not end within 20 s");
	swap(runner->pid, 0);
	runner->pid = 0;
	return status;
}

static void assert_ended_well(struct runner *runner)
{
	int status = reap(runner);

	if (status != 0 || runner->counters->failed)
		fail_msg("a pipeline ended with status %x: %s", status, runner->counters->error);
	assert_true(runner->counters->stop_ns > 0);
	assert_true(runner->counters->stop_ns < 1000000000);
	munmap(runner->counters, sizeof(*runner->counters));
	runner->counters = NULL;
}

void runner_stop(struct runner *runner)
{
	kill(runner->pid, SIGINT);
	assert_ended_well(runner);
}

void runner_join(struct runner *runner)
{
	assert_ended_well(runner);
}

void runner_kill(struct runner *runner)
{
	kill(runner->pid, SIGKILL);
	reap(runner);
	munmap(runner->counters, sizeof(*runner->counters));
	runner->counters = NULL;
}
