/* SPDX-License-Identifier: MIT */
#ifndef PACED_H
#define PACED_H

/* What all paced runs share: 60 frames a second, each stamped with the time of its sending; the median age at arrival
 * is the figure. */

#include "bench.h"

#define PACE_MAX 256

struct pace {
	uint32_t count, warm_up;
	int64_t next_ns;
	double us[PACE_MAX];
};

/* Both sides: waits for the other. */
void pace_begin_back(struct pace *pace);

/* Writer: sleeps until the next frame is to be sent; returns its stamp. */
int64_t pace_next_back(struct pace *pace);

/* Reader: frame `number` (1, 2…) arrived with this stamp. */
void pace_note_back(struct pace *pace, uint32_t number, int64_t stamp_ns);

/* Reader. */
void pace_end_back(struct pace *pace);

#endif
