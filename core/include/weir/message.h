/* SPDX-License-Identifier: MIT */
#ifndef WEIR_MESSAGE_H
#define WEIR_MESSAGE_H

/* What the control pipes carry between a frontend and its backends: framed, versioned, at most one pipe buffer long, so
 * that a message is written whole or not at all. Integers are the machine's own: both ends run the same program. */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_MESSAGE_BYTES_MAX (4096 - 24)

struct weir_message {
	uint32_t type;	  /* below 256: defined here; from 256 on: yours */
	uint32_t id;	  /* of a call, to be answered with weir_back_reply(); 0: no answer is expected */
	int32_t status;	  /* of a reply: 0 or -errno; of WEIR_COMMAND_FORMAT and _END: which input */
	uint32_t size;	  /* of data in bytes */
	const void *data; /* valid during the callback only */
};

enum weir_message_type {
	/* frontend to backend: given to its command() like any other */
	WEIR_COMMAND_WRITER = 1, /* the ring asked for by weir_back_want_ring() is there: weir_back_take_writer(); or
				  * status says why not. data: uint32_t, which output */
	WEIR_COMMAND_FORMAT = 2, /* an input has begun a generation; data: struct weir_format. Before its first frame */
	WEIR_COMMAND_END = 3,	 /* an input has reached its end of stream; no data */
	WEIR_COMMAND_RENEW =
		4,	      /* end the ring at the next frame, and weir_back_want_ring() another like it: slots of
			       * this one are lost to a reader that died during asynchronous I/O. data: uint32_t, output */
	WEIR_COMMAND_JOB = 5, /* a job of a pool (weir/pool.h), or of a launch: answered as a call */
	WEIR_COMMAND_ACTIVATE = 6,   /* this worker of a pool is now for one use of the program; no data */
	WEIR_COMMAND_DEACTIVATE = 7, /* and goes back to its pool */

	/* backend to frontend */
	WEIR_EVENT_RESULT = 32,	   /* struct weir_result (weir/result.h), cut behind its last box */
	WEIR_EVENT_SOURCE = 33,	   /* struct weir_source_status */
	WEIR_EVENT_WANT_RING = 51, /* struct weir_ring_config; only the sink of weir_back_create_local() sees it */

	WEIR_MESSAGE_USER = 256,
};

enum weir_source_state {
	WEIR_SOURCE_CONNECTING = 1,
	WEIR_SOURCE_LIVE = 2,	/* frames arrive */
	WEIR_SOURCE_LOST = 3,	/* a live source is gone; its decoder tries again */
	WEIR_SOURCE_ENDED = 4,	/* end of stream */
	WEIR_SOURCE_FAILED = 5, /* it makes no sense to try again */
	WEIR_SOURCE_CUT = 6,	/* ended too early: the file is cut short; what there was has been delivered */
};

struct weir_source_status {
	uint32_t state; /* enum weir_source_state */
	char text[252]; /* why, for people: NUL terminated, no newline, no secrets */
};

#ifdef __cplusplus
}
#endif
#endif
