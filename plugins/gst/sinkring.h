/* SPDX-License-Identifier: MIT */
#ifndef SINKRING_H
#define SINKRING_H

/* The ring of a sink: asked for, waited for, shared between threads, replaced by the next one. */

#include <stdbool.h>

#include "slotallocator.h"
#include "weirsink.h"

struct sinkring {
	GMutex lock; /* guards all below; never held while waiting or while another lock is taken */
	GCond changed;
	SlotAllocator *allocator;	  /* the present ring, or NULL */
	const struct weir_format *wanted; /* or NULL */
	struct weir_writer *writer;	  /* the answer to a want, until it is taken */
	int writer_status;
	gint unlocks; /* atomic: counts sinkring_unlock(): a wait that began before one ends */
};

void sinkring_init(struct sinkring *ring);
void sinkring_finish(struct sinkring *ring);

/* The present ring's allocator with a reference, or NULL. Any thread. */
SlotAllocator *sinkring_ref(struct sinkring *ring);

/* Ends the present ring, if any. As slotallocator_end(). */
void sinkring_end(struct sinkring *ring, bool is_eos);

/* The end of the stream: readers of the present ring learn it; the ring stays, until another one is needed. */
void sinkring_finish_stream(struct sinkring *ring);

/* enum weir_kind of the present ring, or 0. */
uint32_t sinkring_kind(struct sinkring *ring);

/* Ends the present ring, if any, and waits for the next one, at most WEIRSINK_RING_NS. Streaming thread of pad.
 * -EINTR: sinkring_unlock(), or the pad is flushing; -ETIMEDOUT; or what the provider said. */
int sinkring_replace(struct sinkring *ring, const struct weirsink_provider *provider, const struct weir_format *format,
	bool lossless, GstPad *pad);

/* As weirsink_set_writer(). */
void sinkring_set_writer(struct sinkring *ring, struct weir_writer *writer, int status);

/* Ends all waits at once; between unlock and unlock_stop there are no new ones for slots. */
void sinkring_unlock(struct sinkring *ring);
void sinkring_unlock_stop(struct sinkring *ring);

#endif
