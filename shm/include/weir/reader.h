/* SPDX-License-Identifier: MIT */
#ifndef WEIR_READER_H
#define WEIR_READER_H

/* The reading side of a ring: acquire a frame, look at it in place, release it. Acquire and release write only this
 * reader's own page. Thread rule: one thread at a time. Rules: weir/frame.h.
 *
 *	while (weir_reader_acquire_until(reader, &frame, deadline_ns) == 0) {
 *		use(frame.data);
 *		weir_reader_release(reader, &frame);
 *	}
 */

#include <weir/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_reader;

/* Maps a ring for reading. Takes over the descriptors in *fds, as weir_writer_open(). Blocks while pages are mapped.
 * -EINVAL: not a reader's descriptors; -EPROTO: not a ring of this version; -ENOMEM. */
int weir_reader_open(struct weir_reader **reader, struct weir_ring_fds *fds);

/* Says that the reader left, and unmaps: frames still held become invalid. In a child of the process that opened it:
 * only unmaps. */
void weir_reader_free(struct weir_reader **reader);

const struct weir_format *weir_reader_format(const struct weir_reader *reader);
uint64_t weir_reader_generation(const struct weir_reader *reader);

/* Takes the next frame that the policy gives. *frame is borrowed until weir_reader_release(); up to max_held at a time,
 * released in any order. Does not block.
 * -EAGAIN: nothing new (or not yet attached); -ENODATA: end of stream, all was taken; -EPIPE: the writer is gone and
 * all was taken: the next generation is another ring; -ESTALE: evicted as stalled; -EBUSY: max_held frames are held. */
int weir_reader_acquire(struct weir_reader *reader, struct weir_frame *frame);

/* Gives a frame back; its data must not be touched afterwards. -EINVAL: it is not held. Does not block. */
int weir_reader_release(struct weir_reader *reader, const struct weir_frame *frame);

/* Waking, one of two kinds. (1) Blocks on the semaphore (on the eventfd in a ring without semaphores) until there may
 * be something to acquire, at most until deadline_ns and WEIR_WAIT_BOUND_NS. 0: try acquire; -ETIMEDOUT: deadline. */
int weir_reader_wait(struct weir_reader *reader, int64_t deadline_ns);

/* Acquire, and wait as often as it takes: the first frame, or what acquire says instead of -EAGAIN, or -ETIMEDOUT.
 * Blocks until deadline_ns (absolute, CLOCK_MONOTONIC). */
int weir_reader_acquire_until(struct weir_reader *reader, struct weir_frame *frame, int64_t deadline_ns);

/* Lets weir_reader_wait() spin for up to spin_ns around the moment at which the cadence so far makes it expect the next
 * frame: a few microseconds of latency instead of a wake-up's fifty, for so much CPU time a frame. 0: off, the default;
 * at most WEIR_WAIT_BOUND_NS. -EINVAL. */
int weir_reader_set_spin(struct weir_reader *reader, int64_t spin_ns);

/* (2) For a loop: arm, then poll() the fd for POLLIN for at most WEIR_WAIT_BOUND_NS, then disarm and acquire until
 * -EAGAIN. arm returns 1 if there is something to acquire already (do not sleep), else 0. The fd is the reader's. */
int weir_reader_fd(const struct weir_reader *reader);
int weir_reader_arm(struct weir_reader *reader);
void weir_reader_disarm(struct weir_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
