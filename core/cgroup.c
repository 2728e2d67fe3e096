/* SPDX-License-Identifier: MIT */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fds.h"

#define NAME_BYTES 96

/* --- files ------------------------------------------------------------------------------------------------------- */

static int write_text(int directory, const char *name, const char *text)
{
	int fd = openat(directory, name, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* The number behind a word at the start of a line; 0: there is none. */
static uint64_t read_field(int directory, const char *name, const char *word)
{
	size_t length = strlen(word);
	char text[1024], *line;
	uint64_t value = 0;
	ssize_t got;
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	for (line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL)
		if (strncmp(line, word, length) == 0 && line[length] == ' ')
			value = strtoull(line + length, NULL, 10);
	return value;
}

static int make_directory(int parent, const char *name)
{
	int fd;

	if (parent < 0 || (mkdirat(parent, name, 0755) < 0 && errno != EEXIST))
		return -1;
	fd = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

/* --- where we are ------------------------------------------------------------------------------------------------ */

/* The part of /proc/self/cgroup that belongs to version 2 (controller NULL) or to a controller of version 1. */
static bool own_path(const char *controller, char *path)
{
	char line[PATH_MAX], id[16], names[256];
	FILE *file = fopen("/proc/self/cgroup", "re");
	bool found = false;

	while (!found && file != NULL && fgets(line, sizeof(line), file) != NULL) {
		names[0] = '\0';
		if (sscanf(line, "%15[0-9]:%255[^:]:%4095[^\n]", id, names, path) == 3)
			found = controller != NULL && strcmp(names, controller) == 0;
		else
			found = controller == NULL && sscanf(line, "0::%4095[^\n]", path) == 1;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

/* Where a hierarchy is mounted. */
static bool find_mount(const char *controller, char *path)
{
	char line[PATH_MAX], options[512];
	FILE *file = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (!found && file != NULL && fgets(line, sizeof(line), file) != NULL) {
		const char *type = strstr(line, " - ");

		if (type == NULL || sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1)
			continue;
		if (controller == NULL)
			found = strncmp(type, " - cgroup2 ", 11) == 0;
		else
			found = sscanf(type, " - cgroup %*s %511s", options) == 1 &&
				strstr(options, controller) != NULL;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

static int open_own(const char *controller)
{
	char mount[PATH_MAX], path[PATH_MAX], all[2 * PATH_MAX];
	int fd;

	if (!find_mount(controller, mount) || !own_path(controller, path))
		return -1;
	snprintf(all, sizeof(all), "%s%s", mount, path);
	fd = open(all, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* In a container the mount may begin where we are. */
	return fd >= 0 ? fd : open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void fill_name(char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "weir-%d", getpid());
}

int cgroups_open(struct cgroups *all, const char *path)
{
	char name[NAME_BYTES];

	*all = (struct cgroups){ .tree = -1, .memory = -1, .tree_parent = -1, .memory_parent = -1 };
	fill_name(name);
	all->tree_parent = path[0] == '\0' ? open_own(NULL) : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	all->memory_parent = path[0] == '\0' ? open_own("memory") : -1;
	all->tree = make_directory(all->tree_parent, name);
	all->memory = make_directory(all->memory_parent, name);
	if (all->tree < 0 && all->memory < 0) {
		cgroups_close(all);
		return -EACCES;
	}
	/* It may be that only version 1 has the memory controller, or that it was not delegated: never mind. */
	if (all->tree >= 0) {
		write_text(all->tree_parent, "cgroup.subtree_control", "+memory");
		write_text(all->tree, "cgroup.subtree_control", "+memory");
	}
	return 0;
}

static void close_directory(int *fd, int parent, const char *name)
{
	if (*fd < 0)
		return;
	unlinkat(parent, name, AT_REMOVEDIR); /* works only when nobody is in it any more */
	fds_close(fd);
}

void cgroups_close(struct cgroups *all)
{
	char name[NAME_BYTES];

	fill_name(name);
	close_directory(&all->tree, all->tree_parent, name);
	close_directory(&all->memory, all->memory_parent, name);
	fds_close(&all->tree_parent);
	fds_close(&all->memory_parent);
}

/* --- a child's --------------------------------------------------------------------------------------------------- */

static void limit_memory(const struct cgroup *cgroup, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	if (cgroup->memory >= 0) {
		write_text(cgroup->memory, "memory.limit_in_bytes", text);
	} else {
		write_text(cgroup->tree, "memory.max", text);
		write_text(cgroup->tree, "memory.swap.max", "0");
		write_text(cgroup->tree, "memory.oom.group", "1");
	}
}

static uint64_t count_kills(const struct cgroup *cgroup)
{
	return cgroup->memory >= 0 ? read_field(cgroup->memory, "memory.oom_control", "oom_kill")
				   : read_field(cgroup->tree, "memory.events", "oom_kill");
}

static int add_entry(int directory, int *fds, int count)
{
	int fd = directory >= 0 ? openat(directory, "cgroup.procs", O_WRONLY | O_CLOEXEC) : -1;

	if (fd >= 0)
		fds[count++] = fd;
	return count;
}

int cgroup_make(struct cgroup *cgroup, const struct cgroups *all, const char *name, uint64_t memory_bytes,
	int fds[CGROUP_FDS_MAX])
{
	struct cgroup made = CGROUP_NONE;
	int count;

	made.tree = make_directory(all->tree, name);
	if (memory_bytes != 0)
		made.memory = make_directory(all->memory, name);
	if (memory_bytes != 0)
		limit_memory(&made, memory_bytes);
	made.kills_before = count_kills(&made);
	count = add_entry(made.tree, fds, 0);
	count = add_entry(made.memory, fds, count);
	*cgroup = made;
	return count;
}

void cgroup_kill(const struct cgroup *cgroup)
{
	if (cgroup->tree >= 0)
		write_text(cgroup->tree, "cgroup.kill", "1");
}

int cgroup_next(const struct cgroup *cgroup, long *at)
{
	int fd = cgroup->tree >= 0 ? openat(cgroup->tree, "cgroup.procs", O_RDONLY | O_CLOEXEC) : -1, pid = 0;
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

	for (long i = 0; file != NULL && i <= *at; i++)
		if (fscanf(file, "%d", &pid) != 1)
			pid = 0;
	if (file != NULL)
		fclose(file);
	else
		fds_close(&fd);
	*at += 1;
	return pid;
}

bool cgroup_was_short(const struct cgroup *cgroup)
{
	return count_kills(cgroup) > cgroup->kills_before;
}

void cgroup_close(struct cgroup *cgroup)
{
	fds_close(&cgroup->tree);
	fds_close(&cgroup->memory);
}

void cgroup_forget(const struct cgroups *all, const char *name)
{
	if (all->tree >= 0)
		unlinkat(all->tree, name, AT_REMOVEDIR);
	if (all->memory >= 0)
		unlinkat(all->memory, name, AT_REMOVEDIR);
}
