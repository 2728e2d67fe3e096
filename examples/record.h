/* SPDX-License-Identifier: MIT */
#ifndef RECORD_H
#define RECORD_H

/* The recorder of camera-to-analyzer: one more process, which reads the packets that the decoder gets, or its pictures.
 */

#include "options.h"
#include "output.h"

#include <weir/result.h>
#include <weir/stream.h>

struct record {
	struct weir_child *child;   /* NULL: nothing is recorded */
	struct weir_stream *stream; /* that it reads */
	bool events;
};

/* Adds the recorder, if there is to be one; frames is the stream of the pictures. 0 or -errno. */
int record_start(struct record *record, struct weir_frontend *frontend, struct weir_child *decoder,
	struct weir_stream *frames, const struct options *options);

/* Something is on the picture: an event, if only these are recorded. */
void record_result(const struct record *record, const struct weir_result *result);

/* True when it has taken the end of its stream. */
bool record_finished(const struct record *record);

/* {"type":"record",…} for what it told. */
void record_message(const struct record *record, struct output *output, const struct weir_child *child,
	const struct weir_message *message);

#endif
