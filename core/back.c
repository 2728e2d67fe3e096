/* SPDX-License-Identifier: MIT */
#include "back.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/log.h>

#include "clock.h"

#define SEND_NS	  CLOCK_S
#define RESULT_NS (60 * CLOCK_S) /* of a job: the frontend may have other things to do */

bool back_is_local(const struct weir_back *back)
{
	return back->config.events < 0;
}

void back_fail(struct weir_back *back, const char *what, int status)
{
	if (back->exiting)
		return;
	back->exiting = true;
	back->status = status;
	snprintf(back->why, sizeof(back->why), "%s: %s", what, strerror(-status));
}

void back_tell_exit(int events, int status, enum message_exit how, const char *text)
{
	struct weir_message message = {
		.type = MESSAGE_EXIT, .id = how, .status = status, .size = (uint32_t)strlen(text), .data = text
	};

	message_send_wait(events, &message, clock_ns() + SEND_NS);
}

int back_send(struct weir_back *back, uint32_t type, uint32_t id, int status, const void *data, size_t size)
{
	struct weir_message message = { .type = type, .id = id, .status = status, .data = data };
	bool is_result = type == MESSAGE_REPLY && job_is_worker_back();
	int64_t send_ns = is_result ? RESULT_NS : SEND_NS;
	int r = 0;

	if (size > WEIR_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	message.size = (uint32_t)size;
	if (!back_is_local(back))
		r = message_send_wait(back->config.events, &message, clock_ns() + send_ns);
	else if (back->sink != NULL)
		back->sink(back->sink_data, &message);
	if (r == -EPIPE)
		back_fail(back, "the frontend is gone", r);
	else if (r == -ETIMEDOUT && is_result) /* without it the pool would wait for ever */
		back_fail(back, "the frontend took no result", r);
	return r;
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

void back_command(struct weir_back *back, uint32_t type, int status, const void *data, size_t size)
{
	struct weir_message message = { .type = type, .status = status, .size = (uint32_t)size, .data = data };
	int r;

	if (back->backend->command == NULL)
		return;
	r = back->backend->command(back, back->state, &message);
	if (r < 0 && r != -ENOSYS)
		back_fail(back, type == WEIR_COMMAND_FORMAT ? "format" : "command", r);
}

static void handle_user(struct weir_back *back, const struct weir_message *message)
{
	int r = -ENOSYS;

	weir_back_beat(back);

	back->call_id = message->id;
	if (back->backend->command != NULL)
		r = back->backend->command(back, back->state, message);
	if (back->call_id != 0)
		back_send(back, MESSAGE_REPLY, message->id, r, NULL, 0);
	else if (message->id == 0 && r < 0)
		weir_log(WEIR_LOG_WARNING, "backend", "command %u: %s", message->type, strerror(-r));
	back->call_id = 0;
}

void back_handle(struct weir_back *back, const struct weir_message *message)
{
	struct message_input end;

	switch (message->type) {
	case MESSAGE_STOP: back->exiting = true; break;
	case MESSAGE_END:
		if (message->size != sizeof(end))
			return;
		memcpy(&end, message->data, sizeof(end));
		back_end_input(back, &end);
		break;
	case WEIR_COMMAND_WRITER: /* only when there is none */
	case WEIR_COMMAND_ACTIVATE:
	case WEIR_COMMAND_DEACTIVATE:
		back_command(back, message->type, message->status, message->data, message->size);
		break;
	case WEIR_COMMAND_RENEW: back_command(back, WEIR_COMMAND_RENEW, 0, message->data, message->size); break;
	default: handle_user(back, message);
	}
}

/* --- what a backend calls ---------------------------------------------------------------------------------------- */

const char *weir_back_name(const struct weir_back *back)
{
	return back->config.name;
}

int weir_back_reply(struct weir_back *back, const struct weir_message *call, int status, const void *data, size_t size)
{
	int r;

	if (call->id == 0 || call->id != back->call_id)
		return -EINVAL;
	r = back_send(back, MESSAGE_REPLY, call->id, status, data, size);
	if (r == 0)
		back->call_id = 0;
	return r;
}

int weir_back_event(struct weir_back *back, uint32_t type, const void *data, size_t size)
{
	/* The frontend would end us for it. */
	if (type < WEIR_MESSAGE_USER && type != WEIR_EVENT_RESULT && type != WEIR_EVENT_SOURCE)
		return -EINVAL;
	return back_send(back, type, 0, 0, data, size);
}

void weir_back_set_wait(struct weir_back *back, enum weir_wait wait)
{
	back->wait = wait;
}

int weir_back_watch(struct weir_back *back, int fd, weir_watch_fn fn)
{
	struct back_watch *free_one = NULL;

	for (int i = 0; i < BACK_WATCHES_MAX; i++) {
		struct back_watch *watch = &back->watch[i];

		if (watch->fn == NULL) {
			free_one = free_one != NULL ? free_one : watch;
		} else if (watch->fd == fd) {
			watch->fn = fn;
			return 0;
		}
	}
	if (fn == NULL)
		return 0;
	if (free_one == NULL)
		return -ENOSPC;
	*free_one = (struct back_watch){ .fd = fd, .fn = fn };
	back_outside_poke(back);
	return 0;
}

void weir_back_exit(struct weir_back *back, int status)
{
	if (status == 0)
		back->exiting = true;
	else
		back_fail(back, "gave up", status);
	back_outside_poke(back);
}

int weir_back_want_ring(struct weir_back *back, const struct weir_ring_config *config)
{
	return weir_back_want_output(back, 0, config);
}

int weir_back_want_output(struct weir_back *back, uint32_t output, const struct weir_ring_config *config)
{
	struct message_want want = {
		.format = config->format,
		.slot_count = config->slot_count,
		.slot_bytes = config->slot_bytes,
		.loans = config->loans,
		.meta_bytes = config->meta_bytes,
		.output = output,
	};

	if (output >= WEIR_OUTPUTS_MAX)
		return -EINVAL;
	if (back_is_local(back))
		return back_send(back, WEIR_EVENT_WANT_RING, 0, (int)output, config, sizeof(*config));
	return back_send(back, MESSAGE_WANT_RING, 0, 0, &want, sizeof(want));
}

int weir_back_take_writer(struct weir_back *back, struct weir_writer **writer)
{
	if (back->writer == NULL)
		return -ENOENT;
	*writer = back->writer;
	back->writer = NULL;
	return 0;
}

const struct weir_format *weir_back_input_format(const struct weir_back *back, uint32_t input)
{
	if (input >= BACK_INPUTS_MAX || back->input[input].format.kind == 0)
		return NULL;
	return &back->input[input].format;
}

/* --- what the frontend sees of it -------------------------------------------------------------------------------- */

void weir_back_beat(struct weir_back *back)
{
	page_beat_back(back->page);
}

void weir_back_work(struct weir_back *back, bool busy)
{
	uint64_t before = atomic_load_explicit(&back->page->work, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(
		&back->page->work, &before, ((before | 1) + 1) | busy, memory_order_relaxed, memory_order_relaxed))
		;
}

void weir_back_set_position(struct weir_back *back, uint64_t position)
{
	atomic_store_explicit(&back->page->position, position, memory_order_relaxed);
}

bool weir_back_is_poison(const struct weir_back *back, uint64_t position)
{
	for (uint32_t i = 0; i < back->config.poisons; i++)
		if (back->config.poison[i] == position)
			return true;
	return false;
}

/* --- a life ------------------------------------------------------------------------------------------------------ */

int back_enter(struct weir_back *back, const struct weir_backend *backend, const struct back_config *config)
{
	int r;

	back->backend = backend;
	back->config = *config;
	back->page = config->page != NULL ? config->page : &back->own_page;
	message_parser_init(&back->parser);
	back->state = calloc(1, backend->state_bytes > 0 ? backend->state_bytes : 1);
	if (back->state == NULL)
		return -ENOMEM;
	r = backend->enter(back, back->state, config->args);
	if (r < 0) {
		back_fail(back, "could not start", r);
		free(back->state);
		back->state = NULL;
	}
	return r;
}

void back_leave(struct weir_back *back)
{
	if (back->state == NULL)
		return;
	if (back->backend->leave != NULL)
		back->backend->leave(back, back->state, back->status == 0 ? WEIR_LEAVE_STOP : WEIR_LEAVE_ERROR);
	back_outside_free(back);
	back_finish_inputs(back);
	weir_writer_free(&back->writer);
	free(back->state);
	back->state = NULL;
}

/* Its own loop ends when weir_back_turn() says so; an end of its own accord is a success. */
static void run(struct weir_back *back)
{
	int r = 0;

	if (back->backend->loop != NULL) {
		r = back->backend->loop(back, back->state);
		if (r < 0)
			back_fail(back, "loop", r);
		return;
	}
	while (!back->exiting)
		back_turn(back, CLOCK_NEVER);
}

int back_run(const struct weir_backend *backend, const struct back_config *config)
{
	static struct weir_back back;
	int r = back_enter(&back, backend, config);

	if (r == 0) {
		back_send(&back, MESSAGE_READY, 0, 0, NULL, 0);
		run(&back);
		back_leave(&back);
	}
	back_tell_exit(config->events, back.status, MESSAGE_EXIT_ENDED, back.why);
	return back.status;
}
