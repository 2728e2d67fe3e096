/* SPDX-License-Identifier: MIT */
#ifndef REPORT_H
#define REPORT_H

/* What camera-to-analyzer tells: states, statistics, the summary. */

#include "options.h"
#include "output.h"

#include <weir/stream.h>

struct report {
	struct output *output;
	const char *source; /* for people */
	struct weir_stream *stream;
	int count;
	struct weir_child *analyzer[ANALYZERS_MAX];
	int64_t age_ns[ANALYZERS_MAX]; /* of the newest result */
	uint64_t bad[ANALYZERS_MAX];   /* results that are none */

	/* When the status was last shown. */
	int64_t then_ns;
	uint64_t published, delivered[ANALYZERS_MAX];
};

void report_init(struct report *report, struct output *output, const struct options *options);

/* {"type":"state","process":…,"from":…,"to":…,"reason":…} for a change of a child's or a stream's state. */
void report_state(const struct report *report, const struct weir_event *event);

/* Frames a second, age and losses since the last time, for people. */
void report_status(struct report *report, int64_t now_ns);

/* {"type":"summary",…}; exit: "eos", "signal" or "failed". */
void report_summary(const struct report *report, const char *exit);

#endif
