/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "fds.h"

#define PARKED_NS (10 * CLOCK_MS)

struct loop {
	struct loop_source **source; /* NULL where one was removed during a round */
	struct pollfd *pollfd;	     /* one more than sources: the timerfd is the first */
	uint64_t count, room;
	struct loop_timer *timers;
	struct loop_timer unpark;
	int timerfd;
	bool removed; /* there are NULLs */
};

static void unpark_all(void *data)
{
	struct loop *loop = data;

	for (uint64_t i = 0; i < loop->count; i++)
		if (loop->source[i] != NULL)
			loop->source[i]->parked = false;
}

int loop_create(struct loop **loop)
{
	struct loop *made = calloc(1, sizeof(*made));
	int r;

	if (made == NULL)
		return -ENOMEM;
	made->pollfd = calloc(1, sizeof(*made->pollfd));
	made->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (made->pollfd == NULL || made->timerfd < 0) {
		r = made->timerfd < 0 ? -errno : -ENOMEM;
		loop_free(&made);
		return r;
	}
	made->unpark = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = unpark_all, .data = made };
	loop_add_timer(made, &made->unpark);
	*loop = made;
	return 0;
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	fds_close(&(*loop)->timerfd);
	free((*loop)->source);
	free((*loop)->pollfd);
	free(*loop);
	*loop = NULL;
}

static int grow(struct loop *loop)
{
	uint64_t room = loop->room > 0 ? 2 * loop->room : 16;
	struct loop_source **source = realloc(loop->source, room * sizeof(*source));
	struct pollfd *pollfd;

	if (source == NULL)
		return -ENOMEM;
	loop->source = source;
	pollfd = realloc(loop->pollfd, (room + 1) * sizeof(*pollfd));
	if (pollfd == NULL)
		return -ENOMEM;
	loop->pollfd = pollfd;
	loop->room = room;
	return 0;
}

int loop_add(struct loop *loop, struct loop_source *source)
{
	assert(source->index == 0);
	if (loop->count == loop->room && grow(loop) < 0)
		return -ENOMEM;
	source->parked = false;
	loop->source[loop->count++] = source;
	source->index = loop->count;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (source->index == 0)
		return;
	loop->source[source->index - 1] = NULL;
	source->index = 0;
	loop->removed = true;
}

static void compact(struct loop *loop)
{
	uint64_t kept = 0;

	if (!loop->removed)
		return;
	for (uint64_t i = 0; i < loop->count; i++) {
		if (loop->source[i] == NULL)
			continue;
		loop->source[kept++] = loop->source[i];
		loop->source[kept - 1]->index = kept;
	}
	loop->count = kept;
	loop->removed = false;
}

void loop_park(struct loop *loop, struct loop_source *source)
{
	source->parked = true;
	if (loop->unpark.due_ns == CLOCK_NEVER)
		loop->unpark.due_ns = clock_ns() + PARKED_NS;
}

void loop_add_timer(struct loop *loop, struct loop_timer *timer)
{
	timer->next = loop->timers;
	loop->timers = timer;
}

/* An absolute time in the past fires at once; all zeroes would disarm. */
static void arm(const struct loop *loop)
{
	int64_t due_ns = CLOCK_NEVER;
	struct itimerspec when = { 0 };

	for (const struct loop_timer *timer = loop->timers; timer != NULL; timer = timer->next)
		if (timer->due_ns < due_ns)
			due_ns = timer->due_ns;
	if (due_ns < 1)
		due_ns = 1;
	if (due_ns != CLOCK_NEVER)
		when.it_value = (struct timespec){ .tv_sec = due_ns / CLOCK_S, .tv_nsec = due_ns % CLOCK_S };
	timerfd_settime(loop->timerfd, TFD_TIMER_ABSTIME, &when, NULL);
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

static bool run_class(struct loop *loop, enum loop_class class, uint64_t polled)
{
	bool any = false;

	/* Those that are added meanwhile were not polled. */
	for (uint64_t i = 0; i < polled; i++) {
		struct loop_source *source = loop->source[i];

		if (source == NULL || source->class != class || loop->pollfd[i + 1].revents == 0)
			continue;
		source->fn(source->data);
		any = true;
	}
	return any;
}

int loop_run(struct loop *loop, int64_t deadline_ns)
{
	uint64_t polled;
	bool any = false;

	compact(loop);
	arm(loop);
	polled = loop->count;
	loop->pollfd[0] = (struct pollfd){ .fd = loop->timerfd, .events = POLLIN };
	for (uint64_t i = 0; i < polled; i++) {
		const struct loop_source *source = loop->source[i];

		loop->pollfd[i + 1] = (struct pollfd){ .fd = source->parked ? -1 : source->fd, .events = POLLIN };
	}
	if (clock_poll(loop->pollfd, polled + 1, deadline_ns) > 0) {
		for (int class = 0; class < LOOP_CLASSES; class ++)
			any |= run_class(loop, (enum loop_class) class, polled);
		any |= run_timers(loop);
	}
	return any || clock_ns() < deadline_ns ? 0 : -ETIMEDOUT;
}
