/* SPDX-License-Identifier: MIT */
/* Each worker opens its resource once, does many jobs with it, and flushes and closes it once: when it is recycled
 * after so many jobs, when it is terminated from outside, and when the pool ends. A job that fails leaves the worker
 * and its resource as they are. The resource is a file for each process, written through a buffer, so that a line that
 * was not flushed would be missing. Usage: open-once DIRECTORY */
#include "deadline.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/pool.h>

/* --- backend ----------------------------------------------------------------------------------------------------- */

struct keeper_back {
	FILE *file;
};

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	struct keeper_back *own = state;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%d.txt", args, getpid());
	own->file = fopen(path, "we");
	if (own->file == NULL)
		return -errno;
	fputs("open\n", own->file);
	printf("%d open\n", getpid());
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct keeper_back *own = state;
	int number;

	if (message->type != WEIR_COMMAND_JOB || message->size != sizeof(number))
		return -ENOSYS;
	memcpy(&number, message->data, sizeof(number));
	printf("%d job %d\n", getpid(), number);
	fprintf(own->file, "job %d\n", number);
	return number == 5 ? -EDOM : 0;
}

static void leave_back(struct weir_back *back, void *state, int reason)
{
	struct keeper_back *own = state;

	fputs("close\n", own->file);
	fclose(own->file);
	printf("%d close\n", getpid());
}

static const struct weir_backend keeper = {
	.abi = WEIR_BACKEND_ABI,
	.name = "keeper",
	.state_bytes = sizeof(struct keeper_back),
	.enter = enter_back,
	.command = command_back,
	.leave = leave_back,
};

/* --- frontend ---------------------------------------------------------------------------------------------------- */

static int failures, last_pid;

static void on_ended(void *data, const struct weir_job_result *result)
{
	failures += result->status != 0;
	last_pid = weir_child_pid(result->worker);
}

static void on_event(void *data, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_OUTPUT)
		puts(event->text);
}

static int run_jobs(struct weir_pool *pool, int from, int count)
{
	struct weir_job_config jobs[64];
	int number[64];

	for (int i = 0; i < count; i++) {
		number[i] = from + i;
		jobs[i] = (struct weir_job_config){ .data = &number[i], .size = sizeof(number[i]) };
	}
	return weir_pool_map(pool, jobs, (size_t)count, NULL, in_ns(20 * SECOND_NS));
}

static int run(struct weir_frontend *frontend, const char *directory)
{
	struct weir_pool_config config = {
		.name = "keeper", .backend = "keeper", .args = directory, .workers = 2, .max_jobs = 6, .ended = on_ended
	};
	struct weir_pool *pool;
	int r = weir_pool_create(frontend, &pool, &config);

	if (r == 0)
		r = run_jobs(pool, 1, 20);
	if (r == 0 && last_pid > 0)
		kill(last_pid, SIGTERM); /* as an administrator might; another one takes its place */
	if (r == 0)
		r = run_jobs(pool, 21, 10);
	if (r == 0) {
		weir_pool_close(pool);
		r = weir_pool_join(pool, in_ns(20 * SECOND_NS));
	}
	return r;
}

int main(int argc, char **argv)
{
	static const struct weir_backend *const backends[] = { &keeper, NULL };
	int r = weir_init(&(struct weir_init_config){ .backends = backends });
	struct weir_frontend *frontend = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2) {
		fputs("usage: open-once DIRECTORY\n", stderr);
		return 2;
	}
	if (r == 0)
		r = weir_frontend_create(&frontend, &(struct weir_frontend_config){ .event = on_event });
	if (r == 0)
		r = run(frontend, argv[1]);
	weir_frontend_free(&frontend);
	if (r < 0)
		fprintf(stderr, "open-once: %s\n", strerror(-r));
	else
		printf("front: %d of 30 jobs failed\n", failures);
	return r < 0;
}
