/* SPDX-License-Identifier: MIT */
/* The examples of processes, pools and launches, run as their users run them. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT_BYTES 65536
#define KEY	   "Today-was-cold-at-night-snow-came" /* of 33 characters the first 32 */

static char text[TEXT_BYTES]; /* what the last program wrote, on both ways */
static char folder[] = "/tmp/weir-examples-XXXXXX";

/* Returns its pid; *out: what it writes. */
static pid_t begin(FILE **out, const char *name, const char *const *args)
{
	const char *argv[16] = { name };
	char path[4096];
	int pipe_of[2];
	pid_t pid;

	for (int i = 0; args[i] != NULL; i++)
		argv[i + 1] = args[i];
	snprintf(path, sizeof(path), "%s/examples/%s", getenv("WEIR_BUILD"), name);
	assert_int_equal(pipe2(pipe_of, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipe_of[1], STDOUT_FILENO);
		dup2(pipe_of[1], STDERR_FILENO);
		execv(path, (char *const *)argv);
		_exit(127);
	}
	close(pipe_of[1]);
	*out = fdopen(pipe_of[0], "r");
	return pid;
}

/* Its exit status; text has what it wrote. */
static int end(pid_t pid, FILE *out)
{
	size_t size = fread(text, 1, sizeof(text) - 1, out);
	int status;

	text[size] = '\0';
	fclose(out);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int run_with(const char *name, const char *const *args)
{
	FILE *out;
	pid_t pid = begin(&out, name, args);

	return end(pid, out);
}

#define RUN(...) run_with((const char *const[]){ __VA_ARGS__, NULL }[0], (const char *const[]){ __VA_ARGS__, NULL } + 1)

static void has(const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, text);
}

/* One stands before the other, and both are there. */
static void has_in_order(const char *first, const char *second)
{
	const char *at = strstr(text, first);

	if (at == NULL || strstr(at, second) == NULL)
		fail_msg("\"%s\", then \"%s\" is not in: %s", first, second, text);
}

static int count(const char *part)
{
	int found = 0;

	for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
		found++;
	return found;
}

/* --- one after the other ----------------------------------------------------------------------------------------- */

static void ping_pong(void **state)
{
	assert_int_equal(RUN("ping-pong"), 0);
	assert_string_equal(text,
		"front: pong 1 from another process\nfront: pong 2 from another process\n"
		"front: pong 3 from another process\nback: bye after 3 pings\nfront: ponger is done: stopped\n"
		"front: pong 1 from this process\nfront: pong 2 from this process\nback: bye after 2 pings\n");
}

static void cached_workers(void **state)
{
	assert_int_equal(RUN("cached-workers"), 0);
	has_in_order("activated for the 1. time", "deactivated with sum 6");
	has_in_order("deactivated with sum 6", "activated for the 2. time");
	has_in_order("activated for the 2. time", "deactivated with sum 33");
	has("front: the same process");
}

static void launch_and_forget(void **state)
{
	assert_int_equal(RUN("launch-and-forget"), 0);
	has_in_order("front: all are launched", "greeting: hello");
	has("greeting: succeeded");
	has("wrong: failed (exit status 2)");
	has_in_order("short: counting to three", "short: succeeded");
	has_in_order("endless: counting", "endless: failed (over its limit of 0.5 s)");
	has("the loop went on meanwhile: yes");
}

static void producers_consumers(void **state)
{
	assert_int_equal(RUN("producers-consumers"), 0);
	assert_int_equal(count("producer-1: killed by SIGKILL; started again"), 1);
	has("front: 400 of 400 items consumed, 0 twice, at most 8 in the queue");
	/* Each consumer tells so when it leaves; the one that was shut down did not come back to tell it twice. */
	assert_int_equal(count(": consumed "), 3);
	has_in_order(": consumed ", "front: the producers have finished");
}

static void two_rings(void **state)
{
	assert_int_equal(RUN("two-rings"), 0);
	has("answered while frames came: yes");
	has("left 10 frames, the last one is 9");
	has("right 5 frames, the last one is 4");
}

/* --- open-once --------------------------------------------------------------------------------------------------- */

/* Every process: opened first, closed last, both once, and the same on the disk. */
static void check_process(int pid, int *jobs)
{
	char line[64], path[128], want[16];
	bool open = false, closed = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/once/%d.txt", folder, pid);
	snprintf(want, sizeof(want), "%d ", pid);
	file = fopen(path, "r");
	assert_non_null(file);
	for (char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
		if (strncmp(at, want, strlen(want)) != 0)
			continue;
		assert_false(closed);
		assert_non_null(fgets(line, sizeof(line), file));
		assert_int_equal(strncmp(at + strlen(want), line, strlen(line)), 0);
		assert_int_equal(strcmp(line, "open\n") == 0, !open);
		*jobs += strncmp(line, "job", 3) == 0;
		open = true;
		closed = strcmp(line, "close\n") == 0;
	}
	assert_true(closed);
	assert_null(fgets(line, sizeof(line), file));
	fclose(file);
}

static void open_once(void **state)
{
	char path[128], next[32];
	const char *at, *failed;
	int jobs = 0, processes = 0;

	snprintf(path, sizeof(path), "%s/once", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(RUN("open-once", path), 0);
	has("front: 1 of 30 jobs failed");
	for (at = text; (at = strstr(at, " open\n")) != NULL; at++) {
		const char *start = at;

		while (start > text && start[-1] != '\n')
			start--;
		check_process(atoi(start), &jobs);
		processes++;
	}
	assert_int_equal(jobs, 30);
	assert_in_range(processes, 5, 8); /* six jobs for each at most, and one was terminated */
	/* The one that failed went on: five jobs are not the end of a process. */
	at = strstr(text, " job 5\n");
	assert_non_null(at);
	for (failed = at; failed > text && failed[-1] != '\n'; failed--)
		;
	snprintf(next, sizeof(next), "\n%d job ", atoi(failed));
	assert_non_null(strstr(at, next));
}

/* --- encrypt-tree ------------------------------------------------------------------------------------------------ */

static char key_path[64], plain[64], secret[64];

static void write_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		putc((int)(i * 7 + size) & 0xff, file);
	assert_int_equal(fclose(file), 0);
}

static void write_sparse(const char *name, off_t size)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", plain, name);
	write_file(path, 0);
	assert_int_equal(truncate(path, size), 0);
}

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

static int setup_tree(void **state)
{
	char path[128];

	snprintf(key_path, sizeof(key_path), "%s/key", folder);
	snprintf(plain, sizeof(plain), "%s/plain", folder);
	snprintf(secret, sizeof(secret), "%s/secret", folder);
	snprintf(path, sizeof(path), "%s/deep", plain);
	return shell("printf %%.32s '%s' >%s && mkdir -p %s", KEY, key_path, path);
}

static int teardown_tree(void **state)
{
	return shell("rm -rf %s %s", plain, secret);
}

/* What stands in secret is what openssl makes of it. */
static void assert_encrypted(const char *name)
{
	char hex[65];

	for (int i = 0; i < 32; i++)
		sprintf(hex + (ptrdiff_t)2 * i, "%02x", KEY[i]);
	assert_int_equal(shell("cd %s && iv=$(head -c16 '%s' | od -An -v -tx1 | tr -d ' \\n') &&"
			       " openssl enc -aes-256-cbc -K %s -iv \"$iv\" -in '%s/%s' -out ../openssl &&"
			       " tail -c+17 '%s' | cmp - ../openssl",
				 secret, name, hex, plain, name, name),
		0);
}

static void encrypt_tree_gives_what_openssl_gives(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 65535, 65536, 65537, 300000 };
	char path[128], name[32];

	for (size_t i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), i % 2 == 0 ? "%s/a %zu" : "%s/deep/a %zu", plain, i);
		write_file(path, sizes[i % 9]);
	}
	assert_int_equal(RUN("encrypt-tree", key_path, plain, secret), 0);
	has("40 of 40 files");
	assert_null(strstr(text, "Today-was-cold"));
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), i % 2 == 0 ? "a %d" : "deep/a %d", i);
		assert_encrypted(name);
		snprintf(path, sizeof(path), ": %s\n", name); /* which worker did it */
		assert_int_equal(count(path), 1);
	}
	assert_int_equal(count("encrypt-"), 40);
}

static void encrypt_tree_encrypts_one_file_without_a_fork(void **state)
{
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/one", plain);
	snprintf(to, sizeof(to), "%s/one", secret);
	write_file(from, 1000);
	assert_int_equal(RUN("encrypt-tree", key_path, from, to), 0);
	assert_encrypted("one");
	assert_int_equal(RUN("encrypt-tree", key_path, "/no/such/file", to), 1);
	has("No such file");
}

static void encrypt_tree_tells_what_is_wrong_with_the_key(void **state)
{
	write_sparse("a", 10);
	assert_int_equal(shell("printf short >%s", key_path), 0);
	assert_int_equal(RUN("encrypt-tree", key_path, plain, secret), 1);
	has("no worker can be kept alive");
	has("Key was rejected");
	assert_int_equal(RUN("encrypt-tree", key_path), 2);
	has("usage");
}

/* A worker of this program, or 0. */
static int find_worker(pid_t parent)
{
	char path[64], comm[32];
	int pid, found = 0;
	FILE *children, *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	children = fopen(path, "r");
	while (children != NULL && fscanf(children, "%d", &pid) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		file = fopen(path, "r");
		if (file != NULL && fscanf(file, "%31s", comm) == 1 && strncmp(comm, "encrypt-", 8) == 0)
			found = pid;
		if (file != NULL)
			fclose(file);
	}
	if (children != NULL)
		fclose(children);
	return found;
}

/* Fails if the key stands in the arguments or the environment of the process. */
static void assert_no_key(int pid)
{
	static const char *const files[] = { "cmdline", "environ" };

	for (size_t i = 0; i < 2; i++)
		assert_int_not_equal(shell("grep -q Today-was-cold /proc/%d/%s 2>/dev/null", pid, files[i]), 0);
}

static void encrypt_tree_tries_again_when_a_worker_dies(void **state)
{
	const char *const args[] = { "--workers", "2", key_path, plain, secret, NULL };
	int victim = 0, kills = 0;
	FILE *out;
	pid_t pid;

	for (char name[2] = "a"; name[0] <= 'd'; name[0]++)
		write_sparse(name, (off_t)48 << 20);
	pid = begin(&out, "encrypt-tree", args);
	for (int i = 0; i < 1000 && kills < 2; i++) {
		int worker = find_worker(pid);

		if (worker != 0 && worker != victim && shell("ls %s/*.part-%d >/dev/null 2>&1", secret, worker) == 0) {
			assert_no_key(worker);
			assert_no_key(pid);
			victim = worker;
			kills += kill(worker, SIGKILL) == 0;
		}
		usleep(5000);
	}
	assert_int_equal(end(pid, out), 0);
	assert_int_equal(kills, 2);
	has("killed by SIGKILL");
	has("4 of 4 files");
	for (char name[2] = "a"; name[0] <= 'd'; name[0]++)
		assert_encrypted(name);
}

static void encrypt_tree_ends_when_its_limits_do(void **state)
{
	write_sparse("a", (off_t)1 << 30);
	write_sparse("b", 100);
	assert_int_equal(RUN("encrypt-tree", "--workers", "2", "--limit", "0.1", key_path, plain, secret), 1);
	has("a: over its limit of 0.1 s");
	has("1 of 2 files");
	assert_encrypted("b");
	assert_int_equal(RUN("encrypt-tree", "--workers", "1", "--budget", "0.2", key_path, plain, secret), 1);
	has("a: the budget of 0.2 s is used up");
}

static int setup(void **state)
{
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	return shell("rm -rf %s", folder);
}

int main(void)
{
#define TREE(test) cmocka_unit_test_setup_teardown(test, setup_tree, teardown_tree)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ping_pong),
		cmocka_unit_test(cached_workers),
		cmocka_unit_test(launch_and_forget),
		cmocka_unit_test(producers_consumers),
		cmocka_unit_test(two_rings),
		cmocka_unit_test(open_once),
		TREE(encrypt_tree_gives_what_openssl_gives),
		TREE(encrypt_tree_encrypts_one_file_without_a_fork),
		TREE(encrypt_tree_tells_what_is_wrong_with_the_key),
		TREE(encrypt_tree_tries_again_when_a_worker_dies),
		TREE(encrypt_tree_ends_when_its_limits_do),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
