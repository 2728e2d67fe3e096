/* SPDX-License-Identifier: MIT */
#ifndef HEADERS_H
#define HEADERS_H

/* Containers begin with headers, and muxers put these into the caps, too (streamheader), for those who join later. */

#include <gst/gst.h>

/* Pushes them, if caps are a container's and have some. */
GstFlowReturn headers_push(GstPad *pad, const GstCaps *caps);

#endif
