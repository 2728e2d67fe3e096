/* SPDX-License-Identifier: MIT */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

/* A stream is frames from one child to others, across generations: the frontend creates a ring when the writer asks for
 * one, hands it to all, replaces a dead reader's place and a dead writer's ring, and keeps count of everything that was
 * delivered and lost. Rules and threads as weir/frontend.h. */

#include <stdbool.h>

#include <weir/frontend.h>
#include <weir/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_stream_config {
	const char *name;	   /* required; for messages; without secrets */
	struct weir_child *writer; /* required */
	uint32_t output;	   /* which of the writer's streams, see weir_back_want_output(); default 0 */
	uint32_t backing;	   /* enum weir_backing */
	uint32_t slot_count;	   /* default: what the readers' policies need, and 2 more */
	int64_t stale_ns;	   /* no frame for so long: STALE; default 2 s; -1 never */
	bool spare; /* keep a second ring prepared: a restarted writer gets it at once instead of after the time that
		     * reserving its memory takes (about 1 ms for 10 MB), for twice the shared memory */
};

enum weir_stream_state {
	WEIR_STREAM_WAITING = 0, /* no frame yet */
	WEIR_STREAM_LIVE,
	WEIR_STREAM_STALE,  /* frames have stopped coming: source lost, decoder dead or hung */
	WEIR_STREAM_ENDED,  /* end of stream, or the writer is DONE */
	WEIR_STREAM_FAILED, /* the writer is FAILED, or its ring could not be made: reason says what would mend it */
};
const char *weir_stream_state_name(enum weir_stream_state state); /* "live", … */

/* -EINVAL: config, or the writer already has a stream. The stream belongs to the frontend. Create the stream, and add
 * its readers, before you next call weir_frontend_dispatch(): then they miss nothing. */
int weir_stream_create(
	struct weir_frontend *frontend, struct weir_stream **stream, const struct weir_stream_config *config);

/* Lets a child read the stream from its next generation, or from the next frame if there is a ring already; after a
 * restart of the child again. *input is the number that its frame() gets. -EINVAL: policy; -ENOSPC: the ring has too
 * few slots; -EBUSY: too many readers. */
int weir_stream_add_reader(
	struct weir_stream *stream, struct weir_child *reader, const struct weir_policy *policy, uint32_t *input);

enum weir_stream_state weir_stream_state(const struct weir_stream *stream);
const char *weir_stream_name(const struct weir_stream *stream);

/* True when the stream has ended (or failed) and every reader has told that it took the end, or is gone. */
bool weir_stream_finished(const struct weir_stream *stream);

struct weir_stream_stats {
	uint64_t generations, published, source_lost, copied, claim_waits, stalled; /* over all generations */
	uint64_t rung_eventfd, rung_semaphore;
	uint32_t slot_count, free_low_water; /* of the present generation */
	int64_t last_frame_ns;		     /* when a new frame was last noticed (checked every 50 ms), or 0 */
	struct weir_format format;	     /* of the present generation; kind 0: none yet */
};
void weir_stream_stats(const struct weir_stream *stream, struct weir_stream_stats *stats);

/* Over all generations and all lives of this reader: published = delivered + overtaken + skipped + missed + pending, in
 * which pending is what it has still to take, and missed is what was published while it was dead or not attached. */
struct weir_reader_stats {
	uint64_t published, delivered, overtaken, skipped, missed, pending;
	uint64_t woken_eventfd, woken_semaphore;
	bool stalled; /* its present life was degraded or evicted */
};
/* -ENOENT: this child does not read the stream. */
int weir_stream_reader_stats(
	const struct weir_stream *stream, const struct weir_child *reader, struct weir_reader_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
