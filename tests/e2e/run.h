/* SPDX-License-Identifier: MIT */
#ifndef RUN_H
#define RUN_H

/* Runs the built camera-to-analyzer as a user would, and reads what it writes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>
#include <jansson.h>

#define VTEST "/usr/share/doc/opencv-doc/examples/data/vtest.avi"

/* A source that lasts, at the pace of a camera, and has an end. */
#define PACED(frames, fps)                                                                                             \
	"pipeline:videotestsrc pattern=ball num-buffers=" #frames                                                      \
	" ! video/x-raw,format=I420,width=320,height=240,framerate=" #fps "/1 ! identity sync=true"

/* It promises to end within a second, and takes 0.03 to 0.6. A busy test machine is given a second more. */
#define PROMPT_S 2

struct text {
	char *bytes;
	size_t size, room;
};

struct run {
	pid_t pid;
	int out, err; /* -1 after the end of file */
	struct text out_text, err_text;
	size_t parsed; /* bytes of out_text */
	bool no_json;  /* set it when stdout is for people */
	json_t *lines; /* array of all objects on stdout so far */
	size_t cursor; /* of run_next() */
	bool exited;
	int status;   /* as from waitpid */
	double end_s; /* seconds from begin (or from the last run_kill) to the exit */
	double begin_s;
};

double seconds(void); /* CLOCK_MONOTONIC */

/* Starts it with these arguments, NULL terminated; before runs in the new process, or is NULL. */
void run_begin_with(struct run *run, void (*before)(void), const char *const *args);
#define run_begin(run, ...) run_begin_with(run, NULL, (const char *const[]){ __VA_ARGS__, NULL })

/* The next line that it writes whose type is this (and whose name — "analyzer" or "process" — is this, unless NULL).
 * Borrowed. Fails the test when none comes within so many seconds. */
json_t *run_next(struct run *run, const char *type, const char *name, double within_s);

/* Reads what it writes for so long. */
void run_read(struct run *run, double for_s);

/* Sends a signal to it, and counts end_s from now. */
void run_kill(struct run *run, int sig);

/* How often this process, or source, came to this state so far. */
int run_transitions(const struct run *run, const char *process, const char *to);

/* The results of one analyzer so far as text, without what depends on time, and without this key, unless NULL. The
 * caller frees it. */
char *run_results(const struct run *run, const char *analyzer, const char *but);

/* Waits for its exit and checks that it took all its processes along. Returns the summary (borrowed), or NULL. */
json_t *run_end(struct run *run, double within_s);
void run_free(struct run *run);

/* Process of this run with this name (decoder, motion, …). Fails the test if there is none. */
pid_t run_child(const struct run *run, const char *name);

/* Number of processes of the run, itself not counted. */
int run_children(const struct run *run);

/* Whether this text stands in the arguments of any process of the run. */
bool run_shows(const struct run *run, const char *text);

int exit_code(const struct run *run); /* -1 if it was killed */
int count_lines(const char *text);
const char *text_of(const json_t *line, const char *key); /* "" if there is none */
double number_of(const json_t *line, const char *key);	  /* fails if there is none */
json_t *analyzer_in(json_t *summary, const char *name);

#endif
