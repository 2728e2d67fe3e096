/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue {
	struct engine_op *first, **end;
};

struct engine_thread {
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below; never held during a transfer */
	pthread_cond_t changed;
	struct queue waiting, ended;
	bool stopping;
	int event_fd;
};

static void append(struct queue *queue, struct engine_op *op)
{
	op->next = NULL;
	*queue->end = op;
	queue->end = &op->next;
}

static struct engine_op *take(struct queue *queue)
{
	struct engine_op *op = queue->first;

	if (op != NULL) {
		queue->first = op->next;
		if (queue->first == NULL)
			queue->end = &queue->first;
	}
	return op;
}

static ssize_t transfer(const struct engine_op *op)
{
	switch (op->kind) {
	case ENGINE_READ: return preadv(op->fd, op->iov, (int)op->iovs, (off_t)op->offset);
	case ENGINE_WRITE: return pwritev(op->fd, op->iov, (int)op->iovs, (off_t)op->offset);
	case ENGINE_SYNC: break;
	}
	return fdatasync(op->fd);
}

static void *run(void *data)
{
	struct engine_thread *thread = data;
	struct engine_op *op;

	pthread_mutex_lock(&thread->lock);
	for (;;) {
		op = take(&thread->waiting);
		if (op == NULL && thread->stopping)
			break;
		if (op == NULL) {
			pthread_cond_wait(&thread->changed, &thread->lock);
			continue;
		}
		pthread_mutex_unlock(&thread->lock);
		op->status = (int)transfer(op);
		if (op->status < 0)
			op->status = -errno;
		pthread_mutex_lock(&thread->lock);
		append(&thread->ended, op);
		(void)!eventfd_write(thread->event_fd, 1);
	}
	pthread_mutex_unlock(&thread->lock);
	return NULL;
}

int engine_thread_create(struct engine_thread **thread, int event_fd)
{
	struct engine_thread *made = calloc(1, sizeof(*made));
	sigset_t all, before;
	int r;

	if (made == NULL)
		return -ENOMEM;
	made->event_fd = event_fd;
	made->waiting.end = &made->waiting.first;
	made->ended.end = &made->ended.first;
	pthread_mutex_init(&made->lock, NULL);
	pthread_cond_init(&made->changed, NULL);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&made->thread, NULL, run, made);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0) {
		pthread_cond_destroy(&made->changed);
		pthread_mutex_destroy(&made->lock);
		free(made);
		return -r;
	}
	*thread = made;
	return 0;
}

void engine_thread_free(struct engine_thread **thread)
{
	struct engine_thread *old = *thread;

	if (old == NULL)
		return;
	pthread_mutex_lock(&old->lock);
	old->stopping = true;
	pthread_cond_signal(&old->changed);
	pthread_mutex_unlock(&old->lock);
	pthread_join(old->thread, NULL);
	pthread_cond_destroy(&old->changed);
	pthread_mutex_destroy(&old->lock);
	free(old);
	*thread = NULL;
}

void engine_thread_submit(struct engine_thread *thread, struct engine_op *op)
{
	pthread_mutex_lock(&thread->lock);
	append(&thread->waiting, op);
	pthread_cond_signal(&thread->changed);
	pthread_mutex_unlock(&thread->lock);
}

struct engine_op *engine_thread_next(struct engine_thread *thread)
{
	struct engine_op *op;

	pthread_mutex_lock(&thread->lock);
	op = take(&thread->ended);
	pthread_mutex_unlock(&thread->lock);
	return op;
}
