/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include <errno.h>

#include "ring.h"
#include "segment.h"
#include "ticks.h"

/* model: Sleep. A new odd epoch, a fence, another look. True: something is there, do not sleep. */
static bool fall_asleep(struct weir_reader *reader, uint64_t how)
{
	reader->sleep_word = (reader->sleep_word & ~(uint64_t)(SLEEP_EPOCH - 1)) + SLEEP_EPOCH;
	atomic_store_explicit(&reader->end->sleeping, reader->sleep_word | how | SLEEP_ASLEEP, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	reader_join(reader);
	return reader_is_ready(reader);
}

static void wake_up(struct weir_reader *reader)
{
	atomic_store_explicit(&reader->end->sleeping, reader->sleep_word, memory_order_release);
}

int weir_reader_fd(const struct weir_reader *reader)
{
	return reader->wake_fd;
}

int weir_reader_arm(struct weir_reader *reader)
{
	if (!fall_asleep(reader, 0))
		return 0;
	wake_up(reader);
	return 1;
}

void weir_reader_disarm(struct weir_reader *reader)
{
	int rung;

	wake_up(reader);
	rung = wake_clear(reader->wake_fd, reader->geometry.has_sockets);
	if (rung > 0)
		reader_add(&reader->end->woken_eventfd, 1);
	else if (rung < 0)
		wake_silence(reader->wake_fd);
}

static int sleep_until(struct weir_reader *reader, int64_t deadline_ns)
{
	bool posted = false;
	int r = 0;

	if (reader->bell == NULL) {
		if (weir_reader_arm(reader) != 0)
			return 0;
		r = wake_wait(reader->wake_fd, deadline_ns);
		weir_reader_disarm(reader);
		return r;
	}
	if (!fall_asleep(reader, SLEEP_BY_SEMAPHORE))
		r = ring_bell_wait(reader->bell, deadline_ns, &posted);
	wake_up(reader);
	if (posted)
		reader_add(&reader->end->woken_semaphore, 1);
	return r;
}

int weir_reader_set_spin(struct weir_reader *reader, int64_t spin_ns)
{
	if (spin_ns < 0 || spin_ns > WEIR_WAIT_BOUND_NS)
		return -EINVAL;
	reader->spin_ns = spin_ns;
	reader->arrived_ns = reader->cadence_ns = 0;
	return 0;
}

#define REHEARSE_NS 20000 /* so often while it spins: other work on this CPU makes the caches cold again */

/* Sleeps until shortly before the next frame is due by the cadence, then spins. True: there is something. */
static bool spin(struct weir_reader *reader, int64_t deadline_ns)
{
	int64_t expected_ns = reader->arrived_ns + reader->cadence_ns;
	int64_t from_ns = expected_ns - reader->spin_ns / 2, until_ns = expected_ns + reader->spin_ns / 2;
	int64_t rehearse_ns = 0;

	if (clock_now_ns() < from_ns && from_ns < deadline_ns)
		sleep_until(reader, from_ns);
	if (until_ns > deadline_ns)
		until_ns = deadline_ns;
	for (int64_t now_ns = clock_now_ns(); now_ns >= from_ns && now_ns < until_ns; now_ns = clock_now_ns()) {
		if (now_ns >= rehearse_ns) {
			reader_rehearse(reader);
			rehearse_ns = now_ns + REHEARSE_NS;
		}
		for (int i = 0; i < 16; i++) {
			if (reader_is_ready(reader))
				return true;
			relax();
		}
	}
	return reader_is_ready(reader);
}

int weir_reader_wait(struct weir_reader *reader, int64_t deadline_ns)
{
	if (reader->spin_ns != 0 && reader->cadence_ns != 0 && spin(reader, deadline_ns))
		return 0;
	return sleep_until(reader, deadline_ns);
}

int weir_reader_acquire_until(struct weir_reader *reader, struct weir_frame *frame, int64_t deadline_ns)
{
	int r;

	while ((r = weir_reader_acquire(reader, frame)) == -EAGAIN && (r = weir_reader_wait(reader, deadline_ns)) == 0)
		;
	return r;
}
