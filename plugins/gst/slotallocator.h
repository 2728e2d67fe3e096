/* SPDX-License-Identifier: MIT */
#ifndef SLOTALLOCATOR_H
#define SLOTALLOCATOR_H

/* GstMemory over the slots of one ring, so that elements upstream make their pictures where readers look at them.
 *
 * The allocator owns the weir_writer and serialises its use. It knows no element and takes no lock but its own: memory
 * may be allocated and freed from any thread, long after the sink is gone; the ring is closed when the last memory is.
 * Slots are lent to upstream up to a limit, and beyond it plain memory is: an upstream that hoards buffers costs copies
 * but can never take the slot that the sink needs to go on. */

#include <stdbool.h>

#include <gst/gst.h>
#include <weir/writer.h>

G_DECLARE_FINAL_TYPE(SlotAllocator, slotallocator, WEIR, SLOT_ALLOCATOR, GstAllocator)

/* How many slots a ring has to set aside as loans for this: upstream's, and the one that the sink copies into. */
#define SLOTALLOCATOR_LOANS 4

/* Takes over the writer. With lossless a claim waits for a free slot. NULL: out of descriptors; the writer is freed. */
SlotAllocator *slotallocator_new(struct weir_writer *writer, bool lossless);

/* Ends every wait at once. Until slotallocator_unlock_stop() claims do not wait, and until the sink's next claim or
 * publish mapping does not either: a thread upstream must never sleep on a ring that nobody feeds. */
void slotallocator_unlock(SlotAllocator *self);
void slotallocator_unlock_stop(SlotAllocator *self);

/* For the sink: a memory over a free slot. -EAGAIN: none is free (and it is not lossless); -EINTR: unlocked; -EPIPE:
 * the ring was ended. */
int slotallocator_claim(SlotAllocator *self, GstMemory **memory);

/* True if the memory is a slot of this ring, whole, that was not published yet. */
bool slotallocator_is_fresh(SlotAllocator *self, GstMemory *memory);

/* Publishes a fresh memory. From then on it is read-only through any buffer: pools discard it, but for a SlotPool.
 * With keep the slot is not reused while the memory lives; without, nobody may want to read the memory any more.
 * -EBUSY: upstream still has it mapped for writing, so it has to be copied; -EPIPE: the ring was ended. */
int slotallocator_publish(SlotAllocator *self, GstMemory *memory, struct weir_frame *frame, bool keep);

/* Keeps a pool from offering the plain memory that upstream got for want of a slot again and again; no effect on other
 * memory. */
void slotallocator_discard(SlotAllocator *self, GstMemory *memory);

/* Nobody has the buffer of this memory any more: if it was published or discarded, and no other buffer shares it, it is
 * as new, without a slot. No effect on other memory. */
void slotallocator_recycle(GstMemory *memory);

/* The room for metadata of a fresh memory; *slot says which one it is. */
uint8_t *slotallocator_meta(SlotAllocator *self, GstMemory *memory, uint32_t *slot);

const struct weir_format *slotallocator_format(SlotAllocator *self);
void slotallocator_count_copy(SlotAllocator *self);
void slotallocator_attend(SlotAllocator *self);

/* Nothing is published from now on. With is_eos readers learn that the stream ended; without, another ring follows. */
void slotallocator_end(SlotAllocator *self, bool is_eos);
bool slotallocator_drained(SlotAllocator *self);

/* When a thread last waited for readers here (CLOCK_MONOTONIC): then it is not the source that is slow. */
int64_t slotallocator_waited_ns(SlotAllocator *self);

#endif
