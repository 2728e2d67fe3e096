/* SPDX-License-Identifier: MIT */
/* One way at the pace of a camera: CPUs and caches have gone cold between two frames. */
#include "rig.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "paced.h"

#define SPIN_NS 1000000

struct sixty {
	struct rig rig;
	int64_t spin_ns; /* 0: poll on the eventfd */
};

static int write_back(void *context, uint32_t index)
{
	struct sixty *sixty = context;
	struct weir_writer *writer = rig_writer_back(&sixty->rig);
	struct weir_frame frame;
	struct pace pace;

	if (writer == NULL)
		return -EIO;
	pace_begin_back(&pace);
	for (uint32_t i = 1; i <= pace.count; i++) {
		uint8_t *payload = rig_claim_back(writer, &frame);

		if (payload == NULL)
			return -EIO;
		frame.size_bytes = PICTURE_BYTES;
		*(int64_t *)payload = pace_next_back(&pace);
		if (weir_writer_publish(writer, &frame, false) < 0)
			return bench_fail("weir_writer_publish");
	}
	return 0;
}

static int read_back(void *context, uint32_t index)
{
	struct sixty *sixty = context;
	struct weir_reader *reader = rig_reader_back(&sixty->rig, 0);
	struct weir_frame frame;
	struct pace pace;

	if (reader == NULL || weir_reader_set_spin(reader, sixty->spin_ns) < 0)
		return -EIO;
	pace_begin_back(&pace);
	for (uint32_t i = 1; i <= pace.count; i++) {
		if (rig_acquire_back(reader, &frame, sixty->spin_ns != 0 ? WAIT_SEMAPHORE : WAIT_EVENTFD) < 0)
			return -EIO;
		pace_note_back(&pace, i, *(const int64_t *)frame.data);
		weir_reader_release(reader, &frame);
	}
	pace_end_back(&pace);
	return 0;
}

static int run_ring(double *figure, uint32_t spin_ns)
{
	const struct rig_config config = { .pictures = true, .slots = 20, .readers = 1, .policy = RIG_LOSSLESS };
	static struct sixty sixty;
	int r = rig_make(&sixty.rig, &config);

	if (r < 0)
		return r;
	sixty.spin_ns = spin_ns;
	r = bench_pair(figure, write_back, read_back, &sixty);
	rig_free(&sixty.rig);
	return r;
}

struct bare {
	int fd;
	_Atomic int64_t *stamp_ns;
};

static int bare_write_back(void *context, uint32_t index)
{
	const struct bare *bare = context;
	struct pace pace;

	pace_begin_back(&pace);
	for (uint32_t i = 1; i <= pace.count; i++) {
		atomic_store_explicit(bare->stamp_ns, pace_next_back(&pace), memory_order_relaxed);
		atomic_store_explicit(&page->sent, i, memory_order_release);
		eventfd_write(bare->fd, 1);
	}
	return 0;
}

static int bare_read_back(void *context, uint32_t index)
{
	const struct bare *bare = context;
	struct pollfd fd = { .fd = bare->fd, .events = POLLIN };
	struct pace pace;
	eventfd_t more;

	pace_begin_back(&pace);
	/* A late reader finds several at once: they count as one that waited. */
	for (uint32_t i = 1; i <= pace.count; i += (uint32_t)more) {
		more = 0;
		poll(&fd, 1, 1000);
		eventfd_read(fd.fd, &more);
		if (more != 0)
			pace_note_back(&pace, i, atomic_load_explicit(bare->stamp_ns, memory_order_acquire));
	}
	pace_end_back(&pace);
	return 0;
}

static int line_read_back(void *context, uint32_t index)
{
	const struct bare *bare = context;
	struct pace pace;
	uint32_t turns = 0, last = 0;

	pace_begin_back(&pace);
	while (last < pace.count) {
		uint32_t sent = atomic_load_explicit(&page->sent, memory_order_acquire);

		if (sent != last)
			pace_note_back(&pace, sent, atomic_load_explicit(bare->stamp_ns, memory_order_relaxed));
		else
			spin_once(&turns);
		last = sent;
	}
	pace_end_back(&pace);
	return 0;
}

static int run_line(double *figure, uint32_t unused)
{
	struct bare bare = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .stamp_ns = &page->time_ns };
	int r = bench_pair(figure, bare_write_back, line_read_back, &bare);

	close(bare.fd);
	return r;
}

static int run_bare(double *figure, uint32_t unused)
{
	struct bare bare = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .stamp_ns = &page->time_ns };
	int r = bench_pair(figure, bare_write_back, bare_read_back, &bare);

	close(bare.fd);
	return r;
}

enum { SLEEPING, RAW, SPINNING, LINE, IOX, ZMQ_PACED };

static const struct contender contenders[] = {
	[SLEEPING] = { "Weir, poll", run_ring, 0 },
	[RAW] = { "raw eventfd", run_bare, 0 },
	[SPINNING] = { "Weir, spin_ns 1 ms", run_ring, SPIN_NS },
	[LINE] = { "spin on one line", run_line, 0 },
	[IOX] = { "iceoryx WaitSet", ICEORYX(iceoryx_paced), 0 },
	[ZMQ_PACED] = { "ZeroMQ", ZMQ(zmq_paced), 0 },
};

static const struct row rows[] = {
	{ "one way at 60 fps, p50, sleeping", SLEEPING, RAW, .bar_ratio = 1.15 },
	{ "the same beside iceoryx", SLEEPING, IOX },
	{ "the same beside ZeroMQ", SLEEPING, ZMQ_PACED },
	{ "one way at 60 fps, p50, spin_ns 1 ms", SPINNING, NO_PEER, .bar = 3 },
	{ "the same beside a line and no ring", SPINNING, LINE },
};

const struct group paced_group = { "paced", "µs", 8, 1, contenders, COUNT_OF(contenders), rows, COUNT_OF(rows) };
