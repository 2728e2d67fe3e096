/* SPDX-License-Identifier: MIT */
#ifndef LOOP_H
#define LOOP_H

/* The frontend's one wait: an epoll set, so that it can be part of another loop. Sources are served in the order of
 * their class, so that a death is known before the pipe of the dead one is read. Sources and timers lie in their
 * owners' memory. */

#include <stdbool.h>
#include <stdint.h>

enum loop_class { LOOP_DEATH, LOOP_CONTROL, LOOP_OUTPUT, LOOP_OTHER, LOOP_CLASSES };

struct loop_source {
	int fd; /* the owner's */
	enum loop_class class;
	void (*fn)(void *data);
	void *data;
	/* the loop's */
	bool parked;	/* left out for a moment: it has had its share */
	uint32_t index; /* 1 + its place, or 0 */
	uint32_t serial;
};

struct loop_timer {
	int64_t due_ns; /* CLOCK_NEVER: not set */
	void (*fn)(void *data);
	void *data;
	struct loop_timer *next; /* the loop's */
};

struct loop;

int loop_create(struct loop **loop);
void loop_free(struct loop **loop);

/* Starts with fd, class, fn and data set; no descriptor twice. -ENOMEM, -errno. */
int loop_add(struct loop *loop, struct loop_source *source);
/* Nothing to do for one that is not in the loop. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Leaves a source out for 10 ms: a peer that floods us must not keep us from all others. */
void loop_park(struct loop *loop, struct loop_source *source);

/* Starts with due_ns, fn and data set; the owner may change due_ns at any time. */
void loop_add_timer(struct loop *loop, struct loop_timer *timer);

/* Not while loop_run() runs. */
void loop_remove_timer(struct loop *loop, struct loop_timer *timer);

/* Somebody else waits: this is readable when loop_run() has something to do. From then on loop_timers_changed() is to
 * be called after a due_ns was changed outside of the loop's own functions. */
int loop_fd(struct loop *loop);
void loop_timers_changed(struct loop *loop);

/* Waits for sources and timers, at most until deadline_ns, and serves what is there. 0 or -ETIMEDOUT: nothing was. */
int loop_run(struct loop *loop, int64_t deadline_ns);

#endif
