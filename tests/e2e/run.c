/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* In a session of its own, by which its processes are found after it has died. */
static void exec_example(const char *const *args)
{
	char path[4096];
	const char *argv[64] = { path };

	for (int i = 0; i < 62 && args[i] != NULL; i++)
		argv[i + 1] = args[i];
	snprintf(path, sizeof(path), "%s/examples/camera-to-analyzer", getenv("WEIR_BUILD"));
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(path, (char *const *)argv);
	fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

void run_begin_with(struct run *run, void (*before)(void), const char *const *args)
{
	int out[2], err[2];

	*run = (struct run){ .lines = json_array(), .begin_s = seconds() };
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	run->pid = fork();
	assert_true(run->pid >= 0);
	if (run->pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		if (before != NULL)
			before();
		exec_example(args);
	}
	close(out[1]);
	close(err[1]);
	run->out = out[0];
	run->err = err[0];
}

static void append(struct text *text, int *fd)
{
	ssize_t got;

	if (text->room - text->size < 65536) {
		text->room = text->room * 2 + 131072;
		text->bytes = realloc(text->bytes, text->room);
	}
	got = read(*fd, text->bytes + text->size, text->room - text->size - 1);
	if (got <= 0) {
		close(*fd);
		*fd = -1;
		got = 0;
	}
	text->size += (size_t)got;
	text->bytes[text->size] = '\0';
}

static void parse(struct run *run)
{
	char *end;

	while (!run->no_json && run->out_text.bytes != NULL &&
		(end = memchr(run->out_text.bytes + run->parsed, '\n', run->out_text.size - run->parsed)) != NULL) {
		const char *line = run->out_text.bytes + run->parsed;
		json_error_t error;
		json_t *json = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, &error);

		if (json == NULL)
			fail_msg("no JSON on stdout (%s): %.*s", error.text, (int)(end - line), line);
		json_array_append_new(run->lines, json);
		run->parsed = (size_t)(end + 1 - run->out_text.bytes);
	}
}

/* False: nothing more will come. */
static bool read_once(struct run *run, double wait_s)
{
	struct pollfd fds[2] = { { .fd = run->out, .events = POLLIN }, { .fd = run->err, .events = POLLIN } };

	if (run->out < 0 && run->err < 0)
		return false;
	(void)poll(fds, 2, wait_s > 0 ? (int)(wait_s * 1000) + 1 : 0);
	if (fds[0].revents != 0)
		append(&run->out_text, &run->out);
	if (fds[1].revents != 0)
		append(&run->err_text, &run->err);
	parse(run);
	return true;
}

void run_read(struct run *run, double for_s)
{
	const double until = seconds() + for_s;

	while (seconds() < until && read_once(run, until - seconds()))
		;
}

json_t *run_next(struct run *run, const char *type, const char *name, double within_s)
{
	const double until = seconds() + within_s;

	for (;;) {
		while (run->cursor < json_array_size(run->lines)) {
			json_t *line = json_array_get(run->lines, run->cursor++);

			if (strcmp(text_of(line, "type"), type) == 0 &&
				(name == NULL || strcmp(text_of(line, "analyzer"), name) == 0 ||
					strcmp(text_of(line, "process"), name) == 0))
				return line;
		}
		if (seconds() >= until || !read_once(run, until - seconds()))
			fail_msg("no line %s of %s within %.1f s; stderr:\n%s", type, name != NULL ? name : "any",
				within_s, run->err_text.bytes != NULL ? run->err_text.bytes : "");
	}
}

int run_transitions(const struct run *run, const char *process, const char *to)
{
	json_t *line;
	size_t i;
	int count = 0;

	json_array_foreach(run->lines, i, line) count +=
		strcmp(text_of(line, "process"), process) == 0 && strcmp(text_of(line, "to"), to) == 0;
	return count;
}

char *run_results(const struct run *run, const char *analyzer, const char *but)
{
	json_t *all = json_array(), *line;
	char *text;
	size_t i;

	json_array_foreach(run->lines, i, line)
	{
		if (strcmp(text_of(line, "analyzer"), analyzer) != 0)
			continue;
		line = json_copy(line);
		json_object_del(line, "age_ms");
		if (but != NULL)
			json_object_del(line, but);
		json_array_append_new(all, line);
	}
	text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	return text;
}

void run_kill(struct run *run, int sig)
{
	run->begin_s = seconds();
	assert_int_equal(kill(run->pid, sig), 0);
}

/* The session that a process belongs to; 0: there is no such process. */
static pid_t session_of(const char *pid)
{
	char path[320], line[512] = "", *end;
	FILE *file;
	int session = 0;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	/* pid (name) state ppid pgrp session; a name may hold spaces and brackets. A zombie is gone. */
	if (fgets(line, sizeof(line), file) == NULL || (end = strrchr(line, ')')) == NULL || end[2] == 'Z' ||
		sscanf(end + 3, "%*d %*d %d", &session) != 1)
		session = 0;
	fclose(file);
	return session;
}

/* Counts the processes of the run's session, but the first, that fn (or NULL) agrees to. */
static int each_process(const struct run *run, bool (*fn)(pid_t pid, const void *data), const void *data, pid_t *found)
{
	struct dirent *entry;
	int count = 0;
	DIR *proc = opendir("/proc");

	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		const pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid <= 0 || pid == run->pid || session_of(entry->d_name) != run->pid ||
			(fn != NULL && !fn(pid, data)))
			continue;
		count++;
		if (found != NULL)
			*found = pid;
	}
	if (proc != NULL)
		closedir(proc);
	return count;
}

int run_children(const struct run *run)
{
	return each_process(run, NULL, NULL, NULL);
}

static bool has_name(pid_t pid, const void *name)
{
	char path[64], comm[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "r");
	if (file != NULL) {
		if (fgets(comm, sizeof(comm), file) == NULL)
			comm[0] = '\0';
		fclose(file);
	}
	comm[strcspn(comm, "\n")] = '\0';
	return strstr(comm, name) != NULL;
}

pid_t run_child(const struct run *run, const char *name)
{
	pid_t pid = 0;

	if (each_process(run, has_name, name, &pid) != 1)
		fail_msg("not exactly one process is called %s", name);
	return pid;
}

static bool has_argument(pid_t pid, const void *text)
{
	char path[64], bytes[16384];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : 0;
	if (fd >= 0)
		close(fd);
	return size > 0 && memmem(bytes, (size_t)size, text, strlen(text)) != NULL;
}

bool run_shows(const struct run *run, const char *text)
{
	return has_argument(run->pid, text) || each_process(run, has_argument, text, NULL) > 0;
}

json_t *run_end(struct run *run, double within_s)
{
	const double until = seconds() + within_s;
	json_t *last;

	while (read_once(run, until - seconds()) && seconds() < until)
		;
	while (!run->exited && seconds() < until + 0.1) {
		run->exited = waitpid(run->pid, &run->status, WNOHANG) == run->pid;
		if (!run->exited)
			usleep(5000);
	}
	if (!run->exited)
		fail_msg("it has not ended within %.1f s; stderr:\n%s", within_s, run->err_text.bytes);
	run->end_s = seconds() - run->begin_s;
	for (int i = 0; run_children(run) > 0; i++) {
		if (i == 100)
			fail_msg("%d of its processes live on", run_children(run));
		usleep(10000);
	}
	/* What a process of a sanitizer build found goes to its stderr, and from there to ours. */
	if (run->err_text.bytes != NULL && (strstr(run->err_text.bytes, "Sanitizer") != NULL ||
						   strstr(run->err_text.bytes, "runtime error:") != NULL))
		fail_msg("%s", run->err_text.bytes);
	last = json_array_get(run->lines, json_array_size(run->lines) - 1);
	return strcmp(text_of(last, "type"), "summary") == 0 ? last : NULL;
}

void run_free(struct run *run)
{
	if (!run->exited) {
		kill(run->pid, SIGKILL);
		waitpid(run->pid, NULL, 0);
	}
	if (run->out >= 0)
		close(run->out);
	if (run->err >= 0)
		close(run->err);
	json_decref(run->lines);
	free(run->out_text.bytes);
	free(run->err_text.bytes);
	*run = (struct run){ .out = -1, .err = -1, .exited = true };
}

int exit_code(const struct run *run)
{
	return run->exited && WIFEXITED(run->status) ? WEXITSTATUS(run->status) : -1;
}

int count_lines(const char *text)
{
	int count = 0;

	for (; text != NULL && *text != '\0'; text++)
		count += *text == '\n';
	return count;
}

const char *text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text != NULL ? text : "";
}

double number_of(const json_t *line, const char *key)
{
	json_t *value = json_object_get(line, key);

	if (!json_is_number(value))
		fail_msg("no number %s", key);
	return json_number_value(value);
}

json_t *analyzer_in(json_t *summary, const char *name)
{
	json_t *analyzer;
	size_t i;

	json_array_foreach(json_object_get(summary, "analyzers"), i,
		analyzer) if (strcmp(text_of(analyzer, "name"), name) == 0) return analyzer;
	fail_msg("no analyzer %s in the summary", name);
	return NULL;
}
