/* SPDX-License-Identifier: MIT */
/* What waking eight sleepers costs the writer, beside eight bare eventfd writes. */
#include "rig.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SLEEPERS    8
#define WAKES_MAX   200
#define ASLEEP_NS   300000 /* after all have taken the last one: time to fall asleep */
#define DEADLINE_MS 1000

struct waking {
	struct rig rig;
	bool bare;
	int fd[SLEEPERS];
	uint32_t wakes;
};

static int wake_all_back(struct waking *waking, struct weir_writer *writer)
{
	struct weir_frame frame;
	uint8_t *payload;

	if (waking->bare) {
		for (uint32_t i = 0; i < SLEEPERS; i++)
			eventfd_write(waking->fd[i], 1);
		return 0;
	}
	payload = rig_claim_back(writer, &frame);
	if (payload == NULL)
		return -EIO;
	frame.size_bytes = MESSAGE_BYTES;
	return weir_writer_publish(writer, &frame, false) < 0 ? bench_fail("weir_writer_publish") : 0;
}

static int write_back(void *context, uint32_t index)
{
	struct waking *waking = context;
	struct weir_writer *writer = waking->bare ? NULL : rig_writer_back(&waking->rig);
	double us[WAKES_MAX];
	uint32_t turns = 0;

	if (!waking->bare && writer == NULL)
		return -EIO;
	bench_meet_back(1 + SLEEPERS);
	for (uint32_t i = 0; i < waking->wakes; i++) {
		int64_t from_ns = now_ns();

		/* Awake meanwhile: this CPU stays warm, the sleepers' goes idle. */
		while (now_ns() - from_ns < ASLEEP_NS)
			relax();
		from_ns = now_ns();
		if (wake_all_back(waking, writer) < 0)
			return -EIO;
		us[i] = (now_ns() - from_ns) / 1e3;
		while (atomic_load(&page->done) < (i + 1) * SLEEPERS)
			spin_once(&turns);
	}
	page->figure = spread_of(us, waking->wakes).median;
	return 0;
}

static int bare_read_back(struct waking *waking, uint32_t index)
{
	struct pollfd fd = { .fd = waking->fd[index], .events = POLLIN };
	eventfd_t value;

	bench_meet_back(1 + SLEEPERS);
	for (uint32_t i = 0; i < waking->wakes; i++) {
		while (poll(&fd, 1, DEADLINE_MS) <= 0 || eventfd_read(fd.fd, &value) < 0)
			;
		atomic_fetch_add(&page->done, 1);
	}
	return 0;
}

static int read_back(void *context, uint32_t index)
{
	struct waking *waking = context;
	struct weir_reader *reader;
	struct weir_frame frame;

	if (waking->bare)
		return bare_read_back(waking, index);
	reader = rig_reader_back(&waking->rig, index);
	if (reader == NULL)
		return -EIO;
	bench_meet_back(1 + SLEEPERS);
	for (uint32_t i = 0; i < waking->wakes; i++) {
		if (rig_acquire_back(reader, &frame, WAIT_EVENTFD) < 0)
			return -EIO;
		weir_reader_release(reader, &frame);
		atomic_fetch_add(&page->done, 1);
	}
	return 0;
}

static int run(double *figure, uint32_t bare)
{
	const struct rig_config config = { .slots = 20, .readers = SLEEPERS };
	static struct waking waking;
	struct job jobs[1 + SLEEPERS] = { { write_back, 0, 0 } };
	int r = 0;

	waking.bare = bare;
	waking.wakes = bench_count(WAKES_MAX, 10);
	for (uint32_t i = 0; i < SLEEPERS; i++)
		jobs[1 + i] = (struct job){ read_back, 1, i };
	for (uint32_t i = 0; bare && i < SLEEPERS; i++)
		waking.fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!bare)
		r = rig_make(&waking.rig, &config);
	if (r == 0)
		r = bench_run(figure, jobs, COUNT_OF(jobs), &waking);
	for (uint32_t i = 0; bare && i < SLEEPERS; i++)
		close(waking.fd[i]);
	if (!bare)
		rig_free(&waking.rig);
	return r;
}

static const struct contender contenders[] = {
	{ "Weir", run, false },
	{ "8 raw eventfd writes", run, true },
};

static const struct row rows[] = { { "claim and publish, 8 sleeping readers", 0, 1, .bar_ratio = 1.2 } };

const struct group wake_group = { "waking", "µs", 20, 1, contenders, COUNT_OF(contenders), rows, COUNT_OF(rows) };
