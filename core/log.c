/* SPDX-License-Identifier: MIT */
#include <weir/log.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES 1024

static const char *const level_name[] = { "error", "warning", "info", "debug" };

static struct {
	_Atomic(weir_log_fn) fn;
	_Atomic(void *) data;
	atomic_int level;
} sink = { .level = WEIR_LOG_INFO };

void weir_log_set(weir_log_fn fn, void *data, int level)
{
	atomic_store(&sink.fn, NULL);
	atomic_store(&sink.data, data);
	atomic_store(&sink.level, level);
	atomic_store(&sink.fn, fn);
}

/* One write() for the whole line: lines of several threads and processes do not mix. */
static void write_line(int level, const char *module, const char *text)
{
	char line[TEXT_BYTES + 64];
	int size = snprintf(line, sizeof(line), "%s %s: %s\n", level_name[level], module, text);
	ssize_t written;

	if (size >= (int)sizeof(line))
		size = sizeof(line) - 1;
	do
		written = write(STDERR_FILENO, line, (size_t)size);
	while (written < 0 && errno == EINTR);
}

void weir_log(int level, const char *module, const char *format, ...)
{
	weir_log_fn fn = atomic_load(&sink.fn);
	int saved_errno = errno;
	char text[TEXT_BYTES];
	va_list args;

	if (level < WEIR_LOG_ERROR)
		level = WEIR_LOG_ERROR;
	if (level > WEIR_LOG_DEBUG)
		level = WEIR_LOG_DEBUG;
	if (level > atomic_load(&sink.level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *at = text; (at = strpbrk(at, "\r\n")) != NULL;)
		*at = ' ';
	if (fn != NULL)
		fn(atomic_load(&sink.data), level, module, text);
	else
		write_line(level, module, text);
	errno = saved_errno;
}
