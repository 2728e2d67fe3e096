/* SPDX-License-Identifier: MIT */
#include "test_backends.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define EVENTS_FD 4 /* as child.c has it */

struct obedient {
	int flood;
};

static int enter_obedient_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static void sleep_for_ever_back(void)
{
	for (;;)
		pause();
}

static int count_fds_back(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int count = -3; /* ., .. and the directory itself */

	while (readdir(fds) != NULL)
		count++;
	closedir(fds);
	return count;
}

static int read_number_back(const char *path)
{
	FILE *file = fopen(path, "re");
	int number = -1;

	if (file == NULL)
		return -1;
	if (fscanf(file, "%d", &number) != 1)
		number = -1;
	fclose(file);
	return number;
}

/* How often sched_getcpu() errs about where we are. */
static int count_wrong_cpus_back(void)
{
	cpu_set_t all, one;
	int wrong = 0;

	sched_getaffinity(0, sizeof(all), &all);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) == 0)
			wrong += sched_getcpu() != cpu;
	}
	sched_setaffinity(0, sizeof(all), &all);
	return wrong;
}

static int tell_facts_back(struct weir_back *back, const struct weir_message *message)
{
	struct facts facts = { .pid = getpid(), .parent = getppid(), .group = getpgrp() };
	struct rlimit limit;
	sigset_t mask;
	ssize_t got;
	int fd;

	facts.fds = count_fds_back();
	facts.wrong_cpus = count_wrong_cpus_back();
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int i = 1; i < NSIG; i++)
		facts.blocked += sigismember(&mask, i) == 1;
	getrlimit(RLIMIT_CORE, &limit);
	facts.core_limit = (int)limit.rlim_max;
	getrlimit(RLIMIT_AS, &limit);
	facts.address_limit = limit.rlim_cur;
	getrlimit(RLIMIT_FSIZE, &limit);
	facts.file_limit = limit.rlim_cur;
	getrlimit(RLIMIT_CPU, &limit);
	facts.cpu_limit = limit.rlim_cur;
	getrlimit(RLIMIT_NOFILE, &limit);
	facts.files_limit = limit.rlim_cur;
	facts.oom_score_adj = read_number_back("/proc/self/oom_score_adj");
	prctl(PR_GET_NAME, facts.comm, 0, 0, 0);
	facts.libc = (uintptr_t)dlsym(RTLD_DEFAULT, "getpid");
	facts.stack = (uintptr_t)&facts;
	memcpy(facts.cookie, (const void *)(uintptr_t)getauxval(AT_RANDOM), sizeof(facts.cookie));
	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	got = read(fd, facts.cmdline, sizeof(facts.cmdline) - 1);
	facts.cmdline[got > 0 ? got : 0] = '\0';
	close(fd);
	return weir_back_reply(back, message, 0, &facts, sizeof(facts));
}

static int fork_back(struct weir_back *back, const struct weir_message *message)
{
	int pid = fork();

	if (pid == 0)
		sleep_for_ever_back();
	return weir_back_reply(back, message, 0, &pid, sizeof(pid));
}

/* In the grandchild: tells its pid and that of its child. */
static void escape_back(int how, int told)
{
	int pids[2];

	if (how == ESCAPE_DAEMON && fork() != 0)
		_exit(0);
	setsid();
	pids[0] = getpid();
	pids[1] = fork();
	if (pids[1] == 0)
		setsid();
	else if (write(told, pids, sizeof(pids)) < 0)
		_exit(1);
	if (how == ESCAPE_EXEC)
		execl("/bin/sleep", "sleep", "1000", NULL);
	sleep_for_ever_back();
}

static int let_escape_back(struct weir_back *back, const struct weir_message *message, int how)
{
	int told[2], pids[2] = { 0 };

	if (pipe(told) < 0)
		return -errno;
	if (fork() == 0)
		escape_back(how, told[1]);
	if (read(told[0], pids, sizeof(pids)) != sizeof(pids))
		return -EIO;
	close(told[0]);
	close(told[1]);
	return weir_back_reply(back, message, 0, pids, sizeof(pids));
}

static void print_back(int lines)
{
	for (int i = 0; i < lines; i++)
		printf("line %d\n", i);
}

static void spin_back(void)
{
	for (volatile int i = 0;; i = i + 1)
		;
}

static void block_back(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	spin_back();
}

static void deadlock_back(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	pthread_mutex_lock(&lock);
}

static void toil_back(struct weir_back *back, int ms)
{
	for (int i = 0; i < ms; i++) {
		usleep(1000);
		weir_back_beat(back);
	}
}

static int allocate_back(int mib)
{
	static char *volatile memory; /* volatile: or the compiler does without */

	memory = malloc((size_t)mib << 20);
	if (memory == NULL)
		return -ENOMEM;
	memset(memory, 1, (size_t)mib << 20);
	return 0;
}

static int overwrite_back(void)
{
	static const char data[1 << 20];
	int fd = memfd_create("overwrite", MFD_CLOEXEC), status = 0;

	if (write(fd, data, sizeof(data)) != (ssize_t)sizeof(data) || write(fd, data, 1) != 1)
		status = -errno;
	close(fd);
	return status;
}

static int forge_back(uint32_t type)
{
	/* As message.h has it: magic, version, type, id, status, size. */
	uint32_t forged[6] = { 0x47534d57u, 1, type, 0, 0, 0 };

	return write(EVENTS_FD, forged, sizeof(forged)) == sizeof(forged) ? 0 : -errno;
}

/* turned: each byte of the text with its lowest bit the other way round, so that asking is no answer. */
static bool is_in_back(const char *bytes, size_t size, const char *turned, size_t length)
{
	for (size_t at = 0; at + length <= size; at++) {
		size_t same = 0;

		while (same < length && bytes[at + same] == (turned[same] ^ 1))
			same++;
		if (same == length)
			return true;
	}
	return false;
}

static int recall_back(const char *turned, size_t length)
{
	static char bytes[65536];
	FILE *maps = fopen("/proc/self/maps", "re");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), status = maps != NULL && memory >= 0 ? 0 : -EIO;
	unsigned long begin, end;
	char line[512], mode[8];

	while (status == 0 && fgets(line, sizeof(line), maps) != NULL) {
		/* What is larger are the shadows of a sanitizer. */
		if (sscanf(line, "%lx-%lx %7s", &begin, &end, mode) != 3 || mode[1] != 'w' || end - begin > 64 << 20)
			continue;
		for (; status == 0 && begin < end; begin += sizeof(bytes) - length) {
			ssize_t got = pread(memory, bytes, sizeof(bytes), (off_t)begin);

			if (got > 0 && is_in_back(bytes, (size_t)got, turned, length))
				status = -EEXIST;
		}
	}
	fclose(maps);
	close(memory);
	return status;
}

static int command_obedient_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct obedient *own = state;
	int value = 0;

	if (message->size >= sizeof(value))
		memcpy(&value, message->data, sizeof(value));
	switch (message->type) {
	case ORDER_ECHO: return weir_back_reply(back, message, 0, message->data, message->size);
	case ORDER_STATUS: return value;
	case ORDER_SIGNAL:
		signal(value, SIG_DFL); /* a sanitizer's handler would exit instead */
		return raise(value);
	case ORDER_EXIT: _exit(value);
	case ORDER_LEAVE: weir_back_exit(back, value); return 0;
	case ORDER_SLEEP: sleep_for_ever_back(); return 0;
	case ORDER_SPIN: spin_back(); return 0;
	case ORDER_DEAF:
		signal(SIGTERM, SIG_IGN);
		weir_back_reply(back, message, 0, NULL, 0);
		sleep_for_ever_back();
		return 0;
	case ORDER_GARBAGE: return write(EVENTS_FD, "this is not a message, is it?", 29) < 0;
	case ORDER_FORGE: return forge_back((uint32_t)value);
	case ORDER_EVENT: return weir_back_event(back, (uint32_t)value, NULL, 0);
	case ORDER_PRINT: print_back(value); return 0;
	case ORDER_FORK: return fork_back(back, message);
	case ORDER_ESCAPE: return let_escape_back(back, message, value);
	case ORDER_FLOOD: own->flood = value; return 0;
	case ORDER_CLOSE:
		close(EVENTS_FD);
		sleep_for_ever_back();
		return 0;
	case ORDER_FACTS: return tell_facts_back(back, message);
	case ORDER_DEADLOCK: deadlock_back(); return 0;
	case ORDER_BLOCK: block_back(); return 0;
	case ORDER_TOIL: toil_back(back, value); return 0;
	case ORDER_WORK: weir_back_work(back, value != 0); return 0;
	case ORDER_POSITION: weir_back_set_position(back, (uint64_t)value); return 0;
	case ORDER_IS_POISON: return weir_back_is_poison(back, (uint64_t)value) ? -EBADMSG : 0;
	case ORDER_ALLOCATE: return allocate_back(value);
	case ORDER_OVERWRITE: return overwrite_back();
	case ORDER_RECALL: return recall_back(message->data, message->size);
	default: return -ENOSYS;
	}
}

static int tick_obedient_back(struct weir_back *back, void *state, int64_t now_ns)
{
	struct obedient *own = state;

	for (int i = 0; i < own->flood; i++)
		weir_back_event(back, EVENT_FLOOD, &i, sizeof(i));
	return 0;
}

static void leave_obedient_back(struct weir_back *back, void *state, int reason)
{
	weir_back_event(back, EVENT_LEFT, &reason, sizeof(reason));
}

static const struct weir_backend obedient = {
	.abi = WEIR_BACKEND_ABI,
	.name = "obedient",
	.state_bytes = sizeof(struct obedient),
	.enter = enter_obedient_back,
	.command = command_obedient_back,
	.tick = tick_obedient_back,
	.leave = leave_obedient_back,
};

/* Fails with the errno in its args; "slow": never returns; "die": dies. */
static int enter_failing_back(struct weir_back *back, void *state, const char *args)
{
	if (strcmp(args, "slow") == 0)
		sleep_for_ever_back();
	if (strcmp(args, "die") == 0)
		abort();
	return -atoi(args);
}

static const struct weir_backend failing = {
	.abi = WEIR_BACKEND_ABI,
	.name = "failing",
	.enter = enter_failing_back,
};

static const struct weir_backend alien = {
	.abi = WEIR_BACKEND_ABI + 1,
	.name = "alien",
	.enter = enter_failing_back,
};

const struct weir_backend *const test_backends[] = { &obedient, &failing, &alien, NULL };
