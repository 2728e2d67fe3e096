/* SPDX-License-Identifier: MIT */
#include "back.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "fds.h"

/* A backend inside of another loop: between two turns the inputs stay armed, and one descriptor stands for everything
 * that a turn would wait for. What that is changes from turn to turn, and a descriptor that was closed may live on in
 * another process, where an epoll set still sees it: so each turn makes a new set, which hangs in the one outside. */

struct back_outside {
	int epoll, inner, timer;
};

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	/* -1: local. EEXIST: watched already, say by two readers. */
	return fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST ? 0 : -errno;
}

void back_outside_free(struct weir_back *back)
{
	if (back->outside == NULL)
		return;
	fds_close(&back->outside->inner);
	fds_close(&back->outside->timer);
	fds_close(&back->outside->epoll);
	free(back->outside);
	back->outside = NULL;
}

static void set_timer(int timer, int64_t due_ns)
{
	struct itimerspec when = { .it_value = { .tv_sec = due_ns / CLOCK_S, .tv_nsec = due_ns % CLOCK_S } };

	timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Without memory for the set there is still the timer: late, but not deaf. */
static void open_set(struct weir_back *back)
{
	struct back_outside *outside = back->outside;
	int64_t due_ns = clock_ns() + WEIR_WAIT_BOUND_NS;

	if (back->next_tick_ns < due_ns)
		due_ns = back->next_tick_ns;
	outside->inner = epoll_create1(EPOLL_CLOEXEC);
	watch(outside->inner, back->config.commands);
	watch(outside->inner, back->config.rings);
	for (int i = 0; i < BACK_WATCHES_MAX; i++)
		if (back->watch[i].fn != NULL)
			watch(outside->inner, back->watch[i].fd);
	for (int i = 0; i < BACK_INPUTS_MAX; i++)
		if (back_input_can_wake(&back->input[i]))
			watch(outside->inner, weir_reader_fd(back->input[i].reader));
	if (back_arm_inputs(back) || back->exiting)
		due_ns = 0;
	watch(outside->epoll, outside->inner);
	set_timer(outside->timer, due_ns > 0 ? due_ns : 1);
}

void back_outside_poke(struct weir_back *back)
{
	if (back->outside != NULL)
		set_timer(back->outside->timer, 1);
}

int weir_back_fd(struct weir_back *back)
{
	struct back_outside *made;
	int r;

	if (back->outside != NULL)
		return back->outside->epoll;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	made->inner = -1;
	made->epoll = epoll_create1(EPOLL_CLOEXEC);
	made->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r = made->epoll < 0 || made->timer < 0 ? -errno : watch(made->epoll, made->timer);
	back->outside = made;
	if (r < 0) {
		back_outside_free(back);
		return r;
	}
	set_timer(made->timer, 1); /* the first turn makes the set */
	return made->epoll;
}

int weir_back_turn(struct weir_back *back, int64_t deadline_ns)
{
	if (back->outside != NULL && back->outside->inner >= 0) {
		fds_close(&back->outside->inner);
		back_disarm_inputs(back);
	}
	if (!back->exiting)
		back_turn(back, deadline_ns);
	if (back->outside != NULL)
		open_set(back);
	if (!back->exiting)
		return 0;
	return back->status < 0 ? back->status : 1;
}
