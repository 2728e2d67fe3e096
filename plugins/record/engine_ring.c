/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

struct engine_ring {
	struct io_uring uring;
	uint32_t buffers;
};

int engine_ring_create(struct engine_ring **ring, const struct engine_config *config, int event_fd)
{
	struct engine_ring *made = calloc(1, sizeof(*made));
	int r;

	if (made == NULL)
		return -ENOMEM;
	r = io_uring_queue_init(config->depth, &made->uring, 0);
	if (r < 0) {
		free(made);
		return r;
	}
	r = io_uring_register_eventfd(&made->uring, event_fd);
	if (r < 0) {
		engine_ring_free(&made);
		return r;
	}
	/* Without them it works, too. */
	if (config->buffers > 0 && io_uring_register_buffers_sparse(&made->uring, config->buffers) == 0)
		made->buffers = config->buffers;
	*ring = made;
	return 0;
}

void engine_ring_free(struct engine_ring **ring)
{
	if (*ring == NULL)
		return;
	io_uring_queue_exit(&(*ring)->uring);
	free(*ring);
	*ring = NULL;
}

void engine_ring_submit(struct engine_ring *ring, struct engine_op *op)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&ring->uring)) == NULL)
		io_uring_submit(&ring->uring);
	if (op->kind == ENGINE_SYNC)
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
	else if (op->kind == ENGINE_WRITE)
		io_uring_prep_writev(sqe, op->fd, op->iov, op->iovs, op->offset);
	else if (op->buffer > 0)
		io_uring_prep_read_fixed(sqe, op->fd, op->iov[0].iov_base, (unsigned)op->iov[0].iov_len, op->offset,
			(int)op->buffer - 1);
	else
		io_uring_prep_readv(sqe, op->fd, op->iov, op->iovs, op->offset);
	io_uring_sqe_set_data(sqe, op);
}

void engine_ring_flush(struct engine_ring *ring)
{
	/* What the kernel could not take for want of memory stays in the queue until the next time. */
	if (io_uring_sq_ready(&ring->uring) > 0)
		io_uring_submit(&ring->uring);
}

struct engine_op *engine_ring_next(struct engine_ring *ring)
{
	struct io_uring_cqe *cqe;
	struct engine_op *op;

	if (io_uring_peek_cqe(&ring->uring, &cqe) < 0)
		return NULL;
	op = io_uring_cqe_get_data(cqe);
	op->status = cqe->res;
	io_uring_cqe_seen(&ring->uring, cqe);
	return op;
}

int engine_ring_register(struct engine_ring *ring, uint32_t i, void *bytes, size_t size)
{
	struct iovec iov = { .iov_base = bytes, .iov_len = size };
	int r;

	if (i >= ring->buffers)
		return -ENOTSUP;
	r = io_uring_register_buffers_update_tag(&ring->uring, i, &iov, NULL, 1);
	return r < 0 ? r : 0;
}
