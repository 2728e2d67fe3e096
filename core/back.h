/* SPDX-License-Identifier: MIT */
#ifndef BACK_H
#define BACK_H

/* The runtime of a backend: in a child, or in the test's own process (then without descriptors). */

#include <weir/backend.h>

#include "message.h"
#include "page.h"

#define BACK_INPUTS_MAX	 8
#define BACK_WATCHES_MAX 16
#define BACK_TEXT_BYTES	 256

struct back_config {
	const char *name, *args;
	int commands, events, rings; /* -1 each: local */
	struct page *page;	     /* NULL: local */
	const uint64_t *poison;	     /* positions to be skipped */
	uint32_t poisons;
};

struct back_input {
	struct weir_reader *reader; /* the present generation, or NULL */
	struct weir_reader *next;   /* the one after it: opened, waits until this one is drained */
	struct weir_format format;  /* of the present or the last generation; kind 0: none yet */
	uint64_t generation;	    /* the same */
	uint64_t end_generation;    /* the stream ends with this one */
	bool end_wanted;	    /* and that is to be told when it is drained */
	uint64_t given;		    /* sequence of the frame that frame() has now, or 0 */
	uint32_t kept;		    /* frames that the backend keeps */
	bool blocked;		    /* nothing more can come before a kept frame is released */
};

struct back_watch {
	int fd;
	weir_watch_fn fn; /* NULL: free */
};

struct back_outside;

struct weir_back {
	const struct weir_backend *backend;
	void *state;
	struct back_config config;
	weir_back_sink sink; /* local only */
	void *sink_data;
	struct message_parser parser;
	struct page *page, own_page; /* page: the frontend's, or own_page */
	struct back_input input[BACK_INPUTS_MAX];
	struct back_watch watch[BACK_WATCHES_MAX];
	struct weir_writer *writer; /* arrived, not taken yet */
	uint32_t wait;
	uint32_t call_id; /* being handled, not answered yet; or 0 */
	int64_t next_tick_ns;
	struct back_outside *outside; /* another loop waits for us; or NULL */
	bool exiting;
	int status;
	char why[BACK_TEXT_BYTES];
};

/* Enters, runs and leaves. Returns the status with which the process ends: 0 or -errno; the frontend knows it then. */
int back_run(const struct weir_backend *backend, const struct back_config *config);

/* Tells the frontend why this process ends. */
void back_tell_exit(int events, int status, enum message_exit how, const char *text);

/* --- between back.c, turn.c, inputs.c and local.c --- */

/* *back is zeroed, but for the sink. 0; -errno: enter() failed, why is set. */
int back_enter(struct weir_back *back, const struct weir_backend *backend, const struct back_config *config);
void back_leave(struct weir_back *back);
bool back_is_local(const struct weir_back *back);
void back_fail(struct weir_back *back, const char *what, int status);
int back_send(struct weir_back *back, uint32_t type, uint32_t id, int status, const void *data, size_t size);
/* One of Weir's own commands, to the backend. */
void back_command(struct weir_back *back, uint32_t type, int status, const void *data, size_t size);
void back_handle(struct weir_back *back, const struct weir_message *message);

/* This process is a worker of a pool: on SIGTERM it finishes its job, and leaves (job_back.c). */
void job_become_worker_back(void);
bool job_is_worker_back(void);
bool job_is_terminated_back(void);

/* One turn: at most one frame from each input, then whatever else is there; waits if there is nothing (turn.c). */
void back_turn(struct weir_back *back, int64_t deadline_ns);

bool back_input_can_wake(const struct back_input *input);
/* True: something is there already. */
bool back_arm_inputs(struct weir_back *back);
void back_disarm_inputs(struct weir_back *back);

/* --- outside.c --- */
void back_outside_free(struct weir_back *back);
/* Something has changed since the last turn: have another one. */
void back_outside_poke(struct weir_back *back);

/* Takes over *fds (inputs.c). */
void back_take_ring(struct weir_back *back, struct weir_ring_fds *fds, uint32_t input);
/* True: there was a frame, or a ring has ended. */
bool back_step_input(struct weir_back *back, uint32_t input);
void back_end_input(struct weir_back *back, const struct message_input *end);
void back_finish_inputs(struct weir_back *back);

#endif
