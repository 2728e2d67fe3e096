/* SPDX-License-Identifier: MIT */

/* The ring's protocol, step by step as in shm/: one statement here is one access to shared memory there, and names in
 * "model:" comments there are inlines here. README.md says what the sizes (-D) mean. A mutant is an #ifdef. */

#define LATEST	    0
#define DROP_OLDEST 1
#define LOSSLESS    2

#include "sizes.pml"
#ifndef MODE1
#define MODE1 MODE0
#endif
#define MODE(k)	 (k == 0 -> MODE0 : MODE1)
#define DEPTH(k) (MODE(k) == DROP_OLDEST -> 2 : 1)

/* A reader of every NTH frame only: one that is lossless passes over the others, one that is lossy picks its frames
 * from due words. */
#ifndef NTH1
#define NTH1 NTH0
#endif
#define NTH(k)	   (k == 0 -> NTH0 : NTH1)
#define FILTERED   (NTH0 > 1 || NTH1 > 1)
#define picks(k)   (NTH(k) > 1 && MODE(k) != LOSSLESS)
#define is_due(k, sequence, start) (((sequence) - (start)) % NTH(k) == 0)

#define ATTACH	 1
#define WITHDRAW 2
#define REAP	 3
#define word_of(id, verb) ((id) * 4 + verb)
#define id_of(word)	  ((word) / 4)
#define verb_of(word)	  ((word) % 4)

/* A process that cannot be killed needs no step of its own for a store into its own buffer. */
#if WRITER_KILLS
#define mortal_writer	unless { killed[W] }
#define writer_together
#else
#define mortal_writer
#define writer_together atomic
#endif
#if READER_KILLS
#define mortal_reader	unless { killed[R] }
#define reader_together
#else
#define mortal_reader
#define reader_together atomic
#endif

/* What a search finds, by name. */
bit torn_or_rewritten, wrong_descriptor, lost_or_repeated, went_backwards, not_drained, refused_for_lossy, leaked_slot;
bit started_nowhere, unwanted, wrong_ordinal, lost_wakeup;
#define must_not(happen, condition) happen = (condition); assert(!happen)

#define TORN 255 /* a payload half written */
#define LEFT 255 /* the cursor of a reader that left */

#define ORDERS (SLOTS + 1)
#define order_word(sequence, slot) ((sequence) * 8 + (slot))
#define described(sequence, due)   ((sequence) + 16 * (due)) /* due: bit k, end k wants it */
#define sequence_in(descriptor)	   ((descriptor) % 16)
#define due_in(descriptor, k)	   ((descriptor) / 16 >> (k) & 1)

/* Words of generation g. Each has one writer. */
#define END_WORDS     (6 + HELD + 2 * DUES)
#define RING_WORDS    (6 + ORDERS + 2 * SLOTS + ENDS * END_WORDS)
#define WORDS	      (GENERATIONS * RING_WORDS)
#define PUBLISHED     (RING_WORDS * g)
#define RETIRED	      (RING_WORDS * g + 1)
#define SPACE	      (RING_WORDS * g + 2)
#define ENDED	      (RING_WORDS * g + 3)
#define CHANGED	      (RING_WORDS * g + 4)
#define GONE	      (RING_WORDS * g + 5)
#define ORDER(s)      (RING_WORDS * g + 6 + (s) % ORDERS)
#define PAYLOAD(i)    (RING_WORDS * g + 6 + ORDERS + i)
#ifdef DESCRIPTOR_RING_INDEXED
#define DESCRIPTOR(i, s) (RING_WORDS * g + 6 + ORDERS + SLOTS + (s) % SLOTS)
#else
#define DESCRIPTOR(i, s) (RING_WORDS * g + 6 + ORDERS + SLOTS + i)
#endif
#define END(k)	      (RING_WORDS * g + 6 + ORDERS + 2 * SLOTS + END_WORDS * (k))
#define REQUEST(k)    (END(k))
#define ACK(k)	      (END(k) + 1)
#define START(k)      (END(k) + 2)
#define CURSOR(k)     (END(k) + 3)
#define SLEEPING(k)   (END(k) + 4)
#define PIN(k, j)     (END(k) + 5 + j)
#define DUE(k, d)     (END(k) + 5 + HELD + 2 * (d))
#define ORDINAL(k, d) (END(k) + 6 + HELD + 2 * (d))
#define COUNT(k)      (END(k) + 5 + HELD + 2 * DUES)

#define PROCESSES (1 + GENERATIONS * ENDS)
#define W	  0		     /* the writer of any generation: its forerunner is dead and drained */
#define R	  (1 + ENDS * g + k) /* the reader at end k */
#include "memory.pml"

bit running[PROCESSES];
bit doomed[PROCESSES]; /* SIGKILL was sent: it runs on for a while */
bit killed[PROCESSES];
bit dead[PROCESSES]; /* and reaped: it takes no more steps and its stores are in memory */
bit bell[GENERATIONS * ENDS];
bit space_bell[GENERATIONS];
bit late[GENERATIONS * ENDS]; /* a bell that was lost: a time-out will stand for it */
bit supervised[GENERATIONS]; /* all readers came and went */
bit stalled[GENERATIONS * ENDS];
byte spurious = SPURIOUS; /* wake-ups without a reason: time-outs and bells too many */
#define E(k) (ENDS * g + (k))

#include "writer.pml"
#include "reader.pml"
#include "supervisor.pml"

proctype Clock(byte k)
{
end:	do
	:: atomic { late[k] -> late[k] = 0; bell[k] = 1 }
	od
}

proctype Killer(byte p; byte kills)
{
end:	do
#ifdef DEAD_BEFORE_REAPED
	:: d_step { kills > 0 && running[p] && !doomed[p] -> kills--; doomed[p] = 1 }
	:: d_step { doomed[p] && !killed[p] -> killed[p] = 1 }
#else
	:: d_step { kills > 0 && running[p] && !killed[p] -> kills--; killed[p] = 1 }
#endif
	od
}

init {
	atomic {
		byte p = 0;
		do
		:: p < PROCESSES ->
			run Memory(p);
			if
			:: p == W && WRITER_KILLS > 0 -> run Killer(p, WRITER_KILLS)
			:: p != W && READER_KILLS > 0 -> run Killer(p, READER_KILLS)
			:: else
			fi;
			p++
		:: else -> break
		od;
		if
		:: LATE -> run Clock(0)
		:: else
		fi;
		run Supervisor(0)
	}
}
