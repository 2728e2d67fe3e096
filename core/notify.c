/* SPDX-License-Identifier: MIT */
#include "frontend.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "fds.h"

/* What systemd is told: a few datagrams. The watchdog is fed from the loop, so a program that is stuck does not feed
 * it. */

static void say(const struct weir_frontend *frontend, const char *text)
{
	if (frontend->notify_fd >= 0)
		send(frontend->notify_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	int fd;

	if (length < 2 || length >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* an abstract name */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		fds_close(&fd);
	return fd;
}

static void on_watchdog(void *data)
{
	struct weir_frontend *frontend = data;

	say(frontend, "WATCHDOG=1");
	frontend->watchdog.due_ns = clock_ns() + frontend->watchdog_ns;
}

void notify_init(struct weir_frontend *frontend)
{
	const char *path = getenv("NOTIFY_SOCKET"), *limit = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	long long limit_us = limit != NULL ? atoll(limit) : 0;

	frontend->watchdog = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = on_watchdog, .data = frontend };
	frontend->notify_fd = path != NULL && !frontend->config.own_notify ? connect_to(path) : -1;
	if (frontend->notify_fd < 0 || limit_us <= 0 || (pid != NULL && atoi(pid) != getpid()))
		return;
	frontend->watchdog_ns = limit_us * 1000 / 2;
	frontend->watchdog.due_ns = 0;
}

/* Ready is who has all children at work that were added so far; those that failed do not count. */
void notify_children(struct weir_frontend *frontend)
{
	if (frontend->notify_fd < 0 || frontend->notified_ready || frontend->first_child == NULL)
		return;
	for (const struct weir_child *child = frontend->first_child; child != NULL; child = child->next)
		if (child->state == WEIR_CHILD_IDLE || child->state == WEIR_CHILD_STARTING ||
			child->state == WEIR_CHILD_BACKOFF)
			return;
	frontend->notified_ready = true;
	say(frontend, "READY=1");
}

void notify_stopping(struct weir_frontend *frontend)
{
	say(frontend, "STOPPING=1");
}
