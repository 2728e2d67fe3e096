/* SPDX-License-Identifier: MIT */
#include "frontend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/result.h>

#include "clock.h"

/* A child that has a lot to say is read once in a round, so that the others get their turn; when it has had so many
 * bytes for each SHARE_NS it is left alone for a while, and as soon as it has had any while a call waits for another
 * child: what is read from its pipe it writes again, and takes the processor that the call needs. Small messages cost
 * more time than their bytes do. */
#define SHARE_BYTES	    16384
#define SHARE_WORKER_BYTES  262144 /* what it says was asked for */
#define SHARE_NS	    (10 * CLOCK_MS)
#define SHARE_MESSAGE_BYTES 512 /* a message counts for at least so many */
#define READS_MAX	    64	/* more than a full pipe takes */
#define FULL_NS		    (10 * CLOCK_MS)

int control_send(struct weir_child *child, uint32_t type, int status, const void *data, size_t size)
{
	struct weir_message message = { .type = type, .status = status, .data = data };
	int r;

	if (size > WEIR_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	if (child->commands < 0)
		return -ENOTCONN;
	message.size = (uint32_t)size;
	r = message_send(child->commands, &message);
	return r == -EPIPE ? -ENOTCONN : r;
}

/* --- what children say ------------------------------------------------------------------------------------------- */

/* Text of a child, for people: no control characters (they would reach terminals), always terminated. */
static void take_text(char *text, size_t room, const void *data, size_t size)
{
	if (size > room - 1)
		size = room - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

static int take_exit(struct weir_child *child, const struct weir_message *message)
{
	child->exit_seen = true;
	child->exit_unbegun = message->id != MESSAGE_EXIT_ENDED;
	child->exit_final = message->id == MESSAGE_EXIT_NEVER_STARTS;
	if (!child->guilty && message->size > 0) {
		child->exit_told = true;
		take_text(child->reason, sizeof(child->reason), message->data, message->size);
	}
	return 0;
}

static int take_reply(struct weir_child *child, const struct weir_message *message)
{
	struct call *call = &child->call;

	/* Never asked: but a pool gets round all numbers in a day. */
	if (message->id == 0 || (int32_t)(message->id - child->last_call) > 0)
		return -EPROTO;
	if (message->id != call->id && child->owner != NULL && child->owner->reply != NULL)
		return child->owner->reply(child, message);
	if (message->id != call->id || call->done)
		return 0; /* too late */
	call->done = true;
	call->status = message->status > 0 ? 0 : message->status;
	if (message->size > *call->size) {
		call->status = -EMSGSIZE;
		return 0;
	}
	*call->size = message->size;
	if (message->size > 0)
		memcpy(call->buffer, message->data, message->size);
	return 0;
}

static int take_want_ring(struct weir_child *child, const struct weir_message *message)
{
	struct message_want want;

	if (message->size != sizeof(want))
		return -EPROTO;
	memcpy(&want, message->data, sizeof(want));
	if (weir_format_check(&want.format) < 0 || want.output >= WEIR_OUTPUTS_MAX)
		return -EPROTO;
	stream_want_ring(child, &want);
	return 0;
}

static int take_input(struct weir_child *child, const struct weir_message *message)
{
	struct message_input input;

	if (message->size != sizeof(input))
		return -EPROTO;
	memcpy(&input, message->data, sizeof(input));
	if (message->type == MESSAGE_DRAINED)
		return stream_drained(child, &input);
	return stream_end_taken(child, &input);
}

static void emit(struct weir_child *child, const struct weir_message *message)
{
	frontend_emit(child->frontend,
		&(struct weir_event){ .type = WEIR_EVENT_MESSAGE, .child = child, .message = message });
}

static int take_source(struct weir_child *child, const struct weir_message *message)
{
	struct weir_source_status status;
	struct weir_message checked = *message;

	if (message->size != sizeof(status))
		return -EPROTO;
	memcpy(&status, message->data, sizeof(status));
	if (status.state < WEIR_SOURCE_CONNECTING || status.state > WEIR_SOURCE_CUT ||
		memchr(status.text, '\0', sizeof(status.text)) == NULL)
		return -EPROTO;
	take_text(status.text, sizeof(status.text), status.text, strlen(status.text));
	checked.data = &status;
	emit(child, &checked);
	stream_source(child, &status);
	return 0;
}

static int take_ready(struct weir_child *child)
{
	if (child->state == WEIR_CHILD_RUNNING)
		return -EPROTO;
	process_apply(child, SUPERVISE_READY, "");
	return 0;
}

static int take(struct weir_child *child, const struct weir_message *message)
{
	switch (message->type) {
	case MESSAGE_READY: return take_ready(child);
	case MESSAGE_REPLY: return take_reply(child, message);
	case MESSAGE_EXIT: return take_exit(child, message);
	case MESSAGE_WANT_RING: return take_want_ring(child, message);
	case MESSAGE_DRAINED:
	case MESSAGE_END_TAKEN: return take_input(child, message);
	case WEIR_EVENT_SOURCE: return take_source(child, message);
	default:
		if (message->type != WEIR_EVENT_RESULT && message->type < WEIR_MESSAGE_USER)
			return -EPROTO;
		emit(child, message);
		return 0;
	}
}

/* Handles what is in the parser. -EPROTO: what says which message it was. */
static int take_all(struct weir_child *child, char *what, size_t size)
{
	struct weir_message message;
	int r;

	while ((r = message_next(&child->parser, &message)) == 1) {
		uint32_t type = message.type;
		uint32_t bytes = (uint32_t)sizeof(struct message_header) + message.size;

		if (child->owner == NULL && bytes < SHARE_MESSAGE_BYTES)
			child->share_bytes += SHARE_MESSAGE_BYTES - bytes;

		r = take(child, &message);
		if (r < 0) {
			snprintf(what, size, "bad message of type %u", type);
			return r;
		}
	}
	if (r < 0)
		snprintf(what, size, "not a message");
	return r;
}

/* 0: something was read and handled; -EAGAIN: there is nothing; -EPIPE: closed; -EPROTO. */
static int read_once(struct weir_child *child, char *what, size_t size)
{
	int r = message_receive(&child->parser, child->events);

	if (r < 0)
		return r == -EAGAIN ? r : -EPIPE;
	child->share_bytes += (uint32_t)r;
	return take_all(child, what, size);
}

static bool has_had_its_share(struct weir_child *child)
{
	const struct weir_child *called = child->frontend->called;
	uint32_t share = child->owner != NULL ? SHARE_WORKER_BYTES : SHARE_BYTES;
	int64_t now_ns = clock_ns(), spans = (now_ns - child->share_since_ns) / SHARE_NS;

	if (spans > 0) {
		child->share_since_ns = now_ns;
		child->share_bytes -= spans * share < child->share_bytes ? (uint32_t)spans * share : child->share_bytes;
	}
	if (child->owner == NULL && called != NULL && called != child)
		share = 1;
	return child->share_bytes >= share;
}

void control_forgive(struct weir_child *child, const struct weir_message *message)
{
	uint32_t bytes = (uint32_t)sizeof(struct message_header) + message->size;

	child->share_bytes -= bytes < child->share_bytes ? bytes : child->share_bytes;
}

void control_readable(void *data)
{
	struct weir_child *child = data;
	char what[64];
	int r;

	if (has_had_its_share(child)) {
		loop_park(child->frontend->loop, &child->control);
		return;
	}
	r = read_once(child, what, sizeof(what));
	if (r == -EPIPE) {
		loop_remove(child->frontend->loop, &child->control);
		if (!child->is_command)
			process_apply(child, SUPERVISE_CLOSING, "");
	} else if (r == -EPROTO) {
		process_violation(child, what);
	}
}

void control_drain(struct weir_child *child)
{
	char what[64];

	/* A dead child cannot be punished any more: what is no message is left unread. */
	for (int i = 0; child->control.index != 0 && i < READS_MAX; i++)
		if (read_once(child, what, sizeof(what)) < 0)
			return;
}

/* --- calls ------------------------------------------------------------------------------------------------------- */

void control_fail_call(struct weir_child *child)
{
	if (child->call.id == 0 || child->call.done)
		return;
	child->call.done = true;
	child->call.status = -ENOTCONN;
}

uint32_t control_next_id(struct weir_child *child)
{
	if (++child->last_call == 0) /* no answer would be expected */
		child->last_call++;
	return child->last_call;
}

int weir_child_send(struct weir_child *child, uint32_t type, const void *data, size_t size)
{
	if (type < WEIR_MESSAGE_USER)
		return -EINVAL;
	return control_send(child, type, 0, data, size);
}

int weir_child_call(struct weir_child *child, uint32_t type, const void *data, size_t data_size, void *buffer,
	size_t *size, int64_t deadline_ns)
{
	struct weir_message message = { .type = type, .data = data, .size = (uint32_t)data_size };
	size_t no_room = 0;
	int r;

	if (child->frontend->dispatching)
		return -EDEADLK;
	if (type < WEIR_MESSAGE_USER)
		return -EINVAL;
	if (data_size > WEIR_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	if (child->commands < 0)
		return -ENOTCONN;
	message.id = control_next_id(child);
	child->call = (struct call){ .id = message.id, .buffer = buffer, .size = size != NULL ? size : &no_room };
	child->frontend->called = child;
	r = message_send(child->commands, &message);
	while (r == -EAGAIN || (r == 0 && !child->call.done)) {
		/* Nothing tells when there is room in its pipe again. */
		int64_t again_ns = r == -EAGAIN ? clock_ns() + FULL_NS : CLOCK_NEVER;

		weir_frontend_dispatch(child->frontend, deadline_ns < again_ns ? deadline_ns : again_ns);
		if (child->call.done)
			r = 0;
		else if (clock_ns() >= deadline_ns)
			r = -ETIMEDOUT;
		else if (r == -EAGAIN)
			r = message_send(child->commands, &message);
	}
	child->frontend->called = NULL;
	if (r == 0)
		r = child->call.status;
	child->call = (struct call){ 0 };
	return r == -EPIPE ? -ENOTCONN : r;
}
