/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

/* Frames that a lost source had still in its pipeline do not make it live. */
#define AFTERGLOW_NS (250 * CLOCK_MS)

const char *weir_stream_state_name(enum weir_stream_state state)
{
	static const char *const name[] = { "waiting", "live", "stale", "ended", "failed" };

	return (size_t)state < sizeof(name) / sizeof(name[0]) ? name[state] : "?";
}

static void set_state(struct weir_stream *stream, enum weir_stream_state to, const char *reason)
{
	enum weir_stream_state from = stream->state;

	if (from == to)
		return;
	stream->state = to;
	frontend_emit(stream->frontend,
		&(struct weir_event){
			.type = WEIR_EVENT_STREAM_STATE, .stream = stream, .from = from, .to = to, .reason = reason });
}

/* Looks whether frames have come. */
static void refresh(struct weir_stream *stream)
{
	uint64_t published = counters_published(stream);
	int64_t now_ns = clock_ns();

	if (published == stream->seen)
		return;
	stream->seen = published;
	stream->sum.last_frame_ns = now_ns;
	if (stream->over || (stream->lost_ns != 0 && now_ns - stream->lost_ns < AFTERGLOW_NS))
		return;
	stream->lost_ns = 0;
	set_state(stream, WEIR_STREAM_LIVE, "frames arrive");
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void tell_ends(struct weir_stream *stream)
{
	if (!stream->over)
		return;
	for (uint32_t i = 0; i < stream->readers; i++) {
		struct stream_reader *reader = stream->reader[i];
		struct message_input end = { .input = reader->input, .generation = reader->sent_generation };

		if (reader->end_sent || reader->child->state != WEIR_CHILD_RUNNING || generations_has_place(reader))
			continue;
		reader->end_sent = control_send(reader->child, MESSAGE_END, 0, &end, sizeof(end)) == 0;
	}
}

static bool writer_is_over(const struct weir_stream *stream)
{
	enum weir_child_state state = stream->config.writer->state;

	return stream->source_ended || stream->source_failed || stream->ring_failed || state == WEIR_CHILD_DONE ||
	       state == WEIR_CHILD_FAILED;
}

static void check_end(struct weir_stream *stream)
{
	bool failed = stream->source_failed || stream->ring_failed ||
		      (stream->config.writer->state == WEIR_CHILD_FAILED && !stream->source_ended);

	if (!stream->over) {
		if (stream->wanted || !writer_is_over(stream) ||
			(stream->newest != NULL && !generations_is_over(stream->newest)))
			return;
		refresh(stream);
		/* A reader that the writer had not granted when it ended would wait for ever. */
		generations_abandon(stream);
		stream->over = true;
		set_state(stream, failed ? WEIR_STREAM_FAILED : WEIR_STREAM_ENDED, stream->reason);
	}
	tell_ends(stream);
}

/* --- what happens ------------------------------------------------------------------------------------------------ */

/* Whatever may have become possible. */
static void advance(struct weir_stream *stream)
{
	int r = 0;

	if (stream->wanted) {
		r = generations_make(stream);
		stream->wanted = r == -EAGAIN;
	}
	if (r < 0 && r != -EAGAIN) {
		stream->ring_failed = true;
		control_send(stream->config.writer, WEIR_COMMAND_WRITER, r, &stream->config.output,
			sizeof(stream->config.output));
	}
	generations_place(stream);
	check_end(stream);
	generations_release(stream, false);
}

struct weir_stream *stream_tick(struct weir_stream *stream)
{
	int64_t stale_ns = stream->config.stale_ns;
	char reason[64];

	refresh(stream);
	if (stream->state == WEIR_STREAM_LIVE && !stream->over && stale_ns > 0 &&
		clock_ns() - stream->sum.last_frame_ns > stale_ns) {
		snprintf(reason, sizeof(reason), "no frame for %.3g s", (double)stale_ns / 1e9);
		set_state(stream, WEIR_STREAM_STALE, reason);
	}
	advance(stream);
	if (stream->state == WEIR_STREAM_LIVE)
		newring_prepare(stream);
	frontend_want_tick(stream->frontend);
	return stream->next;
}

void stream_want_ring(struct weir_child *child, const struct message_want *want)
{
	struct weir_stream *stream = child->writes[want->output];

	if (stream == NULL) {
		control_send(child, WEIR_COMMAND_WRITER, -ENOTCONN, &want->output, sizeof(want->output));
		return;
	}
	refresh(stream);
	stream->want = *want;
	stream->wanted = true;
	stream->over = stream->source_ended = stream->source_failed = stream->ring_failed = false;
	stream->lost_ns = 0;
	for (uint32_t i = 0; i < stream->readers; i++)
		stream->reader[i]->end_sent = stream->reader[i]->end_taken = false;
	advance(stream);
}

static void take_source(struct weir_stream *stream, const struct weir_source_status *status)
{
	refresh(stream);
	switch (status->state) {
	case WEIR_SOURCE_LOST:
		stream->lost_ns = clock_ns();
		if (stream->state == WEIR_STREAM_LIVE)
			set_state(stream, WEIR_STREAM_STALE, status->text);
		break;
	case WEIR_SOURCE_LIVE: stream->lost_ns = 0; break;
	case WEIR_SOURCE_CUT:
	case WEIR_SOURCE_ENDED:
	case WEIR_SOURCE_FAILED:
		stream->source_ended = status->state != WEIR_SOURCE_FAILED;
		stream->source_failed = !stream->source_ended;
		snprintf(stream->reason, sizeof(stream->reason), "%s", status->text);
		advance(stream);
		break;
	default: break;
	}
}

void stream_source(struct weir_child *child, const struct weir_source_status *status)
{
	for (uint32_t i = 0; i < WEIR_OUTPUTS_MAX; i++)
		if (child->writes[i] != NULL)
			take_source(child->writes[i], status);
}

/* --- children ---------------------------------------------------------------------------------------------------- */

void stream_child_spawned(struct weir_child *child)
{
	for (uint32_t i = 0; i < child->inputs; i++)
		advance(child->reads[i]->stream);
}

static void writer_changed(struct weir_stream *stream, const struct weir_child *child, const char *reason)
{
	/* What the source said about its end tells more than what its process did afterwards. */
	if (!stream->source_ended && !stream->source_failed && !stream->ring_failed)
		snprintf(stream->reason, sizeof(stream->reason), "%s: %s", child->name, reason);
	if (child->state == WEIR_CHILD_FAILED && child->pid != 0)
		generations_abandon(stream); /* it cannot even be killed */
	if (child->state == WEIR_CHILD_BACKOFF && stream->state == WEIR_STREAM_LIVE && !stream->over)
		set_state(stream, WEIR_STREAM_STALE, stream->reason);
	advance(stream);
}

void stream_child_changed(struct weir_child *child, const char *reason)
{
	for (uint32_t i = 0; i < child->inputs; i++)
		advance(child->reads[i]->stream);
	for (uint32_t i = 0; i < WEIR_OUTPUTS_MAX; i++)
		if (child->writes[i] != NULL)
			writer_changed(child->writes[i], child, reason);
}

static void forget_life(struct stream_reader *reader)
{
	struct weir_stream *stream = reader->stream;

	for (struct generation *at = stream->oldest; at != NULL; at = at->newer)
		if (at->place[reader->index].state != PLACE_CLOSED)
			generations_close_place(reader, at, at != stream->newest);
	reader->sent_generation = 0;
	reader->end_sent = reader->end_taken;
	reader->stalled = false;
	generations_release(stream, false);
}

void stream_child_dead(struct weir_child *child)
{
	for (uint32_t i = 0; i < child->inputs; i++)
		forget_life(child->reads[i]);
	for (uint32_t i = 0; i < WEIR_OUTPUTS_MAX; i++) {
		struct weir_stream *stream = child->writes[i];

		if (stream == NULL)
			continue;
		refresh(stream);
		stream->wanted = false;
		generations_abandon(stream);
	}
}

static struct stream_reader *find_input(struct weir_child *child, uint32_t input)
{
	return input < child->inputs ? child->reads[input] : NULL;
}

int stream_drained(struct weir_child *child, const struct message_input *input)
{
	struct stream_reader *reader = find_input(child, input->input);
	struct generation *at = reader != NULL ? reader->stream->oldest : NULL;

	while (at != NULL && at->number != input->generation)
		at = at->newer;
	if (at == NULL || at->place[reader->index].state != PLACE_SENT)
		return -EPROTO;
	generations_close_place(reader, at, true);
	advance(reader->stream);
	return 0;
}

int stream_end_taken(struct weir_child *child, const struct message_input *input)
{
	struct stream_reader *reader = find_input(child, input->input);

	if (reader == NULL)
		return -EPROTO;
	/* Not if the stream has begun anew meanwhile. */
	reader->end_taken = reader->end_sent;
	return 0;
}
