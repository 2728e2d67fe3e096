/* SPDX-License-Identifier: MIT */
/* What a frame costs its writer when nobody needs to be woken: claim and publish, in a loop without a pause. */
#include "rig.h"

#include <sys/mman.h>
#include <unistd.h>

#include "../seccomp.h"
#include "layout.h"
#include "ring.h"

static struct rig rig;

static int publish_one_back(struct weir_writer *writer)
{
	struct weir_frame frame;
	uint8_t *payload;

	if (weir_writer_claim(writer, &frame, &payload) < 0)
		return bench_fail("a lossy reader made a claim fail");
	frame.size_bytes = MESSAGE_BYTES;
	return weir_writer_publish(writer, &frame, false) < 0 ? bench_fail("weir_writer_publish") : 0;
}

static int write_back(void *context, uint32_t parties)
{
	struct weir_writer *writer = rig_writer_back(&rig);
	uint32_t count = bench_count(200000, 2000);
	int64_t from_ns = 0;
	int r = writer != NULL ? 0 : -EIO;

	bench_meet_back(parties);
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		if (i == count / 10)
			from_ns = now_ns();
		r = publish_one_back(writer);
	}
	page->figure = (now_ns() - from_ns) / 1e3 / (count - count / 10);
	atomic_store(&page->done, 1);
	return r;
}

/* Plays all readers at once: writes to the line with cursor and pins of each, as fast as it can. */
static int dirty_back(void *context, uint32_t parties)
{
	struct end *end[WEIR_READERS_MAX];
	uint32_t readers = rig.readers;

	for (uint32_t i = 0; i < readers; i++) {
		int fd = rig.reader_fds[i].fd[RING_FD_ENDS + RING_END_FD_END];

		end[i] = mmap(NULL, LAYOUT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
		if (end[i] == MAP_FAILED)
			return bench_fail("mmap of an end");
	}
	bench_meet_back(parties);
	for (uint64_t n = 1; atomic_load_explicit(&page->done, memory_order_relaxed) == 0; n++)
		for (uint32_t i = 0; i < readers; i++)
			atomic_store_explicit(&end[i]->cursor, n, memory_order_relaxed);
	return 0;
}

/* Every system call but exit_group ends the process. */
static int forbid_calls_back(void)
{
	struct sock_filter filter[] = {
		FILTER_CALL,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		FILTER_ALLOW,
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};

	return FILTER(filter) < 0 ? bench_fail("seccomp is not to be had here") : 0;
}

/* Lives only if it makes no system call. */
static int silent_back(void *context, uint32_t index)
{
	struct weir_writer *writer = rig_writer_back(&rig);
	int r = writer != NULL ? publish_one_back(writer) : -EIO;

	if (r == 0)
		r = forbid_calls_back();
	if (r == 0)
		snprintf(page->why, sizeof(page->why), "publish made a system call with all readers awake");
	for (uint32_t i = 0; r == 0 && i < 5000; i++)
		r = publish_one_back(writer);
	if (r == 0)
		page->why[0] = '\0';
	return r;
}

/* 20 slots, or as many more as the readers are promised. */
static int make(uint32_t readers)
{
	const struct rig_config config = {
		.slots = readers + 4 > 20 ? readers + 4 : 20,
		.readers = readers,
	};

	return rig_make(&rig, &config);
}

static int run_quiet(double *figure, uint32_t readers)
{
	const struct job silent = { silent_back, 0, 0 }, write = { write_back, 0, 1 };
	int r = make(readers);

	if (r == 0)
		r = bench_run(figure, &silent, 1, NULL);
	if (r == 0)
		r = bench_run(figure, &write, 1, NULL);
	rig_free(&rig);
	return r;
}

static int run_dirty(double *figure, uint32_t readers)
{
	const struct job jobs[] = { { dirty_back, 1, 2 }, { write_back, 0, 2 } };
	int r = make(readers);

	if (r == 0)
		r = bench_run(figure, jobs, COUNT_OF(jobs), NULL);
	rig_free(&rig);
	return r;
}

static const struct contender quiet[] = {
	{ "Weir", run_quiet, 1 },
	{ "Weir", run_quiet, 8 },
	{ "Weir", run_quiet, 32 },
};

static const struct row quiet_rows[] = {
	{ "claim and publish, 1 awake reader", 0, NO_PEER, .bar = 0.05 },
	{ "claim and publish, 8 awake readers", 1, NO_PEER, .bar = 0.1 },
	{ "claim and publish, 32 awake readers", 2, NO_PEER, .bar = 0.3 },
};

const struct group publish_group = { "publish, no system call", "µs", 20, 1, quiet, COUNT_OF(quiet), quiet_rows,
	COUNT_OF(quiet_rows) };

static const struct contender dirty[] = {
	{ "Weir", run_dirty, 1 },
	{ "Weir", run_dirty, 8 },
	{ "Weir", run_dirty, 32 },
};

static const struct row dirty_rows[] = {
	{ "claim and publish, 1 reader's line dirtied", 0, NO_PEER, .bar = 0.35 },
	{ "claim and publish, 8 readers' lines dirtied", 1, NO_PEER, .bar = 0.35 },
	{ "claim and publish, 32 readers' lines dirtied", 2, NO_PEER, .bar = 0.5 },
};

const struct group dirty_group = { "publish, lines dirtied", "µs", 20, 1, dirty, COUNT_OF(dirty), dirty_rows,
	COUNT_OF(dirty_rows) };
