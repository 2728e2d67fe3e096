/* SPDX-License-Identifier: MIT */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <gst/gst.h>
#include <weir/backend.h>

/* Tells of the threads behind a sink that a file feeds: a decoder that never comes back from one of its packets hangs,
 * one that waits in the sink (for the clock, for readers) does not. And which second of the film it is, so that one
 * that always kills its decoder there is not played again and again. Before the sink's pipeline is started; the sink
 * must go before the backend does. */
void progress_watch(struct weir_back *back, GstElement *sink);

#endif
