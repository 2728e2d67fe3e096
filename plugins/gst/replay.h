/* SPDX-License-Identifier: MIT */
#ifndef REPLAY_H
#define REPLAY_H

/* The packets of a recorder's directory as a source element: all its files in order, as one stream that begins at 0. */

#include <gst/gst.h>

/* A floating element, or NULL with one line for people in *error, to be freed. Blocks to read the beginning. */
GstElement *replay_new(const char *path, char **error);

#endif
