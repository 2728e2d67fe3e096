/* SPDX-License-Identifier: MIT */
#include "frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/log.h>

#include "clock.h"
#include "death.h"
#include "fds.h"

/* How a child comes to be: an order goes to the zygote, and its answer comes through the loop, like everything else. A
 * zygote that does not answer delays nobody. */

#define ANSWER_NS (2 * CLOCK_S)

static void close_all(int *fds, int count)
{
	for (int i = 0; i < count; i++)
		fds_close(&fds[i]);
}

/* Our ends go into child, the others into theirs. */
static int make_plumbing(struct weir_child *child, uint32_t life, int *theirs)
{
	int commands[2] = { -1, -1 }, events[2] = { -1, -1 }, rings[2] = { -1, -1 }, output[2] = { -1, -1 };
	int r = 0;

	/* The child's output is for printf(), which knows no EAGAIN: that pipe blocks at its end. */
	if (pipe2(commands, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(events, O_CLOEXEC | O_NONBLOCK) < 0 ||
		pipe2(output, O_CLOEXEC) < 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, rings) < 0)
		r = -errno;
	child->commands = commands[1];
	child->events = events[0];
	child->rings = rings[0];
	child->output_fd = output[0];
	theirs[ZYGOTE_FD_COMMANDS] = commands[0];
	theirs[ZYGOTE_FD_EVENTS] = events[1];
	theirs[ZYGOTE_FD_RINGS] = rings[1];
	theirs[ZYGOTE_FD_OUTPUT] = output[1];
	theirs[ZYGOTE_FD_PAGE] = -1;
	if (r == 0)
		r = page_create(&child->page, &theirs[ZYGOTE_FD_PAGE], getpid(), life);
	return r;
}

static void fill_order(struct zygote_order *order, const struct weir_child *child)
{
	snprintf(order->name, sizeof(order->name), "%s", child->name);
	snprintf(order->backend, sizeof(order->backend), "%s", child->backend);
	snprintf(order->args, sizeof(order->args), "%s", child->args);
	order->is_worker = child->is_worker;
	order->spawn = child->config.spawn;
	order->limits = child->config.limits;
	order->poisons = child->poisons;
	memcpy(order->poison, child->poison, sizeof(order->poison));
}

static int send_order(struct weir_child *child)
{
	struct zygote_order *order = calloc(1, sizeof(*order));
	int theirs[ZYGOTE_FDS_MAX], count = ZYGOTE_FDS, r;

	if (order == NULL)
		return -ENOMEM;
	order->id = child->life = zygote_next_id();
	fill_order(order, child);
	r = make_plumbing(child, order->id, theirs);
	if (r == 0) {
		count += cgroup_make(&child->cgroup, &child->frontend->cgroups, child->cgroup_name,
			child->config.limits.memory_bytes, theirs + count);
		order->cgroups = (uint32_t)(count - ZYGOTE_FDS);
		r = zygote_send(order, theirs, (size_t)count);
	}
	if (r == 0) {
		child->spawning = order->id;
		child->frontend->unanswered++;
	} else {
		process_release(child);
	}
	close_all(theirs, count);
	explicit_bzero(order, sizeof(*order));
	free(order);
	return r;
}

static void fail(struct weir_child *child, const char *why)
{
	process_blame(child, WEIR_END_START, "could not be started: %.250s", why);
	process_release(child);
	child->spawn_wanted = false;
	child->spawn_failed = true; /* the rest when its timer runs: not from within an event */
	child->timer.due_ns = 0;
}

void spawn_try(struct weir_child *child)
{
	int r;

	if (!child->spawn_wanted)
		return;
	if (!zygote_is_ready()) {
		if (zygote_is_given_up())
			fail(child, "the zygote has died too often");
		return; /* comes back when there is a zygote */
	}
	r = send_order(child);
	if (r == -EAGAIN || r == -EPIPE || r == -ENOTCONN)
		return; /* comes back with the next answer, or with the next zygote */
	if (r < 0) {
		fail(child, strerror(-r));
		return;
	}
	child->spawn_wanted = false;
	if (child->frontend->zygote_deadline.due_ns == CLOCK_NEVER)
		child->frontend->zygote_deadline.due_ns = clock_ns() + ANSWER_NS;
}

void spawn_abandon(struct weir_child *child)
{
	process_release(child);
	child->spawn_wanted = false;
	child->spawn_failed = true;
	child->timer.due_ns = 0;
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static int watch_process(struct weir_child *child)
{
	struct loop *loop = child->frontend->loop;
	int r;

	child->death.fd = child->pidfd;
	child->control.fd = child->events;
	child->log.fd = child->output_fd;
	if ((child->pidfd >= 0 && (r = loop_add(loop, &child->death)) < 0) ||
		(r = loop_add(loop, &child->control)) < 0 || (r = loop_add(loop, &child->log)) < 0)
		return r;
	return 0;
}

/* It is ours, and not reaped: the pid cannot mean another process. */
static void disown(struct weir_frontend *frontend, int pid)
{
	kill(pid, SIGKILL);
	orphans_expect(frontend, pid);
}

static void begin(struct weir_child *child, int pid)
{
	int r = death_watch(&child->pidfd, pid);

	if (r == 0)
		r = watch_process(child);
	if (r < 0) {
		disown(child->frontend, pid);
		fail(child, strerror(-r));
		return;
	}
	child->pid = pid;
	child->spawning = 0;
	child->frontend->blind |= child->pidfd < 0;
	frontend_want_tick(child->frontend);
	child->starts++;
	child->timer.due_ns = clock_after(clock_ns(), child->config.ready_ns);
	message_parser_init(&child->parser);
	stream_child_spawned(child);
}

static struct weir_child *find(struct weir_frontend *frontend, uint32_t id)
{
	for (struct weir_child *child = frontend->first_child; child != NULL; child = child->next)
		if (child->spawning == id)
			return child;
	return NULL;
}

void spawn_answered(struct weir_frontend *frontend, const struct zygote_answer *answer)
{
	struct weir_child *child;

	frontend_kick(frontend); /* it has room for another order */
	if (answer->id != 0 && frontend->unanswered > 0)
		frontend->unanswered--;
	frontend->zygote_deadline.due_ns = frontend->unanswered > 0 ? clock_ns() + ANSWER_NS : CLOCK_NEVER;
	if (answer->id == 0)
		return; /* it has become ready */
	child = find(frontend, answer->id);
	if (child == NULL && answer->status == 0)
		disown(frontend, answer->pid); /* nobody waits for it any more */
	else if (child != NULL && answer->status == 0)
		begin(child, answer->pid);
	else if (child != NULL)
		fail(child, answer->text);
}

void spawn_zygote_gone(struct weir_frontend *frontend)
{
	frontend->unanswered = 0;
	for (struct weir_child *child = frontend->first_child; child != NULL; child = child->next) {
		if (child->spawning == 0)
			continue;
		process_release(child);
		child->spawn_wanted = true;
	}
}
