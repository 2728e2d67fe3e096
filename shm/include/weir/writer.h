/* SPDX-License-Identifier: MIT */
#ifndef WEIR_WRITER_H
#define WEIR_WRITER_H

/* The writing side of a ring: claim a slot, fill it in place, publish it. One store serves all readers; a reader that
 * is slow, stopped or dead delays neither the writer nor another reader (a lossless one delays the writer, at most its
 * stall_ns). Thread rule: one thread at a time; serialise calls that come from several. Rules: weir/frame.h. */

#include <stdbool.h>
#include <weir/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_writer;

/* Maps a ring for writing. Takes over the descriptors in *fds: they are closed in any case (but the eventfds, which the
 * writer keeps), and fds->count becomes 0. Blocks while pages are mapped. -EINVAL: not a writer's descriptors; -EPROTO:
 * not a ring of this version; -ENOMEM, -EMFILE. Attach requests made so far are granted before it returns. */
int weir_writer_open(struct weir_writer **writer, struct weir_ring_fds *fds);

/* Closes without an end of stream. Claimed slots and their pointers become invalid. */
void weir_writer_free(struct weir_writer **writer);

const struct weir_format *weir_writer_format(const struct weir_writer *writer);
uint64_t weir_writer_generation(const struct weir_writer *writer);
uint32_t weir_writer_slot_bytes(const struct weir_writer *writer);
uint32_t weir_writer_slot_count(const struct weir_writer *writer);

/* Takes a free slot on loan. *frame is cleared, frame->slot and *payload (writable, slot_bytes long, page aligned) are
 * set. Several loans at a time are allowed. Does not block. -EAGAIN: no slot is free now: weir_writer_wait(), or do
 * without; a lossless reader that blocks it for stall_ns is degraded or evicted in here, so keep calling. -EBUSY: as
 * many slots as the ring's config allows (loans) are on loan or kept: publish or drop one first. */
int weir_writer_claim(struct weir_writer *writer, struct weir_frame *frame, uint8_t **payload);

/* Publishes a claimed slot; sets frame->sequence. With keep the writer may go on reading the slot (reference frames):
 * it is not reused before weir_writer_drop(). Does not block. -EINVAL: the slot is not on loan, or size_bytes exceeds
 * it; then it stays on loan. */
int weir_writer_publish(struct weir_writer *writer, struct weir_frame *frame, bool keep);

/* The room for metadata of a claimed slot, the ring's meta_bytes long; set frame->meta_bytes to what is used of it.
 * NULL: the slot is not on loan. */
void *weir_writer_meta(struct weir_writer *writer, uint32_t slot);

/* Gives a claimed slot back unpublished, or ends the keeping of a published one. -EINVAL: neither. */
int weir_writer_drop(struct weir_writer *writer, uint32_t slot);

/* Blocks until a slot may be free, at most until deadline_ns and WEIR_WAIT_BOUND_NS; then try claim again, in any case.
 * 0 or -ETIMEDOUT: the deadline has passed. */
int weir_writer_wait(struct weir_writer *writer, int64_t deadline_ns);

/* For a loop of one's own (or a claim under a lock): arm, then poll() the fd for POLLIN for at most WEIR_WAIT_BOUND_NS,
 * then disarm and claim again. arm returns 1 if there is no need to sleep, else 0. The fd is the writer's. */
int weir_writer_fd(const struct weir_writer *writer);
int weir_writer_arm(struct weir_writer *writer);
void weir_writer_disarm(struct weir_writer *writer);

/* Looks at the supervisor's requests (attach, withdraw, reap) and complies. claim does so too: only for an idle writer.
 * Call it at least every WEIR_WAIT_BOUND_NS. Does not block. */
void weir_writer_attend(struct weir_writer *writer);

/* Counts a frame that was copied into its slot instead of being made there. */
void weir_writer_count_copy(struct weir_writer *writer);

/* Publishes the end of stream: readers drain the backlog, then get -ENODATA. Nothing can be published afterwards. */
void weir_writer_end(struct weir_writer *writer);

/* How many of the published frames the slowest lossless reader has still to acquire; one that it does not want counts
 * if it comes after one that it does. 0: none, or there is no such reader. Does not block. */
uint64_t weir_writer_backlog(struct weir_writer *writer);

/* True when every lossless reader has acquired all that is published (or is gone): a writer with an end may exit then
 * without cutting anyone short. Does not block. */
bool weir_writer_drained(struct weir_writer *writer);

#ifdef __cplusplus
}
#endif
#endif
