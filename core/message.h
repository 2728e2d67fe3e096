/* SPDX-License-Identifier: MIT */
#ifndef MESSAGE_H
#define MESSAGE_H

/* Framing of the control pipes. A pipe's other end may be hostile: its bytes are copied, bounded and checked here. */

#include <stdalign.h>
#include <stddef.h>

#include <weir/frame.h>
#include <weir/message.h>

#define MESSAGE_MAGIC	0x47534d57u /* "WMSG" */
#define MESSAGE_VERSION 1u
#define MESSAGE_BYTES	4096 /* PIPE_BUF: written whole or not at all */

/* Weir's own types, next to those in weir/message.h; a program never sees them. */
enum message_type {
	/* frontend to backend */
	MESSAGE_STOP = 16, /* finish and exit */
	MESSAGE_END = 17,  /* an input ends with this generation; data: struct message_input */

	/* backend to frontend */
	MESSAGE_READY = 48,			  /* enter() succeeded */
	MESSAGE_REPLY = 49,			  /* to the call with this id */
	MESSAGE_EXIT = 50,			  /* will exit; id: enum message_exit; status; data: why, as text */
	MESSAGE_WANT_RING = WEIR_EVENT_WANT_RING, /* data: struct message_want */
	MESSAGE_DRAINED = 52,			  /* has closed a ring; data: struct message_input */
	MESSAGE_END_TAKEN = 53, /* its command() has seen WEIR_COMMAND_END; data: struct message_input */
};

enum message_exit {
	MESSAGE_EXIT_ENDED = 0,
	MESSAGE_EXIT_NEVER_STARTS = 1, /* its backend was not begun, and never will be */
	MESSAGE_EXIT_NO_START = 2,     /* the same; the next time it may be */
};

struct message_input {
	uint64_t generation;
	uint32_t input, reserved;
};

/* The part of struct weir_ring_config that is a backend's to wish for; 0: default. */
struct message_want {
	struct weir_format format;
	uint32_t slot_count, slot_bytes, loans, meta_bytes, output;
};

struct message_header {
	uint32_t magic, version, type, id;
	int32_t status;
	uint32_t size; /* of the data that follows */
};

struct message_parser {
	size_t used;  /* bytes in buffer */
	size_t taken; /* of them, those of messages that were returned */
	uint8_t buffer[MESSAGE_BYTES];
	alignas(16) uint8_t data[WEIR_MESSAGE_BYTES_MAX]; /* of the message that was returned last */
};

void message_parser_init(struct message_parser *parser);

/* Takes as many bytes as there is room for; returns how many. */
size_t message_feed(struct message_parser *parser, const void *bytes, size_t size);

/* 1: *message is the next one, its data valid until the next call for this parser; 0: more bytes are needed; -EPROTO:
 * what came is no message, and the pipe is of no more use. */
int message_next(struct message_parser *parser, struct weir_message *message);

/* Reads once from a non-blocking pipe. Bytes read, or -EAGAIN, -EPIPE (closed), -errno. */
int message_receive(struct message_parser *parser, int fd);

/* Writes one message. 0, -EAGAIN (the pipe is full), -EPIPE, -EMSGSIZE. Does not block on a non-blocking pipe. */
int message_send(int fd, const struct weir_message *message);

/* Writes some at once, or none: together they have MESSAGE_BYTES at most with their headers, and are MESSAGES_MAX at
 * most. Errors as message_send(). */
#define MESSAGES_MAX 16
int message_send_some(int fd, const struct weir_message *messages, uint32_t count);

/* As message_send(), but waits while the pipe is full. -ETIMEDOUT. */
int message_send_wait(int fd, const struct weir_message *message, int64_t deadline_ns);

#endif
