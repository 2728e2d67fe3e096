/* SPDX-License-Identifier: MIT */
#ifndef ICEORYX_H
#define ICEORYX_H

/* iceoryx 2.0.3 by its C binding, with blocking policies: it may not lose frames either. */

#include "bench.h"

#include <iceoryx_binding_c/enums.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/wait_set.h>

/* Its messages go nowhere; ours stand in the page. */
void iceoryx_join_back(const char *name);

/* One of each for a process. */
iox_pub_t iceoryx_publish_back(const char *service);
iox_sub_t iceoryx_subscribe_back(const char *service);
iox_ws_t iceoryx_wait_on_back(iox_sub_t subscriber);

/* Waits until those given have found their other side. */
int iceoryx_connect_back(iox_pub_t publisher, iox_sub_t subscriber);

void *iceoryx_loan_back(iox_pub_t publisher, uint32_t bytes);

/* wait_set NULL: busy. */
const void *iceoryx_take_back(iox_sub_t subscriber, iox_ws_t wait_set);

/* bench_pair() beside a daemon of its own. */
int iceoryx_run(
	double *figure, int (*writer_back)(void *, uint32_t), int (*reader_back)(void *, uint32_t), void *context);

#endif
