/* SPDX-License-Identifier: MIT */
#ifndef SLOTPOOL_H
#define SLOTPOOL_H

/* A pool of video buffers over a SlotAllocator that uses buffers again although they were published: without it, each
 * frame would cost a new buffer, memory and metas. */
#include <gst/gst.h>

GstBufferPool *slotpool_new(void);

#endif
