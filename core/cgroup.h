/* SPDX-License-Identifier: MIT */
#ifndef CGROUP_H
#define CGROUP_H

/* Control groups for children: to kill all that descends from one, and to limit its memory. Version 2; for memory also
 * version 1, where the machine has that. Everything here does what it can: there is a weaker way for each of it. */

#include <stdbool.h>
#include <stdint.h>

/* Of a frontend: directories that hold those of its children. */
struct cgroups {
	int tree;   /* version 2; -1: none */
	int memory; /* version 1; -1: none */
	int tree_parent, memory_parent;
};

/* Of a child. */
struct cgroup {
	int tree, memory; /* as above */
	uint64_t kills_before;
};

#define CGROUP_NONE                                                                                                    \
	{                                                                                                              \
		-1, -1, 0                                                                                              \
	}
#define CGROUP_FDS_MAX 2

/* path: a directory of version 2; "": where this process is. -errno: nothing of it can be written. */
int cgroups_open(struct cgroups *all, const char *path);
void cgroups_close(struct cgroups *all);

/* Makes a child's. fds: by writing "0" to each of them the child enters it; the caller closes them. Returns how many.
 */
int cgroup_make(struct cgroup *cgroup, const struct cgroups *all, const char *name, uint64_t memory_bytes,
	int fds[CGROUP_FDS_MAX]);
/* Kills everyone in it, where it can. */
void cgroup_kill(const struct cgroup *cgroup);
/* Who is in it: the next one of them, or 0. *at is 0 for the first. */
int cgroup_next(const struct cgroup *cgroup, long *at);
/* True if the kernel killed someone in it for want of memory. */
bool cgroup_was_short(const struct cgroup *cgroup);
void cgroup_close(struct cgroup *cgroup);
/* Removes what is left of a child's: a group can go only when nobody is in it, not even a zombie. */
void cgroup_forget(const struct cgroups *all, const char *name);

#endif
