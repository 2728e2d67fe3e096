/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define STALE_NS (2 * CLOCK_S)

int weir_stream_create(
	struct weir_frontend *frontend, struct weir_stream **stream, const struct weir_stream_config *config)
{
	struct weir_stream *made;

	if (config->name == NULL || config->writer == NULL || config->writer->frontend != frontend ||
		config->output >= WEIR_OUTPUTS_MAX || config->writer->writes[config->output] != NULL ||
		config->backing > WEIR_BACKING_SEALED || config->slot_count > WEIR_SLOTS_MAX)
		return -EINVAL;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	made->name = strdup(config->name);
	if (made->name == NULL) {
		free(made);
		return -ENOMEM;
	}
	made->frontend = frontend;
	made->config = *config;
	if (made->config.stale_ns == 0)
		made->config.stale_ns = STALE_NS;
	made->next = frontend->streams;
	frontend->streams = made;
	config->writer->writes[config->output] = made;
	frontend_want_tick(frontend);
	*stream = made;
	return 0;
}

void stream_free_all(struct weir_frontend *frontend)
{
	while (frontend->streams != NULL) {
		struct weir_stream *old = frontend->streams;

		frontend->streams = old->next;
		generations_release(old, true);
		weir_ring_free(&old->spare);
		for (uint32_t i = 0; i < old->readers; i++)
			free(old->reader[i]);
		free(old->name);
		free(old);
	}
}

static bool is_valid(const struct weir_policy *policy)
{
	return policy->mode <= WEIR_POLICY_LOSSLESS && policy->depth <= WEIR_SLOTS_MAX &&
	       policy->max_held <= WEIR_HELD_MAX && policy->on_stall <= WEIR_STALL_EVICT && policy->stall_ns >= 0;
}

int weir_stream_add_reader(
	struct weir_stream *stream, struct weir_child *reader, const struct weir_policy *policy, uint32_t *input)
{
	const struct generation *newest = stream->newest;
	struct weir_ring_stats stats;
	struct stream_reader *made;

	if (reader->frontend != stream->frontend || reader == stream->config.writer || !is_valid(policy))
		return -EINVAL;
	for (uint32_t i = 0; i < stream->readers; i++)
		if (stream->reader[i]->child == reader)
			return -EINVAL;
	if (stream->readers == WEIR_READERS_MAX / 2 || reader->inputs == BACK_INPUTS_MAX)
		return -EBUSY;
	if (newest != NULL) {
		weir_ring_stats(newest->ring, &stats);
		if (weir_ring_slots_needed(newest->ring, policy) > stats.slot_count)
			return -ENOSPC;
	}
	if (stream->config.slot_count != 0 && newring_slots_needed(stream, policy) > stream->config.slot_count)
		return -ENOSPC;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	made->stream = stream;
	made->child = reader;
	made->policy = *policy;
	made->index = stream->readers;
	made->input = reader->inputs;
	made->published_before = counters_published(stream);
	stream->reader[stream->readers++] = made;
	reader->reads[reader->inputs++] = made;
	if (newest != NULL)
		generations_place(stream);
	*input = made->input;
	return 0;
}

enum weir_stream_state weir_stream_state(const struct weir_stream *stream)
{
	return stream->state;
}

const char *weir_stream_name(const struct weir_stream *stream)
{
	return stream->name;
}

bool weir_stream_finished(const struct weir_stream *stream)
{
	if (!stream->over)
		return false;
	for (uint32_t i = 0; i < stream->readers; i++) {
		enum weir_child_state state = stream->reader[i]->child->state;

		if (!stream->reader[i]->end_taken && state != WEIR_CHILD_DONE && state != WEIR_CHILD_FAILED)
			return false;
	}
	return true;
}
