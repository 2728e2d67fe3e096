/* SPDX-License-Identifier: MIT */
#ifndef SHM_HOSTILE_H
#define SHM_HOSTILE_H

/* What the harnesses of a hostile reader and of a hostile writer share. */

#include <stdatomic.h>

#include "shm_harness.h"

#define SLOTS	  20
#define PERIOD_NS 200000
#define HANG_NS	  INT64_C(2000000000) /* beyond this somebody hangs; machines are slow */
#define READERS	  3

extern unsigned hostile_run_ms; /* for each kind of peer */
extern uint64_t hostile_seed;

/* What the children tell. */
struct hostile_board {
	_Atomic bool stop;
	_Atomic bool freeze;	    /* the hostile reader moves its cursor no more */
	_Atomic int32_t accomplice; /* its child, which has all that it had */
	_Atomic uint64_t published, frames[READERS];
	_Atomic int64_t longest_ns[READERS + 1]; /* between two frames; the last: of the writer */
	_Atomic uint32_t bad;
	char why[256];
};
extern struct hostile_board *hostile_board;

/* A ring for peers that are not trusted, and a clean board. */
struct weir_ring *hostile_make_ring(void);

/* A value that may hit something: small, near what is published, an odd epoch, or anything. */
uint64_t hostile_scribble(uint64_t *state, uint64_t near);

/* Floods a socket, and takes the flag away that keeps others from blocking, if they shared it; in the end (round is
 * over a thousand) shuts it down. */
void hostile_abuse_socket_back(int fd, uint64_t round);

void hostile_note_bad_back(void); /* what harness_why says */
void hostile_note_pause_back(_Atomic int64_t *longest_ns, int64_t *last_ns);
void hostile_assert_alive(pid_t pid);

/* The tests. */
void a_reader_that_scribbles_harms_nobody(void **state);
void a_lossless_reader_that_scribbles_harms_nobody(void **state);
void a_filtering_reader_that_scribbles_harms_nobody(void **state);
void a_writer_that_scribbles_neither_crashes_nor_hangs_anybody(void **state);

#endif
