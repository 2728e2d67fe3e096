/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LAUNCH_H
#define WEIR_LAUNCH_H

/* Launch and forget: a command line or a function in a process of its own, with a time limit. The program neither waits
 * for it nor has anything to free; the frontend reaps it. What it prints comes line by line as WEIR_EVENT_OUTPUT, with
 * its child, whose name is the launch's. Threads and rules as in weir/frontend.h.
 *
 *     const char *const argv[] = { "ffprobe", "-v", "error", path, NULL };
 *     weir_launch(frontend, &(struct weir_launch_config){ .name = "probe", .argv = argv, .limit_ns = 5 * SECOND });
 */

#include <weir/frontend.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_launch_result {
	const char *name;
	void *user;
	bool success;  /* a command: it exited with code 0, in time. A function: status is 0, and so did its process */
	bool late;     /* it was ended because its time was up */
	int status;    /* of a function: what it returned or replied; else 0 */
	int exit_code; /* -1: it was killed, or could not be started */
	int signal_number;  /* that killed it, or 0 */
	const char *reason; /* for people: "exit status 3", "killed by SIGSEGV", "over its limit of 5 s", … */
};

struct weir_launch_config {
	const char *name; /* required; up to 63 bytes */

	/* Either a command line: the program, which is looked for in PATH unless there is a slash in it, and its
	 * arguments, NULL terminated; together up to 32 KB. No shell. It gets the directory and the environment that
	 * this program had at weir_init(), /dev/null as its input, default signals, and dies with this program. */
	const char *const *argv;

	/* Or a function: a backend of this program or a plugin (weir/backend.h). After enter(args) its command() gets
	 * WEIR_COMMAND_JOB with this data, then leave() follows, and the process ends. */
	const char *backend;
	const char *args;
	const void *data; /* copied */
	size_t size;

	int64_t limit_ns; /* from now until the end of its process; default 60 s, INT64_MAX: none. Then SIGTERM */
	int64_t term_ns;  /* and after so long SIGKILL to its whole group; default 200 ms */

	void (*ended)(void *data, const struct weir_launch_result *result); /* or NULL; from a dispatch */
	void *user;
};

/* Does not wait: the next dispatch starts it. -EINVAL: config; -E2BIG: argv; -EMSGSIZE: data; -ENOMEM. All that happens
 * later, a program that does not exist too, is told to ended(), once. A frontend that is freed ends what was launched,
 * and tells nobody. */
int weir_launch(struct weir_frontend *frontend, const struct weir_launch_config *config);

#ifdef __cplusplus
}
#endif
#endif
