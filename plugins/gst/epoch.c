/* SPDX-License-Identifier: MIT */
#include "epoch.h"

#include <time.h>

int64_t epoch_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool is_monotonic(GstClock *clock)
{
	GstClockType type = GST_CLOCK_TYPE_REALTIME;

	if (GST_IS_SYSTEM_CLOCK(clock))
		g_object_get(clock, "clock-type", &type, NULL);
	return type == GST_CLOCK_TYPE_MONOTONIC;
}

int64_t epoch_of(struct epoch *epoch, GstElement *element)
{
	GstClockTime base_time = gst_element_get_base_time(element);
	GstClock *clock = gst_element_get_clock(element);
	int64_t result;

	if (clock == NULL)
		return EPOCH_NONE;
	if (clock != epoch->clock) {
		epoch->clock = clock;
		epoch->monotonic = is_monotonic(clock);
	}
	result = (int64_t)base_time;
	if (!epoch->monotonic)
		result += epoch_monotonic_ns() - (int64_t)gst_clock_get_time(clock);
	gst_object_unref(clock);
	return result;
}
