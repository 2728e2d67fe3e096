/* SPDX-License-Identifier: MIT */
#include "frontend.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"

/* Looks at running children now and then: do they still make progress, and have they had their share? */

#define SLOWLY_NS  CLOCK_S
#define QUICKLY_NS (100 * CLOCK_MS)
#define MIB	   1048576.0

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

uint64_t watch_own_bytes(int pid)
{
	unsigned long long resident, shared;
	char path[64], text[128];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	if (sscanf(text, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_hung(struct weir_child *child, int64_t now_ns)
{
	struct supervise_look look = {
		.now_ns = now_ns,
		.limit_ns = child->config.hang_ns,
		.turns = load(&child->page->turns),
		.work = load(&child->page->work),
	};

	if (child->config.hang_ns == 0 || !supervise_is_hung(&child->pulse, &look))
		return false;
	process_blame(
		child, WEIR_END_HANG, "hung: no progress for %.3g s", (double)child->config.hang_ns / (double)CLOCK_S);
	process_apply(child, SUPERVISE_HANG, child->reason);
	return true;
}

static bool is_too_big(struct weir_child *child, uint64_t bytes)
{
	uint64_t limit = child->config.limits.memory_bytes;

	if (limit == 0 || bytes <= limit)
		return false;
	process_blame(child, WEIR_END_MEMORY, "out of memory: %.0f MiB, its limit is %.0f MiB", (double)bytes / MIB,
		(double)limit / MIB);
	process_apply(child, SUPERVISE_VIOLATION, child->reason);
	return true;
}

static void recycle_if_due(struct weir_child *child, int64_t now_ns, uint64_t bytes)
{
	const struct weir_child_config *config = &child->config;
	uint64_t frames = load(&child->page->frames);
	char reason[96];

	if (config->recycle_frames != 0 && frames >= config->recycle_frames)
		snprintf(reason, sizeof(reason), "recycled after %" PRIu64 " frames", frames);
	else if (config->recycle_ns != 0 && now_ns - child->running_since_ns >= config->recycle_ns)
		snprintf(reason, sizeof(reason), "recycled after %.3g s", (double)config->recycle_ns / (double)CLOCK_S);
	else if (config->recycle_bytes != 0 && bytes >= config->recycle_bytes)
		snprintf(reason, sizeof(reason), "recycled at %.0f MiB of memory", (double)bytes / MIB);
	else
		return;
	process_apply(child, SUPERVISE_RECYCLE, reason);
}

static void look(void *data)
{
	struct weir_child *child = data;
	int64_t now_ns = clock_ns();
	uint64_t bytes = 0;

	if (child->state != WEIR_CHILD_RUNNING)
		return;
	child->watch.due_ns = now_ns + child->watch_ns;
	if (child->config.limits.memory_bytes != 0 || child->config.recycle_bytes != 0)
		bytes = watch_own_bytes(child->pid);
	if (!is_hung(child, now_ns) && !is_too_big(child, bytes))
		recycle_if_due(child, now_ns, bytes);
}

void watch_init(struct weir_child *child)
{
	const struct weir_child_config *config = &child->config;

	child->watch = (struct loop_timer){ .due_ns = CLOCK_NEVER, .fn = look, .data = child };
	if (config->hang_ns != 0 || config->recycle_ns != 0)
		child->watch_ns = SLOWLY_NS;
	if (config->limits.memory_bytes != 0 || config->recycle_bytes != 0 || config->recycle_frames != 0)
		child->watch_ns = QUICKLY_NS;
	/* A fifth, and its own fifth of lateness: found out within 1.25 of the limit. */
	if (config->hang_ns != 0 && config->hang_ns / 5 < child->watch_ns)
		child->watch_ns = config->hang_ns / 5;
	if (config->recycle_ns != 0 && config->recycle_ns < child->watch_ns)
		child->watch_ns = config->recycle_ns;
}

void watch_begin(struct weir_child *child)
{
	int64_t now_ns = clock_ns();

	child->pulse = (struct supervise_pulse){ .turns_ns = now_ns, .work_ns = now_ns };
	if (child->watch_ns != 0)
		child->watch.due_ns = now_ns + child->watch_ns;
}
