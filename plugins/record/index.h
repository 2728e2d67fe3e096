/* SPDX-License-Identifier: MIT */
#ifndef INDEX_H
#define INDEX_H

/* The index of a recorder's files, JSON lines:
 *	{"v":1,"type":"segment","file":…,"kind":"video","format":"NV12","width":…,"height":…,"frames":…,"bytes":…,
 *	 "dropped":…,"start":…,"first_pts_ns":…,"last_pts_ns":…,"duration_ns":…,"complete":true}
 *	{"v":1,"type":"deleted","file":…} */

#include <stdbool.h>

#include "segment.h"

struct index {
	int fd;
	char **name; /* of files that it tells of: known while opening, sorted */
	size_t count;
};

/* -EBUSY: somebody has it locked. */
int index_open(struct index *index, int directory_fd, const char *name);
void index_close(struct index *index);
bool index_has(const struct index *index, const char *file);

/* The files that an index tells of, in its order, whether they are there or not. No index: none. The caller frees the
 * names and the array. */
int index_read(int directory_fd, const char *file, char ***name, size_t *count);

/* The line is written whole or not at all. recovered: of a recorder that died; its times are not known. */
int index_add_segment(struct index *index, const struct weir_format *format, const struct segment_stats *segment,
	uint64_t dropped, bool recovered);
int index_add_deleted(struct index *index, const char *file);

#endif
