/* SPDX-License-Identifier: MIT */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

/* Pictures with what was found on them, as PNG files: about one for each second of the stream. */

#include <stdbool.h>
#include <weir/analyzer.h>

struct snapshot {
	char *directory, *name; /* files are called <directory>/<name>-<sequence>.png */
	int64_t last_pts_ns;
	uint32_t frames; /* since the last picture, for streams without time stamps */
	bool taken, warned;
};

/* Makes the directory if there is none; a failure shows at the first picture. -ENOMEM. */
int snapshot_init(struct snapshot *snapshot, const char *directory, const char *name);
void snapshot_finish(struct snapshot *snapshot);

/* Writes the picture if it is time for one. A failure is logged once and costs nothing else. */
void snapshot_offer(struct snapshot *snapshot, const struct weir_picture *picture, const struct weir_result *result);

#endif
