/* SPDX-License-Identifier: MIT */
#ifndef ELEMENTS_H
#define ELEMENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ELEMENTS_FRAME_BYTES 3110400 /* 1080p NV12 */
#define ELEMENTS_SAMPLES_MAX 4096

/* Written by one process of the bench, read by the one that started it. */
struct elements_counters {
	_Atomic uint64_t buffers;
	_Atomic int64_t cpu_ns;	    /* of the process, from time to time */
	_Atomic uint32_t measuring; /* set by the bench: latencies count */
	_Atomic uint32_t paced;	    /* set by the bench */
	_Atomic uint32_t samples;
	int64_t latency_ns[ELEMENTS_SAMPLES_MAX];
};

/* Plays a pipeline for ever. An element stampsrc writes the time into each buffer, every interval_ns; the sink pad of
 * an element "reader" is watched, and every line of each buffer read if reads. Returns after an error only. */
int elements_play(struct elements_counters *counters, const char *description, bool reads, int64_t interval_ns);

#endif
