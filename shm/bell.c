/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "layout.h"
#include "segment.h"

/* No more leftover posts than this are taken at once: a peer can post without end. */
#define DRAIN_MAX 64

int ring_bell_init(int fd)
{
	sem_t *bell;
	int r = segment_map((void **)&bell, fd, LAYOUT_PAGE, true);

	if (r < 0)
		return r;
	sem_init(bell, 1, 0); /* fails for values that are too large only */
	segment_unmap(bell, LAYOUT_PAGE);
	return 0;
}

/* The image of a new one: no sem_*() on memory that a peer has written. */
int ring_bell_renew(int fd)
{
	sem_t fresh;

	if (fd < 0)
		return 0;
	memset(&fresh, 0, sizeof(fresh));
	if (sem_init(&fresh, 1, 0) < 0 || pwrite(fd, &fresh, sizeof(fresh), 0) != sizeof(fresh))
		return -errno;
	return 0;
}

void ring_bell_post(sem_t *bell)
{
	int saved = errno;

	sem_post(bell); /* EOVERFLOW: its reader has more than enough reasons to wake */
	errno = saved;
}

int ring_bell_wait(sem_t *bell, int64_t deadline_ns, bool *posted)
{
	int64_t now_ns = clock_now_ns(), until_ns = now_ns + WEIR_WAIT_BOUND_NS;
	struct timespec until;
	int saved = errno;

	if (deadline_ns <= now_ns)
		return -ETIMEDOUT;
	if (deadline_ns < until_ns)
		until_ns = deadline_ns;
	until.tv_sec = until_ns / 1000000000;
	until.tv_nsec = until_ns % 1000000000;
	*posted = sem_clockwait(bell, CLOCK_MONOTONIC, &until) == 0;
	for (int i = 0; i < DRAIN_MAX && sem_trywait(bell) == 0; i++)
		;
	errno = saved;
	return 0;
}
