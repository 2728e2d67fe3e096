/* SPDX-License-Identifier: MIT */
#ifndef PLANAR_H
#define PLANAR_H

/* Audio with each channel in a plane of its own (layout=non-interleaved). In a ring the planes follow each other. */

#include <stdbool.h>

#include <gst/audio/audio.h>

/* True for raw audio of this layout; then *info is set. */
bool planar_info(GstAudioInfo *info, const GstCaps *caps);

/* The buffer with its planes one after the other: itself if they are so already, else a copy. The caller unrefs it. */
GstBuffer *planar_pack(const GstAudioInfo *info, GstBuffer *buffer);

/* Says of a buffer from a ring where its planes are: elements need to be told. */
void planar_describe(const GstAudioInfo *info, GstBuffer *buffer);

#endif
