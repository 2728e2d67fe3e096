/* SPDX-License-Identifier: MIT */
#include "back.h"

#include <errno.h>
#include <stdlib.h>

int weir_back_create_local(
	struct weir_back **back, const struct weir_backend *backend, const char *args, weir_back_sink fn, void *data)
{
	struct back_config config = {
		.name = backend->name, .args = args != NULL ? args : "", .commands = -1, .events = -1, .rings = -1
	};
	struct weir_back *made = calloc(1, sizeof(*made));
	int r;

	if (made == NULL)
		return -ENOMEM;
	/* enter() may send already. */
	made->sink = fn;
	made->sink_data = data;
	r = back_enter(made, backend, &config);
	if (r < 0) {
		free(made);
		return r;
	}
	*back = made;
	return 0;
}

int weir_back_local_ring(struct weir_back *back, uint32_t input, struct weir_ring_fds *fds)
{
	if (input >= BACK_INPUTS_MAX) {
		weir_ring_fds_close(fds);
		return -EINVAL;
	}
	back_take_ring(back, fds, input);
	return back->exiting ? back->status : 0;
}

int weir_back_local_command(struct weir_back *back, uint32_t type, const void *data, size_t size)
{
	struct weir_message message = { .type = type, .id = 1, .size = (uint32_t)size, .data = data };

	if (size > WEIR_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	back_handle(back, &message);
	return back->exiting ? back->status : 0;
}

int weir_back_local_run(struct weir_back *back, int64_t deadline_ns)
{
	return weir_back_turn(back, deadline_ns);
}

void weir_back_local_free(struct weir_back **back)
{
	if (*back == NULL)
		return;
	back_leave(*back);
	free(*back);
	*back = NULL;
}
