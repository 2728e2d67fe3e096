/* SPDX-License-Identifier: MIT */
#ifndef STORE_H
#define STORE_H

/* The directory of a recorder: names, quota, free space, index. Files are NAME-YYYYMMDDTHHMMSS.uuuuuuZ.mkv, so their
 * order is that of their beginnings; NAME.jsonl is the index: a line for each complete file, one for each deleted one.
 * While a recorder lives it has a lock on the index. Calls block for as long as the file system takes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment.h"

#define STORE_NAME_BYTES 64

struct store;

struct store_config {
	const char *path; /* made if it is not there */
	const char *name;
	uint64_t quota_bytes; /* of all files of this name; 0: none */
	uint64_t floor_bytes; /* that must stay free on the disk */
};

/* *store is NULL, or one that has lost its directory and is closed for this one, if all files of it are gone. Also
 * trims and enters files that a recorder left when it died. -EBUSY: another recorder of this name works here; -ENOTDIR,
 * -EACCES, -EROFS…; one line for people in error. */
int store_open(struct store **store, const struct store_config *config, char *error, size_t size);
void store_close(struct store **store);

int store_directory(const struct store *store);

/* Whether it is still the directory of this path. */
bool store_is_at(const struct store *store, const char *path);

/* The name of a file that begins at this time. */
void store_name(const struct store *store, int64_t wall_ns, char name[SEGMENT_NAME_BYTES]);

/* Makes room for so many bytes more, by deleting the oldest files if it must. -EDQUOT: the quota is too small;
 * -ENOSPC: the disk is too full. Both with nothing left to delete. */
int store_reserve(struct store *store, uint64_t bytes);

/* The files being written took so many of the bytes reserved, or do not any more. */
void store_unreserve(struct store *store, uint64_t bytes);

/* Enters a file that is complete (or, as far as it is, cut short) into the index. -errno: the line is missing there. */
int store_enter(
	struct store *store, const struct weir_format *format, const struct segment_stats *segment, uint64_t dropped);

struct store_stats {
	uint64_t files, bytes, deleted, recovered;
};
void store_stats(const struct store *store, struct store_stats *stats);

#endif
