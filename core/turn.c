/* SPDX-License-Identifier: MIT */
#include "back.h"

#include <errno.h>
#include <string.h>

#include <weir/log.h>

#include "clock.h"
#include "rings.h"

#define TICK_NS	  WEIR_WAIT_BOUND_NS
#define POLLS_MAX (2 + BACK_INPUTS_MAX + BACK_WATCHES_MAX)

static void take_commands(struct weir_back *back)
{
	struct weir_message message;
	int r = message_receive(&back->parser, back->config.commands);

	if (r == -EPIPE || r == -ECONNRESET) {
		back->exiting = true; /* the frontend closes it when it has no more use for us */
		return;
	}
	while (!back->exiting && (r = message_next(&back->parser, &message)) == 1)
		back_handle(back, &message);
	if (r < 0 && r != -EAGAIN)
		back_fail(back, "commands", r);
}

static void take_rings(struct weir_back *back)
{
	struct weir_ring_fds fds;
	uint32_t input;
	int r;

	while (!back->exiting && (r = rings_receive(back->config.rings, &fds, &input)) != -EAGAIN) {
		if (r < 0) {
			if (r == -EPIPE)
				back->exiting = true;
			else
				back_fail(back, "rings", r);
			return;
		}
		back_take_ring(back, &fds, input);
	}
}

static void tick(struct weir_back *back)
{
	int64_t now_ns = clock_ns();
	int r;

	if (now_ns < back->next_tick_ns)
		return;
	back->next_tick_ns = now_ns + TICK_NS;
	if (back->backend->tick == NULL)
		return;
	r = back->backend->tick(back, back->state, now_ns);
	if (r < 0)
		back_fail(back, "tick", r);
}

/* The one reader whose semaphore we may block on, or NULL: nothing else may have to wake us then. */
static struct weir_reader *blocking_reader(const struct weir_back *back)
{
	struct weir_reader *only = NULL;

	if (back->wait != WEIR_WAIT_SEMAPHORE || back->outside != NULL)
		return NULL;
	for (int i = 0; i < BACK_WATCHES_MAX; i++)
		if (back->watch[i].fn != NULL)
			return NULL;
	for (int i = 0; i < BACK_INPUTS_MAX; i++) {
		if (back->input[i].reader == NULL)
			continue;
		if (only != NULL || back->input[i].blocked)
			return NULL;
		only = back->input[i].reader;
	}
	return only;
}

struct set {
	struct pollfd fd[POLLS_MAX];
	nfds_t count;
};

static void add(struct set *set, int fd)
{
	set->fd[set->count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

bool back_input_can_wake(const struct back_input *input)
{
	return input->reader != NULL && !input->blocked;
}

bool back_arm_inputs(struct weir_back *back)
{
	bool is_there = false;

	for (int i = 0; i < BACK_INPUTS_MAX; i++)
		if (back_input_can_wake(&back->input[i]))
			is_there |= weir_reader_arm(back->input[i].reader) != 0;
	return is_there;
}

void back_disarm_inputs(struct weir_back *back)
{
	for (int i = 0; i < BACK_INPUTS_MAX; i++)
		if (back_input_can_wake(&back->input[i]))
			weir_reader_disarm(back->input[i].reader);
}

static void call_watches(struct weir_back *back, const struct pollfd *fds, nfds_t count)
{
	for (nfds_t i = 0; i < count && !back->exiting; i++) {
		if (fds[i].revents == 0)
			continue;
		/* An earlier one may have ended the watching of this one. */
		for (int j = 0; j < BACK_WATCHES_MAX; j++) {
			struct back_watch *watch = &back->watch[j];

			if (watch->fn == NULL || watch->fd != fds[i].fd)
				continue;
			if ((fds[i].revents & POLLNVAL) != 0) {
				weir_log(WEIR_LOG_WARNING, "backend", "a watched descriptor has been closed");
				watch->fn = NULL;
				break;
			}
			watch->fn(back, back->state, watch->fd);
			break;
		}
	}
}

/* Sleeps at most until deadline_ns if may_sleep, then serves everything but frames. */
static void serve(struct weir_back *back, bool may_sleep, int64_t deadline_ns)
{
	struct weir_reader *blocking = may_sleep ? blocking_reader(back) : NULL;
	struct set set = { 0 };
	nfds_t watches;

	add(&set, back->config.commands); /* -1 in local mode: poll() ignores it */
	add(&set, back->config.rings);
	watches = set.count;
	for (int i = 0; i < BACK_WATCHES_MAX; i++)
		if (back->watch[i].fn != NULL)
			add(&set, back->watch[i].fd);
	if (blocking != NULL) {
		weir_reader_wait(blocking, deadline_ns);
		clock_poll(set.fd, set.count, 0);
	} else if (may_sleep) {
		nfds_t others = set.count;

		for (int i = 0; i < BACK_INPUTS_MAX; i++)
			if (back_input_can_wake(&back->input[i]))
				add(&set, weir_reader_fd(back->input[i].reader));
		clock_poll(set.fd, set.count, back_arm_inputs(back) ? 0 : deadline_ns);
		back_disarm_inputs(back);
		set.count = others;
	} else {
		clock_poll(set.fd, set.count, 0);
	}
	if (set.fd[0].revents != 0)
		take_commands(back);
	if (set.fd[1].revents != 0)
		take_rings(back);
	call_watches(back, set.fd + watches, set.count - watches);
}

void back_turn(struct weir_back *back, int64_t deadline_ns)
{
	int64_t bound_ns = clock_ns() + WEIR_WAIT_BOUND_NS;
	bool busy = false;

	if (job_is_terminated_back())
		back->exiting = true;
	weir_back_beat(back);
	for (uint32_t i = 0; i < BACK_INPUTS_MAX && !back->exiting; i++)
		busy |= back_step_input(back, i);
	if (back->exiting)
		return;
	if (back->next_tick_ns != 0 && back->next_tick_ns < bound_ns)
		bound_ns = back->next_tick_ns;
	serve(back, !busy, deadline_ns < bound_ns ? deadline_ns : bound_ns);
	if (!back->exiting)
		tick(back);
}
