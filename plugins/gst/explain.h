/* SPDX-License-Identifier: MIT */
#ifndef EXPLAIN_H
#define EXPLAIN_H

/* What went wrong with a source, as one line for people that names the thing and the fix, without secrets. All return
 * the -errno that goes with the text. */

#include <gst/gst.h>

#include "options.h"

/* What is wrong with a file before it is opened; 0: nothing. */
int explain_file(const struct options *options, char *text, size_t size);

/* True if it is an AVI file that is shorter than its first chunk: avidemux knows its duration only as far as it got. */
bool explain_riff_is_cut(const struct options *options);

/* missing: what GStreamer says is not installed, or NULL. debug: the message's debug text, or NULL. */
int explain_error(const struct options *options, const GError *error, const char *debug, const char *missing,
	char *text, size_t size);

#endif
