/* SPDX-License-Identifier: MIT */
#include "threads.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

/* A thread that was joined is still counted for a moment: look again for so long before refusing. */
#define LAG_NS (5 * CLOCK_MS)

static bool is_single(void)
{
	struct stat task;

	/* Changes nothing: it succeeds if there is nobody to stop sharing with. Containers may answer EPERM. */
	if (unshare(CLONE_THREAD) == 0)
		return true;
	if (errno == EINVAL)
		return false;
	return stat("/proc/self/task", &task) == 0 && task.st_nlink == 3;
}

static void read_comm(char *comm, size_t size, const char *tid)
{
	char path[300];
	FILE *file;

	snprintf(comm, size, "%.20s", tid);
	snprintf(path, sizeof(path), "/proc/self/task/%s/comm", tid);
	file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fgets(comm, (int)size, file) != NULL)
		comm[strcspn(comm, "\n")] = '\0';
	fclose(file);
}

static void name_others(char *names, size_t size)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	size_t used = 0;

	names[0] = '\0';
	if (tasks == NULL)
		return;
	while ((task = readdir(tasks)) != NULL) {
		char comm[32];

		if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
			continue;
		read_comm(comm, sizeof(comm), task->d_name);
		used += (size_t)snprintf(names + used, size - used, "%s%s", used > 0 ? ", " : "", comm);
		if (used >= size)
			break;
	}
	closedir(tasks);
}

int threads_check_single(char *names, size_t size)
{
	int64_t deadline_ns = clock_ns() + LAG_NS;

	while (!is_single()) {
		if (clock_ns() >= deadline_ns) {
			name_others(names, size);
			return -EBUSY;
		}
		clock_sleep(CLOCK_MS / 5);
	}
	return 0;
}
