/* SPDX-License-Identifier: MIT */
#ifndef SHM_VICTIM_H
#define SHM_VICTIM_H

/* One round of fault injection: a ring, a victim that is stopped after k instructions, a supervisor that does what it
 * must, and a successor that passes frames. */

#include <stdbool.h>
#include <stdint.h>

enum victim_fate {
	VICTIM_KILLED, /* SIGKILL at step k */
	VICTIM_PAUSED, /* at step k the others go on; then it, too */
};

struct victim_round {
	uint32_t backing;   /* enum weir_backing */
	uint32_t mode;	    /* of a victim that reads: enum weir_policy_mode */
	uint32_t every_nth; /* of its policy */
	enum victim_fate fate;
	long step;		  /* the writer's, or the reader's when it is alone */
	long reader_step;	  /* pairs only */
	bool ended;		  /* out: there are no so many steps */
	long steps, reader_steps; /* out: executed */
};

/* Each returns whether all was as it must be; if not, harness_why says what was not. */
bool victim_writer(struct victim_round *round);
bool victim_reader(struct victim_round *round);
bool victim_pair(struct victim_round *round);

#endif
