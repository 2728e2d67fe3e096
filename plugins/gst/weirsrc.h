/* SPDX-License-Identifier: MIT */
#ifndef WEIRSRC_H
#define WEIRSRC_H

/* weirsrc: a source element that reads a ring which somebody serves under a socket path: a weirsink, or any program
 * with weir/socket.h. It depends on shm and GStreamer only. */

#include <gst/gst.h>

G_DECLARE_FINAL_TYPE(WeirSrc, weirsrc, WEIR, SRC, GstElement)

GST_DEBUG_CATEGORY_EXTERN(weirsrc_debug);

#endif
