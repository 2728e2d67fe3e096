/* SPDX-License-Identifier: MIT */
#include "obedient.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "stream_backends.h"

/* The death of a frontend. This program is also that frontend: with the argument "victim" it runs children and a
 * stream, prints all their pids, and waits to be killed. */

#define DESCENDANTS_MAX 16

static void on_event(void *data, const struct weir_event *event)
{
}

static void print_children_of(int pid)
{
	char path[64];
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", pid);
	file = fopen(path, "re");
	while (file != NULL && fscanf(file, "%d", &child) == 1)
		printf("%d ", child);
	if (file != NULL)
		fclose(file);
}

static int be_victim(void)
{
	static const struct weir_backend *backends[16];
	struct weir_frontend_config config = { .event = on_event };
	static const struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS };
	struct weir_child_config child_config[] = {
		{ .name = "idle", .backend = "obedient" },
		{ .name = "busy", .backend = "obedient" },
		{ .name = "source", .backend = "source", .args = "0 1000 0 0" },
		{ .name = "sink", .backend = "sink", .args = "semaphore" },
		{ .name = "slow", .backend = "failing", .args = "slow" },
	};
	struct weir_frontend *frontend;
	struct weir_child *child[5];
	struct weir_stream *stream;
	struct weir_stream_stats stats = { 0 };
	uint32_t input;

	add_backends(backends, test_backends);
	add_backends(backends, stream_backends);
	if (weir_init(&(struct weir_init_config){ .backends = backends }) < 0 ||
		weir_frontend_create(&frontend, &config) < 0)
		return 1;
	for (int i = 0; i < 5; i++)
		if (weir_child_add(frontend, &child[i], &child_config[i]) < 0)
			return 1;
	if (weir_stream_create(
		    frontend, &stream, &(struct weir_stream_config){ .name = "stream", .writer = child[2] }) < 0 ||
		weir_stream_add_reader(stream, child[3], &policy, &input) < 0)
		return 1;
	while (stats.published < 100 || weir_child_state(child[1]) != WEIR_CHILD_RUNNING) {
		weir_frontend_dispatch(frontend, now_ns() + SECOND / 10);
		weir_stream_stats(stream, &stats);
	}
	weir_child_send(child[1], ORDER_SPIN, NULL, 0);
	print_children_of(getpid());
	printf("end\n");
	fflush(stdout);
	for (;;)
		weir_frontend_dispatch(frontend, now_ns() + SECOND);
}

static int start_victim(int pids[DESCENDANTS_MAX], int *count)
{
	int fd[2], pid, descendant;
	FILE *out;

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fd[1], STDOUT_FILENO);
		execl("/proc/self/exe", "victim", "victim", NULL);
		_exit(127);
	}
	close(fd[1]);
	out = fdopen(fd[0], "re");
	*count = 0;
	while (*count < DESCENDANTS_MAX && fscanf(out, "%d", &descendant) == 1)
		pids[(*count)++] = descendant;
	fclose(out);
	return pid;
}

static uint64_t shm_used(void)
{
	struct statvfs fs;

	assert_int_equal(statvfs("/dev/shm", &fs), 0);
	return (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
}

/* Asleep until they are dead: a loop would take the processor that they need to die. */
static void await_deaths(const int *pidfds, int count)
{
	for (int i = 0; i < count; i++) {
		struct pollfd dead = { .fd = pidfds[i], .events = POLLIN };

		if (poll(&dead, 1, 1000) != 1)
			fail_msg("process %d of %d has outlived its frontend by a second", i, count);
	}
}

/* Row 6 of the fault matrix. */
static void killed_frontend_takes_all_children_along(void **state)
{
	int rounds = getenv("WEIR_LONG") != NULL ? 200 : 10;
	int64_t longest_ns = 0, sum_ns = 0;

	for (int round = 0; round < rounds; round++) {
		int pids[DESCENDANTS_MAX], count, pid = start_victim(pids, &count), status;
		int64_t begin_ns, ns;
		int pidfds[DESCENDANTS_MAX];

		assert_int_equal(count, 6); /* the zygote and five children */
		for (int i = 0; i < count; i++)
			assert_true((pidfds[i] = pidfd_open(pids[i], 0)) >= 0);
		begin_ns = now_ns();
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		await_deaths(pidfds, count);
		ns = now_ns() - begin_ns;
		for (int i = 0; i < count; i++)
			close(pidfds[i]);
		sum_ns += ns;
		longest_ns = ns > longest_ns ? ns : longest_ns;
	}
	assert_int_equal(shm_used(), 0);
	printf("# %d frontends killed, with six processes each: all gone after %.2f ms on average, %.2f ms at most\n",
		rounds, (double)sum_ns / rounds / 1e6, (double)longest_ns / 1e6);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_frontend_takes_all_children_along),
	};

	if (argc > 1)
		return be_victim();
	/* A /dev/shm of our own: what is left in it would be ours. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=64M") < 0) {
		perror("a private /dev/shm needs root");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
