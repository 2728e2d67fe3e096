/* SPDX-License-Identifier: MIT */

#define AGAIN 0
#define NODATA 1
#define PIPE 2

/* The next frame that is due. */
#define wanted (last < start -> start : last + NTH(k))

inline Join()
{
	if
#ifdef ONE_PHASE_ATTACH
	:: 1 ->
		atomic { next = load(R, PUBLISHED) + 1; last = next - 1; start = next }
		store_release(R, CURSOR(k), next)
#else
	:: load(R, ACK(k)) == word_of(id, ATTACH) ->
		atomic { next = load(R, START(k)); last = next - 1; start = next; must_not(started_nowhere, next == 0) }
		store_release(R, CURSOR(k), next)
	:: load(R, ACK(k)) != word_of(id, ATTACH)
#endif
	fi
}

/* The frame to try next, or 0; seen is what is published. */
inline Choose()
{
#if FILTERED
	if
	:: picks(k) ->
		quiet = load(R, GONE);
		/* The oldest of the due frames that we have not had. */
		do
		:: d < DUES && next != 0 && next <= seen ->
			atomic {
				x = load(R, DUE(k, d)) / 8;
				y = x >= next && (sequence == 0 || x < sequence);
				sequence = (y -> x : sequence);
				chosen = (y -> d : chosen);
				x = 0
			}
			if
			:: y -> atomic { ordinal = load(R, ORDINAL(k, d)); y = 0 }
			:: else
			fi;
			d++
		:: else -> d = 0; break
		od;
#ifndef UNANNOUNCED_FORGOTTEN
		Unannounced()
#endif
	:: !picks(k) -> choose_here()
	fi
#else
	choose_here()
#endif
}

/* A writer that died between `published` and the due word. */
inline Unannounced()
{
	if
	:: sequence == 0 && next != 0 && next <= seen && quiet ->
		atomic {
			seen = load(R, PUBLISHED);
			y = load(R, ORDER(seen)) % 8;
			x = load(R, DESCRIPTOR(y, seen));
			y = due_in(x, k);
			sequence = (y -> seen : 0);
			ordinal = (y -> load(R, COUNT(k)) : 0);
			chosen = (y -> DUES : 0);
			x = 0;
			y = 0;
			quiet = 0
		}
	:: else -> quiet = 0
	fi
}

inline choose_here()
{
	atomic {
		if
		:: next == 0 || next > seen
		:: else ->
			if
			:: MODE(k) == LATEST -> sequence = seen
			:: MODE(k) == DROP_OLDEST && seen - next >= DEPTH(k) -> sequence = seen + 1 - DEPTH(k)
			:: else -> sequence = next
			fi;
			if
			:: sequence < load(R, RETIRED) && load(R, RETIRED) <= seen -> sequence = load(R, RETIRED)
			:: else
			fi
		fi
	}
}

/* Why there is nothing. The order matters: what was published before the end or the death is taken first. */
inline idle_status()
{
#ifdef GONE_READ_LAST
	seen = load(R, PUBLISHED);
	gone = load(R, GONE);
	ended = load(R, ENDED);
#else
	gone = load(R, GONE);
	ended = load(R, ENDED);
	seen = load(R, PUBLISHED);
#endif
	Choose();
	atomic {
		status = AGAIN;
		if
		:: sequence == 0 && ended != 0 && (next != 0 || gone) -> status = NODATA
		:: sequence == 0 && !(ended != 0 && (next != 0 || gone)) && gone -> status = PIPE
		:: else
		fi;
		gone = 0;
		ended = 0;
		seen = 0;
		sequence = 0;
		ordinal = 0;
		chosen = 0
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
	x = (picks(k) && chosen < DUES -> load(R, DUE(k, chosen)) : load(R, ORDER(sequence)));
	atomic {
#ifdef NO_CHECK_AFTER_PIN
		y = x / 8 == sequence;
#else
		y = x / 8 == sequence && (picks(k) || load(R, RETIRED) <= sequence);
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
		must_not(lost_or_repeated, MODE(k) == LOSSLESS && !stalled[E(k)] &&
			sequence != wanted);
		must_not(went_backwards, sequence <= last);
		must_not(unwanted, NTH(k) > 1 && !is_due(k, sequence, start));
		must_not(wrong_ordinal, picks(k) && ordinal != (sequence - start) / NTH(k) + 1);
		held[j] = sequence;
		where[j] = slot;
		last = sequence;
		next = sequence + 1;
		sequence = 0;
		ordinal = 0;
		chosen = 0;
		slot = 0;
		j = 0;
		got = 1
	}
}

/* Rings the writer if it sleeps for want of what we gave up. */
inline look_for_writer()
{
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
}

/* A cursor that passes frames which are not due gives them up, too. */
inline passed()
{
#if FILTERED && SLEEPS & 2 && !defined(PASSES_WITHOUT_A_LOOK)
	if
	:: !picks(k) && NTH(k) > 1 -> look_for_writer()
	:: else
	fi
#else
	skip
#endif
}

/* got: a frame was taken, else status says why not. */
inline Acquire()
{
	if
	:: next == 0 -> Join()
	:: else
	fi;
	do
	:: atomic {
		seen = load(R, PUBLISHED);
		j = (held[0] == 0 -> 0 : HELD - 1)
	   }
		if
		:: next == 0 || seen < next -> idle_status(); break
		:: else
		fi;
		Choose();
		seen = 0;
		if
		:: sequence == 0 -> idle_status(); break
		:: else
		fi;
#ifdef CURSOR_BEFORE_PIN
		Advance();
#endif
		Pin();
		Check();
		if
		:: y ->
			atomic {
				x = load(R, DESCRIPTOR(slot, sequence));
				must_not(wrong_descriptor, sequence_in(x) != sequence || x == TORN);
				y = due_in(x, k);
				x = 0
			}
			if
			:: y || NTH(k) == 1 || picks(k) ->
				y = 0;
				reader_together {
#ifndef CURSOR_BEFORE_PIN
					Advance();
#endif
					Took()
				}
				passed();
				break
			:: else ->
				/* Not due. */
				Advance();
				reader_together {
					store_release(R, PIN(k, j), 0);
					next = sequence + 1;
					sequence = 0;
					slot = 0;
					j = 0
				}
				passed()
			fi
		:: else ->
			store_release(R, PIN(k, j), 0);
			d_step { slot = 0; sequence = 0; ordinal = 0; chosen = 0; j = 0 }
#if SLEEPS & 2 && !defined(FAILED_PIN_WITHOUT_A_LOOK)
			look_for_writer()
#endif
		fi
	od;
	j = 0
}

#define holds_any (held[0] != 0 || held[HELD - 1] != 0)
#define has_room  (held[0] == 0 || held[HELD - 1] == 0)

inline Release(n)
{
	atomic { must_not(torn_or_rewritten, load(R, PAYLOAD(where[n])) != held[n]); held[n] = 0; where[n] = 0 }
	store_release(R, PIN(k, n), 0);
#if SLEEPS & 2
	look_for_writer()
#endif
}

/* status: AGAIN, or something is there. */
inline look_again()
{
	seen = load(R, PUBLISHED);
	Choose();
	if
	:: sequence != 0 -> atomic { status = NODATA; seen = 0; sequence = 0; ordinal = 0; chosen = 0 }
	:: else -> idle_status()
	fi
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
	if
	:: next == 0 -> Join()
	:: else
	fi;
	look_again();
#endif
	if
	:: status != AGAIN
	:: status == AGAIN && bell[E(k)]
	:: d_step { status == AGAIN && spurious > 0 -> spurious-- }
	/* Nobody rings for a grant: it ends one of the bounded waits. */
	:: status == AGAIN && next == 0 && id_of(memory[ACK(k)]) == id && memory[ENDED] != 0
#if PAUSES
	:: timeout ->
		/* Nothing moves any more, so there must be nothing for it. */
		must_not(lost_wakeup, next != 0 && memory[PUBLISHED] >= wanted || memory[ENDED] != 0 || memory[GONE] != 0);
end_sleep:	false
#endif
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
	status = AGAIN;
end_poll: next != 0 && memory[PUBLISHED] >= next || memory[ENDED] != 0 || memory[GONE] != 0 ||
		memory[ACK(k)] == word_of(id, ATTACH) && next == 0 || memory[ACK(k)] == word_of(id, WITHDRAW)
#endif
}

proctype Reader(byte g; byte k; byte id)
{
	byte next, start, last, epoch, space_rung, seen, sequence, ordinal, chosen, slot, ended, status, d, j, x, y;
	byte held[HELD], where[HELD];
	bit got, gone, quiet; /* quiet: gone, as Choose saw it */
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
#if PAUSES
		:: PAUSES > k -> end_pause: false
#endif
		od;
		/* What was published before the end, or before the writer's death, was taken. */
		atomic {
			must_not(not_drained, next != 0 && memory[PUBLISHED] >= wanted &&
				(status == NODATA || status == PIPE))
		}
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
