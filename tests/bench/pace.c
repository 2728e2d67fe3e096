/* SPDX-License-Identifier: MIT */
#include "paced.h"

#define INTERVAL_NS (INT64_C(1000000000) / 60)

void pace_begin_back(struct pace *pace)
{
	pace->count = bench_count(120, 24);
	pace->warm_up = pace->count / 6;
	bench_meet_back(2);
	pace->next_ns = now_ns() + INTERVAL_NS;
}

int64_t pace_next_back(struct pace *pace)
{
	sleep_until_ns(pace->next_ns);
	pace->next_ns += INTERVAL_NS;
	return now_ns();
}

void pace_note_back(struct pace *pace, uint32_t number, int64_t stamp_ns)
{
	if (number > pace->warm_up)
		pace->us[number - pace->warm_up - 1] = (now_ns() - stamp_ns) / 1e3;
}

void pace_end_back(struct pace *pace)
{
	page->figure = spread_of(pace->us, pace->count - pace->warm_up).median;
}
