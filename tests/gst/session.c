/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "message.h"

#define PATIENCE_NS INT64_C(30000000000)

extern const struct weir_backend weir_backend;

static int64_t now_ns(void)
{
	return g_get_monotonic_time() * 1000;
}

static void on_message(void *data, const struct weir_message *message)
{
	struct session *session = data;

	if (message->type == MESSAGE_WANT_RING) {
		memcpy(&session->want, message->data, sizeof(session->want));
		session->wanted = true;
	} else if (message->type == WEIR_EVENT_SOURCE) {
		assert_int_equal(message->size, sizeof(struct weir_source_status));
		assert_true(session->events < SESSION_EVENTS_MAX);
		memcpy(&session->event[session->events++], message->data, message->size);
	}
}

/* What a frontend does when a backend wants a ring. */
static void give_ring(struct session *session)
{
	const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = PATIENCE_NS };
	struct weir_ring_config config = session->want;
	unsigned i = session->rings++;
	struct weir_ring_fds fds;
	uint32_t end;

	assert_true(i < SESSION_RINGS_MAX);
	config.generation = i + 1;
	if (config.slot_count == 0)
		config.slot_count = 12;
	assert_int_equal(weir_ring_create(&session->ring[i], &config), 0);
	assert_int_equal(weir_ring_attach(session->ring[i], &lossless, &end), 0);
	assert_int_equal(weir_ring_writer_fds(session->ring[i], &fds), 0);
	weir_back_local_ring(session->back, 0, &fds);
	assert_int_equal(weir_ring_reader_fds(session->ring[i], end, &fds), 0);
	assert_int_equal(weir_reader_open(&session->reader[i], &fds), 0);
}

static void read_frames(struct session *session)
{
	struct weir_frame frame;

	for (unsigned i = 0; i < session->rings; i++) {
		int r;

		if (session->reader[i] == NULL)
			continue;
		while ((r = weir_reader_acquire(session->reader[i], &frame)) == 0) {
			session->frames++;
			if (session->frame != NULL)
				session->frame(session->data, weir_reader_format(session->reader[i]), &frame);
			weir_reader_release(session->reader[i], &frame);
		}
		if (r == -ENODATA) {
			session->ended++;
			weir_reader_free(&session->reader[i]);
		}
	}
}

void session_open(struct session *session, const char *args, ...)
{
	char text[1024];
	va_list list;

	va_start(list, args);
	vsnprintf(text, sizeof(text), args, list);
	va_end(list);
	g_strdelimit(text, "'", '"');
	assert_int_equal(weir_back_create_local(&session->back, &weir_backend, text, on_message, session), 0);
}

static void turn(struct session *session)
{
	session->status = weir_back_local_run(session->back, now_ns() + 5000000);
	if (session->wanted && !session->refuse)
		give_ring(session);
	else if (session->wanted)
		weir_back_local_command(session->back, WEIR_COMMAND_WRITER, NULL, 0);
	session->wanted = false;
	if (!session->still)
		read_frames(session);
}

void session_run(struct session *session, unsigned frames, unsigned events)
{
	int64_t deadline_ns = now_ns() + PATIENCE_NS;

	while (session->status == 0 && (frames + events == 0 || session->frames < frames || session->events < events)) {
		if (now_ns() > deadline_ns)
			fail_msg("after 30 s: %u frames, %u events, the last is: %s", session->frames, session->events,
				session->events > 0 ? session_text(session) : "none");
		turn(session);
	}
}

void session_run_to_failure(struct session *session, int status, const char *text)
{
	session_run(session, 0, 0);
	if (session->status != status || strstr(session_text(session), text) == NULL)
		fail_msg("%d (%s), not %d (%s)", session->status, session_text(session), status, text);
	assert_int_equal(session->event[session->events - 1].state, WEIR_SOURCE_FAILED);
}

void session_run_for(struct session *session, int64_t time_ns)
{
	for (int64_t end_ns = now_ns() + time_ns; session->status == 0 && now_ns() < end_ns;)
		turn(session);
}

void session_close(struct session *session)
{
	int64_t start_ns = now_ns();

	weir_back_local_free(&session->back);
	assert_true(now_ns() - start_ns < INT64_C(1500000000));
	read_frames(session);
	for (unsigned i = 0; i < session->rings; i++) {
		weir_reader_free(&session->reader[i]);
		weir_ring_free(&session->ring[i]);
	}
}

const char *session_text(struct session *session)
{
	return session->event[session->events - 1].text;
}

void session_assert_states(struct session *session, ...)
{
	unsigned i = 0, state;
	va_list list;

	va_start(list, session);
	for (; (state = va_arg(list, unsigned)) != 0; i++)
		if (i >= session->events || session->event[i].state != state)
			fail_msg("event %u is %u (%s), not %u", i, i < session->events ? session->event[i].state : 0,
				i < session->events ? session->event[i].text : "", state);
	va_end(list);
	if (i != session->events)
		fail_msg("there is one more event: %u (%s)", session->event[i].state, session->event[i].text);
}
