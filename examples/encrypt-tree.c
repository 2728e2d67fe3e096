/* SPDX-License-Identifier: MIT */
/* Encrypts every file of a directory with AES-256-CBC, in a pool of processes.
 *
 *	encrypt-tree [--workers N] [--limit SECONDS] [--budget SECONDS] KEYFILE FROM TO
 *
 * KEYFILE holds the 32 bytes of the key; only the workers read it. FROM is a directory, of which each file is encrypted
 * to the same name under TO; or it is one file, and TO another one: then there is one job and no fork. A file begins
 * with its initialisation vector, drawn for it; the rest is what `openssl enc -aes-256-cbc -K KEY -iv IV` makes of it.
 *
 * --limit is for one file (default 60), --budget for all (default none). A file whose worker dies is tried again, up to
 * three times; a file appears in TO when it is complete. Exit status 0: all files are encrypted. */
#include "deadline.h"
#include "encrypt.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/pool.h>

static struct {
	struct weir_frontend *frontend;
	struct weir_pool *pool;
	const char *from, *to;
	int found, encrypted, failed;
} app;

static void on_ended(void *data, const struct weir_job_result *result)
{
	if (result->status == 0) {
		app.encrypted++;
		printf("%s: %s\n", weir_child_name(result->worker), result->key);
		return;
	}
	app.failed++;
	fprintf(stderr, "encrypt-tree: %s: %s\n", result->key,
		result->end == WEIR_JOB_DONE ? strerror(-result->status) : result->reason);
}

static void on_event(void *data, const struct weir_event *event)
{
	struct weir_pool_counters count;

	if (event->type == WEIR_EVENT_CHILD_STATE && event->to == WEIR_CHILD_BACKOFF)
		fprintf(stderr, "encrypt-tree: %s: %s\n", weir_child_name(event->child), event->reason);
	if (event->type == WEIR_EVENT_SIGNAL)
		weir_pool_stop(app.pool);
	if (event->type != WEIR_EVENT_TICK)
		return;
	weir_pool_counters(app.pool, &count);
	fprintf(stderr, "encrypt-tree: %d of %d files", app.encrypted, app.found);
	if (count.budget_left_ns < INT64_MAX)
		fprintf(stderr, ", %.0f s left", (double)count.budget_left_ns / 1e9);
	fputc('\n', stderr);
}

/* Called by nftw() for each file; waits while the queue is full. */
static int on_file(const char *path, const struct stat *stat, int type, struct FTW *place)
{
	char job[2 * PATH_MAX];
	const char *name = path + strlen(app.from);
	int r;

	if (type != FTW_F)
		return 0;
	name += strspn(name, "/");
	snprintf(job, sizeof(job), "%s\n%s/%s", path, app.to, name);
	app.found++;
	r = weir_pool_submit(app.pool, NULL,
		&(struct weir_job_config){ .data = job, .size = strlen(job) + 1, .key = name }, INT64_MAX);
	if (r == 0)
		return 0;
	app.failed++;
	fprintf(stderr, "encrypt-tree: %s: %s\n", name, strerror(-r));
	return r == -ESHUTDOWN || r == -ECHILD;
}

static int encrypt_tree(const char *key_file, struct weir_pool_config *config)
{
	int r = weir_frontend_create(
		&app.frontend, &(struct weir_frontend_config){ .event = on_event, .tick_ns = SECOND_NS });

	config->name = "encrypt";
	config->backend = encrypt_backend.name;
	config->args = key_file;
	config->attempts = 3;
	config->ended = on_ended;
	if (r == 0)
		r = weir_pool_create(app.frontend, &app.pool, config);
	if (r == 0 && nftw(app.from, on_file, 16, FTW_PHYS) < 0)
		r = -errno;
	if (r == 0) {
		weir_pool_close(app.pool);
		r = weir_pool_join(app.pool, INT64_MAX);
	}
	weir_frontend_free(&app.frontend);
	if (r == 0)
		printf("%d of %d files\n", app.encrypted, app.found);
	return r == 0 && app.failed > 0 ? -EIO : r;
}

static void keep_status(void *data, const struct weir_message *message)
{
	*(int *)data = message->status;
}

/* The same backend in this process. */
static int encrypt_one(const char *key_file)
{
	char job[2 * PATH_MAX];
	struct weir_back *back;
	int status = 0, r = weir_back_create_local(&back, &encrypt_backend, key_file, keep_status, &status);

	if (r < 0)
		return r;
	snprintf(job, sizeof(job), "%s\n%s", app.from, app.to);
	r = weir_back_local_command(back, WEIR_COMMAND_JOB, job, strlen(job) + 1);
	weir_back_local_free(&back);
	return r < 0 ? r : status;
}

static int parse(int argc, char **argv, struct weir_pool_config *config)
{
	static const struct option options[] = { { "workers", 1, NULL, 'w' }, { "limit", 1, NULL, 'l' },
		{ "budget", 1, NULL, 'b' }, { NULL, 0, NULL, 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'w': config->workers = (uint32_t)atoi(optarg); break;
		case 'l': config->hard_ns = (int64_t)(atof(optarg) * 1e9); break;
		case 'b': config->budget_ns = (int64_t)(atof(optarg) * 1e9); break;
		default: return -EINVAL;
		}
	}
	app.from = argv[optind + 1];
	app.to = argv[optind + 2];
	return argc - optind == 3 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	static const struct weir_backend *const backends[] = { &encrypt_backend, NULL };
	struct weir_pool_config config = { .workers = 4, .hard_ns = 60 * SECOND_NS };
	struct stat stat_of;
	int r = weir_init(&(struct weir_init_config){ .backends = backends });

	if (r < 0) {
		fprintf(stderr, "encrypt-tree: %s\n", weir_init_error());
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (parse(argc, argv, &config) < 0) {
		fputs("usage: encrypt-tree [--workers N] [--limit SECONDS] [--budget SECONDS] KEYFILE FROM TO\n",
			stderr);
		return 2;
	}
	if (stat(app.from, &stat_of) < 0)
		r = -errno;
	else
		r = S_ISDIR(stat_of.st_mode) ? encrypt_tree(argv[optind], &config) : encrypt_one(argv[optind]);
	if (r < 0)
		fprintf(stderr, "encrypt-tree: %s: %s\n", app.from, strerror(-r));
	return r < 0;
}
