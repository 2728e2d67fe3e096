/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "fds.h"

#define PARKED_NS (10 * CLOCK_MS)

struct loop {
	struct loop_source **source; /* NULL where one was removed */
	struct epoll_event *event;   /* as many as sources, and the timerfd */
	uint32_t count, room;
	uint32_t last_serial;
	struct loop_timer *timers;
	struct loop_timer unpark;
	int epoll, timerfd;
	int64_t armed_ns; /* what timerfd is set to; 0: look again */
	bool in_round;
	bool outside; /* somebody else waits for our fd: timerfd must be right at all times */
};

/* What an event tells: the place of a source, and which one was there when it was added. */
static uint64_t key_of(const struct loop_source *source)
{
	return (uint64_t)source->serial << 32 | source->index;
}

static struct loop_source *find(const struct loop *loop, uint64_t key)
{
	uint32_t index = (uint32_t)key;
	struct loop_source *source = index > 0 ? loop->source[index - 1] : NULL;

	return source != NULL && key_of(source) == key ? source : NULL;
}

static int watch(struct loop *loop, int fd, uint64_t key)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = key };

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void unwatch(struct loop *loop, int fd)
{
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void unpark_all(void *data)
{
	struct loop *loop = data;

	for (uint32_t i = 0; i < loop->count; i++) {
		struct loop_source *source = loop->source[i];

		if (source == NULL || !source->parked)
			continue;
		source->parked = watch(loop, source->fd, key_of(source)) < 0;
		if (source->parked)
			loop->unpark.due_ns = clock_ns() + PARKED_NS; /* no memory: later */
	}
}

int loop_create(struct loop **loop)
{
	struct loop *made = calloc(1, sizeof(*made));
	int r = -ENOMEM;

	if (made == NULL)
		return r;
	made->epoll = epoll_create1(EPOLL_CLOEXEC);
	made->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (made->epoll < 0 || made->timerfd < 0) {
		r = -errno;
		goto fail;
	}
	made->event = calloc(1, sizeof(*made->event));
	if (made->event == NULL)
		goto fail;
	r = watch(made, made->timerfd, 0);
	if (r < 0)
		goto fail;
	made->unpark = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = unpark_all, .data = made };
	loop_add_timer(made, &made->unpark);
	*loop = made;
	return 0;
fail:
	loop_free(&made);
	return r;
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	fds_close(&(*loop)->timerfd);
	fds_close(&(*loop)->epoll);
	free((*loop)->source);
	free((*loop)->event);
	free(*loop);
	*loop = NULL;
}

static int grow(struct loop *loop)
{
	uint32_t room = loop->room > 0 ? 2 * loop->room : 16;
	struct loop_source **source = realloc(loop->source, room * sizeof(*source));
	struct epoll_event *event;

	if (source == NULL)
		return -ENOMEM;
	loop->source = source;
	event = realloc(loop->event, (room + 1) * sizeof(*event));
	if (event == NULL)
		return -ENOMEM;
	loop->event = event;
	loop->room = room;
	return 0;
}

int loop_add(struct loop *loop, struct loop_source *source)
{
	uint32_t place = 0;
	int r;

	assert(source->index == 0);
	while (place < loop->count && loop->source[place] != NULL)
		place++;
	if (place == loop->room && grow(loop) < 0)
		return -ENOMEM;
	source->index = place + 1;
	source->serial = ++loop->last_serial;
	source->parked = false;
	r = watch(loop, source->fd, key_of(source));
	if (r < 0) {
		source->index = 0;
		return r;
	}
	loop->source[place] = source;
	if (place == loop->count)
		loop->count++;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (source->index == 0)
		return;
	if (!source->parked)
		unwatch(loop, source->fd);
	loop->source[source->index - 1] = NULL;
	source->index = 0;
}

void loop_park(struct loop *loop, struct loop_source *source)
{
	if (!source->parked)
		unwatch(loop, source->fd);
	source->parked = true;
	if (loop->unpark.due_ns == CLOCK_NEVER)
		loop->unpark.due_ns = clock_ns() + PARKED_NS;
}

void loop_add_timer(struct loop *loop, struct loop_timer *timer)
{
	timer->next = loop->timers;
	loop->timers = timer;
}

void loop_remove_timer(struct loop *loop, struct loop_timer *timer)
{
	for (struct loop_timer **at = &loop->timers; *at != NULL; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			return;
		}
	}
}

static int64_t next_due_ns(const struct loop *loop)
{
	int64_t due_ns = CLOCK_NEVER;

	for (const struct loop_timer *timer = loop->timers; timer != NULL; timer = timer->next)
		if (timer->due_ns < due_ns)
			due_ns = timer->due_ns;
	return due_ns;
}

/* An absolute time in the past fires at once; all zeroes would disarm. */
static void arm(struct loop *loop, int64_t due_ns)
{
	struct itimerspec when = { 0 };

	if (due_ns < 1)
		due_ns = 1;
	if (due_ns == loop->armed_ns)
		return;
	loop->armed_ns = due_ns;
	if (due_ns != CLOCK_NEVER)
		when.it_value = (struct timespec){ .tv_sec = due_ns / CLOCK_S, .tv_nsec = due_ns % CLOCK_S };
	timerfd_settime(loop->timerfd, TFD_TIMER_ABSTIME, &when, NULL);
}

void loop_timers_changed(struct loop *loop)
{
	if (loop->outside && !loop->in_round)
		arm(loop, next_due_ns(loop));
}

int loop_fd(struct loop *loop)
{
	loop->outside = true;
	arm(loop, next_due_ns(loop));
	return loop->epoll;
}

static bool run_timers(struct loop *loop)
{
	int64_t now_ns = clock_ns();
	bool any = false;

	for (struct loop_timer *timer = loop->timers; timer != NULL; timer = timer->next) {
		if (timer->due_ns > now_ns)
			continue;
		timer->due_ns = CLOCK_NEVER; /* first: fn may set it again */
		timer->fn(timer->data);
		any = true;
	}
	return any;
}

static bool run_class(struct loop *loop, enum loop_class class, int count)
{
	bool any = false;

	for (int i = 0; i < count; i++) {
		/* Another one may have removed it, or put something else in its place. */
		struct loop_source *source = find(loop, loop->event[i].data.u64);

		if (source == NULL || source->class != class)
			continue;
		source->fn(source->data);
		any = true;
	}
	return any;
}

static bool run_round(struct loop *loop)
{
	int count = epoll_wait(loop->epoll, loop->event, (int)loop->count + 1, 0);
	bool any = false;

	loop->in_round = true;
	for (int class = 0; class < LOOP_CLASSES; class ++)
		any |= run_class(loop, (enum loop_class) class, count);
	for (int i = 0; i < count; i++)
		if (loop->event[i].data.u64 == 0)
			loop->armed_ns = 0; /* it has expired: only setting it again makes it unreadable */
	any |= run_timers(loop);
	loop->in_round = false;
	return any;
}

int loop_run(struct loop *loop, int64_t deadline_ns)
{
	struct pollfd pollfd = { .fd = loop->epoll, .events = POLLIN };
	int64_t due_ns = next_due_ns(loop);
	bool is_due = due_ns <= clock_ns(), any = false;

	/* Setting the timerfd is the most expensive part of a round. So it is left alone if a timer is due already, and
	 * if it is set too early: that wakes us for nothing once. */
	if (loop->outside || (!is_due && (loop->armed_ns == 0 || loop->armed_ns > due_ns)))
		arm(loop, due_ns);
	if (is_due || clock_poll(&pollfd, 1, deadline_ns) > 0)
		any = run_round(loop);
	if (loop->outside)
		arm(loop, next_due_ns(loop));
	return any || clock_ns() < deadline_ns ? 0 : -ETIMEDOUT;
}
