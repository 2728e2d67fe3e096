/* SPDX-License-Identifier: MIT */
#ifndef PACE_H
#define PACE_H

/* How long a writer that waits for its readers had better sleep, by how fast it goes. No clock, no lock. */

#include <stdint.h>

struct pace {
	int64_t claimed_ns, interval_ns; /* the last claim, and the mean time between two */
};

/* A slot was claimed. */
void pace_note(struct pace *pace, int64_t now_ns);

/* With a full ring, in which every reader has much to do, each release would wake us for one slot: the time in which
 * several get free; 0: too short to sleep. */
int64_t pace_full_ns(const struct pace *pace, uint32_t slot_count);

/* Frames that wait push one another out of the caches. A source that runs as fast as it can (a live one is never held
 * up here) is to be no more than a millisecond ahead of the slowest reader that wants every frame: the time in which
 * that catches up with half of its backlog; 0: it is not so far behind. */
int64_t pace_ahead_ns(const struct pace *pace, uint64_t backlog);

#endif
