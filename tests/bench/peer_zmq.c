/* SPDX-License-Identifier: MIT */
/* ZeroMQ over ipc (Unix sockets): it copies. */
#include "rig.h"

#include <string.h>
#include <unistd.h>

#include <zmq.h>

#include "paced.h"
#include "roundtrip.h"
#include "stream.h"

#define QUEUE 4
/* On a busy machine its handshake hangs now and then; the next attempt begins after this time (default: 30 s). */
#define HANDSHAKE_MS 500

struct wire {
	uint8_t *picture;
	uint32_t frames;
	char address[64];
};
static struct wire wire;

/* Side 0 binds, then side 1 connects. An abstract address: no file. */
static void *open_back(uint32_t side)
{
	void *socket = zmq_socket(zmq_ctx_new(), ZMQ_PAIR);
	int queue = QUEUE, handshake_ms = HANDSHAKE_MS, r = 0;

	zmq_setsockopt(socket, ZMQ_SNDHWM, &queue, sizeof(queue));
	zmq_setsockopt(socket, ZMQ_RCVHWM, &queue, sizeof(queue));
	zmq_setsockopt(socket, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof(handshake_ms));
	if (side == 0)
		r = zmq_bind(socket, wire.address);
	bench_meet_back(2);
	if (side == 1)
		r = zmq_connect(socket, wire.address);
	if (r < 0)
		bench_fail("ZeroMQ, %s: %s", wire.address, zmq_strerror(zmq_errno()));
	return r < 0 ? NULL : socket;
}

static int run(double *figure, int (*writer_back)(void *, uint32_t), int (*reader_back)(void *, uint32_t))
{
	static uint32_t number;

	snprintf(wire.address, sizeof(wire.address), "ipc://@weir-bench-%d-%u", getpid(), ++number);
	if (wire.picture == NULL) {
		wire.picture = bench_shared(PICTURE_BYTES);
		memset(wire.picture, 0x55, PICTURE_BYTES);
	}
	wire.frames = bench_count(100, 10);
	return bench_pair(figure, writer_back, reader_back, NULL);
}

/* The same picture each time: it is not copied by us. */
static void leave_it(void *data, void *hint)
{
}

static int send_picture_back(void *socket)
{
	zmq_msg_t message;

	zmq_msg_init_data(&message, wire.picture, PICTURE_BYTES, leave_it, NULL);
	return zmq_msg_send(&message, socket, 0) < 0 ? bench_fail("zmq_msg_send: %s", zmq_strerror(zmq_errno())) : 0;
}

/* --- copy --------------------------------------------------------------------------------------------------------- */

static int copy_write_back(void *context, uint32_t index)
{
	void *socket = open_back(0);

	if (socket == NULL)
		return -EIO;
	bench_meet_back(2);
	for (uint64_t i = 1; i <= wire.frames; i++) {
		*(uint64_t *)wire.picture = i;
		if (zmq_send(socket, wire.picture, PICTURE_BYTES, 0) < 0)
			return bench_fail("zmq_send: %s", zmq_strerror(zmq_errno()));
	}
	bench_meet_back(2);
	return 0;
}

static int copy_read_back(void *context, uint32_t index)
{
	void *socket = open_back(1);
	int64_t from_ns = 0;

	if (socket == NULL)
		return -EIO;
	bench_meet_back(2);
	for (uint64_t i = 1; i <= wire.frames; i++) {
		zmq_msg_t message;

		zmq_msg_init(&message);
		if (zmq_msg_recv(&message, socket, 0) < 0)
			return bench_fail("zmq_msg_recv: %s", zmq_strerror(zmq_errno()));
		stream_read(zmq_msg_data(&message), PICTURE_BYTES);
		if (*(uint64_t *)zmq_msg_data(&message) != i)
			return bench_fail("ZeroMQ: frame %u carries another stamp", (uint32_t)i);
		zmq_msg_close(&message);
		if (i == wire.frames / 5)
			from_ns = now_ns();
	}
	page->figure = (now_ns() - from_ns) / 1e3 / (wire.frames - wire.frames / 5);
	bench_meet_back(2);
	return 0;
}

int zmq_copy(double *figure, uint32_t unused)
{
	return run(figure, copy_write_back, copy_read_back);
}

/* --- round trip --------------------------------------------------------------------------------------------------- */

static int trip_side_back(void *context, uint32_t side)
{
	uint64_t message[MESSAGE_BYTES / 8] = { 0 };
	void *socket = open_back(side);
	struct trip_times times;

	if (socket == NULL)
		return -EIO;
	trips_begin_back(&times);
	for (uint32_t i = 1; i <= times.count; i++) {
		message[0] = i;
		if ((side == 1 && zmq_recv(socket, message, MESSAGE_BYTES, 0) < 0) ||
			zmq_send(socket, message, MESSAGE_BYTES, 0) < 0 ||
			(side == 0 && zmq_recv(socket, message, MESSAGE_BYTES, 0) < 0))
			return bench_fail("ZeroMQ: %s", zmq_strerror(zmq_errno()));
		trips_note_back(&times, i);
	}
	if (side == 0)
		trips_end_back(&times);
	bench_meet_back(2);
	return 0;
}

int zmq_roundtrip(double *figure, uint32_t unused)
{
	return run(figure, trip_side_back, trip_side_back);
}

/* --- paced -------------------------------------------------------------------------------------------------------- */

static int paced_write_back(void *context, uint32_t index)
{
	void *socket = open_back(0);
	struct pace pace;

	if (socket == NULL)
		return -EIO;
	pace_begin_back(&pace);
	for (uint32_t i = 1; i <= pace.count; i++) {
		*(int64_t *)wire.picture = pace_next_back(&pace);
		if (send_picture_back(socket) < 0)
			return -EIO;
	}
	bench_meet_back(2);
	return 0;
}

static int paced_read_back(void *context, uint32_t index)
{
	void *socket = open_back(1);
	struct pace pace;

	if (socket == NULL)
		return -EIO;
	pace_begin_back(&pace);
	for (uint32_t i = 1; i <= pace.count; i++) {
		zmq_msg_t message;

		zmq_msg_init(&message);
		if (zmq_msg_recv(&message, socket, 0) < 0)
			return bench_fail("zmq_msg_recv: %s", zmq_strerror(zmq_errno()));
		pace_note_back(&pace, i, *(int64_t *)zmq_msg_data(&message));
		zmq_msg_close(&message);
	}
	pace_end_back(&pace);
	bench_meet_back(2);
	return 0;
}

int zmq_paced(double *figure, uint32_t unused)
{
	return run(figure, paced_write_back, paced_read_back);
}
