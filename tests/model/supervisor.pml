/* SPDX-License-Identifier: MIT */

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
