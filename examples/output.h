/* SPDX-License-Identifier: MIT */
#ifndef OUTPUT_H
#define OUTPUT_H

/* Where results and messages go. Results are lines in a file or pipe; a reader that is slow or stopped must not stop
 * the program, which has processes to supervise: lines wait in memory (64 MiB), what exceeds that is dropped and
 * counted. Nothing here is about Weir. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output {
	int fd; /* of the results */
	bool close, terminal, status_shown;
	char *bytes;
	size_t done, size, room; /* bytes: written, added, and allocated */
	uint64_t lost;		 /* lines */
	int error;		 /* -errno of the first write that failed */
};

/* First of all in main(): descriptors 0 to 2 exist, so that nothing else gets their numbers (a closed stdout stays one
 * that cannot be written), and SIGINT, SIGTERM and SIGHUP wait until somebody asks for them. */
void output_begin(void);

int64_t output_now_ns(void); /* CLOCK_MONOTONIC */

/* path: "-" or a file, which is replaced. 0 or -errno. */
int output_open(struct output *output, const char *path);

/* Adds a line, without its newline, and writes what can be written without waiting. */
void output_line(struct output *output, const char *line);

/* Writes what waits, for at most so long or until a signal is pending. */
void output_flush(struct output *output, int64_t wait_ms);
void output_close(struct output *output);

/* A line for people on stderr, without credentials. */
void output_say(struct output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The status: on a terminal a line that is overwritten by the next, else a line as any other. */
void output_status(struct output *output, const char *text);

#endif
