/* SPDX-License-Identifier: MIT */
#ifndef ADVERTISE_H
#define ADVERTISE_H

/* Which rings are served on this machine: every sink binds an abstract name that tells its path, and the kernel forgets
 * that with the process, however it ends. */

#include <glib.h>

/* Returns a descriptor that advertises the path until it is closed, or -1: the path is too long, or taken. */
int advertise_path(const char *path);

/* The paths that are advertised now, as strings to be freed. */
GSList *advertise_list(void);

#endif
