/* SPDX-License-Identifier: MIT */
#ifndef FILESINK_H
#define FILESINK_H

/* GStreamer's filesink as a reader of a ring. */

#include <weir/reader.h>

/* Gives it every frame where it lies, and ends the process. */
void filesink_back(struct weir_reader *reader, const char *path);

#endif
