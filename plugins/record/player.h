/* SPDX-License-Identifier: MIT */
#ifndef PLAYER_H
#define PLAYER_H

/* Between player.c (the backend) and loads.c (frames on their way from the disk into slots). */

#include <weir/backend.h>
#include <weir/record.h>

#include "engine.h"
#include "options.h"
#include "source.h"

#define SECOND_NS INT64_C(1000000000)
#define LOADS	  8 /* pictures on their way from the disk */
#define META_MAX  512

enum load_state { LOAD_FREE = 0, LOAD_READING, LOAD_READY };

/* A frame on its way from the disk into a slot. */
struct load {
	enum load_state state;
	struct player *player;
	struct place place;
	struct weir_frame frame; /* of the loan */
	uint8_t *payload, *page;
	struct engine_op payload_op, page_op;
	uint32_t in_flight;
	int status;
};

struct player {
	struct weir_back *back;
	struct player_options options;
	struct source source;
	struct engine *engine;
	struct weir_writer *writer; /* NULL: none yet, or there is to be another one */
	struct weir_format format;  /* of the writer's ring */
	struct load load[LOADS];    /* a queue */
	uint32_t first, loads;
	uint32_t packet_bytes; /* a packet that the present ring has no room for; else 0 */
	uint64_t round;	       /* frames since it began, or began again */
	bool is_slot_known[WEIR_SLOTS_MAX], is_slot_fixed[WEIR_SLOTS_MAX];
	bool is_armed, file_over, over, discontinuity, stopped, renewing;
	int timer_fd;
	/* base_time_ns: WEIR_TIME_NONE: begins with the next frame */
	int64_t base_ns, base_time_ns, last_ns, drain_ns;
};

int64_t player_now_ns(void);

/* --- loads.c --- */
/* Begins to read the next frame. 0; -EAGAIN: there is no slot now, or enough is on its way; -ENODATA: see file_over. */
int loads_begin_back(struct player *player);
/* Publishes the oldest frame that was read if it is its time. 0; -EAGAIN: not yet. */
int loads_publish_back(struct player *player);
/* Throws away what is on its way. -ETIMEDOUT: the disk takes too long. */
int loads_drop_back(struct player *player);

#endif
