/* SPDX-License-Identifier: MIT */
#include "shm_storm.h"

#define STALL_MAX_NS 500000000

struct storm_board *storm_board;
struct storm_attachment storm_attachments[STORM_ATTACHMENTS_MAX];
struct storm_stop storm_stops[STORM_STOPS_MAX];
uint32_t storm_stop_count;

/* How much of a span nobody was stopped. */
static int64_t undisturbed_ns(int64_t from_ns, int64_t to_ns)
{
	int64_t left_ns = to_ns - from_ns, covered_ns = from_ns;

	for (uint32_t i = 0; i < storm_stop_count; i++) {
		int64_t begin_ns = storm_stops[i].from_ns > covered_ns ? storm_stops[i].from_ns : covered_ns;
		int64_t end_ns = storm_stops[i].to_ns < to_ns ? storm_stops[i].to_ns : to_ns;

		if (end_ns > begin_ns) {
			left_ns -= end_ns - begin_ns;
			covered_ns = end_ns;
		}
	}
	return left_ns;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void storm_report_next_frames(bool by_semaphore)
{
	static int64_t sample[STORM_READERS * STORM_LOG];
	uint32_t count = 0;

	for (uint32_t k = 0; k < STORM_READERS; k++)
		for (uint32_t i = 0; i < storm_board->reader[k].firsts && i < STORM_LOG; i++) {
			int64_t cause_ns = storm_attachments[storm_board->reader[k].first[i].attachment].cause_ns;
			int64_t at_ns = storm_board->reader[k].first[i].at_ns;

			if (storm_readers[k].by_semaphore == by_semaphore && cause_ns != 0 &&
				undisturbed_ns(cause_ns, at_ns) == at_ns - cause_ns)
				sample[count++] = at_ns - cause_ns;
		}
	assert_true(count > 0);
	qsort(sample, count, sizeof(sample[0]), compare);
	print_message("# kill to next frame, readers on %s: p50 %.2f ms, p99 %.2f ms, max %.2f ms (%u kills)\n",
		by_semaphore ? "semaphores" : "eventfds", (double)sample[count / 2] / 1e6,
		(double)sample[(uint64_t)count * 99 / 100] / 1e6, (double)sample[count - 1] / 1e6, count);
	assert_true(sample[(uint64_t)count * 99 / 100] <= STALL_MAX_NS);
}

void storm_check_reader(uint32_t k)
{
	__typeof__(&storm_board->reader[0]) own = &storm_board->reader[k];
	int64_t stall_ns = 0;

	for (uint32_t i = 0; i < own->gaps && i < STORM_LOG; i++) {
		int64_t ns = undisturbed_ns(own->gap[i].from_ns, own->gap[i].to_ns);

		stall_ns = ns > stall_ns ? ns : stall_ns;
	}
	print_message("# %s: %ju frames, %u bad%s%s, %ju evictions, longest stall %.0f ms\n", storm_readers[k].name,
		(uintmax_t)own->frames, own->bad, own->bad ? ": " : "", own->why, (uintmax_t)own->evictions,
		(double)stall_ns / 1e6);
	assert_int_equal(own->bad, 0);
	assert_true(own->frames > 100);
	assert_true(stall_ns <= STALL_MAX_NS);
	assert_true(harness_now_ns() - own->last_ns < STALL_MAX_NS);
	for (uint32_t i = 0; i < own->lost && i < STORM_LOG; i++)
		assert_true(storm_attachments[own->lost_by[i]].is_stalled);
}
