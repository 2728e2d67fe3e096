/* SPDX-License-Identifier: MIT */
/* Shows the state of a ring that another process serves under a path: geometry, readers, policies, cursors, pins and
 * counters. It only looks: the ring's pictures are not even mapped.
 *
 *	ring-state PATH            once
 *	ring-state PATH SECONDS    again and again */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/socket.h>

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static const char *policy_text(const struct weir_policy *policy, char *text, size_t size)
{
	static const char *const modes[] = { "latest", "drop-oldest", "lossless" };
	int used =
		snprintf(text, size, "%s depth %" PRIu32, policy->mode < 3 ? modes[policy->mode] : "?", policy->depth);

	if (policy->every_nth > 1 && used < (int)size)
		used += snprintf(text + used, size - (size_t)used, " every %" PRIu32, policy->every_nth);
	if (policy->max_fps > 0 && used < (int)size)
		snprintf(text + used, size - (size_t)used, " max %g fps", policy->max_fps);
	return text;
}

static void print_reader(uint32_t end, const struct weir_end_stats *stats)
{
	char policy[96];

	printf("reader %-2" PRIu32 " %-32s %s%s start %" PRIu64 " cursor %" PRIu64 " held %" PRIu32 "/%" PRIu32
	       " delivered %" PRIu64 " overtaken %" PRIu64 " skipped %" PRIu64 " woken %" PRIu64 "+%" PRIu64
	       " latency p50 %.3f p99 %.3f max %.3f ms\n",
		end, policy_text(&stats->policy, policy, sizeof(policy)),
		stats->left	  ? "left"
		: stats->attached ? "attached"
				  : "detached",
		stats->stalled ? " stalled" : "", stats->start, stats->cursor, stats->held, stats->policy.max_held,
		stats->delivered, stats->overtaken, stats->skipped, stats->woken_eventfd, stats->woken_semaphore,
		(double)stats->latency_p50_ns / 1e6, (double)stats->latency_p99_ns / 1e6,
		(double)stats->latency_max_ns / 1e6);
}

static void print_ring(const struct weir_ring *ring, int server_pid)
{
	const struct weir_format *format = weir_ring_format(ring);
	struct weir_end_stats end;
	struct weir_ring_stats stats;

	weir_ring_stats(ring, &stats);
	printf("ring     generation %" PRIu64 " of process %d: %s %" PRIu32 "x%" PRIu32 ", %" PRIu32
	       " slots for %" PRIu32 " bytes\n",
		weir_ring_generation(ring), server_pid,
		format->kind == WEIR_KIND_VIDEO ? weir_pixel_name(format->pixel) : format->caps, format->width,
		format->height, stats.slot_count, format->payload_bytes);
	printf("writer   published %" PRIu64 "%s lost at the source %" PRIu64 " copied %" PRIu64 " waited %" PRIu64
	       " free at least %" PRIu32 " rung %" PRIu64 "+%" PRIu64 " saved %" PRIu64 " stalled readers %" PRIu64
	       "\n",
		stats.published, stats.ended ? " (ended)" : "", stats.source_lost, stats.copied, stats.claim_waits,
		stats.free_low_water, stats.rung_eventfd, stats.rung_semaphore, stats.rings_saved, stats.stalled);
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++)
		if (weir_ring_end_stats(ring, i, &end) == 0)
			print_reader(i, &end);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct weir_client_config config = { .path = argc > 1 ? argv[1] : NULL, .observe = true };
	double seconds = argc > 2 ? atof(argv[2]) : 0;
	struct weir_client *client;
	struct weir_ring *ring = NULL;
	int r;

	if (argc < 2 || argc > 3 || seconds < 0) {
		fprintf(stderr, "Usage: ring-state PATH [SECONDS]\n");
		return 2;
	}
	r = weir_client_connect(&client, &config, now_ns() + INT64_C(2000000000));
	if (r < 0) {
		fprintf(stderr, "No ring is served at %s: %s. See what listens with: ss -xl\n", argv[1], strerror(-r));
		return 1;
	}
	do {
		struct weir_ring *next;

		r = weir_client_dispatch(client);
		if (weir_client_take_observer(client, &next) == 0) {
			weir_ring_free(&ring);
			ring = next;
		}
		if (ring != NULL)
			print_ring(ring, weir_client_server_pid(client));
		if (seconds > 0)
			usleep((useconds_t)(seconds * 1e6));
	} while (seconds > 0 && r == 0);
	weir_ring_free(&ring);
	weir_client_free(&client);
	return 0;
}
