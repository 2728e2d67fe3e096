/* SPDX-License-Identifier: MIT */
#ifndef STREAMCAPS_H
#define STREAMCAPS_H

/* Caps of any kind and struct weir_format, in both directions. */

#include <stdbool.h>

#include <gst/video/video.h>
#include <weir/frame.h>

/* What a ring for these caps says of them. payload_bytes is that of a picture, or the guess for a packet. Caps that are
 * too long for it are left out. *info is set for raw video, else cleared. -EINVAL: bad caps; -ENOTSUP: not in system
 * memory. */
int streamcaps_to_format(struct weir_format *format, GstVideoInfo *info, const GstCaps *caps, uint32_t packet_bytes);

/* NULL: it says nothing, or nothing that makes sense. */
GstCaps *streamcaps_of_format(const struct weir_format *format);

/* What can cross of caps: they, with a reference, or a copy without the headers that some repeat; NULL: too long. */
GstCaps *streamcaps_to_cross(GstCaps *caps);

/* True if a ring for these caps says just this; what it has no room for may differ. */
bool streamcaps_are_of(const GstCaps *caps, const struct weir_format *format);

bool streamcaps_is_system_memory(const GstCaps *caps);

/* True for raw video whose sides can be multiplied without overflow; then *info is set. */
bool streamcaps_video_info(GstVideoInfo *info, const GstCaps *caps);

/* Puts the planes of the format into info. False: the format is not about these caps; info stays. */
bool streamcaps_take_layout(GstVideoInfo *info, const struct weir_format *format);

#endif
