/* SPDX-License-Identifier: MIT */
#ifndef FEED_H
#define FEED_H

/* A source's side of a served ring: connect, take frames, follow to the next generation. One thread, but for
 * feed_unlock() and feed_unlock_stop(). */

#include <stdatomic.h>

#include <weir/socket.h>

#include "frameallocator.h"

struct feed {
	struct weir_client *client;  /* NULL: not connected */
	FrameAllocator *frames;	     /* the present generation, or NULL */
	struct weir_refusal refusal; /* of the last -ENOSPC */
	uint32_t max_held;
	bool hung_up;
	int wake_fd;
	_Atomic bool unlocked;
};

#define FEED_NEW 1 /* feed_next(): a generation began, with a format of its own */

int feed_init(struct feed *feed); /* -EMFILE */
void feed_finish(struct feed *feed);

/* Tries once, for less than half a second. As weir_client_connect(). */
int feed_connect(struct feed *feed, const char *path, const struct weir_policy *policy);

/* Lets go of everything; memory that is still out stays valid. */
void feed_disconnect(struct feed *feed);

/* The next frame, to be wrapped or released by feed->frames. FEED_NEW; -EAGAIN: nothing for some 100 ms; -EINTR:
 * unlocked; -ENODATA: end of stream; -EPIPE: the producer is gone; else as weir_reader_acquire(). */
int feed_next(struct feed *feed, struct weir_frame *frame);

/* Sleeps for that long, or until feed_unlock(): -EINTR. */
int feed_pause(struct feed *feed, int64_t ns);

/* Has a feed_next() that sleeps look around. Any thread, from feed_init() to feed_finish(). */
void feed_wake(struct feed *feed);

/* Ends every wait at once, and lets none begin until unlock_stop. Any thread. */
void feed_unlock(struct feed *feed);
void feed_unlock_stop(struct feed *feed);

#endif
