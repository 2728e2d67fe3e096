/* SPDX-License-Identifier: MIT */
#ifndef HOLDINGS_H
#define HOLDINGS_H

/* What this process and this machine hold, and what must therefore not grow. */

#include "unit/unit.h"

#include <dirent.h>
#include <unistd.h>

static inline int count_entries(const char *path, const char *prefix)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL)
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(directory);
	return count;
}

static inline int count_fds(void)
{
	return count_entries("/proc/self/fd", "");
}

static inline int count_shm_names(void)
{
	return count_entries("/dev/shm", "weir");
}

static inline int count_children(void)
{
	char path[64];
	FILE *file;
	int count = 0, pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	assert_non_null(file);
	while (fscanf(file, "%d", &pid) == 1)
		count++;
	fclose(file);
	return count;
}

/* Of memory that is shared: the heap of a sanitizer is not our business. */
static inline int count_maps(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[1024];
	int count = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, "rw-s") != NULL || strstr(line, "r--s") != NULL;
	fclose(file);
	return count;
}

/* Resident memory. A sanitizer keeps what was freed. */
static inline long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

struct holdings {
	int fds, maps, children;
};

static inline struct holdings hold(void)
{
	return (struct holdings){ .fds = count_fds(), .maps = count_maps(), .children = count_children() };
}

/* `after` is what happened in between, for the message. */
static inline void assert_same(const struct holdings *before, const char *after)
{
	struct holdings now = hold();

	if (now.fds != before->fds || now.maps != before->maps || now.children != before->children)
		fail_msg("%s: %d descriptors, %d mappings, %d children; before %d, %d, %d", after, now.fds, now.maps,
			now.children, before->fds, before->maps, before->children);
}

#endif
