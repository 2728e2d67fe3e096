/* SPDX-License-Identifier: MIT */
/* The benchmarks of the ring. */
#include "bench.h"

#include <stddef.h>

const struct group *const bench_groups[] = {
	&handover_group,
	&copy_group,
	&roundtrip_group,
	&paced_group,
	&publish_group,
	&dirty_group,
	&wake_group,
	&recovery_group,
	&recovery_peer_group,
	&memory_group,
	NULL,
};

int bench_begin(void)
{
	return 0;
}
