/* SPDX-License-Identifier: MIT */
/* 64 bytes there and back: a ring each way, beside the bare kernel objects. A round's figure is its median trip. */
#include "rig.h"

#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "roundtrip.h"

#define SLOTS 8

/* Side 0 begins; each side sends by ring[side] and receives from ring[1 - side]. */
struct trips {
	struct rig ring[2];
	enum waiting waiting;
};

static int send_back(struct weir_writer *writer, const uint64_t *message)
{
	struct weir_frame frame;
	uint8_t *payload = rig_claim_back(writer, &frame);

	if (payload == NULL)
		return -EIO;
	memcpy(payload, message, MESSAGE_BYTES);
	frame.size_bytes = MESSAGE_BYTES;
	return weir_writer_publish(writer, &frame, false) < 0 ? bench_fail("weir_writer_publish") : 0;
}

static int receive_back(struct weir_reader *reader, uint64_t *message, enum waiting waiting)
{
	struct weir_frame frame;

	if (rig_acquire_back(reader, &frame, waiting) < 0)
		return -EIO;
	memcpy(message, frame.data, MESSAGE_BYTES);
	weir_reader_release(reader, &frame);
	return 0;
}

static int ring_side_back(void *context, uint32_t side)
{
	struct trips *trips = context;
	struct weir_writer *writer = rig_writer_back(&trips->ring[side]);
	struct weir_reader *reader = rig_reader_back(&trips->ring[1 - side], 0);
	uint64_t message[MESSAGE_BYTES / 8] = { 0 };
	struct trip_times times;
	int r = writer != NULL && reader != NULL ? 0 : -EIO;

	trips_begin_back(&times);
	for (uint32_t i = 1; r == 0 && i <= times.count; i++) {
		message[0] = i;
		if (side == 1)
			r = receive_back(reader, message, trips->waiting);
		if (r == 0)
			r = send_back(writer, message);
		if (side == 0 && r == 0)
			r = receive_back(reader, message, trips->waiting);
		if (r == 0 && message[0] != i)
			r = bench_fail("trip %u came back as another", i);
		trips_note_back(&times, i);
	}
	if (side == 0)
		trips_end_back(&times);
	return r;
}

static int run_ring(double *figure, uint32_t waiting)
{
	const struct rig_config config = { .slots = SLOTS, .readers = 1 };
	static struct trips trips;
	int r;

	trips.waiting = (enum waiting)waiting;
	r = rig_make(&trips.ring[0], &config);
	if (r < 0)
		return r;
	r = rig_make(&trips.ring[1], &config);
	if (r == 0)
		r = bench_pair(figure, ring_side_back, ring_side_back, &trips);
	rig_free(&trips.ring[0]);
	rig_free(&trips.ring[1]);
	return r;
}

/* --- floors ------------------------------------------------------------------------------------------------------- */

enum floor { FLOOR_SPIN, FLOOR_EVENTFD, FLOOR_SEM, FLOOR_FUTEX };

struct lane {
	alignas(64) _Atomic uint32_t sent; /* the number of the message that lies here */
	alignas(64) uint64_t message[MESSAGE_BYTES / 8];
	alignas(64) sem_t sem;
};

struct bare {
	enum floor floor;
	struct lane *lane; /* two */
	int fd[2];
};

static void futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
	syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void bare_send_back(const struct bare *bare, uint32_t side, const uint64_t *message)
{
	struct lane *lane = &bare->lane[side];

	memcpy(lane->message, message, MESSAGE_BYTES);
	atomic_store_explicit(&lane->sent, (uint32_t)message[0], memory_order_release);
	if (bare->floor == FLOOR_EVENTFD)
		eventfd_write(bare->fd[side], 1);
	else if (bare->floor == FLOOR_SEM)
		sem_post(&lane->sem);
	else if (bare->floor == FLOOR_FUTEX)
		futex(&lane->sent, FUTEX_WAKE, 1);
}

static void bare_receive_back(const struct bare *bare, uint32_t side, uint64_t *message, uint32_t number)
{
	struct lane *lane = &bare->lane[1 - side];
	struct pollfd fd = { .fd = bare->fd[1 - side], .events = POLLIN };
	eventfd_t value;
	uint32_t turns = 0;

	if (bare->floor == FLOOR_EVENTFD) {
		poll(&fd, 1, 1000);
		eventfd_read(fd.fd, &value);
	} else if (bare->floor == FLOOR_SEM) {
		sem_wait(&lane->sem);
	}
	while (atomic_load_explicit(&lane->sent, memory_order_acquire) != number) {
		if (bare->floor == FLOOR_FUTEX)
			futex(&lane->sent, FUTEX_WAIT, number - 1);
		else
			spin_once(&turns);
	}
	memcpy(message, lane->message, MESSAGE_BYTES);
}

static int bare_side_back(void *context, uint32_t side)
{
	const struct bare *bare = context;
	uint64_t message[MESSAGE_BYTES / 8] = { 0 };
	struct trip_times times;

	trips_begin_back(&times);
	for (uint32_t i = 1; i <= times.count; i++) {
		message[0] = i;
		if (side == 1)
			bare_receive_back(bare, side, message, i);
		bare_send_back(bare, side, message);
		if (side == 0)
			bare_receive_back(bare, side, message, i);
		trips_note_back(&times, i);
	}
	if (side == 0)
		trips_end_back(&times);
	return 0;
}

static int run_bare(double *figure, uint32_t floor)
{
	struct bare bare = { .floor = (enum floor)floor, .lane = (struct lane *)page->scratch };
	int r;

	for (int i = 0; i < 2; i++) {
		sem_init(&bare.lane[i].sem, 1, 0);
		bare.fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	r = bench_pair(figure, bare_side_back, bare_side_back, &bare);
	close(bare.fd[0]);
	close(bare.fd[1]);
	return r;
}

int floor_spin(double *figure, uint32_t unused)
{
	return run_bare(figure, FLOOR_SPIN);
}

enum { POLL, RAW_EVENTFD, WAIT, RAW_SEM, RAW_FUTEX, RING_BUSY, RAW_SPIN, IOX_WAITSET, IOX_BUSY, ZMQ_TRIP };

static const struct contender contenders[] = {
	[POLL] = { "Weir, poll", run_ring, WAIT_EVENTFD },
	[RAW_EVENTFD] = { "raw eventfd", run_bare, FLOOR_EVENTFD },
	[WAIT] = { "Weir, semaphore", run_ring, WAIT_SEMAPHORE },
	[RAW_SEM] = { "raw sem_t", run_bare, FLOOR_SEM },
	[RAW_FUTEX] = { "raw futex", run_bare, FLOOR_FUTEX },
	[RING_BUSY] = { "Weir, busy", run_ring, WAIT_BUSY },
	[RAW_SPIN] = { "spin on one line", floor_spin, 0 },
	[IOX_WAITSET] = { "iceoryx WaitSet", ICEORYX(iceoryx_roundtrip), 0 },
	[IOX_BUSY] = { "iceoryx, busy", ICEORYX(iceoryx_roundtrip), 1 },
	[ZMQ_TRIP] = { "ZeroMQ", ZMQ(zmq_roundtrip), 0 },
};

static const struct row rows[] = {
	{ "64 bytes there and back, poll on eventfd", POLL, RAW_EVENTFD, .bar_ratio = 1.20 },
	{ "the same beside iceoryx", POLL, IOX_WAITSET },
	{ "the same beside ZeroMQ", POLL, ZMQ_TRIP },
	{ "64 bytes there and back, semaphore", WAIT, RAW_SEM },
	{ "the same beside a futex", WAIT, RAW_FUTEX },
	{ "64 bytes there and back, busy", RING_BUSY, RAW_SPIN },
	{ "the same beside iceoryx", RING_BUSY, IOX_BUSY },
};

const struct group roundtrip_group = { "round trip", "µs", 20, 1, contenders, COUNT_OF(contenders), rows,
	COUNT_OF(rows) };
