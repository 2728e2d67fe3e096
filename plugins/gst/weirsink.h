/* SPDX-License-Identifier: MIT */
#ifndef WEIRSINK_H
#define WEIRSINK_H

/* weirsink: a sink element that publishes raw video frames in a ring. It depends on shm and GStreamer only; whoever
 * makes the ring (a frontend by way of the decoder backend, a test, a socket) plugs in as its provider.
 *
 * A ring lives as long as its format: the sink keeps it through state changes, and the first frame after a restart
 * carries WEIR_FRAME_DISCONTINUITY. New caps end the ring and ask for another one. All functions: any thread. */

#include <stdbool.h>

#include <gst/base/gstbasesink.h>
#include <weir/writer.h>

GST_DEBUG_CATEGORY_EXTERN(weirsink_debug);

G_DECLARE_FINAL_TYPE(WeirSink, weirsink, WEIR, SINK, GstBaseSink)

struct weirsink_provider {
	/* Asks for a ring for this format; loans is how many slots the sink needs for itself and what is upstream. The
	 * answer is weirsink_set_writer(), from any thread, within WEIRSINK_RING_NS. Must not block. 0 or -errno. */
	int (*want)(void *data, const struct weir_format *format, uint32_t slot_bytes, uint32_t loans);
	void *data;
	bool packets; /* encoded video instead of raw pictures */
	bool follows; /* readers are told of the next ring: the present one is not ended for them */
};

/* What a weirsrc may ask of its producer (weir_client_note()). */
#define WEIRSINK_NOTE_KEY_UNIT 1u
#define WEIRSINK_NOTE_HEADERS  2u /* with it */

#define WEIRSINK_RING_NS 5000000000

/* Creates the element (floating); its properties "sync" (default false here) and "lossless" (wait for slow lossless
 * readers instead of dropping frames) are set before it starts. The provider is copied. */
WeirSink *weirsink_new(const struct weirsink_provider *provider);

/* Answers want(): takes over the writer, or tells with status (-errno) that there will be none. */
void weirsink_set_writer(WeirSink *self, struct weir_writer *writer, int status);

/* Has the ring replaced by another one like it, with the next frame (WEIR_COMMAND_RENEW). Does not block. */
void weirsink_renew(WeirSink *self);

/* Complies with the supervisor's requests; call it at least every WEIR_WAIT_BOUND_NS. Does not block. */
void weirsink_attend(WeirSink *self);

/* Ends the stream for its readers, and whether they have taken all of it. Without a ring: drained. */
void weirsink_end(WeirSink *self);
bool weirsink_drained(WeirSink *self);

struct weirsink_stats {
	uint64_t frames;     /* published, over all rings */
	uint64_t dropped;    /* no slot was free */
	uint64_t copied;     /* of frames */
	int64_t active_ns;   /* when a frame last came or waited for a reader (CLOCK_MONOTONIC), 0 never */
	int64_t next_pts_ns; /* stream time at the end of the last frame, or WEIR_TIME_NONE */
};
void weirsink_stats(WeirSink *self, struct weirsink_stats *stats);

#endif
