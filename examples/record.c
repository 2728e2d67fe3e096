/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/record.h>

#define SECOND_NS INT64_C(1000000000)

int record_start(struct record *record, struct weir_frontend *frontend, struct weir_child *decoder,
	struct weir_stream *frames, const struct options *options)
{
	char args[ARGS_BYTES];
	struct weir_child_config config = {
		.name = "recorder", .backend = "record/recorder", .args = args, .stop_ns = 10 * SECOND_NS
	};
	struct weir_stream_config packets = { .name = "packets", .writer = decoder, .output = 1 };
	struct weir_policy policy = { .mode = options->lossless ? WEIR_POLICY_LOSSLESS : WEIR_POLICY_DROP_OLDEST,
		.depth = options->record_raw ? 4 : 16,
		.max_held = 8,
		.async_io = 1 };
	uint32_t input;
	int r;

	if (options->record == NULL)
		return 0;
	record->events = options->record_events;
	record->stream = frames;
	r = options_recorder_args(options, args);
	if (r == 0)
		r = weir_child_add(frontend, &record->child, &config);
	if (r == 0 && !options->record_raw)
		r = weir_stream_create(frontend, &record->stream, &packets);
	return r == 0 ? weir_stream_add_reader(record->stream, record->child, &policy, &input) : r;
}

void record_result(const struct record *record, const struct weir_result *result)
{
	/* A recorder that is being started again has nothing to record yet. */
	if (record->child != NULL && record->events && result->box_count > 0)
		(void)weir_child_send(record->child, WEIR_COMMAND_RECORD_EVENT, NULL, 0);
}

bool record_finished(const struct record *record)
{
	return record->child == NULL || weir_stream_finished(record->stream);
}

void record_message(const struct record *record, struct output *output, const struct weir_child *child,
	const struct weir_message *message)
{
	static const char *const states[] = { "idle", "active", "blocked" };
	struct weir_record_status status;
	char line[1024], text[512];

	if (child != record->child || message->type != WEIR_EVENT_RECORD || message->size != sizeof(status))
		return;
	memcpy(&status, message->data, sizeof(status));
	status.text[sizeof(status.text) - 1] = '\0';
	if (weir_json_string(status.text, text, sizeof(text)) < 0)
		strcpy(text, "\"\"");
	snprintf(line, sizeof(line),
		"{\"type\":\"record\",\"state\":\"%s\",\"engine\":\"%s\",\"frames\":%" PRIu64 ",\"committed\":%" PRIu64
		",\"dropped\":%" PRIu64 ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"deleted\":%" PRIu64
		",\"error\":%s}",
		status.state < 3 ? states[status.state] : "?", status.is_uring ? "io_uring" : "plain", status.frames,
		status.committed, status.overtaken + status.refused + status.failed + status.before_key, status.files,
		status.bytes, status.deleted, text);
	output_line(output, line);
}
