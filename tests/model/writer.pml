/* SPDX-License-Identifier: MIT */

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
#if FILTERED
				if
				:: is_new && picks(i) ->
					store(W, DUE(i, 0), 0);
					store(W, COUNT(i), 0);
#if DUES > 1
					store(W, DUE(i, 1), 0);
					due[i * DUES + 1] = 0;
#endif
					due[i * DUES] = 0;
					ordinal[i] = 0
				:: else
				fi;
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
	fi;
#if FILTERED
	/* It counts as past what is not due. */
	x = (x < retired -> retired : x);
	do
	:: x <= published && !is_due(i, x, start[i]) -> x++
	:: else -> break
	od;
	skip
#endif
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

inline mark(sequence)
{
	s = 0;
	do
	:: s < SLOTS && sequence != 0 && sequence_of[s] == sequence -> pinned[s] = 1; s++
	:: s < SLOTS && !(sequence != 0 && sequence_of[s] == sequence) -> s++
	:: else -> break
	od;
	s = 0
}

/* The snapshot of pins; watermark is where `retired` is, or will be. */
inline Scan(watermark)
{
#if FILTERED && !defined(DUE_UNPROTECTED)
	d_step {
		i = 0;
		do
		:: i < ENDS && counts(i) && picks(i) -> mark(due[i * DUES]); mark(due[i * DUES + DUES - 1]); i++
		:: i < ENDS && !(counts(i) && picks(i)) -> i++
		:: else -> break
		od;
		skip
	}
	skip;
#endif
	d_step { i = 0; j = 0; seek(counts(i)) }
	do
	:: i < ENDS ->
		d_step {
			x = load(W, PIN(i, j));
			x = (x < watermark -> x : 0);
			mark(x);
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

inline Ring(which)
{
#if SLEEPS & 1
#ifndef NO_FENCE_BEFORE_RING
	fence(W);
#endif
	d_step { i = 0; seek(counts(i) && (which)) }
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
		d_step { i++; seek(counts(i) && (which)) }
	:: else -> break
	od;
	atomic { i = 0; y = 0 }
#else
	skip
#endif
}

/* Whether end i is rung for the newest frame. */
#define rings(i) (!granted(i) || is_due(i, published, start[i]))

/* The newest frame becomes one that is due for those who pick it. A word is 0 while it changes. */
inline Announce()
{
	d_step { i = 0; seek(granted(i) && picks(i) && is_due(i, published, start[i])) }
	do
	:: i < ENDS ->
		d_step { j = ordinal[i] % DUES; due[i * DUES + j] = published }
#ifdef DUE_NOT_SEQ_CST
		store_release(W, DUE(i, j), 0);
#elif !defined(DUE_NOT_CLEARED)
		store_seq_cst(W, DUE(i, j), 0);
#endif
		store_release(W, ORDINAL(i, j), ordinal[i] + 1);
#ifdef DUE_NOT_SEQ_CST
		store_release(W, DUE(i, j), order_word(published, slot));
#else
		store_seq_cst(W, DUE(i, j), order_word(published, slot));
#endif
		d_step {
			ordinal[i] = ordinal[i] + 1;
			j = 0;
			i++;
			seek(granted(i) && picks(i) && is_due(i, published, start[i]))
		}
	:: else -> i = 0; break
	od
}

inline Publish()
{
#if FILTERED
	d_step {
		y = (granted(0) -> is_due(0, published + 1, start[0]) : 1);
#if ENDS > 1
		y = y + (granted(1) -> 2 * is_due(1, published + 1, start[1]) : 2)
#endif
	}
#endif
	writer_together {
#if FILTERED
		/* due_count */
		if
		:: granted(0) && picks(0) && (y & 1) -> store(W, COUNT(0), ordinal[0] + 1)
		:: else
		fi;
#if ENDS > 1
		if
		:: granted(1) && picks(1) && (y & 2) -> store(W, COUNT(1), ordinal[1] + 1)
		:: else
		fi;
#endif
#endif
#ifdef PUBLISHED_BEFORE_PAYLOAD
		store_release(W, PUBLISHED, published + 1);
#endif
		store(W, PAYLOAD(slot), TORN);
		store(W, PAYLOAD(slot), published + 1);
		store(W, DESCRIPTOR(slot, published + 1), described(published + 1, y));
		store(W, ORDER(published + 1), order_word(published + 1, slot));
#ifdef PUBLISHED_NOT_RELEASE
		store(W, PUBLISHED, published + 1);
#elif !defined(PUBLISHED_BEFORE_PAYLOAD)
		store_release(W, PUBLISHED, published + 1);
#endif
		y = 0;
		published++;
		sequence_of[slot] = published
	}
#ifdef DUE_AFTER_RING
	Ring(rings(i));
	Announce();
#else
#if FILTERED
	Announce();
#endif
	Ring(rings(i));
#endif
	slot = 0
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
#if PAUSES
	:: timeout ->
		/* Nothing moves any more, so another look must find nothing. */
		Attend();
		Refill();
		must_not(lost_wakeup, free > 0);
end_wait:	false
#endif
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
#if FILTERED
	byte due[ENDS * DUES], ordinal[ENDS];
#endif
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
#if PAUSES
		:: 1 -> end_idle: false
#endif
		:: published == FRAMES -> break
		od;
		store_release(W, ENDED, published + 1);
		Ring(1);
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
