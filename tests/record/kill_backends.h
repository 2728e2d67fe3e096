/* SPDX-License-Identifier: MIT */
#ifndef KILL_BACKENDS_H
#define KILL_BACKENDS_H

/* "pump" publishes numbered pictures or packets, as fast as the ring takes them but for 1 ms after every two; "checker"
 * reads them. The number is in every word and in the time, and counts on over generations. */

#include <stdbool.h>

#include <weir/backend.h>

#define KILL_WIDTH  640
#define KILL_HEIGHT 480
#define KILL_STEP   INT64_C(10000000) /* ns from picture to picture */

#define ORDER_WRONG 256 /* checker: a call; replies with two uint64_t: frames, and those that were not their own */

bool kill_is_filled(const uint8_t *bytes, size_t size, uint64_t number);

extern const struct weir_backend *const kill_backends[];

#endif
