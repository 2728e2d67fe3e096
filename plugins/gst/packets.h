/* SPDX-License-Identifier: MIT */
#ifndef PACKETS_H
#define PACKETS_H

/* The packets of a source on their way to its decoder, for a sink of their own (a recorder reads them). */

#include <stdbool.h>

#include <gst/gst.h>

/* True for encoded video of which packets can be published. */
bool packets_are(const GstCaps *caps);

/* Puts a tee behind the pad: parsed packets go to the sink, which is added to the pipeline, and to a new decodebin,
 * which is returned, not linked further, and borrowed. NULL: an element is missing, and nothing was changed. */
GstElement *packets_tap(GstElement *pipeline, GstPad *pad, GstElement *sink);

/* The same without a decodebin: parsed packets go to the sink only. */
bool packets_lead(GstElement *pipeline, GstPad *pad, GstElement *sink);

/* Takes it out of the pipeline, if it is in it, alive. */
void packets_untap(GstElement *pipeline, GstElement *sink);

#endif
