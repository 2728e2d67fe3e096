/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <weir/log.h>

#include "clock.h"
#include "fds.h"

#define TICK_NS		(50 * CLOCK_MS)
#define ZYGOTE_READY_NS (60 * CLOCK_S)
#define ZYGOTE_AGAIN_NS CLOCK_S
#define ZYGOTE_REST_NS	(10 * CLOCK_S)

static struct weir_frontend *the_only; /* the zygote and its answers cannot be shared */

#define FOR_EACH_CHILD(frontend, child)                                                                                \
	for (struct weir_child *child = (frontend)->first_child; child != NULL; child = child->next)
#define FOR_EACH_CHILD_BACKWARDS(frontend, child)                                                                      \
	for (struct weir_child *child = (frontend)->last_child; child != NULL; child = child->previous)

void frontend_emit(struct weir_frontend *frontend, const struct weir_event *event)
{
	if (frontend->config.event != NULL && !frontend->muted)
		frontend->config.event(frontend->config.data, event);
}

void frontend_kick(struct weir_frontend *frontend)
{
	frontend->kick.due_ns = 0;
	loop_timers_changed(frontend->loop);
}

void frontend_want_tick(struct weir_frontend *frontend)
{
	if (frontend->tick.due_ns != CLOCK_NEVER)
		return;
	frontend->tick.due_ns = clock_ns() + TICK_NS;
	loop_timers_changed(frontend->loop);
}

/* --- what the loop calls ----------------------------------------------------------------------------------------- */

static void on_kick(void *data)
{
	struct weir_frontend *frontend = data;

	FOR_EACH_CHILD_BACKWARDS(frontend, child)
	{
		if (child->request != CHILD_REQUEST_STOP)
			continue;
		child->request = CHILD_REQUEST_NONE;
		process_apply(child, SUPERVISE_STOP, "stop was asked for");
	}
	FOR_EACH_CHILD(frontend, child)
	{
		if (child->request == CHILD_REQUEST_START) {
			child->request = CHILD_REQUEST_NONE;
			child->history = (struct supervise_history){ 0 };
			child->deaths = (struct supervise_deaths){ 0 };
			process_apply(child, SUPERVISE_START, "");
		}
	}
	for (struct weir_group *group = frontend->group_list; group != NULL; group = group->next)
		group_step(group);
	FOR_EACH_CHILD(frontend, child)
	spawn_try(child);
}

static void on_zygote_death(void *data);

/* Where no pidfd tells us. */
static void look_for_deaths(struct weir_frontend *frontend)
{
	if (zygote_pidfd() < 0 && zygote_pid() != 0 && zygote_is_dead())
		on_zygote_death(frontend);
	FOR_EACH_CHILD(frontend, child)
	if (child->pid != 0 && child->pidfd < 0)
		process_look(child);
	frontend_want_tick(frontend);
}

static void on_tick(void *data)
{
	struct weir_frontend *frontend = data;

	if (frontend->blind)
		look_for_deaths(frontend);
	orphans_tick(frontend);
	FOR_EACH_CHILD(frontend, child)
	output_tick(child);
	for (struct weir_stream *stream = frontend->streams; stream != NULL;)
		stream = stream_tick(stream);
}

static void on_user_tick(void *data)
{
	struct weir_frontend *frontend = data;

	frontend->user_tick.due_ns = clock_after(clock_ns(), frontend->config.tick_ns);
	frontend_emit(frontend, &(struct weir_event){ .type = WEIR_EVENT_TICK });
}

static void on_signal(void *data)
{
	struct weir_frontend *frontend = data;
	struct signalfd_siginfo info;

	while (read(frontend->signal_fd, &info, sizeof(info)) == sizeof(info))
		frontend_emit(frontend,
			&(struct weir_event){ .type = WEIR_EVENT_SIGNAL, .signal_number = (int)info.ssi_signo });
}

/* --- the zygote -------------------------------------------------------------------------------------------------- */

static int watch_zygote(struct weir_frontend *frontend)
{
	int r;

	loop_remove(frontend->loop, &frontend->zygote_death);
	loop_remove(frontend->loop, &frontend->zygote_control);
	frontend->zygote_deadline.due_ns = zygote_is_ready() ? CLOCK_NEVER : clock_ns() + ZYGOTE_READY_NS;
	frontend->zygote_death.fd = zygote_pidfd();
	frontend->zygote_control.fd = zygote_socket();
	frontend->blind |= zygote_pidfd() < 0;
	if (frontend->blind)
		frontend_want_tick(frontend);
	if ((zygote_pidfd() >= 0 && (r = loop_add(frontend->loop, &frontend->zygote_death)) < 0) ||
		(r = loop_add(frontend->loop, &frontend->zygote_control)) < 0)
		return r;
	return 0;
}

/* There may be no memory or no process number to be had now; it is the worst of times to give up. */
static void renew_zygote(struct weir_frontend *frontend)
{
	int r;

	loop_remove(frontend->loop, &frontend->zygote_death);
	loop_remove(frontend->loop, &frontend->zygote_control);
	r = zygote_revive();
	if (r == 0)
		r = watch_zygote(frontend);
	if (r < 0) {
		weir_log(WEIR_LOG_WARNING, "frontend", "cannot start a zygote: %s", strerror(-r));
		frontend->zygote_deadline.due_ns =
			clock_ns() + (zygote_is_given_up() ? ZYGOTE_REST_NS : ZYGOTE_AGAIN_NS);
	}
	spawn_zygote_gone(frontend);
	frontend_kick(frontend);
}

static void on_zygote_death(void *data)
{
	weir_log(WEIR_LOG_WARNING, "frontend", "the zygote has died; starting another");
	renew_zygote(data);
}

static void on_zygote_control(void *data)
{
	struct weir_frontend *frontend = data;
	struct zygote_answer answer;
	int r;

	while ((r = zygote_attend(&answer)) > 0) {
		if (answer.id == 0 && answer.text[0] != '\0')
			weir_log(WEIR_LOG_WARNING, "zygote", "%s", answer.text);
		spawn_answered(frontend, &answer);
	}
	if (r < 0) /* closed: its death is told otherwise */
		loop_remove(frontend->loop, &frontend->zygote_control);
}

static void on_zygote_deadline(void *data)
{
	struct weir_frontend *frontend = data;

	if (zygote_pid() == 0 || frontend->zygote_control.index == 0) {
		renew_zygote(frontend);
		return;
	}
	weir_log(WEIR_LOG_WARNING, "frontend",
		zygote_is_ready() ? "the zygote does not answer; it is replaced"
				  : "the zygote did not get ready within 60 s");
	zygote_kill();
}

/* --- the frontend ------------------------------------------------------------------------------------------------ */

static void fill_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

static int take_signals(struct weir_frontend *frontend)
{
	sigset_t set;

	fill_signals(&set);
	frontend->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (frontend->signal_fd < 0)
		return -errno;
	pthread_sigmask(SIG_BLOCK, &set, &frontend->old_signals);
	frontend->signals.fd = frontend->signal_fd;
	return loop_add(frontend->loop, &frontend->signals);
}

static void init(struct weir_frontend *frontend)
{
	frontend->signal_fd = -1;
	frontend->cgroups = (struct cgroups){ -1, -1, -1, -1 };
	frontend->kick = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = on_kick, .data = frontend };
	frontend->tick = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = on_tick, .data = frontend };
	frontend->user_tick = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = on_user_tick, .data = frontend };
	frontend->zygote_deadline =
		(struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = on_zygote_deadline, .data = frontend };
	frontend->zygote_death = (struct loop_source){ .class = LOOP_DEATH, .fn = on_zygote_death, .data = frontend };
	frontend->zygote_control =
		(struct loop_source){ .class = LOOP_CONTROL, .fn = on_zygote_control, .data = frontend };
	frontend->signals = (struct loop_source){ .class = LOOP_OTHER, .fn = on_signal, .data = frontend };
	orphans_init(frontend);
	notify_init(frontend);
	if (frontend->config.tick_ns > 0)
		frontend->user_tick.due_ns = clock_after(clock_ns(), frontend->config.tick_ns);
}

int weir_frontend_create(struct weir_frontend **frontend, const struct weir_frontend_config *config)
{
	struct weir_frontend *made;
	int r;

	if (!zygote_is_initialised())
		return -EPERM;
	if (the_only != NULL)
		return -EBUSY;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	if (config != NULL)
		made->config = *config;
	init(made);
	r = loop_create(&made->loop);
	if (r < 0)
		goto fail;
	loop_add_timer(made->loop, &made->tick);
	loop_add_timer(made->loop, &made->user_tick);
	loop_add_timer(made->loop, &made->zygote_deadline);
	loop_add_timer(made->loop, &made->look);
	loop_add_timer(made->loop, &made->watchdog);
	loop_add_timer(made->loop, &made->kick);
	if (made->config.cgroup != NULL && cgroups_open(&made->cgroups, made->config.cgroup) < 0)
		weir_log(WEIR_LOG_WARNING, "frontend", "cannot use control groups: they are not writable here");
	r = zygote_revive();
	if (r == 0)
		r = watch_zygote(made);
	if (r == 0 && !made->config.own_signals)
		r = take_signals(made);
	if (r < 0)
		goto fail;
	the_only = *frontend = made;
	return 0;
fail:
	weir_frontend_free(&made);
	return r;
}

/* Frees what nobody wants any more. Only here, where nothing of the frontend is on the stack. */
static void bury(struct weir_frontend *frontend)
{
	struct weir_child *next;

	if (!frontend->burials)
		return;
	frontend->burials = false;
	pool_bury(frontend, false);
	for (struct weir_child *child = frontend->first_child; child != NULL; child = next) {
		bool ended = child->state == WEIR_CHILD_DONE || child->state == WEIR_CHILD_FAILED;

		next = child->next;
		if (!child->buried)
			continue;
		if (ended && child->pid == 0 && child->writes[0] == NULL && child->writes[1] == NULL &&
			child->inputs == 0)
			child_remove(child);
		else
			frontend->burials = true;
	}
}

int weir_frontend_dispatch(struct weir_frontend *frontend, int64_t deadline_ns)
{
	int r;

	assert(!frontend->dispatching); /* an event function must return */
	bury(frontend);
	frontend->dispatching = true;
	r = loop_run(frontend->loop, deadline_ns);
	frontend->dispatching = false;
	return r;
}

int weir_frontend_fd(struct weir_frontend *frontend)
{
	return loop_fd(frontend->loop);
}

static bool all_ended(struct weir_frontend *frontend)
{
	FOR_EACH_CHILD(frontend, child)
	if (child->pid != 0 && child->state != WEIR_CHILD_FAILED)
		return false;
	return true;
}

static void stop_all(struct weir_frontend *frontend)
{
	int64_t bound_ns = CLOCK_S; /* for orphans, if there is no child any more */

	frontend->muted = true;
	notify_stopping(frontend);
	FOR_EACH_CHILD_BACKWARDS(frontend, child)
	{
		int64_t needed_ns = clock_after(clock_after(child->config.stop_ns, child->config.term_ns), CLOCK_S);

		bound_ns = needed_ns > bound_ns ? needed_ns : bound_ns;
		if (child->state == WEIR_CHILD_STOPPING && child->timer.due_ns == CLOCK_NEVER)
			child->timer.due_ns = clock_ns() + child->config.stop_ns; /* a launch had more */
		weir_child_stop(child);
	}
	/* Or a death that has not been seen yet would have all members started again. */
	for (struct weir_group *group = frontend->group_list; group != NULL; group = group->next)
		weir_group_stop(group);
	bound_ns = clock_after(clock_ns(), bound_ns);
	while (!all_ended(frontend) || frontend->unanswered > 0 || !orphans_are_gone(frontend))
		if (weir_frontend_dispatch(frontend, bound_ns) == -ETIMEDOUT || clock_ns() >= bound_ns)
			break;
}

void weir_frontend_free(struct weir_frontend **frontend)
{
	struct weir_frontend *old = *frontend;

	if (old == NULL)
		return;
	pool_free_all(old);
	if (old->loop != NULL)
		stop_all(old);
	pool_bury(old, true);
	while (old->last_child != NULL) {
		struct weir_child *child = old->last_child;

		process_release(child);
		old->last_child = child->previous;
		child_free(child);
	}
	stream_free_all(old);
	group_free_all(old);
	loop_free(&old->loop);
	if (old->signal_fd >= 0)
		pthread_sigmask(SIG_SETMASK, &old->old_signals, NULL);
	fds_close(&old->signal_fd);
	fds_close(&old->notify_fd);
	cgroups_close(&old->cgroups);
	free(old->orphan);
	if (the_only == old)
		the_only = NULL;
	free(old);
	*frontend = NULL;
}
