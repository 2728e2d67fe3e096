/* SPDX-License-Identifier: MIT */
#ifndef PIPELINE_H
#define PIPELINE_H

/* source → decodebin → videoconvert → videoscale (if a size is wanted) → capsfilter → sink. */

#include <gst/gst.h>

#include "options.h"

/* Builds a pipeline around the sink, in state NULL; packets is another one for what is decoded, or NULL. NULL: *error
 * is one line for people, to be freed; the sink is untouched. */
GstElement *pipeline_build(const struct options *options, GstElement *sink, GstElement *packets, char **error);

/* Sets the pipeline to NULL and takes the sink out of it alive, in a thread of its own, because a driver or a server
 * may block it. 0: pipeline is freed; -ETIMEDOUT: it hangs, and is left to itself together with the sink. */
int pipeline_stop(GstElement *pipeline, GstElement *sink, GstElement *packets, int64_t timeout_ns);

/* Stream time at the end of the source, or GST_CLOCK_TIME_NONE. */
GstClockTime pipeline_duration(GstElement *sink);

#endif
