/* SPDX-License-Identifier: MIT */
#include "frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fds.h"

#define CLOSING_NS (100 * CLOCK_MS)
#define KILL_NS	   (5 * CLOCK_S)

static void blame(struct weir_child *child, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void blame(struct weir_child *child, const char *format, ...)
{
	va_list args;

	if (child->guilty)
		return;
	child->guilty = true;
	va_start(args, format);
	vsnprintf(child->reason, sizeof(child->reason), format, args);
	va_end(args);
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

struct plumbing {
	int ours[ZYGOTE_FDS], theirs[ZYGOTE_FDS];
};

static void close_plumbing(struct plumbing *plumbing)
{
	for (int i = 0; i < ZYGOTE_FDS; i++) {
		fds_close(&plumbing->ours[i]);
		fds_close(&plumbing->theirs[i]);
	}
}

static int make_plumbing(struct plumbing *plumbing)
{
	int commands[2] = { -1, -1 }, events[2] = { -1, -1 }, rings[2] = { -1, -1 }, output[2] = { -1, -1 };
	int r = 0;

	/* The child's output is for printf(), which knows no EAGAIN: that pipe blocks at its end. */
	if (pipe2(commands, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(events, O_CLOEXEC | O_NONBLOCK) < 0 ||
		pipe2(output, O_CLOEXEC) < 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, rings) < 0)
		r = -errno;
	*plumbing = (struct plumbing){
		.ours = { commands[1], events[0], rings[0], output[0] },
		.theirs = { commands[0], events[1], rings[1], output[1] },
	};
	if (r < 0)
		close_plumbing(plumbing);
	return r;
}

static int order_spawn(struct weir_child *child, const struct plumbing *plumbing, int *pid)
{
	struct zygote_order *order = calloc(1, sizeof(*order));
	char text[ZYGOTE_TEXT_BYTES] = "";
	int r;

	if (order == NULL)
		return -ENOMEM;
	snprintf(order->name, sizeof(order->name), "%s", child->name);
	snprintf(order->backend, sizeof(order->backend), "%s", child->backend);
	snprintf(order->args, sizeof(order->args), "%s", child->args);
	r = zygote_spawn(order, plumbing->theirs, pid, text);
	explicit_bzero(order, sizeof(*order));
	free(order);
	if (r < 0)
		blame(child, "could not be started: %.250s", text);
	return r;
}

static int watch_process(struct weir_child *child)
{
	struct loop *loop = child->frontend->loop;
	int r;

	child->death.fd = child->pidfd;
	child->control.fd = child->events;
	child->log.fd = child->output_fd;
	if ((r = loop_add(loop, &child->death)) < 0 || (r = loop_add(loop, &child->control)) < 0 ||
		(r = loop_add(loop, &child->log)) < 0)
		return r;
	return 0;
}

static int spawn(struct weir_child *child)
{
	struct plumbing plumbing;
	int pid, r = make_plumbing(&plumbing);

	if (r < 0)
		return r;
	r = order_spawn(child, &plumbing, &pid);
	if (r < 0)
		goto fail;
	child->pidfd = pidfd_open(pid, 0);
	if (child->pidfd < 0) {
		r = -errno;
		/* It is ours, and not reaped: the pid cannot mean another process. */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		goto fail;
	}
	child->pid = pid;
	child->commands = plumbing.ours[ZYGOTE_FD_COMMANDS];
	child->events = plumbing.ours[ZYGOTE_FD_EVENTS];
	child->rings = plumbing.ours[ZYGOTE_FD_RINGS];
	child->output_fd = plumbing.ours[ZYGOTE_FD_OUTPUT];
	for (int i = 0; i < ZYGOTE_FDS; i++)
		plumbing.ours[i] = -1;
	close_plumbing(&plumbing);
	message_parser_init(&child->parser);
	r = watch_process(child);
	if (r < 0)
		kill(pid, SIGKILL); /* the parent-death signal and the closed pipes see to the rest */
	return r;
fail:
	close_plumbing(&plumbing);
	return r;
}

void process_try_spawn(struct weir_child *child)
{
	int r = -ECHILD;

	if (!child->spawn_wanted)
		return;
	if (zygote_is_ready()) {
		r = spawn(child);
		if (r < 0 && !zygote_is_ready())
			child->guilty = false; /* not the child's fault: the next zygote will do it */
	} else if (zygote_pidfd() < 0) {
		blame(child, "could not be started: the zygote has died too often");
	}
	if (r < 0 && !child->guilty && zygote_pidfd() >= 0 && !zygote_is_ready())
		return; /* comes back when there is a zygote */
	child->spawn_wanted = false;
	if (r < 0) {
		blame(child, "could not be started: %s", strerror(-r));
		child->spawn_failed = true;
		child->timer.due_ns = 0;
		return;
	}
	child->starts++;
	child->timer.due_ns = clock_ns() + child->config.ready_ns;
	stream_child_spawned(child);
}

/* --- ending ------------------------------------------------------------------------------------------------------ */

void process_release(struct weir_child *child)
{
	struct loop *loop = child->frontend->loop;

	loop_remove(loop, &child->death);
	loop_remove(loop, &child->control);
	loop_remove(loop, &child->log);
	fds_close(&child->pidfd);
	fds_close(&child->commands);
	fds_close(&child->events);
	fds_close(&child->rings);
	fds_close(&child->output_fd);
	child->pid = 0;
}

static void describe_end(const struct weir_child *child, const siginfo_t *info, char *text, size_t size)
{
	if (child->guilty || (child->exit_told && child->reason[0] != '\0' && info->si_code == CLD_EXITED))
		snprintf(text, size, "%s", child->reason);
	else if (info->si_pid == 0)
		snprintf(text, size, "reaped by another part of this program");
	else if (info->si_code != CLD_EXITED)
		snprintf(text, size, "killed by SIG%s",
			sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?");
	else if (child->stop_wanted && info->si_status == 0)
		snprintf(text, size, "stopped");
	else
		snprintf(text, size, "exit status %d", info->si_status);
}

static void end(struct weir_child *child, bool success, const char *reason)
{
	struct supervise_death death = {
		.restart = child->config.restart,
		.intensity = child->config.intensity,
		.period_ns = child->config.period_ns,
		.now_ns = clock_ns(),
		.running_since_ns = child->running_since_ns,
		.stop_wanted = child->stop_wanted,
		.success = success,
		.final = child->exit_final,
	};

	child->running_since_ns = 0;
	process_apply(child, supervise_verdict(&child->history, &death), reason);
}

/* The pidfd is readable. What the child wrote before it died is heard before its death is told. */
static void reap(void *data)
{
	struct weir_child *child = data;
	char reason[CHILD_REASON_BYTES];
	siginfo_t info = { 0 };
	int pid = child->pid, r;

	/* Before the reaping: until then the number of the group cannot mean another one. */
	kill(-pid, SIGKILL);
	r = waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG);
	if (r < 0 ? errno != ECHILD : info.si_pid == 0)
		return;
	control_drain(child);
	output_drain(child);
	describe_end(child, &info, reason, sizeof(reason));
	process_release(child);
	frontend_sweep(child->frontend, pid);
	stream_child_dead(child);
	control_fail_call(child);
	end(child, info.si_code == CLD_EXITED && info.si_status == 0, reason);
}

void process_violation(struct weir_child *child, const char *what)
{
	blame(child, "protocol error: %s", what);
	loop_remove(child->frontend->loop, &child->control);
	process_apply(child, SUPERVISE_VIOLATION, child->reason);
}

/* Why the deadline of the present state is no good sign. */
static const char *explain_time_out(struct weir_child *child)
{
	bool ready_is_due = child->state == WEIR_CHILD_STARTING && child->control.index != 0;

	switch (child->state) {
	case WEIR_CHILD_STARTING:
	case WEIR_CHILD_RUNNING:
		if (ready_is_due)
			blame(child, "did not get ready within %.3g s", (double)child->config.ready_ns / 1e9);
		else
			blame(child, "closed its control pipe");
		return child->reason;
	case WEIR_CHILD_STOPPING: return "did not stop when told to";
	case WEIR_CHILD_TERMINATING: return "did not end on SIGTERM";
	case WEIR_CHILD_KILLING: return "cannot be killed; going on without it";
	default: return "";
	}
}

static void time_out(void *data)
{
	struct weir_child *child = data;

	if (child->spawn_failed) {
		child->spawn_failed = false;
		end(child, false, child->guilty ? child->reason : "stopped");
		return;
	}
	process_apply(child, SUPERVISE_TIMEOUT, explain_time_out(child));
}

/* --- moving ------------------------------------------------------------------------------------------------------ */

static void signal_process(struct weir_child *child, int number)
{
	if (child->pidfd >= 0)
		pidfd_send_signal(child->pidfd, number, NULL, 0);
	if (number == SIGKILL && child->pid > 0)
		kill(-child->pid, SIGKILL);
}

static int64_t backoff_ns(const struct weir_child *child)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)clock_ns();
	return supervise_backoff_ns(&child->history, random);
}

static void set_deadline(struct weir_child *child, uint32_t actions)
{
	int64_t now_ns = clock_ns(), *due_ns = &child->timer.due_ns;

	if ((actions & (SUPERVISE_WAIT_NOTHING | SUPERVISE_WAIT_READY)) != 0)
		*due_ns = CLOCK_NEVER; /* for ready it begins with the process */
	if ((actions & SUPERVISE_WAIT_CLOSING) != 0)
		*due_ns = now_ns + CLOSING_NS;
	if ((actions & SUPERVISE_WAIT_STOP) != 0)
		*due_ns = now_ns + child->config.stop_ns;
	if ((actions & SUPERVISE_WAIT_TERM) != 0)
		*due_ns = now_ns + child->config.term_ns;
	if ((actions & SUPERVISE_WAIT_KILL) != 0)
		*due_ns = now_ns + KILL_NS;
	if ((actions & SUPERVISE_WAIT_BACKOFF) != 0)
		*due_ns = now_ns + backoff_ns(child);
}

static void begin_life(struct weir_child *child)
{
	child->exit_told = child->exit_final = child->guilty = child->stop_wanted = false;
	child->reason[0] = '\0';
	child->spawn_wanted = true;
	frontend_kick(child->frontend);
}

static void act(struct weir_child *child, uint32_t actions)
{
	set_deadline(child, actions);
	if ((actions & SUPERVISE_SPAWN) != 0)
		begin_life(child);
	if ((actions & SUPERVISE_SEND_STOP) != 0) {
		if (child->spawn_wanted || child->spawn_failed) { /* there is nothing to stop yet */
			child->spawn_wanted = false;
			child->spawn_failed = true;
			child->timer.due_ns = 0;
		} else if (control_send(child, MESSAGE_STOP, 0, NULL, 0) < 0) {
			child->timer.due_ns = 0; /* it does not listen: on to SIGTERM */
		}
	}
	if ((actions & SUPERVISE_SEND_TERM) != 0) {
		signal_process(child, SIGTERM);
		signal_process(child, SIGCONT);
	}
	if ((actions & SUPERVISE_SEND_KILL) != 0)
		signal_process(child, SIGKILL);
}

void process_apply(struct weir_child *child, enum supervise_event event, const char *reason)
{
	enum weir_child_state from = child->state;
	struct supervise_move move = supervise_move(from, event);
	char kept[CHILD_REASON_BYTES];

	snprintf(kept, sizeof(kept), "%s", reason); /* begin_life() clears it */
	child->state = move.state;
	if (event == SUPERVISE_START)
		child->history = (struct supervise_history){ 0 };
	if (event == SUPERVISE_STOP)
		child->stop_wanted = true;
	if (move.state == WEIR_CHILD_RUNNING && from != WEIR_CHILD_RUNNING)
		child->running_since_ns = clock_ns();
	act(child, move.actions);
	if (move.state == from)
		return;
	frontend_emit(child->frontend, &(struct weir_event){ .type = WEIR_EVENT_CHILD_STATE,
					       .child = child,
					       .from = from,
					       .to = move.state,
					       .reason = kept });
	stream_child_changed(child, kept);
}

void process_init(struct weir_child *child)
{
	child->pidfd = child->commands = child->events = child->rings = child->output_fd = -1;
	child->death = (struct loop_source){ .class = LOOP_DEATH, .fn = reap, .data = child };
	child->control = (struct loop_source){ .class = LOOP_CONTROL, .fn = control_readable, .data = child };
	child->log = (struct loop_source){ .class = LOOP_OUTPUT, .fn = output_readable, .data = child };
	child->timer = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = time_out, .data = child };
}
