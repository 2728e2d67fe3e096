/* SPDX-License-Identifier: MIT */
#ifndef WIRE_H
#define WIRE_H

/* What weirsink writes into the metadata of each frame and weirsrc reads there: times, sticky events, news, metas.
 *
 * Every frame carries the sticky events that hold for it, so who joins late or loses frames still knows them, and the
 * last news (events that are not sticky), so a lossy reader rarely misses any. Events are numbered in their order; a
 * reader takes those that it has not seen. Reading trusts nothing: whatever is there is copied first, then checked.
 * Integers are the machine's own: both ends run on one. */

#include <gst/gst.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_ROOM_MAX 65536u /* bytes of metadata for one frame */
#define WIRE_TEXT_MAX 16384u /* of a tag list or a structure */
#define WIRE_CAPS_MAX 40960u /* of caps */

/* The buffer itself. GST_CLOCK_TIME_NONE and GST_BUFFER_OFFSET_NONE as there. */
struct wire_times {
	uint64_t buffers; /* up to and with this one, whether published or dropped */
	GstClockTime pts, dts, duration;
	uint64_t offset, offset_end;
	int64_t epoch_ns;	 /* CLOCK_MONOTONIC at running time 0, or INT64_MIN: unknown */
	GstClockTime latency_ns; /* of the pipeline that ends in the sink */
	uint32_t flags;		 /* GstBufferFlags */
	uint32_t live;
};

/* --- writing ---------------------------------------------------------------------------------------------------- */

struct wire_out;

struct wire_out *wire_out_new(void);
void wire_out_free(struct wire_out **out);

/* Takes in an event that goes downstream; it stays the caller's. Returns true if it is news that should not wait for
 * the next buffer. Caps stand in the ring's format and are only noted here if they are too long for it. */
bool wire_out_event(struct wire_out *out, GstEvent *event);

/* Forgets all of the stream (a new one begins), but not which numbers were used. */
void wire_out_reset(struct wire_out *out);

/* How much metadata a ring must have room for now; at most WIRE_ROOM_MAX. */
uint32_t wire_out_room(const struct wire_out *out);

/* A ring begins: nothing stands in any of its slots yet. */
void wire_out_new_ring(struct wire_out *out);

/* Writes everything for one buffer (NULL: only news) into the metadata of a slot, and returns the bytes used; what does
 * not fit of metas and events, or has no text, is left out and counted in *lost. -EMSGSIZE: a ring with more room is
 * needed. */
int wire_out_write(struct wire_out *out, uint8_t *area, uint32_t room, uint32_t slot, const struct wire_times *times,
	GstBuffer *buffer, uint32_t *lost);

/* --- reading ---------------------------------------------------------------------------------------------------- */

struct wire_in;

struct wire_in *wire_in_new(void);
void wire_in_free(struct wire_in **in);

/* Another writer: all that is sticky is new again. */
void wire_in_reset(struct wire_in *in);

/* Reads what belongs to a frame. Events that precede it and were not seen yet are appended to events (owned by the
 * caller) in their order: stream-start, caps (only those that the ring's format has no room for), segment, tags, and
 * all others; a flush is one flush-stop event. -EPROTO: it is not ours, or broken; then nothing is given. */
int wire_in_read(struct wire_in *in, const uint8_t *meta, uint32_t bytes, struct wire_times *times, GQueue *events);

/* Adds the metas that came with the frame read last. */
void wire_in_add_metas(struct wire_in *in, GstBuffer *buffer);

#endif
