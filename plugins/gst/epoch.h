/* SPDX-License-Identifier: MIT */
#ifndef EPOCH_H
#define EPOCH_H

/* Where a pipeline's running time stands on CLOCK_MONOTONIC, which all processes of a machine share. */

#include <gst/gst.h>
#include <stdbool.h>
#include <stdint.h>

#define EPOCH_NONE INT64_MIN

struct epoch {
	GstClock *clock; /* whose kind is known; not a reference, only compared */
	bool monotonic;
};

int64_t epoch_monotonic_ns(void);

/* CLOCK_MONOTONIC at running time 0 of the element; EPOCH_NONE without a clock. Exact for the system clock, else right
 * within the time that it takes to read two clocks. */
int64_t epoch_of(struct epoch *epoch, GstElement *element);

#endif
