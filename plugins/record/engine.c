/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define DEPTH 32

struct engine {
	struct engine_ring *ring;     /* one of the two */
	struct engine_thread *thread; /* the other */
	int refused, event_fd;
	uint32_t in_flight;
};

int engine_create(struct engine **engine, const struct engine_config *config)
{
	struct engine_config filled = *config;
	struct engine *made = calloc(1, sizeof(*made));
	int r;

	if (made == NULL)
		return -ENOMEM;
	if (filled.depth == 0)
		filled.depth = DEPTH;
	made->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = made->event_fd < 0 ? -errno : 0;
	if (r == 0 && !config->plain)
		made->refused = engine_ring_create(&made->ring, &filled, made->event_fd);
	if (r == 0 && made->ring == NULL)
		r = engine_thread_create(&made->thread, made->event_fd);
	if (r < 0) {
		engine_free(&made);
		return r;
	}
	*engine = made;
	return 0;
}

void engine_free(struct engine **engine)
{
	struct engine *old = *engine;

	if (old == NULL)
		return;
	while (old->in_flight > 0)
		engine_wait(old, INT64_MAX);
	engine_ring_free(&old->ring);
	engine_thread_free(&old->thread);
	if (old->event_fd >= 0)
		close(old->event_fd);
	free(old);
	*engine = NULL;
}

const char *engine_name(const struct engine *engine)
{
	return engine->ring != NULL ? "io_uring" : "plain";
}

int engine_refused(const struct engine *engine)
{
	return engine->refused;
}

int engine_fd(const struct engine *engine)
{
	return engine->event_fd;
}

uint32_t engine_in_flight(const struct engine *engine)
{
	return engine->in_flight;
}

static void begin(struct engine *engine, struct engine_op *op)
{
	if (engine->ring != NULL)
		engine_ring_submit(engine->ring, op);
	else
		engine_thread_submit(engine->thread, op);
}

void engine_submit(struct engine *engine, struct engine_op *op)
{
	assert(op->kind == ENGINE_SYNC || (op->iovs > 0 && op->iovs <= ENGINE_IOV_MAX));
	engine->in_flight++;
	begin(engine, op);
}

void engine_flush(struct engine *engine)
{
	if (engine->ring != NULL)
		engine_ring_flush(engine->ring);
}

/* A transfer may come in parts. True: there is more to do. */
static bool pass(struct engine_op *op, size_t bytes)
{
	uint32_t whole = 0;

	op->offset += bytes;
	while (whole < op->iovs && bytes >= op->iov[whole].iov_len)
		bytes -= op->iov[whole++].iov_len;
	op->iovs -= whole;
	for (uint32_t i = 0; i < op->iovs; i++)
		op->iov[i] = op->iov[i + whole];
	if (op->iovs == 0)
		return false;
	op->iov[0].iov_base = (uint8_t *)op->iov[0].iov_base + bytes;
	op->iov[0].iov_len -= bytes;
	return true;
}

static void conclude(struct engine *engine, struct engine_op *op)
{
	int status = op->status < 0 ? op->status : 0;

	if (status == -EINTR || status == -EAGAIN) {
		begin(engine, op);
		return;
	}
	if (status == 0 && op->kind != ENGINE_SYNC && pass(op, (size_t)op->status)) {
		if (op->status > 0) {
			begin(engine, op);
			return;
		}
		status = op->kind == ENGINE_READ ? -ENODATA : -EIO;
	}
	engine->in_flight--;
	op->done(op, status);
}

void engine_reap(struct engine *engine)
{
	struct engine_op *op;
	eventfd_t count;

	/* First this, then look: what ends meanwhile makes it readable again. */
	(void)!eventfd_read(engine->event_fd, &count);
	while ((op = engine->ring != NULL ? engine_ring_next(engine->ring) : engine_thread_next(engine->thread)) !=
		NULL)
		conclude(engine, op);
	engine_flush(engine);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int engine_wait(struct engine *engine, int64_t deadline_ns)
{
	engine_flush(engine);
	engine_reap(engine);
	while (engine->in_flight > 0) {
		struct pollfd fd = { .fd = engine->event_fd, .events = POLLIN };
		int64_t left_ns = deadline_ns - now_ns();

		if (left_ns <= 0)
			return -ETIMEDOUT;
		/* A bound: an eventfd is a hint. */
		poll(&fd, 1, left_ns > 100000000 ? 100 : (int)(left_ns / 1000000) + 1);
		engine_reap(engine);
	}
	return 0;
}

int engine_register(struct engine *engine, uint32_t i, void *bytes, size_t size)
{
	return engine->ring != NULL ? engine_ring_register(engine->ring, i, bytes, size) : -ENOTSUP;
}
