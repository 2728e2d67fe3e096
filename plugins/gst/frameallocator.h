/* SPDX-License-Identifier: MIT */
#ifndef FRAMEALLOCATOR_H
#define FRAMEALLOCATOR_H

/* GstMemory over the frames of one ring, read-only: the frame is held until the memory is freed, by whatever thread,
 * even long after the element is gone. Elements downstream may hold more memory than a reader may hold frames: one pin
 * is kept back, and what does not fit is copied and counted.
 *
 * The allocator owns the weir_reader and serialises its use; it knows no element and takes no lock but its own. */

#include <stdbool.h>

#include <gst/gst.h>
#include <weir/reader.h>

G_DECLARE_FINAL_TYPE(FrameAllocator, frameallocator, WEIR, FRAME_ALLOCATOR, GstAllocator)

/* Takes over the reader, which may hold max_held frames. */
FrameAllocator *frameallocator_new(struct weir_reader *reader, uint32_t max_held);

/* As weir_reader_acquire(). At most one frame may be acquired and neither wrapped nor released. */
int frameallocator_acquire(FrameAllocator *self, struct weir_frame *frame);
void frameallocator_release(FrameAllocator *self, const struct weir_frame *frame);

/* Ends the acquired frame: the memory holds it from now on, or *copied is set and it holds a copy. */
GstMemory *frameallocator_wrap(FrameAllocator *self, const struct weir_frame *frame, bool *copied);

const struct weir_format *frameallocator_format(FrameAllocator *self);

/* As weir_reader_fd() and weir_reader_arm(). There is no disarming: the bell that woke us is cleared before the next
 * sleep, and not between a frame and its reader; a writer rings once for each sleep. */
int frameallocator_fd(FrameAllocator *self);
int frameallocator_arm(FrameAllocator *self);

#endif
