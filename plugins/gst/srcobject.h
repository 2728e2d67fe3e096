/* SPDX-License-Identifier: MIT */
#ifndef SRCOBJECT_H
#define SRCOBJECT_H

/* weirsrc's insides, for its own files. */

#include "feed.h"
#include "srcsettings.h"
#include "srcstream.h"
#include "weirsrc.h"

struct _WeirSrc {
	GstElement parent;
	GstPad *pad;

	struct srcsettings settings; /* guarded by the object lock */
	struct srcsettings run;	     /* as they were when it started; the streaming thread's */

	GMutex lock; /* guards the next three */
	GCond changed;
	bool playing, flushing, eos_asked;

	struct feed feed; /* the streaming thread's, as all below */
	struct srcstream stream;
	bool was_connected, connected;
	int64_t waiting_since_ns, silent_since_ns; /* the latter 0: not silent */
	bool silence_told;
	gint left_to_push;
	_Atomic uint32_t notes; /* to be sent to the producer */
};

/* Tries to connect, and waits for a moment if nobody is there. GST_FLOW_ERROR: a message was posted. */
GstFlowReturn srcproducer_connect(WeirSrc *self);

/* Nothing came for a moment: tells the application, if it has lasted. */
void srcproducer_note_silence(WeirSrc *self);

/* The producer is gone. GST_FLOW_ERROR: nobody waits for the next one; a message was posted. */
GstFlowReturn srcproducer_lose(WeirSrc *self);

/* Of the interface GstURIHandler. */
void srcuri_handler_init(gpointer interface, gpointer data);

#endif
