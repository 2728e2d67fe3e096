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
bit started_nowhere;
#define must_not(happen, condition) happen = (condition); assert(!happen)

#define TORN 255 /* a payload half written */
#define LEFT 255 /* the cursor of a reader that left */

#define ORDERS (SLOTS + 1)
#define order_word(sequence, slot) ((sequence) * 8 + (slot))

/* Words of generation g. Each has one writer. */
#define END_WORDS     (5 + HELD)
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

/* --- the writer -------------------------------------------------------------------------------------------------- */

#define granted(i)   (verb_of(ack[i]) == ATTACH)
#define waits_for(i) (granted(i) && MODE(i) == LOSSLESS && !degraded[i])
#ifdef REAP_KEEPS_PINS
#define counts(i) (ack[i] != 0)
#elif defined(EVICTION_FREES_PINS)
#define counts(i) (granted(i))
#else
#define counts(i) (granted(i) || verb_of(ack[i]) == WITHDRAW)
#endif

inline Attend()
{
	if
	:: load(W, CHANGED) == changed
	:: atomic { load(W, CHANGED) != changed -> changed = load(W, CHANGED); depth = 1 }
		do
		:: i < ENDS ->
			atomic {
				x = load(W, REQUEST(i));
				is_new = x != request[i] && verb_of(x) == ATTACH && id_of(x) != id_of(request[i]);
				if
				:: is_new ->
					start[i] = published + 1;
					degraded[i] = 0;
#ifndef RUNG_NOT_RESET
					rung[i] = 0
#endif
				:: else
				fi
			}
			if
			:: x != request[i] -> writer_together {
#ifdef ACK_BEFORE_START
				store_release(W, ACK(i), x);
#endif
				if
				:: is_new -> store(W, START(i), start[i])
				:: else
				fi;
#ifdef ACK_NOT_RELEASE
				store(W, ACK(i), x);
#elif !defined(ACK_BEFORE_START)
				store_release(W, ACK(i), x);
#endif
				/* A withdrawn reader may take one frame more, after a gap, before it sees that it is. */
				stalled[E(i)] = stalled[E(i)] || verb_of(x) == WITHDRAW;
				request[i] = x;
				ack[i] = x }
			:: else
			fi;
			atomic {
				depth = (granted(i) && DEPTH(i) > depth -> DEPTH(i) : depth);
				x = 0;
				is_new = 0;
				i++
			}
		:: else -> i = 0; break
		od
	fi
}

inline seek(wanted)
{
	do
	:: i < ENDS && !(wanted) -> i++
	:: else -> break
	od;
	skip
}

inline read_cursor()
{
	x = load(W, CURSOR(i));
	if
#ifndef STALE_CURSOR_NOT_CLAMPED
	:: x < start[i] -> x = start[i]
#endif
	:: x > published + 1 -> x = published + 1
	:: else
	fi
}

inline Cursors()
{
	atomic {
		limit = (published >= depth -> published + 1 - depth : 0);
		i = 0;
		seek(waits_for(i))
	}
	do
	:: i < ENDS ->
		atomic {
			read_cursor();
			if
			:: x < limit -> limit = x
			:: else
			fi;
			x = 0;
			i++;
			seek(waits_for(i))
		}
	:: else -> break
	od
}

inline Retire()
{
	if
	:: limit > retired ->
#ifdef RETIRED_NOT_SEQ_CST
		store_release(W, RETIRED, limit);
#else
		store_seq_cst(W, RETIRED, limit);
#endif
		retired = limit
	:: else
	fi
}

/* The snapshot of pins; watermark is where `retired` is, or will be. */
inline Scan(watermark)
{
	d_step { i = 0; j = 0; seek(counts(i)) }
	do
	:: i < ENDS ->
		d_step {
			x = load(W, PIN(i, j));
			s = 0;
			do
			:: s < SLOTS && x != 0 && x < watermark && sequence_of[s] == x -> pinned[s] = 1; s++
			:: s < SLOTS && !(x != 0 && x < watermark && sequence_of[s] == x) -> s++
			:: else -> break
			od;
			s = 0;
			x = 0;
			j++;
			if
			:: j == HELD -> j = 0; i++; seek(counts(i))
			:: else
			fi
		}
	:: else -> break
	od
}

inline Refill()
{
#if defined(CURSORS_AFTER_PINS)
	Scan(255);
	Cursors();
	Retire();
#elif defined(RETIRE_AFTER_SCAN)
	Cursors();
	Scan(limit);
	Retire();
#else
	Cursors();
	Retire();
	Scan(retired);
#endif
	skip;
	d_step {
		s = 0;
		do
		:: s < SLOTS ->
			if
			:: sequence_of[s] != 0 && sequence_of[s] < retired && !pinned[s] -> sequence_of[s] = 0; free++
			:: else
			fi;
			pinned[s] = 0;
			s++
		:: else -> break
		od;
		s = 0;
		i = 0;
		limit = 0
	}
}

/* Withdraws any reader that blocks us, or not: how long it did is not modelled. */
inline Evict()
{
	d_step { evicted = 0; i = 0; seek(waits_for(i)) }
	do
	:: i < ENDS ->
		atomic {
			read_cursor();
			if
			:: x <= retired && STALLS > 0 ->
				evicted = 1;
				degraded[i] = 1;
				stalled[E(i)] = 1;
				ack[i] = (STALLS == 2 -> ack[i] - ATTACH + WITHDRAW : ack[i])
			:: 1
			fi;
			x = 0
		}
		if
		:: verb_of(ack[i]) == WITHDRAW -> store_release(W, ACK(i), ack[i])
		:: else
		fi;
		d_step { i++; seek(waits_for(i)) }
	:: else -> break
	od;
	i = 0
}

inline Ring()
{
#if SLEEPS & 1
#ifndef NO_FENCE_BEFORE_RING
	fence(W);
#endif
	d_step { i = 0; seek(counts(i)) }
	do
	:: i < ENDS ->
		d_step {
			x = load(W, SLEEPING(i));
			y = 0;
			if
#ifdef BOOLEAN_SLEEPING
			:: x == 0 -> rung[i] = 0
#endif
			:: x % 2 == 1 && x != rung[i] -> rung[i] = x; y = 1
			:: else
			fi;
			x = 0
		}
		if
#if LATE
		:: y -> late[E(i)] = 1
#else
		:: y -> bell[E(i)] = 1
#endif
		:: else
		fi;
		d_step { i++; seek(counts(i)) }
	:: else -> break
	od;
	atomic { i = 0; y = 0 }
#else
	skip
#endif
}

inline Publish()
{
	writer_together {
#ifdef PUBLISHED_BEFORE_PAYLOAD
	store_release(W, PUBLISHED, published + 1);
#endif
	store(W, PAYLOAD(slot), TORN);
	store(W, PAYLOAD(slot), published + 1);
	store(W, DESCRIPTOR(slot, published + 1), published + 1);
	store(W, ORDER(published + 1), order_word(published + 1, slot));
#ifdef PUBLISHED_NOT_RELEASE
	store(W, PUBLISHED, published + 1);
#elif !defined(PUBLISHED_BEFORE_PAYLOAD)
	store_release(W, PUBLISHED, published + 1);
#endif
	published++;
	sequence_of[slot] = published;
	slot = 0
	}
	Ring()
}

/* Asleep in a new epoch, then another look, then the wait for a bell. */
inline Wait()
{
#if SLEEPS & 2
#ifndef BOOLEAN_SPACE
	epoch++;
#endif
	store_seq_cst(W, SPACE, epoch * 2 + 1);
#ifndef NO_SECOND_LOOK_FOR_SPACE
	Attend();
	Refill();
#endif
	if
	:: free > 0
	:: free == 0 && space_bell[g]
	:: d_step { free == 0 && spurious > 0 -> spurious-- }
	fi;
#ifdef BOOLEAN_SPACE
	store_release(W, SPACE, 0);
#else
	store_release(W, SPACE, epoch * 2);
#endif
	space_bell[g] = 0
#else
	skip
#endif
}

inline waits_for_somebody()
{
	d_step { i = 0; seek(waits_for(i)); y = i < ENDS; i = 0 }
}

proctype Writer(byte g)
{
	byte published, retired, changed, depth = 1, free = SLOTS, epoch, limit, slot, i, j, s, x, y;
	byte sequence_of[SLOTS]; /* 0: free, or on loan */
	bit pinned[SLOTS];
	byte request[ENDS], ack[ENDS], start[ENDS], rung[ENDS];
	bit degraded[ENDS], is_new, evicted;
#ifdef RING_REUSED
	atomic { published = memory[PUBLISHED]; retired = memory[RETIRED] }
#endif
	{
		do
		:: published < FRAMES ->
			do
			:: 1 ->
				Attend();
				if
				:: free == 0 -> Refill()
				:: free > 0 && EARLY -> Refill()
				:: free > 0
				fi;
				if
				:: free == 0 -> Evict()
				:: else
				fi;
				if
				:: evicted -> evicted = 0; Refill()
				:: else
				fi;
				if
				:: free > 0 -> break
				:: else
				fi;
				waits_for_somebody();
				must_not(refused_for_lossy, !y);
				y = 0;
				Wait()
			od;
			/* Free slots are alike but for what they held last: the lowest is one that somebody may still read. */
			skip;
			d_step {
				slot = 0;
				do
				:: sequence_of[slot] != 0 -> slot++
				:: else -> break
				od;
				free--
			}
			Publish()
		:: else -> break
		od;
		store_release(W, ENDED, published + 1);
		Ring();
#if SUPERVISED
		do
		:: load(W, CHANGED) != changed -> Attend()
		:: supervised[g] && load(W, CHANGED) == changed -> break
		od;
		Refill();
		must_not(leaked_slot, free != SLOTS - 1) /* only the newest is kept */
#endif
	} mortal_writer;
	fence(W);
	d_step { running[W] = 0; dead[W] = killed[W]; doomed[W] = 0; killed[W] = 0 }
}

/* --- a reader ---------------------------------------------------------------------------------------------------- */

#define AGAIN 0
#define NODATA 1
#define PIPE 2

inline Join()
{
	if
#ifdef ONE_PHASE_ATTACH
	:: 1 ->
		atomic { next = load(R, PUBLISHED) + 1; last = next - 1 }
		store_release(R, CURSOR(k), next)
#else
	:: load(R, ACK(k)) == word_of(id, ATTACH) ->
		atomic { next = load(R, START(k)); last = next - 1; must_not(started_nowhere, next == 0) }
		store_release(R, CURSOR(k), next)
	:: load(R, ACK(k)) != word_of(id, ATTACH)
#endif
	fi
}

inline idle_status()
{
#ifdef GONE_READ_LAST
	seen = load(R, PUBLISHED);
	y = load(R, GONE);
	ended = load(R, ENDED);
#else
	y = load(R, GONE);
	ended = load(R, ENDED);
	seen = load(R, PUBLISHED);
#endif
	d_step {
		status = AGAIN;
		if
		:: next != 0 && next <= seen
		:: else ->
			if
			:: ended != 0 && (next == 0 || next >= ended) -> status = (next != 0 || y -> NODATA : AGAIN)
			:: else -> status = (y -> PIPE : AGAIN)
			fi
		fi;
		y = 0;
		ended = 0;
		seen = 0
	}
}

inline Pin()
{
#ifdef PIN_NOT_SEQ_CST
	store_release(R, PIN(k, j), sequence);
#else
	store_seq_cst(R, PIN(k, j), sequence);
#endif
}

/* y: the pin holds. */
inline Check()
{
	x = load(R, ORDER(sequence));
	atomic {
#ifdef NO_CHECK_AFTER_PIN
		y = x / 8 == sequence;
#else
		y = load(R, RETIRED) <= sequence && x / 8 == sequence;
#endif
		slot = x % 8;
		x = 0
	}
}

inline Advance()
{
	store_release(R, CURSOR(k), sequence + 1)
}

inline Took()
{
	d_step {
		/* Every frame once and in order; or never backwards. */
		must_not(lost_or_repeated, MODE(k) == LOSSLESS && !stalled[E(k)] && sequence != last + 1);
		must_not(went_backwards, sequence <= last);
		held[j] = sequence;
		where[j] = slot;
		last = sequence;
		next = sequence + 1;
		sequence = 0;
		slot = 0;
		j = 0;
		got = 1
	}
}

/* got: a frame was taken, else status says why not. */
inline Acquire()
{
	if
	:: next == 0 -> Join()
	:: else
	fi;
	do
	:: next == 0 -> idle_status(); break
	:: atomic {
		next != 0 && load(R, PUBLISHED) < next }
		idle_status(); break
	:: atomic {
		next != 0 && load(R, PUBLISHED) >= next ->
		seen = load(R, PUBLISHED);
		sequence = next;
		if
		:: MODE(k) == LATEST -> sequence = seen
		:: MODE(k) == DROP_OLDEST && seen - next >= DEPTH(k) -> sequence = seen + 1 - DEPTH(k)
		:: else
		fi;
		j = (held[0] == 0 -> 0 : HELD - 1) }
		atomic {
			if
			:: sequence < load(R, RETIRED) && load(R, RETIRED) <= seen -> sequence = load(R, RETIRED)
			:: else
			fi;
			seen = 0
		}
#ifdef CURSOR_BEFORE_PIN
		Advance();
#endif
		Pin();
		Check();
		if
		:: y ->
			atomic { must_not(wrong_descriptor, load(R, DESCRIPTOR(slot, sequence)) != sequence); y = 0 }
			reader_together {
#ifndef CURSOR_BEFORE_PIN
				Advance();
#endif
				Took()
			}
			break
		:: else ->
			reader_together {
				slot = 0;
				sequence = 0;
				store_release(R, PIN(k, j), 0);
				j = 0
			}
		fi
	od
}

#define holds_any (held[0] != 0 || held[HELD - 1] != 0)
#define has_room  (held[0] == 0 || held[HELD - 1] == 0)

inline Release(n)
{
	atomic {
		must_not(torn_or_rewritten, load(R, PAYLOAD(where[n])) != held[n]);
		held[n] = 0;
		where[n] = 0;
		seen = (RESTS -> memory[PUBLISHED] : 0)
	}
	store_release(R, PIN(k, n), 0);
#if SLEEPS & 2
#ifndef NO_FENCE_IN_RELEASE
	fence(R);
#endif
	d_step {
		x = load(R, SPACE);
		y = 0;
		if
#ifdef BOOLEAN_SPACE
		:: x == 0 -> space_rung = 0
#endif
		:: x % 2 == 1 && x != space_rung -> space_rung = x; y = 1
		:: else
		fi;
		x = 0
	}
	if
	:: y -> y = 0; space_bell[g] = 1
	:: else
	fi
#endif
#if RESTS
	/* What it gave back is enough for one more frame: it may wait for that before it takes what is there. */
	if
	:: 1
	:: 1 -> memory[PUBLISHED] > seen || memory[ENDED] != 0 || memory[GONE] != 0
	fi;
	seen = 0
#endif
}

inline Sleep()
{
#if SLEEPS & 1
#ifndef BOOLEAN_SLEEPING
	epoch++;
#endif
	store_seq_cst(R, SLEEPING(k), epoch * 2 + 1);
	status = AGAIN;
#ifndef NO_SECOND_LOOK_BEFORE_SLEEP
	seen = load(R, PUBLISHED);
	if
	:: next == 0 -> Join()
	:: else
	fi;
	if
	:: next != 0 && seen >= next -> status = NODATA
	:: else -> idle_status()
	fi;
	seen = 0;
#endif
	if
	:: status != AGAIN
	:: status == AGAIN && bell[E(k)]
	:: d_step { status == AGAIN && spurious > 0 -> spurious-- }
	/* Nobody rings for a grant: it ends one of the bounded waits. */
	:: status == AGAIN && next == 0 && id_of(memory[ACK(k)]) == id && memory[ENDED] != 0
	fi;
#ifdef BOOLEAN_SLEEPING
	store_release(R, SLEEPING(k), 0);
#else
	store_release(R, SLEEPING(k), epoch * 2);
#endif
	if
	:: status == AGAIN -> bell[E(k)] = 0
	:: else
	fi;
	status = AGAIN
#else
	next != 0 && memory[PUBLISHED] >= next || memory[ENDED] != 0 || memory[GONE] != 0 ||
		memory[ACK(k)] == word_of(id, ATTACH) && next == 0 || memory[ACK(k)] == word_of(id, WITHDRAW)
#endif
}

proctype Reader(byte g; byte k; byte id)
{
	byte next, last, epoch, space_rung, seen, sequence, slot, ended, status, j, x, y;
	byte held[HELD], where[HELD];
	bit got;
	{
		do
		:: atomic { has_room && load(R, ACK(k)) == word_of(id, WITHDRAW) } break /* evicted */
		:: atomic { has_room && load(R, ACK(k)) != word_of(id, WITHDRAW) }
			Acquire();
			if
			:: got -> got = 0
			:: !got && status != AGAIN -> break
			:: !got && status == AGAIN -> Sleep()
			:: !got && status == AGAIN && holds_any
			fi
		:: held[0] != 0 -> Release(0)
#if HELD > 1
		:: held[1] != 0 -> Release(1)
#endif
		:: LEAVES -> break
		od;
		/* What was published before the writer's death was drained. */
		must_not(not_drained, status == PIPE && next != 0 && last != memory[PUBLISHED]);
		if
		:: held[0] != 0 -> Release(0)
		:: else
		fi;
#if HELD > 1
		if
		:: held[1] != 0 -> Release(1)
		:: else
		fi;
#endif
		store_release(R, CURSOR(k), LEFT);
		fence(R);
		space_bell[g] = 1
	} mortal_reader;
	fence(R);
	d_step { running[R] = 0; doomed[R] = 0; killed[R] = 0; dead[R] = 1 }
}

/* --- the supervisor ---------------------------------------------------------------------------------------------- */

/* Its stores reach memory at once: a system call follows each of them. */
inline post(verb)
{
	memory[REQUEST(k)] = word_of(ids[k], verb);
	memory[CHANGED] = memory[CHANGED] + 1;
	atomic {
		space_bell[g] = 1;
		if
		:: verb == ATTACH -> dead[R] = 0; running[R] = 1; run Reader(g, k, ids[k])
		:: else
		fi;
		k = 0
	}
}

/* The acknowledgement and the fresh ids are each enough: FRESH_IDS_ONLY is clean. */
#if defined(END_REUSED_AT_ONCE) || defined(FRESH_IDS_ONLY)
#define end_is_free(n) (!attached[n])
#else
#define end_is_free(n) (!attached[n] && (ids[n] == 0 || memory[ACK(n)] == word_of(ids[n], REAP)))
#endif
#ifdef DEAD_BEFORE_REAPED
#define is_dead(p) (dead[p] || doomed[p])
#else
#define is_dead(p) (dead[p])
#endif

inline Grant(n)
{
	atomic {
		k = n;
		arrivals--;
#ifndef END_NOT_ZEROED
		memory[CURSOR(k)] = 0
	}
	memory[SLEEPING(k)] = 0;
	memory[PIN(k, 0)] = 0;
#if HELD > 1
	memory[PIN(k, 1)] = 0;
#endif
	atomic {
#endif
#ifdef END_REUSED_AT_ONCE
		next_id = 1;
#else
		next_id++;
#endif
		ids[k] = next_id;
		attached[k] = 1;
		stalled[E(k)] = 0
	}
	post(ATTACH)
}

inline Reap(n)
{
	d_step { k = n; dead[R] = 0; attached[k] = 0 }
	post(REAP)
}

#define attached_count (attached[0] + (ENDS > 1 -> attached[ENDS - 1] : 0))
#define may_come(n)    (!is_gone && arrivals > 0 && attached_count < READERS && end_is_free(n))

/* The supervisor of generation g. ATTACHED readers are asked for before the writer opens the ring. */
proctype Supervisor(byte g)
{
	byte arrivals = ARRIVALS, withdrawals = WITHDRAWALS, next_id, k;
	byte ids[ENDS];
	bit attached[ENDS], is_gone;
	atomic {
		if
		:: ATTACHED > 0 -> Grant(0)
		:: else
		fi;
#if ATTACHED > 1
		Grant(1);
#endif
		running[W] = 1;
		run Writer(g)
	}
#if SUPERVISED
	do
	:: may_come(0) -> Grant(0)
	:: withdrawals > 0 && attached[0] -> withdrawals--; post(WITHDRAW)
	:: attached[0] && is_dead(1 + ENDS * g) -> Reap(0)
#if ENDS > 1
	:: !end_is_free(0) && may_come(1) -> Grant(1)
	:: attached[1] && is_dead(2 + ENDS * g) -> Reap(1)
#endif
	:: !is_gone && dead[W] ->
#ifdef RING_REUSED
		atomic { dead[W] = 0; running[W] = 1; run Writer(g) }
#else
		d_step { dead[W] = 0; is_gone = 1; memory[GONE] = 1 }
		bell[E(0)] = 1;
		bell[E(ENDS - 1)] = 1;
		if
		:: g + 1 < GENERATIONS -> run Supervisor(g + 1)
		:: else
		fi
#endif
	:: attached_count == 0 && (arrivals == 0 || is_gone) -> break
	od;
	supervised[g] = 1
#endif
}

/* --- kills ------------------------------------------------------------------------------------------------------- */

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
