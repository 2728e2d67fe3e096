/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "clock.h"
#include "message.h"

static size_t build(uint8_t *bytes, uint32_t type, uint32_t size)
{
	struct message_header header = {
		.magic = MESSAGE_MAGIC, .version = MESSAGE_VERSION, .type = type, .id = 7, .status = -5, .size = size
	};

	memcpy(bytes, &header, sizeof(header));
	for (uint32_t i = 0; i < size; i++)
		bytes[sizeof(header) + i] = (uint8_t)(type + i);
	return sizeof(header) + size;
}

static void check(const struct weir_message *message, uint32_t type, uint32_t size)
{
	assert_int_equal(message->type, type);
	assert_int_equal(message->id, 7);
	assert_int_equal(message->status, -5);
	assert_int_equal(message->size, size);
	for (uint32_t i = 0; i < size; i++)
		assert_int_equal(((const uint8_t *)message->data)[i], (uint8_t)(type + i));
	assert_int_equal((uintptr_t)message->data % 8, 0);
}

static void messages_are_found_wherever_the_bytes_are_cut(void **state)
{
	static const uint32_t size[] = { 0, 1, 13, 500, WEIR_MESSAGE_BYTES_MAX };
	static uint8_t bytes[3 * MESSAGE_BYTES];
	size_t total = 0;

	for (uint32_t i = 0; i < 5; i++)
		total += build(bytes + total, 300 + i, size[i]);
	for (size_t step = 1; step < 700; step += step < 40 ? 1 : 97) {
		struct message_parser parser;
		struct weir_message message;
		size_t fed = 0;
		uint32_t found = 0;

		message_parser_init(&parser);
		while (found < 5) {
			int r = message_next(&parser, &message);

			if (r == 1) {
				check(&message, 300 + found, size[found]);
				found++;
				continue;
			}
			assert_int_equal(r, 0);
			assert_true(fed < total);
			fed += message_feed(&parser, bytes + fed, total - fed < step ? total - fed : step);
		}
		assert_int_equal(fed, total);
		assert_int_equal(message_next(&parser, &message), 0);
	}
}

static void violations_are_refused(void **state)
{
	uint8_t bytes[64];

	for (int i = 0; i < 4; i++) {
		struct message_header header = { .magic = MESSAGE_MAGIC, .version = MESSAGE_VERSION, .type = 300 };
		struct message_parser parser;
		struct weir_message message;

		if (i == 0)
			header.magic++;
		if (i == 1)
			header.version++;
		if (i == 2)
			header.size = WEIR_MESSAGE_BYTES_MAX + 1;
		if (i == 3)
			header.status = INT32_MIN;
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, &header, sizeof(header));
		message_parser_init(&parser);
		assert_int_equal(message_feed(&parser, bytes, sizeof(header)), sizeof(header));
		assert_int_equal(message_next(&parser, &message), -EPROTO);
		assert_int_equal(message_next(&parser, &message), -EPROTO);
	}
}

/* A fuzzer in small: whatever comes, the parser stays within its buffer (ASan looks) and ends in one of its answers. */
static void mutated_streams_never_break_the_parser(void **state)
{
	static uint8_t bytes[2 * MESSAGE_BYTES];
	uint32_t random = 12345, refused = 0;

	for (int round = 0; round < 20000; round++) {
		struct message_parser parser;
		struct weir_message message;
		size_t total = build(bytes, 300, random % 200), fed = 0;
		int r = 0;

		total += build(bytes + total, 301, random % 77);
		for (int i = 0; i < 3; i++) {
			random = random * 1664525 + 1013904223;
			bytes[(random >> 8) % total] ^= (uint8_t)(1 << (random >> 29));
		}
		message_parser_init(&parser);
		while (r >= 0 && fed < total) {
			fed += message_feed(&parser, bytes + fed, total - fed);
			while ((r = message_next(&parser, &message)) == 1)
				assert_true(message.size <= WEIR_MESSAGE_BYTES_MAX);
			if (parser.used == MESSAGE_BYTES)
				break;
		}
		refused += r == -EPROTO;
	}
	assert_true(refused > 1000);
}

static void message_crosses_a_pipe(void **state)
{
	struct weir_message sent = { .type = 300, .id = 7, .status = -5, .size = 5, .data = "weir" }, got;
	struct message_parser parser;
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	message_parser_init(&parser);
	assert_int_equal(message_receive(&parser, fd[0]), -EAGAIN);
	assert_int_equal(message_send(fd[1], &sent), 0);
	assert_true(message_receive(&parser, fd[0]) > 0);
	assert_int_equal(message_next(&parser, &got), 1);
	assert_int_equal(got.type, 300);
	assert_string_equal(got.data, "weir");
	sent.size = WEIR_MESSAGE_BYTES_MAX + 1;
	assert_int_equal(message_send(fd[1], &sent), -EMSGSIZE);
	close(fd[1]);
	assert_int_equal(message_receive(&parser, fd[0]), -EPIPE);
	close(fd[0]);
}

static void several_messages_cross_a_pipe_at_once(void **state)
{
	static uint8_t big[WEIR_MESSAGE_BYTES_MAX];
	struct weir_message sent[MESSAGES_MAX], message;
	struct message_parser parser;
	int pipe_of[2];

	assert_int_equal(pipe2(pipe_of, O_CLOEXEC | O_NONBLOCK), 0);
	for (uint32_t i = 0; i < MESSAGES_MAX; i++)
		sent[i] = (struct weir_message){ .type = 300 + i, .id = i + 1, .size = i, .data = "0123456789abcdef" };
	assert_int_equal(message_send_some(pipe_of[1], sent, MESSAGES_MAX), 0);
	message_parser_init(&parser);
	assert_true(message_receive(&parser, pipe_of[0]) > 0);
	for (uint32_t i = 0; i < MESSAGES_MAX; i++) {
		assert_int_equal(message_next(&parser, &message), 1);
		assert_int_equal(message.type, 300 + i);
		assert_int_equal(message.id, i + 1);
		assert_int_equal(message.size, i);
		assert_memory_equal(message.data, "0123456789abcdef", i);
	}
	assert_int_equal(message_next(&parser, &message), 0);
	/* More than the pipe takes at once could be cut in two. */
	sent[0] = (struct weir_message){ .type = 300, .size = sizeof(big), .data = big };
	assert_int_equal(message_send_some(pipe_of[1], sent, 2), -EMSGSIZE);
	assert_int_equal(message_send_some(pipe_of[1], sent, 1), 0);
	close(pipe_of[0]);
	close(pipe_of[1]);
}

static void full_pipe_takes_whole_messages_only(void **state)
{
	static char data[WEIR_MESSAGE_BYTES_MAX];
	struct weir_message message = { .type = 300, .size = 1000, .data = data }, got;
	struct message_parser parser;
	int fd[2], sent = 0, received = 0, r;

	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	while ((r = message_send(fd[1], &message)) == 0) {
		message.size = (message.size * 7 + 13) % WEIR_MESSAGE_BYTES_MAX;
		sent++;
	}
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(message_send_wait(fd[1], &message, clock_ns() + CLOCK_MS), -ETIMEDOUT);
	message_parser_init(&parser);
	while (message_receive(&parser, fd[0]) > 0)
		while ((r = message_next(&parser, &got)) == 1)
			received++;
	assert_int_equal(r, 0);
	assert_int_equal(received, sent);
	assert_int_equal(parser.used, 0);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_found_wherever_the_bytes_are_cut),
		cmocka_unit_test(violations_are_refused),
		cmocka_unit_test(mutated_streams_never_break_the_parser),
		cmocka_unit_test(message_crosses_a_pipe),
		cmocka_unit_test(several_messages_cross_a_pipe_at_once),
		cmocka_unit_test(full_pipe_takes_whole_messages_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
