/* SPDX-License-Identifier: MIT */
#ifndef ROUNDTRIP_H
#define ROUNDTRIP_H

/* What all round trips share: how many, and the times of each. */

#include "bench.h"

#define TRIPS_MAX 8000

struct trip_times {
	uint32_t count, warm_up;
	int64_t last_ns;
	double us[TRIPS_MAX];
};

/* Both sides: waits for the other. */
void trips_begin_back(struct trip_times *times);

/* After each trip. */
void trips_note_back(struct trip_times *times, uint32_t number);

/* Side 0: the median is the figure. */
void trips_end_back(struct trip_times *times);

/* A contender: a cache line there and back between two busy CPUs. It says how far apart they are just now. */
int floor_spin(double *figure, uint32_t unused);

#endif
