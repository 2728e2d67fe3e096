/* SPDX-License-Identifier: MIT */
#ifndef FAILURES_H
#define FAILURES_H

/* What breaks shmsink, shmsrc, unixfdsink and unixfdsrc, done to weirsink and weirsrc in processes of their own: one
 * producer, a healthy reader that has to keep its frames, and one that misbehaves. */

#include "runner.h"

#define SOURCE "videotestsrc is-live=true pattern=black ! video/x-raw,format=NV12,width=640,height=360,framerate=60/1"
#define READER "weirsrc socket-path=%s ! fakesink name=p sync=false"
/* It must not lose frames because the machine is busy with other tests: a quarter of a second of patience. */
#define HEALTHY "weirsrc socket-path=%s max-buffers=16 ! fakesink name=p sync=false"
#define EVERY	"weirsrc socket-path=%s leaky-type=none max-buffers=8 ! fakesink name=p sync=false"

extern char failures_path[64]; /* of the socket */

int failures_setup(void **state);
int failures_teardown(void **state);
int failures_clean_up(void **state); /* after each test */

void failures_assert_nothing_is_left(void);

/* A window in which the healthy reader must get at least 99 of 100 frames, of a producer that is not held up. */
struct failures_window {
	const struct runner_counters *reader, *producer;
	uint64_t buffers, skipped, produced;
	int64_t start_ns;
};

struct failures_window failures_open_window(const struct runner *reader, const struct runner *producer);
void failures_close_window(const struct failures_window *window);

/* A producer, and a healthy reader that has its first frame. */
void failures_start_two(struct runner *producer, struct runner *healthy, const char *sink_properties);

#endif
