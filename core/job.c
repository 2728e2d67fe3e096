/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One job, lists of them, and finding those that have keys. */

const char *weir_job_end_name(enum weir_job_end end)
{
	static const char *const name[] = { "done", "late", "lost", "cancelled", "dropped" };

	return (size_t)end < sizeof(name) / sizeof(name[0]) ? name[end] : "?";
}

/* --- lists ------------------------------------------------------------------------------------------------------- */

void job_list_add(struct job_list *list, struct weir_job *job)
{
	job->next = NULL;
	job->previous = list->last;
	if (list->last != NULL)
		list->last->next = job;
	else
		list->first = job;
	list->last = job;
	list->count++;
}

void job_list_add_first(struct job_list *list, struct weir_job *job)
{
	job->previous = NULL;
	job->next = list->first;
	if (list->first != NULL)
		list->first->previous = job;
	else
		list->last = job;
	list->first = job;
	list->count++;
}

void job_list_remove(struct job_list *list, struct weir_job *job)
{
	if (job->previous != NULL)
		job->previous->next = job->next;
	else
		list->first = job->next;
	if (job->next != NULL)
		job->next->previous = job->previous;
	else
		list->last = job->previous;
	list->count--;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static uint32_t hash(const char *key)
{
	uint32_t value = 2166136261u; /* FNV-1a */

	for (; *key != '\0'; key++)
		value = (value ^ (unsigned char)*key) * 16777619u;
	return value;
}

struct weir_job *job_with_key(const struct jobs *jobs, const struct weir_job *like)
{
	struct weir_job *job;

	if (like->config.key == NULL || jobs->buckets == 0)
		return NULL;
	job = jobs->bucket[like->hash & (jobs->buckets - 1)];
	while (job != NULL && (job->hash != like->hash || strcmp(job->config.key, like->config.key) != 0))
		job = job->same;
	return job;
}

static void link_key(struct jobs *jobs, struct weir_job *job)
{
	struct weir_job **bucket = &jobs->bucket[job->hash & (jobs->buckets - 1)];

	job->same = *bucket;
	*bucket = job;
}

static int grow(struct jobs *jobs)
{
	struct weir_job **old = jobs->bucket;
	uint32_t old_buckets = jobs->buckets;
	uint32_t buckets = old_buckets > 0 ? 2 * old_buckets : 64;
	struct weir_job **made = calloc(buckets, sizeof(*made));

	if (made == NULL)
		return -ENOMEM;
	jobs->bucket = made;
	jobs->buckets = buckets;
	for (uint32_t i = 0; i < old_buckets; i++) {
		while (old[i] != NULL) {
			struct weir_job *job = old[i];

			old[i] = job->same;
			link_key(jobs, job);
		}
	}
	free(old);
	return 0;
}

int job_key_add(struct jobs *jobs, struct weir_job *job)
{
	if (job->config.key == NULL)
		return 0;
	if (jobs->keys == jobs->buckets && grow(jobs) < 0)
		return -ENOMEM;
	link_key(jobs, job);
	job->keyed = true;
	jobs->keys++;
	return 0;
}

void job_key_remove(struct jobs *jobs, struct weir_job *job)
{
	struct weir_job **at;

	if (!job->keyed)
		return;
	at = &jobs->bucket[job->hash & (jobs->buckets - 1)];
	while (*at != job)
		at = &(*at)->same;
	*at = job->same;
	job->keyed = false;
	jobs->keys--;
}

/* --- a job ------------------------------------------------------------------------------------------------------- */

static int64_t limit_or(int64_t own_ns, int64_t general_ns)
{
	return own_ns != 0 ? own_ns : general_ns;
}

int job_make(struct weir_job **job, const struct jobs *jobs, const struct weir_job_config *config)
{
	size_t key_bytes = config->key != NULL ? strlen(config->key) + 1 : 0;
	struct weir_job *made;

	if (config->size > WEIR_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	if (key_bytes > JOBS_KEY_BYTES ||
		(config->type != 0 && config->type < WEIR_MESSAGE_USER && config->type != WEIR_COMMAND_JOB))
		return -EINVAL;
	made = malloc(sizeof(*made) + key_bytes + config->size);
	if (made == NULL)
		return -ENOMEM;
	*made = (struct weir_job){ .config = *config, .worker = -1 };
	if (key_bytes > 0) {
		made->config.key = memcpy(made->bytes, config->key, key_bytes);
		made->hash = hash(config->key);
	}
	made->config.data = made->bytes + key_bytes;
	if (config->size > 0)
		memcpy(made->bytes + key_bytes, config->data, config->size);
	if (config->type == 0)
		made->config.type = WEIR_COMMAND_JOB;
	if (config->attempts == 0)
		made->config.attempts = jobs->config.attempts;
	if (config->retry == 0)
		made->config.retry = jobs->config.retry;
	made->config.soft_ns = limit_or(config->soft_ns, jobs->config.soft_ns);
	made->config.hard_ns = limit_or(config->hard_ns, jobs->config.hard_ns);
	*job = made;
	return 0;
}

void jobs_free_one(struct weir_job *job)
{
	free(job);
}
