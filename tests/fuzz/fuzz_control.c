/* SPDX-License-Identifier: MIT */
/* What a child writes into its control pipe, read by a frontend that has it as a worker with jobs, as a stream's writer
 * and as another's reader; and what a backend may be sent: messages of all kinds, cut anywhere, some bits turned. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <weir/log.h>
#include <weir/result.h>

#include "frontend.h"
#include "jobs.h"
#include "pool.h"

#define STREAM_BYTES 32768
#define JOBS	     8

/* A wish for a ring that is in order would be granted, with as much memory as it says. */
int __wrap_weir_ring_create(struct weir_ring **ring, const struct weir_ring_config *config);

int __wrap_weir_ring_create(struct weir_ring **ring, const struct weir_ring_config *config)
{
	return config->slot_count % 2 != 0 ? -ENOSPC : -EINVAL;
}

static uint32_t sum; /* of all bytes that a program is shown: each must be readable */

static void touch(const void *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		sum += ((const uint8_t *)data)[i];
}

/* --- the stream of bytes ----------------------------------------------------------------------------------------- */

static uint8_t stream[STREAM_BYTES];
static size_t stream_bytes;

static void add_bytes(const void *bytes, size_t count)
{
	if (count > STREAM_BYTES - stream_bytes)
		count = STREAM_BYTES - stream_bytes;
	memcpy(stream + stream_bytes, bytes, count);
	stream_bytes += count;
}

/* Of a kind that the input chooses, with the right size for it or another. */
static void add_message(struct fuzz_input *input)
{
	static const struct {
		uint32_t type, size;
	} kinds[] = { { MESSAGE_READY, 0 }, { MESSAGE_REPLY, 12 }, { MESSAGE_EXIT, 20 },
		{ MESSAGE_WANT_RING, sizeof(struct message_want) }, { MESSAGE_DRAINED, sizeof(struct message_input) },
		{ MESSAGE_END_TAKEN, sizeof(struct message_input) },
		{ WEIR_EVENT_SOURCE, sizeof(struct weir_source_status) },
		{ WEIR_EVENT_RESULT, sizeof(struct weir_result) }, { MESSAGE_STOP, 0 },
		{ MESSAGE_END, sizeof(struct message_input) }, { WEIR_COMMAND_JOB, 8 }, { WEIR_COMMAND_ACTIVATE, 0 },
		{ WEIR_COMMAND_WRITER, 0 }, { WEIR_MESSAGE_USER, 100 }, { WEIR_MESSAGE_USER, WEIR_MESSAGE_BYTES_MAX } };
	uint64_t kind = fuzz_take(input, 1) % (sizeof(kinds) / sizeof(kinds[0])), given = fuzz_take(input, 1);
	uint8_t data[WEIR_MESSAGE_BYTES_MAX];
	struct message_header header = {
		.magic = MESSAGE_MAGIC,
		.version = MESSAGE_VERSION,
		.type = kinds[kind].type,
		.id = (uint32_t)fuzz_take(input, 1),
		.status = (int8_t)fuzz_take(input, 1),
		.size = kinds[kind].size,
	};

	memset(data, given < 128 ? (int)given : 0, sizeof(data));
	for (uint64_t i = 0; i < given % 64; i++) /* the first words matter */
		data[i] = (uint8_t)fuzz_take(input, 1);
	add_bytes(&header, sizeof(header));
	add_bytes(data, header.size);
}

static void make_stream(struct fuzz_input *input)
{
	uint64_t messages = fuzz_take(input, 1) % 12, flips = fuzz_take(input, 1) % 8;

	stream_bytes = 0;
	for (uint64_t i = 0; i < messages; i++)
		add_message(input);
	for (uint64_t i = 0; i < flips && stream_bytes > 0; i++) {
		uint64_t where = fuzz_take(input, 2), bit = fuzz_take(input, 1);

		/* Headers are small among large messages: half of the flips go there. */
		stream[(bit & 8) != 0 ? where % stream_bytes : where % 64 % stream_bytes] ^= (uint8_t)(1 << bit % 8);
	}
	if (messages == 0)
		add_bytes(input->at, (size_t)(input->end - input->at));
}

/* How much comes next; when the input is used up, all of it. */
static size_t next_piece(struct fuzz_input *input, size_t left)
{
	uint64_t piece = fuzz_take(input, 2);

	return piece > 0 && piece < left ? (size_t)piece : left;
}

/* --- the frontend ------------------------------------------------------------------------------------------------ */

static void on_event(void *data, const struct weir_event *event)
{
	struct weir_result result;

	if (event->type == WEIR_EVENT_MESSAGE) {
		touch(event->message->data, event->message->size);
		if (event->message->type == WEIR_EVENT_RESULT)
			weir_result_read(&result, event->message->data, event->message->size);
	}
	if (event->reason != NULL)
		touch(event->reason, strlen(event->reason));
}

static void on_ended(void *data, const struct weir_job_result *result)
{
	touch(result->data, result->size);
	++*(int *)data;
}

static void no_log(void *data, int level, const char *module, const char *text)
{
	touch(text, strlen(text));
}

struct stage {
	struct weir_frontend frontend;
	struct weir_pool *pool;
	struct weir_child *child;
	int events[2], commands[2], ended;
	struct page page;
};

static void add_streams(struct stage *stage)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	struct weir_child_config config = { .name = "other", .backend = "none" };
	struct weir_stream *written, *read;
	struct weir_child *other;
	uint32_t input;

	FUZZ_CHECK(weir_child_add(&stage->frontend, &other, &config) == 0);
	FUZZ_CHECK(weir_stream_create(&stage->frontend, &written,
			   &(struct weir_stream_config){ .name = "written", .writer = stage->child }) == 0);
	FUZZ_CHECK(weir_stream_create(&stage->frontend, &read,
			   &(struct weir_stream_config){ .name = "read", .writer = other }) == 0);
	FUZZ_CHECK(weir_stream_add_reader(written, other, &policy, &input) == 0);
	FUZZ_CHECK(weir_stream_add_reader(read, stage->child, &policy, &input) == 0);
}

/* A child as it is when its process has just been forked; but there is none. */
static void open_stage(struct stage *stage, bool streams)
{
	struct weir_pool_config config = {
		.name = "pool", .backend = "none", .workers = 1, .ahead = 3, .ended = on_ended, .data = &stage->ended
	};
	struct weir_child *child;

	stage->frontend.config.event = on_event;
	FUZZ_CHECK(loop_create(&stage->frontend.loop) == 0);
	FUZZ_CHECK(weir_pool_create(&stage->frontend, &stage->pool, &config) == 0);
	child = stage->child = stage->pool->worker[0].child;
	FUZZ_CHECK(pipe2(stage->events, O_CLOEXEC | O_NONBLOCK) == 0);
	FUZZ_CHECK(pipe2(stage->commands, O_CLOEXEC | O_NONBLOCK) == 0);
	if (streams)
		add_streams(stage);
	child->state = WEIR_CHILD_STARTING;
	child->page = &stage->page;
	child->commands = stage->commands[1];
	child->control.fd = child->events = stage->events[0];
	message_parser_init(&child->parser);
	FUZZ_CHECK(loop_add(stage->frontend.loop, &child->control) == 0);
	for (int i = 0; i < JOBS; i++)
		FUZZ_CHECK(weir_pool_submit(
				   stage->pool, NULL, &(struct weir_job_config){ .data = "job", .size = 4 }, 0) == 0);
}

static void close_stage(struct stage *stage)
{
	stage->child->page = NULL;
	stage->child->commands = stage->child->events = -1;
	loop_remove(stage->frontend.loop, &stage->child->control);
	weir_pool_free(&stage->pool);
	while (stage->frontend.last_child != NULL)
		child_remove(stage->frontend.last_child);
	pool_bury(&stage->frontend, true);
	stream_free_all(&stage->frontend);
	loop_free(&stage->frontend.loop);
	for (int i = 0; i < 2; i++) {
		close(stage->events[i]);
		close(stage->commands[i]);
	}
}

static void drain(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

/* Feeds it in pieces; in between the pool sends jobs, and commands are read. */
static void feed_frontend(struct fuzz_input *input)
{
	static struct stage stage;
	struct weir_pool_counters count;
	size_t fed = 0;

	memset(&stage, 0, sizeof(stage));
	open_stage(&stage, fuzz_take(input, 1) % 2 != 0);
	while (fed < stream_bytes && stage.child->control.index != 0) {
		size_t piece = next_piece(input, stream_bytes - fed);

		FUZZ_CHECK(write(stage.events[1], stream + fed, piece) == (ssize_t)piece);
		fed += piece;
		control_readable(stage.child);
		if (stage.pool->timer.due_ns == 0)
			stage.pool->timer.fn(stage.pool);
		drain(stage.commands[0]);
	}
	weir_pool_counters(stage.pool, &count);
	FUZZ_CHECK(count.submitted == JOBS && count.done == (uint64_t)stage.ended);
	FUZZ_CHECK(count.waiting + count.sent + count.done == JOBS);
	close_stage(&stage);
}

/* --- a backend --------------------------------------------------------------------------------------------------- */

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	touch(message->data, message->size);
	return message->status;
}

static void take_message(void *data, const struct weir_message *message)
{
	touch(message->data, message->size);
}

static const struct weir_backend backend = {
	.abi = WEIR_BACKEND_ABI,
	.name = "touch",
	.enter = enter_back,
	.command = command_back,
};

static void feed_backend(struct fuzz_input *input)
{
	struct weir_back *back;
	size_t fed = 0;
	int commands[2], r = 0;

	FUZZ_CHECK(pipe2(commands, O_CLOEXEC | O_NONBLOCK) == 0);
	FUZZ_CHECK(weir_back_create_local(&back, &backend, "", take_message, NULL) == 0);
	back->config.commands = commands[0];
	while (r == 0 && fed < stream_bytes) {
		size_t piece = next_piece(input, stream_bytes - fed);

		if (write(commands[1], stream + fed, piece) == (ssize_t)piece)
			fed += piece;
		r = weir_back_local_run(back, 0);
	}
	for (size_t i = 0; r == 0 && i <= STREAM_BYTES / MESSAGE_BYTES; i++) /* a turn reads so much */
		r = weir_back_local_run(back, 0);
	weir_back_local_free(&back);
	close(commands[0]);
	close(commands[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, data + bytes };
	bool back = fuzz_take(&input, 1) % 4 == 0;

	weir_log_set(no_log, NULL, WEIR_LOG_ERROR);
	make_stream(&input);
	if (back)
		feed_backend(&input);
	else
		feed_frontend(&input);
	fuzz_check_descriptors();
	return 0;
}
