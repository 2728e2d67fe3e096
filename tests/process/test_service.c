/* SPDX-License-Identifier: MIT */
#include "obedient.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* A frontend that is a container's first process, and one that systemd has started. This program is also the former:
 * with the argument "first" it runs a child until it gets SIGTERM. */

#define EXIT_STATUS 7

/* --- process 1 --------------------------------------------------------------------------------------------------- */

static int last_signal;

static void on_event(void *data, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_SIGNAL)
		last_signal = event->signal_number;
}

/* Without a parent of its own its orphan belongs to process 1. */
static void leave_an_orphan(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	if (fork() == 0) {
		if (fork() == 0)
			_exit(0);
		_exit(0);
	}
	wait(NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static int count_zombies(void)
{
	int count = 0;

	for (int pid = 1; pid < 100; pid++)
		count += kill(pid, 0) == 0 && is_gone(pid);
	return count;
}

/* What it prints is compared; its exit status is told by process 1 as its own. */
static int be_first(void)
{
	struct weir_frontend_config config = { .event = on_event };
	struct weir_frontend *frontend;
	struct weir_child *child;
	int64_t end_ns;

	if (weir_init(&(struct weir_init_config){ .backends = test_backends }) < 0 ||
		weir_frontend_create(&frontend, &config) < 0 ||
		weir_child_add(
			frontend, &child, &(struct weir_child_config){ .name = "child", .backend = "obedient" }) < 0)
		return 1;
	while (weir_child_state(child) != WEIR_CHILD_RUNNING)
		weir_frontend_dispatch(frontend, now_ns() + SECOND);
	for (int i = 0; i < 10; i++)
		leave_an_orphan();
	end_ns = now_ns() + PATIENCE_S * SECOND;
	while (count_zombies() > 0 && now_ns() < end_ns)
		usleep(10000);
	printf("pid %s 1, parent %d, %d zombies\n", getpid() == 1 ? "is" : "is not", getppid(), count_zombies());
	fflush(stdout);
	while (last_signal == 0)
		weir_frontend_dispatch(frontend, now_ns() + SECOND);
	weir_frontend_free(&frontend);
	printf("signal %d\n", last_signal);
	return EXIT_STATUS;
}

/* In a namespace of its own, where it is the first. */
static int start_first(FILE **output)
{
	int fd[2], pid;

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
			_exit(126);
		pid = fork();
		if (pid == 0) {
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
			mount("proc", "/proc", "proc", 0, NULL);
			dup2(fd[1], STDOUT_FILENO);
			execl("/proc/self/exe", "first", "first", NULL);
			_exit(127);
		}
		/* Tells its pid out here, and ends as it does. */
		dprintf(fd[1], "%d\n", pid);
		waitpid(pid, &fd[0], 0);
		_exit(WIFEXITED(fd[0]) ? WEXITSTATUS(fd[0]) : 125);
	}
	close(fd[1]);
	*output = fdopen(fd[0], "r");
	return pid;
}

static void first_process_reaps_forwards_signals_and_ends_as_the_program(void **state)
{
	char line[128] = "";
	int status, first = 0;
	FILE *output;
	int pid = start_first(&output);

	assert_non_null(fgets(line, sizeof(line), output));
	first = atoi(line);
	assert_non_null(fgets(line, sizeof(line), output));
	assert_string_equal(line, "pid is not 1, parent 1, 0 zombies\n");
	kill(first, SIGTERM);
	assert_non_null(fgets(line, sizeof(line), output));
	assert_string_equal(line, "signal 15\n");
	fclose(output);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_STATUS);
}

/* --- systemd ----------------------------------------------------------------------------------------------------- */

static int listen_as_systemd(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 0, .tv_usec = 1 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char name[64];

	snprintf(name, sizeof(name), "@weir-test-%d", getpid());
	memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
		0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

struct heard {
	int ready, watchdog, stopping, other;
};

static void listen_on(int fd, struct heard *heard)
{
	char text[256];
	ssize_t got;

	while ((got = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
		text[got] = '\0';
		if (strcmp(text, "READY=1") == 0)
			heard->ready++;
		else if (strcmp(text, "WATCHDOG=1") == 0)
			heard->watchdog++;
		else if (strcmp(text, "STOPPING=1") == 0)
			heard->stopping++;
		else
			heard->other++;
	}
}

static void systemd_is_told(void **state)
{
	struct fixture *fixture = NULL;
	struct heard heard = { 0 };
	int fd = listen_as_systemd();
	struct weir_child *slow;

	setenv("WATCHDOG_USEC", "200000", 1);
	assert_int_equal(fixture_setup((void **)&fixture), 0);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	slow = fixture_add(fixture, (struct weir_child_config){ .backend = "failing",
					    .args = "slow",
					    .restart = WEIR_RESTART_TEMPORARY,
					    .ready_ns = SECOND / 2 });
	add_running(fixture, "quick");
	listen_on(fd, &heard);
	assert_int_equal(heard.ready, 0); /* one of them is not */
	fixture_await(fixture, slow, WEIR_CHILD_FAILED);
	listen_on(fd, &heard);
	assert_int_equal(heard.ready, 1);
	assert_in_range(heard.watchdog, 2, 10);
	usleep(300000); /* the program is stuck: nobody feeds the watchdog */
	heard = (struct heard){ 0 };
	listen_on(fd, &heard);
	assert_int_equal(heard.watchdog, 0);
	fixture_run(fixture, SECOND / 4);
	fixture_teardown((void **)&fixture);
	listen_on(fd, &heard);
	assert_true(heard.watchdog >= 2);
	assert_int_equal(heard.ready, 0); /* once is enough */
	assert_int_equal(heard.stopping, 1);
	assert_int_equal(heard.other, 0);
	close(fd);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_process_reaps_forwards_signals_and_ends_as_the_program),
		cmocka_unit_test(systemd_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], "first") == 0 ? be_first() : run_obedient(run, NULL);
}
