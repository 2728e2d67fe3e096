/* SPDX-License-Identifier: MIT */

/* Memory with one store buffer for each process. A store goes into the buffer of its process and reaches memory at any
 * later time; a release store after all stores before it; others in any order but that of one word (x86 keeps all in
 * order, arm64 does not). A load sees its own buffer first. A seq_cst store and a fence wait for an empty buffer, and so
 * does a system call (eventfds have a lock). Loads are not reordered. */

#ifndef BUFFER
#define BUFFER 2 /* at most 3 */
#endif

typedef buffer {
	byte count;
	byte at[3];
	byte value[3];
	bit release[3]
};
buffer buffers[PROCESSES];
byte memory[WORDS];

#define B(p) buffers[p]
#define fence(p) (B(p).count == 0)

#define load(p, word) \
	(B(p).count > 2 && B(p).at[2] == (word) -> B(p).value[2] : \
	(B(p).count > 1 && B(p).at[1] == (word) -> B(p).value[1] : \
	(B(p).count > 0 && B(p).at[0] == (word) -> B(p).value[0] : memory[word])))

inline store_as(p, word, what, is_release)
{
	d_step {
		B(p).count < BUFFER ->
		B(p).at[B(p).count] = word;
		B(p).value[B(p).count] = what;
		B(p).release[B(p).count] = is_release;
		B(p).count++
	}
}

#define store(p, word, what)	     store_as(p, word, what, 0)
#define store_release(p, word, what) store_as(p, word, what, 1)

inline store_seq_cst(p, word, what)
{
	d_step { fence(p) -> memory[word] = what }
}

/* Entry n reaches memory; the rest moves up, and what is unused is 0, so that equal states are equal. */
inline drain(p, n)
{
	memory[B(p).at[n]] = B(p).value[n];
	if
	:: n < 1 -> B(p).at[0] = B(p).at[1]; B(p).value[0] = B(p).value[1]; B(p).release[0] = B(p).release[1]
	:: else
	fi;
	if
	:: n < 2 -> B(p).at[1] = B(p).at[2]; B(p).value[1] = B(p).value[2]; B(p).release[1] = B(p).release[2]
	:: else
	fi;
	B(p).at[2] = 0;
	B(p).value[2] = 0;
	B(p).release[2] = 0;
	B(p).count--
}

#define may_pass(p, n, m) (!B(p).release[n] && B(p).at[n] != B(p).at[m])

proctype Memory(byte p)
{
end:	do
	:: d_step { B(p).count > 0 -> drain(p, 0) }
	:: d_step { B(p).count > 1 && may_pass(p, 1, 0) -> drain(p, 1) }
	:: d_step { B(p).count > 2 && may_pass(p, 2, 0) && may_pass(p, 2, 1) -> drain(p, 2) }
	od
}
