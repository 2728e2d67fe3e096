/* SPDX-License-Identifier: MIT */
#ifndef RIG_H
#define RIG_H

/* A ring, its writer, and a recorder or player that is run in the test's own process. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/backend.h>
#include <weir/record.h>

#include "recording.h"
#include "segment.h"

#define SECOND	   INT64_C(1000000000)
#define PATIENCE_S 30 /* for everything that must happen */

extern const struct weir_backend recorder_backend, player_backend;

struct rig {
	char directory[64];
	struct weir_ring *ring;
	struct weir_writer *writer;
	struct weir_back *back;
	uint32_t end;
	uint64_t published;
	int64_t wall_s;						    /* when it begins to record, in frames and names */
	void (*shape)(struct weir_frame *frame, uint64_t sequence); /* changes what is published, or NULL */
	const uint8_t *packet;		  /* what all packets are, if not of the test's own bytes */
	struct weir_record_status status; /* the last one that was told */
	uint32_t told;
	/* of a player */
	struct weir_ring_config want;
	uint32_t wants;
	struct weir_reader *reader;
	struct weir_source_status source;
	int ended; /* what weir_back_local_run() returned */
};

int64_t rig_now_ns(void);

/* A directory of the test's own. rig_close() removes it. */
void rig_init(struct rig *rig);
void rig_close(struct rig *rig);

struct weir_format rig_raw(uint32_t pixel, uint32_t width, uint32_t height);
struct weir_format rig_h264(void);
/* Sound: 40 ms in a frame of so many bytes. */
struct weir_format rig_sound(const char *caps, uint32_t bytes);

/* A ring of this format, read by a recorder with these further arguments (",…" or ""). */
void rig_record(struct rig *rig, const struct weir_format *format, struct weir_policy policy, const char *more);
/* The next ring for it. */
void rig_change(struct rig *rig, const struct weir_format *format, struct weir_policy policy);
const struct weir_record_status *rig_ask(struct rig *rig);
/* Ends the recorder as a stop would. */
void rig_stop(struct rig *rig);

/* A player with these further arguments; the ring that it wants; its next frame, or -ENODATA. */
void rig_play(struct rig *rig, const char *source, const char *more);
void rig_give_ring(struct rig *rig);
/* As when a reader has died during asynchronous I/O. */
void rig_renew(struct rig *rig);
int rig_take(struct rig *rig, struct weir_frame *frame);

/* Fills so many bytes for a frame; the sequence is in every word of it. */
void rig_fill(uint8_t *bytes, size_t size, uint64_t sequence);
bool rig_is_filled(const uint8_t *bytes, size_t size, uint64_t sequence);
/* The bytes of a packet vary. */
uint32_t rig_size(const struct weir_format *format, uint64_t sequence);
bool rig_is_key(const struct weir_format *format, uint64_t sequence);

/* Publishes so many frames, 40 ms apart, as the recorder takes them. */
void rig_publish(struct rig *rig, uint32_t count);
/* One, if there is a slot for it. */
bool rig_try_publish(struct rig *rig);
/* Runs the recorder until the condition holds. */
#define RIG_UNTIL(rig, condition)                                                                                      \
	do {                                                                                                           \
		int64_t until_ns = rig_now_ns() + PATIENCE_S * SECOND;                                                 \
		while (!(condition)) {                                                                                 \
			if (rig_now_ns() > until_ns)                                                                   \
				fail_msg("in vain: %s", #condition);                                                   \
			rig_turn(rig);                                                                                 \
		}                                                                                                      \
	} while (0)
void rig_turn(struct rig *rig);

/* Records so many frames until they are committed, and stops. */
void rig_record_all(struct rig *rig, const struct weir_format *format, uint32_t frames, const char *more);

/* The files of the recorder, oldest first; path is the directory and a name. */
size_t rig_files(const struct rig *rig, char name[][SEGMENT_NAME_BYTES], size_t room);
void rig_path(const struct rig *rig, const char *name, char path[256]);

/* Checks every byte and time of a frame; its sequence is that of the recording. */
void rig_check_frame(const struct weir_format *format, const struct weir_frame *frame, const uint8_t *bytes);

/* Checks every byte and time of every frame of a file; returns how many there are, and the first and last sequence. */
uint32_t rig_check_file(const struct rig *rig, const char *name, uint64_t *first, uint64_t *last);

/* What a command prints, at most so many bytes; fails the test unless it exits with 0. */
void rig_command(char *output, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
