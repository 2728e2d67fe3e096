/* SPDX-License-Identifier: MIT */
#ifndef LISTING_H
#define LISTING_H

/* The files that a path names: itself, or all recordings in a directory, oldest first. */

#include <stdbool.h>
#include <stddef.h>

struct listing {
	char **path;
	size_t count;
	bool is_directory;
};

/* In a directory those that an index tells of come first, in its order: names tell the time of a clock that somebody
 * may have set back. -ENOENT: there is none; -EACCES, -ENOMEM…. Finish is due either way. */
int listing_read(struct listing *listing, const char *path);
void listing_finish(struct listing *listing);

#endif
