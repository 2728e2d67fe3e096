/* SPDX-License-Identifier: MIT */
#ifndef SESSION_H
#define SESSION_H

/* The decoder backend in this process, with a frontend's part played by the test: it makes the rings, reads every frame
 * and notes what the source is said to be. Failures end the running test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weir/backend.h>

#define SESSION_RINGS_MAX  4
#define SESSION_EVENTS_MAX 16

struct session {
	bool refuse; /* set before session_open(): rings are refused with -ENOSPC */
	/* Called for each frame. May be NULL. */
	void (*frame)(void *data, const struct weir_format *format, const struct weir_frame *frame);
	void *data;

	struct weir_back *back;
	int status; /* how it ended: 0 not yet, 1 well, or -errno */
	unsigned rings;
	bool wanted; /* a ring, by the last message */
	bool still;  /* set it, and nothing is read */
	struct weir_ring_config want;
	struct weir_ring *ring[SESSION_RINGS_MAX];
	struct weir_reader *reader[SESSION_RINGS_MAX];
	unsigned frames; /* read from all rings */
	int ended;	 /* rings whose end was read */
	unsigned events;
	struct weir_source_status event[SESSION_EVENTS_MAX];
};

/* args: printf format of the backend's JSON, in which ' stands for ". */
void session_open(struct session *session, const char *args, ...) __attribute__((format(printf, 2, 3)));

/* Runs until it has ended; or so many frames were read; or so many events came; 0: does not matter. Fails after 30 s.
 */
void session_run(struct session *session, unsigned frames, unsigned events);

/* Runs until the source has failed for good; fails the test unless that is its status, and this is in its last text. */
void session_run_to_failure(struct session *session, int status, const char *text);

void session_run_for(struct session *session, int64_t time_ns);

/* Closes; fails if that takes a second. */
void session_close(struct session *session);

/* Fails unless the source went through these states, 0 at the end. */
void session_assert_states(struct session *session, ...);
/* The text of the last event. */
const char *session_text(struct session *session);

#endif
