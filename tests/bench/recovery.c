/* SPDX-License-Identifier: MIT */
/* A lossless reader is killed while it holds slots: how long until its writer goes on. This process supervises, as a
 * frontend does: pidfd, reap, then weir_ring_reap(). */
#include "rig.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELD	    4
#define MIB	    (1024 * 1024)
#define DEADLINE_MS 20000
/* In the argument, beside the reader's MiB: measure from the reap on, or only up to it. */
#define AFTER_REAP 0x10000u
#define UNTIL_REAP 0x20000u

static struct rig rig;

/* done: 1 the reader holds its frames, 2 the writer is blocked; then time_ns: when it could go on. */
static int write_back(void)
{
	struct weir_writer *writer = rig_writer_back(&rig);
	struct weir_frame frame;
	uint8_t *payload;
	int r = writer != NULL ? 0 : -EIO;

	bench_pin_back(0);
	while (r == 0 && atomic_load(&page->time_ns) == 0) {
		r = weir_writer_claim(writer, &frame, &payload);
		if (r == 0) {
			frame.size_bytes = MESSAGE_BYTES;
			r = weir_writer_publish(writer, &frame, false);
			if (atomic_load(&page->done) == 2)
				atomic_store(&page->time_ns, now_ns());
		} else if (r == -EAGAIN) {
			if (atomic_load(&page->done) == 1)
				atomic_store(&page->done, 2);
			weir_writer_wait(writer, now_ns() + WEIR_WAIT_BOUND_NS);
			r = 0;
		}
	}
	return r;
}

static int read_back(uint32_t resident_mib)
{
	struct weir_reader *reader = rig_reader_back(&rig, 0);
	size_t bytes = (size_t)resident_mib * MIB;
	void *ballast = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct weir_frame frame;

	bench_pin_back(1);
	if (reader == NULL || ballast == MAP_FAILED)
		return -EIO;
	madvise(ballast, bytes, MADV_NOHUGEPAGE); /* pages are what takes time to give back */
	memset(ballast, 1, bytes);
	for (uint32_t i = 0; i < HELD; i++)
		if (rig_acquire_back(reader, &frame, WAIT_EVENTFD) < 0)
			return -EIO;
	atomic_store(&page->done, 1);
	while (true)
		pause();
}

static bool wait_for_done(uint32_t value)
{
	for (int i = 0; i < DEADLINE_MS && atomic_load(&page->done) < value; i++)
		sleep_until_ns(now_ns() + 1000000);
	return atomic_load(&page->done) >= value;
}

static int kill_and_measure(double *figure, pid_t writer, pid_t reader, uint32_t what)
{
	struct pollfd fd = { .fd = pidfd_open(reader, 0), .events = POLLIN };
	struct pollfd writer_fd = { .fd = pidfd_open(writer, 0), .events = POLLIN };
	siginfo_t info;
	int64_t from_ns, reaped_ns;

	if (!wait_for_done(2))
		return bench_fail("the writer was not blocked");
	sleep_until_ns(now_ns() + 10000000);
	from_ns = now_ns();
	kill(reader, SIGKILL);
	poll(&fd, 1, DEADLINE_MS);
	if (waitid(P_PID, (id_t)reader, &info, WEXITED) < 0)
		return bench_fail("waitid: %s", strerror(errno));
	reaped_ns = now_ns();
	weir_ring_reap(rig.ring, rig.end[0]);
	poll(&writer_fd, 1, DEADLINE_MS);
	close(fd.fd);
	close(writer_fd.fd);
	if (atomic_load(&page->time_ns) == 0)
		return bench_fail("the writer did not go on");
	if ((what & AFTER_REAP) != 0)
		from_ns = reaped_ns;
	*figure = ((what & UNTIL_REAP) != 0 ? reaped_ns : atomic_load(&page->time_ns)) - from_ns;
	*figure /= 1e6;
	return 0;
}

static int run(double *figure, uint32_t argument)
{
	const struct rig_config config = {
		.slots = 8,
		.readers = 1,
		.policy = { .mode = WEIR_POLICY_LOSSLESS,
			.depth = 1,
			.max_held = HELD,
			.stall_ns = INT64_C(60000000000) },
	};
	pid_t writer = -1, reader = -1;
	int r = rig_make(&rig, &config);

	if (r < 0)
		return r;
	reader = bench_fork();
	if (reader == 0)
		_exit(read_back(argument & 0xffff) == 0 ? 0 : 1);
	writer = bench_fork();
	if (writer == 0)
		_exit(write_back() == 0 ? 0 : 1);
	if (reader < 0 || writer < 0)
		r = bench_fail("fork: %s", strerror(errno));
	else
		r = kill_and_measure(figure, writer, reader, argument);
	bench_end(writer);
	if (r < 0)
		bench_end(reader);
	rig_free(&rig);
	return r;
}

static const struct contender contenders[] = {
	{ "Weir", run, 8 },
	{ "Weir", run, 64 },
	{ "Weir", run, 512 | AFTER_REAP },
	{ "kill until reaped", run, 64 | UNTIL_REAP },
};

static const struct row rows[] = {
	{ "reader of 8 MiB killed: writer goes on after", 0, NO_PEER, .bar = 5 },
	{ "reader of 64 MiB killed: writer goes on after", 1, NO_PEER, .bar = 5 },
	{ "the same beside what the kernel takes", 1, 3 },
	{ "reader of 512 MiB: after it is reaped", 2, NO_PEER, .bar = 1 },
};

/* Its daemon takes seconds: few rounds. */
static const struct contender beside[] = {
	{ "Weir", run, 8 },
	{ "iceoryx", ICEORYX(iceoryx_recovery), 0 },
};

static const struct row beside_rows[] = { { "reader killed: writer goes on after", 0, 1 } };

const struct group recovery_peer_group = { "recovery beside iceoryx", "ms", 3, 1, beside, COUNT_OF(beside), beside_rows,
	COUNT_OF(beside_rows) };

const struct group recovery_group = { "recovery", "ms", 20, 1, contenders, COUNT_OF(contenders), rows, COUNT_OF(rows) };
