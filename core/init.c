/* SPDX-License-Identifier: MIT */
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/log.h>

#include "child.h"
#include "clock.h"
#include "death.h"
#include "fds.h"
#include "pid1.h"
#include "plugin.h"
#include "threads.h"

/* A zygote that dies so often within a minute is not made again before the minute is over. */
#define DEATHS_MAX 10

static struct {
	bool ready;
	struct weir_init_config config;
	int process; /* in which weir_init() has succeeded: a fork of it is another one */
	int socket, pidfd, pid;
	uint32_t deaths;
	int64_t deaths_since_ns;
	char error[ZYGOTE_TEXT_BYTES];
} own = { .socket = -1, .pidfd = -1 };

const char *weir_init_error(void)
{
	return own.error;
}

static int refuse(int status, const char *format, const char *detail)
{
	snprintf(own.error, sizeof(own.error), format, detail);
	return status;
}

/* What the program is executed again for, does not return. */
static void become_back(void)
{
	int frontend, type = 0, fd = zygote_inherited(ZYGOTE_ENV, &frontend);
	socklen_t size = sizeof(type);

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
		zygote_run_back(fd, frontend, &own.config);
	fd = zygote_inherited(ZYGOTE_ORDER_ENV, &frontend);
	if (fd >= 0)
		child_resume_back(fd, frontend);
}

/* Takes over the pair's first end. */
static void note_started(int socket, pid_t pid)
{
	own.socket = socket;
	own.pid = pid;
	/* Without a descriptor for it we notice its death later, no more. */
	if (death_watch(&own.pidfd, pid) < 0)
		own.pidfd = -1;
}

static int start_by_fork(void)
{
	int pair[2], frontend = getpid();
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	fflush(NULL); /* or each child would print it again */
	pid = fork();
	if (pid == 0)
		zygote_run_back(pair[1], frontend, &own.config);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	note_started(pair[0], pid);
	return 0;
}

/* A program that was started without them would get a socket as its stderr. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* A program that is started with SIGCHLD ignored inherits that, and would never learn how its children ended. */
static void keep_zombies(void)
{
	struct sigaction action;

	if (sigaction(SIGCHLD, NULL, &action) < 0)
		return;
	if (action.sa_handler == SIG_IGN)
		action.sa_handler = SIG_DFL;
	action.sa_flags &= ~SA_NOCLDWAIT;
	sigaction(SIGCHLD, &action, NULL);
}

int weir_init(const struct weir_init_config *config)
{
	char threads[ZYGOTE_TEXT_BYTES - 128];
	int r;

	if (zygote_is_initialised())
		return 0;
	own.error[0] = '\0';
	own.ready = false;
	fds_close(&own.socket); /* of the process that we are a fork of */
	fds_close(&own.pidfd);
	own.config = config != NULL ? *config : (struct weir_init_config){ 0 };
	plugin_set_table(own.config.backends);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write beyond a limit is to fail like one on a full disk */
	keep_zombies();
	fill_standard_fds();
	become_back();
	r = threads_check_single(threads, sizeof(threads));
	if (r < 0)
		return refuse(r, "weir_init() must come before any thread, but there are: %s", threads);
	r = pid1_leave();
	if (r < 0)
		return refuse(r, "cannot leave process 1: %s", strerror(-r));
	/* Children of the zygote's become ours. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return refuse(-errno, "cannot become a subreaper: %s", strerror(errno));
	r = start_by_fork();
	if (r < 0)
		return refuse(r, "cannot start the zygote: %s", strerror(-r));
	own.process = getpid();
	return 0;
}

/* --- the frontend's side ----------------------------------------------------------------------------------------- */

int zygote_socket(void)
{
	return own.socket;
}

int zygote_pidfd(void)
{
	return own.pidfd;
}

int zygote_pid(void)
{
	return own.pid;
}

bool zygote_is_ready(void)
{
	return own.ready;
}

bool zygote_is_initialised(void)
{
	return own.process == getpid();
}

int zygote_attend(struct zygote_answer *answer)
{
	struct pollfd pollfd = { .fd = own.socket, .events = POLLIN };
	size_t count = 0;
	int r;

	if (own.socket < 0 || clock_poll(&pollfd, 1, 0) <= 0)
		return 0;
	r = fds_receive(own.socket, answer, sizeof(*answer), NULL, &count);
	if (r != (int)sizeof(*answer)) {
		zygote_kill();
		return r < 0 ? r : -EPROTO;
	}
	answer->text[sizeof(answer->text) - 1] = '\0';
	own.ready |= answer->id == 0;
	if (answer->id != 0 && answer->status == 0)
		own.deaths = 0; /* it works */
	return 1;
}

void zygote_kill(void)
{
	if (own.pid > 0)
		death_signal(own.pid, own.pidfd, SIGKILL);
	own.ready = false;
}

bool zygote_is_dead(void)
{
	siginfo_t info;

	if (own.pid > 0 && death_fetch(own.pid, own.pidfd, &info))
		own.pid = 0;
	return own.pid == 0;
}

bool zygote_is_given_up(void)
{
	return own.pid == 0 && own.deaths > DEATHS_MAX;
}

int zygote_revive(void)
{
	int64_t now_ns = clock_ns();
	int r, socket;
	pid_t pid;

	if (!zygote_is_dead())
		return 0;
	own.ready = false;
	fds_close(&own.socket);
	fds_close(&own.pidfd);
	if (now_ns - own.deaths_since_ns > 60 * CLOCK_S) {
		own.deaths_since_ns = now_ns;
		own.deaths = 0;
	}
	if (++own.deaths > DEATHS_MAX)
		return -ECHILD;
	r = zygote_exec(&socket, &pid);
	if (r == 0)
		note_started(socket, pid);
	return r;
}

uint32_t zygote_next_id(void)
{
	static uint32_t last;

	return ++last != 0 ? last : ++last;
}

int zygote_send(const struct zygote_order *order, const int *fds, size_t count)
{
	return fds_send(own.socket, order, offsetof(struct zygote_order, args) + strlen(order->args) + 1, fds, count);
}
