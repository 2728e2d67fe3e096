/* SPDX-License-Identifier: MIT */
#include "frontend.h"

#include <errno.h>

void stream_child_spawned(struct weir_child *child)
{
}

void stream_child_changed(struct weir_child *child)
{
}

void stream_child_dead(struct weir_child *child)
{
}

void stream_want_ring(struct weir_child *child, const struct weir_ring_config *wish)
{
	control_send(child, WEIR_COMMAND_WRITER, -ENOTCONN, NULL, 0);
}

void stream_source(struct weir_child *child, const struct weir_source_status *status)
{
}

int stream_drained(struct weir_child *child, const struct message_input *input, int status)
{
	return -EPROTO;
}

int stream_end_taken(struct weir_child *child, const struct message_input *input)
{
	return -EPROTO;
}

struct weir_stream *stream_tick(struct weir_stream *stream)
{
	return NULL;
}

void stream_free_all(struct weir_frontend *frontend)
{
}
