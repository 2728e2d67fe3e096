/* SPDX-License-Identifier: MIT */
#ifndef STREAM_H
#define STREAM_H

/* Private to stream.c, generations.c, newring.c and counters.c. A stream has the ring that is being written, the
 * newest, and older ones that some reader still drains. */

#include "frontend.h"

/* A reader keeps at most so many rings of a stream: the one that it drains, and the next. */
#define STREAM_IN_FLIGHT_MAX 2

enum place_state {
	PLACE_NONE = 0, /* not attached */
	PLACE_ATTACHED, /* attached; its descriptors are not sent yet */
	PLACE_SENT,
	PLACE_CLOSED, /* it has drained this ring, or will never see it; its counters are in reader.sum */
};

/* A reader's part in one generation. */
struct place {
	enum place_state state;
	uint32_t end;
};

struct generation {
	struct generation *newer;
	struct weir_ring *ring;
	uint64_t number;
	bool gone;     /* its writer is dead, or has turned to another ring */
	bool renewing; /* its writer is asked to turn to another ring */
	struct place place[WEIR_READERS_MAX];
};

struct stream_reader {
	struct weir_stream *stream;
	struct weir_child *child;
	struct weir_policy policy;
	uint32_t input, index;
	uint64_t published_before;    /* when it was added */
	uint64_t sent_generation;     /* the last one that its present life was sent; 0: none */
	bool end_sent, end_taken;     /* of the stream */
	bool stalled;		      /* in its present life */
	struct weir_reader_stats sum; /* of closed places */
};

struct weir_stream {
	struct weir_stream *next;
	struct weir_frontend *frontend;
	char *name;
	struct weir_stream_config config; /* its name is not kept */
	enum weir_stream_state state;
	struct generation *oldest, *newest; /* NULL: none */
	uint64_t last_number;
	struct weir_ring *spare; /* prepared for the next generation, or NULL */
	struct weir_ring_config spare_config;
	uint64_t spare_refused; /* the generation for which none could be made */
	struct stream_reader *reader[WEIR_READERS_MAX];
	uint32_t readers;

	bool wanted; /* the writer waits for a ring like this */
	struct message_want want;
	bool over; /* nothing more will come, unless the writer asks for a ring again */
	bool source_ended, source_failed, ring_failed;
	int64_t lost_ns;		 /* when the source was lost; 0: it is not */
	char reason[CHILD_REASON_BYTES]; /* for the end */

	uint64_t seen;		      /* frames published as of the last look */
	struct weir_stream_stats sum; /* of rings that are closed; and what is known of the newest */
};

/* --- generations.c --- */
/* Makes the ring that is wanted and hands it out. 0, -EAGAIN (a reader is not ready for it yet), or -errno with the
 * reason in stream->reason. */
int generations_make(struct weir_stream *stream);
/* Attaches readers to the newest ring, and sends descriptors that can be sent by now. */
void generations_place(struct weir_stream *stream);
void generations_close_place(struct stream_reader *reader, struct generation *generation, bool for_good);
/* The newest ring gets no more frames. */
void generations_abandon(struct weir_stream *stream);
bool generations_is_over(const struct generation *generation);
/* Frees rings that nobody needs any more. */
void generations_release(struct weir_stream *stream, bool all);
/* True if the reader has still something to drain. */
bool generations_has_place(const struct stream_reader *reader);

/* --- newring.c --- */
/* The ring that is wanted, the spare one if it fits. 0, or -errno with the reason in stream->reason. */
int newring_create(struct weir_stream *stream, struct weir_ring **ring);
/* Keeps a ring like the present one ready, if the stream's config says so. Blocks while memory is reserved. */
void newring_prepare(struct weir_stream *stream);
/* Slots that a ring for all readers and one more with this policy (NULL: none) needs. */
uint32_t newring_slots_needed(const struct weir_stream *stream, const struct weir_policy *more);

/* --- counters.c --- */
void counters_close_place(struct stream_reader *reader, const struct generation *generation);
void counters_close_ring(struct weir_stream *stream, const struct generation *generation);
uint64_t counters_published(const struct weir_stream *stream);

#endif
