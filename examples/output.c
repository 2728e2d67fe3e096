/* SPDX-License-Identifier: MIT */
#include "output.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAITING_MAX (64u << 20)
#define SLICE_MS    50

int output_open(struct output *output, const char *path)
{
	const bool file = strcmp(path, "-") != 0;

	*output = (struct output){ .fd = STDOUT_FILENO, .close = file, .terminal = isatty(STDERR_FILENO) };
	if (file)
		output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return output->fd >= 0 ? 0 : -errno;
}

/* A pipe that polls as writable takes PIPE_BUF bytes without blocking. False: it takes none now, or never again. */
static bool write_some(struct output *output, int wait_ms)
{
	struct pollfd poll_fd = { .fd = output->fd, .events = POLLOUT };
	const size_t waiting = output->size - output->done;
	ssize_t written;

	if (poll(&poll_fd, 1, wait_ms) <= 0)
		return false;
	written = write(output->fd, output->bytes + output->done, waiting < PIPE_BUF ? waiting : PIPE_BUF);
	if (written < 0) {
		output->error = errno == EINTR || errno == EAGAIN ? 0 : -errno;
		return output->error == 0;
	}
	output->done += (size_t)written;
	if (output->done == output->size)
		output->done = output->size = 0;
	return true;
}

void output_begin(void)
{
	sigset_t set;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
			_exit(1);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int64_t output_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool signal_pending(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) || sigismember(&pending, SIGHUP));
}

void output_flush(struct output *output, int64_t wait_ms)
{
	while (output->size > 0 && output->error == 0) {
		if (write_some(output, wait_ms > 0 ? SLICE_MS : 0))
			continue;
		if (wait_ms <= 0 || signal_pending())
			return;
		wait_ms -= SLICE_MS;
	}
}

static bool make_room(struct output *output, size_t more)
{
	size_t room = output->room > 0 ? output->room : 65536;
	char *bytes;

	if (output->size + more > output->room && output->done > 0) {
		output->size -= output->done;
		memmove(output->bytes, output->bytes + output->done, output->size);
		output->done = 0;
	}
	while (room < output->size + more)
		room *= 2;
	if (room == output->room)
		return true;
	bytes = room <= WAITING_MAX ? realloc(output->bytes, room) : NULL;
	if (bytes == NULL)
		return false;
	output->bytes = bytes;
	output->room = room;
	return true;
}

static void clear_status(struct output *output)
{
	if (output->status_shown)
		fputs("\r\033[K", stderr);
	output->status_shown = false;
}

void output_line(struct output *output, const char *line)
{
	const size_t length = strlen(line);

	if (output->error < 0 || !make_room(output, length + 1)) {
		output->lost++;
		return;
	}
	memcpy(output->bytes + output->size, line, length);
	output->bytes[output->size + length] = '\n';
	output->size += length + 1;
	if (isatty(output->fd))
		clear_status(output);
	output_flush(output, 0);
}

void output_close(struct output *output)
{
	if (output->close && output->fd >= 0)
		(void)close(output->fd);
	clear_status(output);
	free(output->bytes);
	*output = (struct output){ .fd = -1 };
}

void output_say(struct output *output, const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	options_mask(text);
	clear_status(output);
	fprintf(stderr, "%s\n", text);
}

void output_status(struct output *output, const char *text)
{
	if (!output->terminal) {
		fprintf(stderr, "%s\n", text);
		return;
	}
	fprintf(stderr, "\r\033[K%s", text);
	output->status_shown = true;
}
