/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_H
#define ENGINE_H

/* Reads and writes that go on while the caller does something else: io_uring, or, where that is forbidden (containers
 * answer EPERM, old kernels ENOSYS), a thread with plain preadv(2) and pwritev(2). The bytes are the same. One thread
 * calls all of this, and done() is called from engine_reap() only. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define ENGINE_IOV_MAX 3

enum engine_kind { ENGINE_READ, ENGINE_WRITE, ENGINE_SYNC };

/* Belongs to the caller, and lives with all memory that it names until done(). */
struct engine_op {
	enum engine_kind kind;
	int fd;
	uint64_t offset;
	struct iovec iov[ENGINE_IOV_MAX]; /* changed by a transfer that comes in parts */
	uint32_t iovs;
	uint32_t buffer; /* 1 + the fixed buffer that iov[0] lies in; 0: none. ENGINE_READ only */
	/* status: 0, or -errno; -ENODATA: the file has ended before. May submit again and free the op. */
	void (*done)(struct engine_op *op, int status);
	void *data;

	struct engine_op *next; /* the engine's */
	int status;
};

struct engine;

struct engine_config {
	uint32_t depth;	  /* operations at a time that are meant to be in flight; default 32 */
	bool plain;	  /* not even try io_uring */
	uint32_t buffers; /* fixed buffers to be registered */
};

int engine_create(struct engine **engine, const struct engine_config *config);

/* Waits for what is in flight, for however long the disk takes: call engine_wait() first if there is a deadline. */
void engine_free(struct engine **engine);

/* "io_uring" or "plain"; and why it is plain: 0 as it was asked for, else -errno. */
const char *engine_name(const struct engine *engine);
int engine_refused(const struct engine *engine);

/* Readable when there is something to reap. The engine's. */
int engine_fd(const struct engine *engine);

/* Takes an operation; it may begin only with engine_flush(). */
void engine_submit(struct engine *engine, struct engine_op *op);
void engine_flush(struct engine *engine);

/* Calls done() for all that has come to an end; does not block. */
void engine_reap(struct engine *engine);

/* Reaps until nothing is in flight. -ETIMEDOUT. */
int engine_wait(struct engine *engine, int64_t deadline_ns);

uint32_t engine_in_flight(const struct engine *engine);

/* Makes buffer number i known to the kernel. -ENOTSUP: this engine has no use for it; -ENOMEM: the limit of locked
 * memory (RLIMIT_MEMLOCK); -EFAULT: it is not writable. Then leave op.buffer 0. */
int engine_register(struct engine *engine, uint32_t i, void *bytes, size_t size);

/* --- the two of them -----------------------------------------------------------------------------------------------
 */

struct engine_ring;
struct engine_thread;
int engine_ring_create(struct engine_ring **ring, const struct engine_config *config, int event_fd);
void engine_ring_free(struct engine_ring **ring);
void engine_ring_submit(struct engine_ring *ring, struct engine_op *op);
void engine_ring_flush(struct engine_ring *ring);
int engine_ring_register(struct engine_ring *ring, uint32_t i, void *bytes, size_t size);
/* The next operation that has ended, its result (as from preadv) in status; NULL: none. */
struct engine_op *engine_ring_next(struct engine_ring *ring);

int engine_thread_create(struct engine_thread **thread, int event_fd);
void engine_thread_free(struct engine_thread **thread);
void engine_thread_submit(struct engine_thread *thread, struct engine_op *op);
struct engine_op *engine_thread_next(struct engine_thread *thread);

#endif
