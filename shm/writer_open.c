/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "ring.h"
#include "segment.h"

const struct weir_format *weir_writer_format(const struct weir_writer *writer)
{
	return &writer->geometry.format;
}

uint64_t weir_writer_generation(const struct weir_writer *writer)
{
	return writer->geometry.generation;
}

uint32_t weir_writer_slot_bytes(const struct weir_writer *writer)
{
	return writer->geometry.slot_bytes;
}

uint32_t weir_writer_slot_count(const struct weir_writer *writer)
{
	return writer->geometry.slot_count;
}

static int take_ends(struct weir_writer *writer, struct weir_ring_fds *fds)
{
	for (uint32_t i = 0; i < writer->geometry.end_count; i++) {
		int *fd = &fds->fd[RING_FD_ENDS + RING_END_FDS * i];
		struct writer_end *end = &writer->end[i];
		int r = segment_map((void **)&end->map, fd[RING_END_FD_END], LAYOUT_PAGE, false);

		if (r == 0 && fd[RING_END_FD_BELL] >= 0)
			r = segment_map((void **)&end->bell, fd[RING_END_FD_BELL], LAYOUT_PAGE, true);
		if (r < 0)
			return r;
		end->wake_fd = fd[RING_END_FD_WAKE];
		fd[RING_END_FD_WAKE] = -1;
	}
	return 0;
}

static int watch_sockets(struct weir_writer *writer)
{
	struct epoll_event event = { .events = EPOLLIN };

	writer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (writer->epoll_fd < 0 || epoll_ctl(writer->epoll_fd, EPOLL_CTL_ADD, writer->space_eventfd, &event) < 0)
		return -errno;
	for (uint32_t i = 0; i < writer->geometry.end_count; i++)
		if (epoll_ctl(writer->epoll_fd, EPOLL_CTL_ADD, writer->end[i].wake_fd, &event) < 0)
			return -errno;
	return 0;
}

static int take_ring(struct weir_writer *writer, struct weir_ring_fds *fds)
{
	int r = segment_map((void **)&writer->request, fds->fd[RING_FD_REQUEST], layout_request_bytes(), false);

	if (r < 0)
		return r;
	writer->geometry = writer->request->geometry;
	r = layout_check(&writer->geometry);
	if (r < 0 || fds->count != RING_FD_ENDS + RING_END_FDS * writer->geometry.end_count)
		return -EPROTO;
	if ((r = segment_map(
		     (void **)&writer->data, fds->fd[RING_FD_DATA], layout_data_bytes(&writer->geometry), true)) < 0 ||
		(r = segment_map((void **)&writer->head, fds->fd[RING_FD_HEAD], layout_head_bytes(&writer->geometry),
			 true)) < 0)
		return r;
	/* From here on our mappings are the only writable ones. For objects in /dev/shm there are no seals: EPERM. */
	if (((r = segment_seal(WEIR_BACKING_SEALED, fds->fd[RING_FD_DATA], SEGMENT_SEALS_OURS)) < 0 && r != -EPERM) ||
		((r = segment_seal(WEIR_BACKING_SEALED, fds->fd[RING_FD_HEAD], SEGMENT_SEALS_OURS)) < 0 && r != -EPERM))
		return r;
	writer->space_eventfd = fds->fd[RING_FD_SPACE];
	fds->fd[RING_FD_SPACE] = -1;
	r = take_ends(writer, fds);
	return r == 0 && writer->geometry.has_sockets ? watch_sockets(writer) : r;
}

int weir_writer_open(struct weir_writer **writer, struct weir_ring_fds *fds)
{
	struct weir_writer *made = NULL;
	int r = -EINVAL;

	if (fds->role != RING_ROLE_WRITER || fds->count < RING_FD_ENDS || fds->count > WEIR_RING_FDS_MAX)
		goto fail;
	r = -ENOMEM;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		goto fail;
	made->space_eventfd = made->epoll_fd = -1;
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++)
		made->end[i].wake_fd = -1;
	r = take_ring(made, fds);
	if (r < 0)
		goto fail;
	made->order = head_order(made->head);
	made->descriptor = head_descriptor(made->head, &made->geometry);
	made->depth = 1;
	for (uint32_t i = made->geometry.slot_count; i > 0; i--)
		made->free[made->free_count++] = (uint16_t)(i - 1);
	atomic_store_explicit(&made->head->free_low_water, made->free_count, memory_order_relaxed);
	weir_writer_attend(made);
	weir_ring_fds_close(fds);
	*writer = made;
	return 0;
fail:
	weir_ring_fds_close(fds);
	weir_writer_free(&made);
	return r;
}

void weir_writer_free(struct weir_writer **writer)
{
	struct weir_writer *old = *writer;

	if (old == NULL)
		return;
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++) {
		segment_unmap(old->end[i].map, LAYOUT_PAGE);
		segment_unmap(old->end[i].bell, LAYOUT_PAGE);
		segment_close(&old->end[i].wake_fd);
	}
	segment_unmap(old->data, layout_data_bytes(&old->geometry));
	segment_unmap(old->head, layout_head_bytes(&old->geometry));
	segment_unmap(old->request, layout_request_bytes());
	segment_close(&old->space_eventfd);
	segment_close(&old->epoll_fd);
	free(old);
	*writer = NULL;
}
