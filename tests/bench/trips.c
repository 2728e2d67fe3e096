/* SPDX-License-Identifier: MIT */
#include "roundtrip.h"

void trips_begin_back(struct trip_times *times)
{
	times->count = bench_count(5000, 300);
	times->warm_up = times->count / 10;
	bench_meet_back(2);
	times->last_ns = now_ns();
}

void trips_note_back(struct trip_times *times, uint32_t number)
{
	int64_t now = now_ns();

	if (number > times->warm_up)
		times->us[number - times->warm_up - 1] = (now - times->last_ns) / 1e3;
	times->last_ns = now;
}

void trips_end_back(struct trip_times *times)
{
	page->figure = spread_of(times->us, times->count - times->warm_up).median;
}
