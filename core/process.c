/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "clock.h"
#include "death.h"
#include "fds.h"

#define CLOSING_NS (100 * CLOCK_MS)
#define KILL_NS	   (5 * CLOCK_S)

void process_blame(struct weir_child *child, enum weir_end_kind kind, const char *format, ...)
{
	va_list args;

	if (child->guilty)
		return;
	child->guilty = true;
	child->end = (struct weir_end){ .kind = kind };
	va_start(args, format);
	vsnprintf(child->reason, sizeof(child->reason), format, args);
	va_end(args);
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
	cgroup_close(&child->cgroup);
	page_free(&child->page);
	control_fail_call(child);
	child->watch.due_ns = CLOCK_NEVER;
	child->pid = 0;
	child->spawning = 0;
}

static struct weir_end end_of(const struct weir_child *child, const siginfo_t *info)
{
	if (child->guilty)
		return child->end;
	if (info->si_pid == 0)
		return (struct weir_end){ 0 };
	if (child->exit_unbegun && info->si_code == CLD_EXITED)
		return (struct weir_end){ .kind = WEIR_END_START };
	if (info->si_status == SIGKILL && info->si_code != CLD_EXITED && cgroup_was_short(&child->cgroup))
		return (struct weir_end){ .kind = WEIR_END_MEMORY };
	return (struct weir_end){
		.kind = info->si_code == CLD_EXITED ? WEIR_END_EXIT : WEIR_END_SIGNAL,
		.code = info->si_status,
	};
}

static void describe_end(const struct weir_child *child, const siginfo_t *info, char *text, size_t size)
{
	if (child->guilty || (child->exit_told && child->reason[0] != '\0' && info->si_code == CLD_EXITED))
		snprintf(text, size, "%s", child->reason);
	else if (info->si_pid == 0)
		snprintf(text, size, "reaped by another part of this program");
	else if (child->end.kind == WEIR_END_MEMORY)
		snprintf(text, size, "out of memory: its limit is %.0f MiB",
			(double)child->config.limits.memory_bytes / 1048576.0);
	else if (info->si_code != CLD_EXITED)
		snprintf(text, size, "killed by SIG%s",
			sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?");
	else if (child->stop_wanted && info->si_status == 0)
		snprintf(text, size, "stopped");
	else
		snprintf(text, size, "exit status %d", info->si_status);
}

/* An exec'd child that never came to weir_init(): its program has something else in front of that. */
static void describe_exec(const struct weir_child *child, char *text, size_t size)
{
	size_t length = strlen(text);

	if (child->config.spawn == WEIR_SPAWN_EXEC && !child->exit_seen && !child->stop_wanted &&
		atomic_load_explicit(&child->page->turns, memory_order_relaxed) == 0)
		snprintf(text + length, size - length, ", before it came to weir_init()");
}

/* It has died of itself: does it always die there? */
static bool is_poisoned(struct weir_child *child, uint64_t position, char *reason)
{
	char why[200];
	/* Input does not send these; a kernel that is out of memory does, but that is another kind where it can be
	 * told. */
	bool from_outside =
		child->end.kind == WEIR_END_SIGNAL && (child->end.code == SIGKILL || child->end.code == SIGTERM);

	if (child->stop_wanted || child->recycled || from_outside || !supervise_is_poison(&child->history, position))
		return false;
	if (child->config.skip_poison && child->poisons < ZYGOTE_POISON_MAX) {
		child->poison[child->poisons++] = position;
		return false;
	}
	snprintf(why, sizeof(why), "%.199s", reason);
	snprintf(reason, CHILD_REASON_BYTES, "died %d times at position %" PRIu64 " of its input: %s", SUPERVISE_POISON,
		position, why);
	child->end = (struct weir_end){ .kind = WEIR_END_POISON };
	return true;
}

static void end(struct weir_child *child, bool success, bool final, const char *reason)
{
	struct weir_group *group = child->group;
	struct supervise_history *history = group_starts(child) ? &group->history : &child->history;
	struct supervise_death death;

	group_excuse(child);
	death = (struct supervise_death){
		.restart = child->config.restart,
		.intensity = group != NULL ? group->config.intensity : child->config.intensity,
		.period_ns = group != NULL ? group->config.period_ns : child->config.period_ns,
		.now_ns = clock_ns(),
		.running_since_ns = child->running_since_ns,
		.stop_wanted = child->stop_wanted,
		.recycled = child->recycled,
		.success = success,
		.final = final,
	};

	child->running_since_ns = 0;
	process_apply(
		child, supervise_verdict(history, group != NULL ? &group->deaths : &child->deaths, &death), reason);
}

/* Of what it left behind, those that can be found now. */
static void sweep(struct weir_child *child)
{
	long at = 0;
	int pid;

	while ((pid = cgroup_next(&child->cgroup, &at)) != 0)
		if (pid != child->pid)
			orphans_expect(child->frontend, pid);
	cgroup_kill(&child->cgroup);
	/* Before the reaping: until then the number of the group cannot mean another one. */
	kill(-child->pid, SIGKILL);
}

/* What the child wrote before it died is heard before its death is told. */
void process_look(void *data)
{
	struct weir_child *child = data;
	char reason[CHILD_REASON_BYTES];
	siginfo_t info;
	uint64_t position;
	bool success, final;
	int pid = child->pid;

	if (!death_has_come(pid, child->pidfd))
		return;
	position = atomic_load_explicit(&child->page->position, memory_order_relaxed); /* its last word */
	sweep(child);
	death_fetch(pid, child->pidfd, &info);
	control_drain(child);
	output_drain(child);
	success = info.si_code == CLD_EXITED && info.si_status == 0;
	child->end = end_of(child, &info);
	describe_end(child, &info, reason, sizeof(reason));
	describe_exec(child, reason, sizeof(reason));
	final = child->exit_final || (!success && is_poisoned(child, position, reason));
	process_release(child);
	orphans_expect(child->frontend, pid);
	orphans_tick(child->frontend); /* mostly there are none: at once, then */
	stream_child_dead(child);
	if (child->owner != NULL && child->owner->dead != NULL)
		child->owner->dead(child, &info, reason);
	end(child, success, final, reason);
}

void process_violation(struct weir_child *child, const char *what)
{
	process_blame(child, WEIR_END_PROTOCOL, "protocol error: %s", what);
	loop_remove(child->frontend->loop, &child->control);
	process_apply(child, SUPERVISE_VIOLATION, child->reason);
}

void process_kill(struct weir_child *child, const char *reason)
{
	process_blame(child, WEIR_END_JOB, "%s", reason);
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
			process_blame(child, WEIR_END_TIMEOUT, "did not get ready within %.3g s",
				(double)child->config.ready_ns / 1e9);
		else
			process_blame(child, WEIR_END_PROTOCOL, "closed its control pipe");
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
		if (!child->guilty)
			child->end = (struct weir_end){ .kind = WEIR_END_EXIT };
		end(child, false, false, child->guilty ? child->reason : "stopped");
		return;
	}
	process_apply(child, SUPERVISE_TIMEOUT, explain_time_out(child));
}

/* --- moving ------------------------------------------------------------------------------------------------------ */

static void signal_process(struct weir_child *child, int number)
{
	if (child->pid > 0)
		death_signal(child->pid, child->pidfd, number);
	if (number == SIGKILL && child->pid > 0) {
		kill(-child->pid, SIGKILL);
		cgroup_kill(&child->cgroup);
	}
}

int64_t process_backoff_ns(const struct supervise_history *history)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)clock_ns();
	return supervise_backoff_ns(history, random);
}

static void set_deadline(struct weir_child *child, uint32_t actions)
{
	int64_t now_ns = clock_ns(), *due_ns = &child->timer.due_ns;

	if ((actions & (SUPERVISE_WAIT_NOTHING | SUPERVISE_WAIT_READY)) != 0)
		*due_ns = CLOCK_NEVER; /* for ready it begins with the process */
	if ((actions & SUPERVISE_WAIT_CLOSING) != 0)
		*due_ns = now_ns + CLOSING_NS;
	if ((actions & SUPERVISE_WAIT_STOP) != 0)
		*due_ns = clock_after(now_ns, child->config.stop_ns);
	if ((actions & SUPERVISE_WAIT_TERM) != 0)
		*due_ns = clock_after(now_ns, child->config.term_ns);
	if ((actions & SUPERVISE_WAIT_KILL) != 0)
		*due_ns = now_ns + KILL_NS;
	if ((actions & SUPERVISE_WAIT_BACKOFF) != 0)
		*due_ns = group_starts(child) ? CLOCK_NEVER
					      : now_ns + (child->recycled ? 0 : process_backoff_ns(&child->history));
}

static void begin_life(struct weir_child *child)
{
	child->exit_seen = child->exit_told = child->exit_final = child->exit_unbegun = child->guilty =
		child->stop_wanted = child->recycled = false;
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
		if (child->pid == 0) {
			spawn_abandon(child); /* there is nothing to stop yet */
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
	child->stop_wanted |= event == SUPERVISE_STOP;
	child->recycled |= event == SUPERVISE_RECYCLE && move.state != from;
	if (move.state == WEIR_CHILD_RUNNING && from != WEIR_CHILD_RUNNING) {
		child->running_since_ns = clock_ns();
		watch_begin(child);
	}
	act(child, move.actions);
	if (move.state == from)
		return;
	frontend_emit(child->frontend, &(struct weir_event){ .type = WEIR_EVENT_CHILD_STATE,
					       .child = child,
					       .from = from,
					       .to = move.state,
					       .reason = kept,
					       .end = child->end });
	stream_child_changed(child, kept);
	notify_children(child->frontend);
	if (child->group != NULL)
		group_child_changed(child, event, kept);
	if (child->owner != NULL && child->owner->changed != NULL)
		child->owner->changed(child, kept);
}

void process_init(struct weir_child *child)
{
	child->cgroup = (struct cgroup)CGROUP_NONE;
	child->pidfd = child->commands = child->events = child->rings = child->output_fd = -1;
	child->death = (struct loop_source){ .class = LOOP_DEATH, .fn = process_look, .data = child };
	child->control = (struct loop_source){ .class = LOOP_CONTROL, .fn = control_readable, .data = child };
	child->log = (struct loop_source){ .class = LOOP_OUTPUT, .fn = output_readable, .data = child };
	child->timer = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = time_out, .data = child };
	watch_init(child);
}
