/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"

static_assert(sizeof(struct message_header) + WEIR_MESSAGE_BYTES_MAX == MESSAGE_BYTES, "the largest message fits");

void message_parser_init(struct message_parser *parser)
{
	parser->used = parser->taken = 0;
}

/* Makes room for more. */
static void drop_taken(struct message_parser *parser)
{
	if (parser->taken == 0)
		return;
	memmove(parser->buffer, parser->buffer + parser->taken, parser->used - parser->taken);
	parser->used -= parser->taken;
	parser->taken = 0;
}

size_t message_feed(struct message_parser *parser, const void *bytes, size_t size)
{
	drop_taken(parser);
	if (size > MESSAGE_BYTES - parser->used)
		size = MESSAGE_BYTES - parser->used;
	if (size > 0)
		memcpy(parser->buffer + parser->used, bytes, size);
	parser->used += size;
	return size;
}

int message_next(struct message_parser *parser, struct weir_message *message)
{
	const uint8_t *begin = parser->buffer + parser->taken;
	size_t left = parser->used - parser->taken;
	struct message_header header;

	if (left < sizeof(header))
		return 0;
	memcpy(&header, begin, sizeof(header));
	/* A status is made an error number by turning its sign, which that one does not take. */
	if (header.magic != MESSAGE_MAGIC || header.version != MESSAGE_VERSION ||
		header.size > WEIR_MESSAGE_BYTES_MAX || header.status == INT32_MIN)
		return -EPROTO;
	if (left < sizeof(header) + header.size)
		return 0;
	/* Out of the stream, where it may lie at any address: data is aligned for any structure. */
	memcpy(parser->data, begin + sizeof(header), header.size);
	parser->taken += sizeof(header) + header.size;
	*message = (struct weir_message){
		.type = header.type,
		.id = header.id,
		.status = header.status,
		.size = header.size,
		.data = parser->data,
	};
	return 1;
}

int message_receive(struct message_parser *parser, int fd)
{
	ssize_t got;

	drop_taken(parser);
	assert(parser->used < MESSAGE_BYTES);
	do
		got = read(fd, parser->buffer + parser->used, MESSAGE_BYTES - parser->used);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (got == 0)
		return -EPIPE;
	parser->used += (size_t)got;
	return (int)got;
}

int message_send_some(int fd, const struct weir_message *messages, uint32_t count)
{
	struct message_header header[MESSAGES_MAX];
	struct iovec part[2 * MESSAGES_MAX];
	size_t bytes = 0;
	ssize_t sent;
	int parts = 0;

	assert(count <= MESSAGES_MAX);
	for (uint32_t i = 0; i < count; i++) {
		const struct weir_message *message = &messages[i];

		header[i] = (struct message_header){
			.magic = MESSAGE_MAGIC,
			.version = MESSAGE_VERSION,
			.type = message->type,
			.id = message->id,
			.status = message->status,
			.size = message->size,
		};
		part[parts++] = (struct iovec){ .iov_base = &header[i], .iov_len = sizeof(header[i]) };
		if (message->size > 0)
			part[parts++] = (struct iovec){ .iov_base = (void *)message->data, .iov_len = message->size };
		bytes += sizeof(header[i]) + message->size;
	}
	if (bytes > MESSAGE_BYTES)
		return -EMSGSIZE;
	do
		sent = writev(fd, part, parts);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int message_send(int fd, const struct weir_message *message)
{
	return message_send_some(fd, message, 1);
}

int message_send_wait(int fd, const struct weir_message *message, int64_t deadline_ns)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLOUT };

	for (;;) {
		int r = message_send(fd, message);

		if (r != -EAGAIN)
			return r;
		if (clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		if (clock_poll(&pollfd, 1, deadline_ns) < 0)
			return -errno;
	}
}
