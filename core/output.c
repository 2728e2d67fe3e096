/* SPDX-License-Identifier: MIT */
#include "frontend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/log.h>

#include "clock.h"

#define LINES_MAX 200 /* a second */
#define READS_MAX 16

static void pass_on(struct weir_child *child, const char *text)
{
	struct weir_event event = { .type = WEIR_EVENT_OUTPUT, .child = child, .text = text };

	if (child->frontend->config.event == NULL || child->frontend->muted)
		weir_log(WEIR_LOG_INFO, child->name, "%s", text);
	else
		frontend_emit(child->frontend, &event);
}

/* What a process says last is mostly why it dies. */
static void keep(struct output *output)
{
	if (output->tail == NULL)
		output->tail = calloc(OUTPUT_TAIL, CHILD_LINE_BYTES);
	if (output->tail == NULL)
		return;
	memcpy(output->tail + output->tail_end++ % OUTPUT_TAIL * CHILD_LINE_BYTES, output->line, CHILD_LINE_BYTES);
	if (output->tail_lines < OUTPUT_TAIL)
		output->tail_lines++;
}

static void say_cut(struct weir_child *child)
{
	char text[80];

	if (child->output.cut == 0)
		return;
	snprintf(text, sizeof(text), "(%" PRIu64 " lines more were cut: over %d a second)", child->output.cut,
		LINES_MAX);
	child->output.cut = 0;
	child->output.tail_lines = 0;
	pass_on(child, text);
}

/* At a death: those that were cut last are shown after all. */
static void say_last(struct weir_child *child)
{
	struct output *output = &child->output;
	uint32_t lines = output->tail_lines;

	output->cut -= lines < output->cut ? lines : output->cut;
	say_cut(child);
	for (uint64_t i = output->tail_end - lines; i < output->tail_end; i++)
		pass_on(child, output->tail + i % OUTPUT_TAIL * CHILD_LINE_BYTES);
	output->tail_lines = 0;
}

void output_finish(struct weir_child *child)
{
	free(child->output.tail);
	child->output.tail = NULL;
}

static bool window_is_over(struct weir_child *child)
{
	int64_t now_ns = clock_ns();

	if (now_ns - child->output.window_ns < CLOCK_S)
		return false;
	child->output.window_ns = now_ns;
	child->output.lines = 0;
	return true;
}

static void end_line(struct weir_child *child)
{
	struct output *output = &child->output;

	output->line[output->used] = '\0';
	output->used = 0;
	if (window_is_over(child))
		say_cut(child);
	if (output->lines >= LINES_MAX) {
		output->cut++;
		keep(output);
		frontend_want_tick(child->frontend);
		return;
	}
	output->lines++;
	pass_on(child, output->line);
}

static void take(struct weir_child *child, const char *bytes, size_t size)
{
	struct output *output = &child->output;

	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte == '\r')
			continue;
		if (byte == '\n') {
			end_line(child);
			continue;
		}
		/* It may end on a terminal: no control characters. */
		output->line[output->used++] = (byte < ' ' && byte != '\t') || byte == 0x7f ? '?' : (char)byte;
		if (output->used == sizeof(output->line) - 1)
			end_line(child);
	}
}

/* False: closed. */
static bool read_some(struct weir_child *child)
{
	char bytes[4096];

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t got = read(child->output_fd, bytes, sizeof(bytes));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN;
		if (got == 0)
			return false;
		take(child, bytes, (size_t)got);
	}
	loop_park(child->frontend->loop, &child->log);
	return true;
}

void output_readable(void *data)
{
	struct weir_child *child = data;

	if (!read_some(child))
		loop_remove(child->frontend->loop, &child->log);
}

void output_drain(struct weir_child *child)
{
	if (child->log.index != 0)
		read_some(child);
	if (child->output.used > 0)
		end_line(child);
	say_last(child);
}

void output_tick(struct weir_child *child)
{
	if (child->output.cut == 0)
		return;
	if (window_is_over(child))
		say_cut(child);
	else
		frontend_want_tick(child->frontend);
}
