/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring.h"
#include "segment.h"

const struct weir_format *weir_reader_format(const struct weir_reader *reader)
{
	return &reader->geometry.format;
}

uint64_t weir_reader_generation(const struct weir_reader *reader)
{
	return reader->geometry.generation;
}

static int take_ring(struct weir_reader *reader, struct weir_ring_fds *fds)
{
	int *end_fd = &fds->fd[RING_FD_ENDS];
	uint64_t word;
	int r = segment_map((void **)&reader->request, fds->fd[RING_FD_REQUEST], layout_request_bytes(), false);

	if (r < 0)
		return r;
	reader->geometry = reader->request->geometry;
	r = layout_check(&reader->geometry);
	if (r < 0 || fds->end >= reader->geometry.end_count)
		return -EPROTO;
	if ((r = segment_map(
		     (void **)&reader->data, fds->fd[RING_FD_DATA], layout_data_bytes(&reader->geometry), false)) < 0 ||
		(r = segment_map((void **)&reader->head, fds->fd[RING_FD_HEAD], layout_head_bytes(&reader->geometry),
			 false)) < 0 ||
		(r = segment_map((void **)&reader->end, end_fd[RING_END_FD_END], LAYOUT_PAGE, true)) < 0)
		return r;
	if (end_fd[RING_END_FD_BELL] >= 0 &&
		(r = segment_map((void **)&reader->bell, end_fd[RING_END_FD_BELL], LAYOUT_PAGE, true)) < 0)
		return r;
	word = atomic_load_explicit(&reader->request->end[fds->end].word, memory_order_acquire);
	reader->id = word >> VERB_BITS;
	reader->policy = reader->request->end[fds->end].policy;
	if (reader->id == 0 || reader->policy.max_held == 0 || reader->policy.max_held > WEIR_HELD_MAX ||
		reader->policy.depth == 0)
		return -EPROTO;
	reader->filters = policy_filters(&reader->policy);
	reader->picks = policy_picks(&reader->policy);
	if (reader->picks && reader->policy.depth > WEIR_DUE_MAX)
		return -EPROTO;
	reader->index = fds->end;
	reader->wake_fd = end_fd[RING_END_FD_WAKE];
	reader->space_fd = reader->geometry.has_sockets ? reader->wake_fd : fds->fd[RING_FD_SPACE];
	end_fd[RING_END_FD_WAKE] = fds->fd[RING_FD_SPACE] = -1;
	return 0;
}

int weir_reader_open(struct weir_reader **reader, struct weir_ring_fds *fds)
{
	struct weir_reader *made = NULL;
	int r = -EINVAL;

	if (fds->role != RING_ROLE_READER || fds->count != RING_FD_ENDS + RING_END_FDS)
		goto fail;
	r = -ENOMEM;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		goto fail;
	made->wake_fd = made->space_fd = -1;
	made->owner = getpid();
	r = take_ring(made, fds);
	if (r < 0)
		goto fail;
	made->order = head_order(made->head);
	made->descriptor = head_descriptor(made->head, &made->geometry);
	made->grant = &made->head->grant[made->index];
	weir_ring_fds_close(fds);
	*reader = made;
	return 0;
fail:
	weir_ring_fds_close(fds);
	weir_reader_free(&made);
	return r;
}

void weir_reader_free(struct weir_reader **reader)
{
	struct weir_reader *old = *reader;

	if (old == NULL)
		return;
	if (old->end != NULL && old->owner == getpid()) {
		for (uint32_t i = 0; i < WEIR_HELD_MAX; i++)
			atomic_store_explicit(&old->end->pin[i], 0, memory_order_release);
		atomic_store_explicit(&old->end->cursor, UINT64_MAX, memory_order_release);
		atomic_store_explicit(&old->end->left, 1, memory_order_release);
		if (old->space_fd >= 0)
			wake_ring(old->space_fd, old->geometry.has_sockets);
	}
	segment_unmap(old->data, layout_data_bytes(&old->geometry));
	segment_unmap(old->head, layout_head_bytes(&old->geometry));
	segment_unmap(old->request, layout_request_bytes());
	segment_unmap(old->end, LAYOUT_PAGE);
	segment_unmap(old->bell, LAYOUT_PAGE);
	if (old->space_fd != old->wake_fd)
		segment_close(&old->space_fd);
	segment_close(&old->wake_fd);
	free(old);
	*reader = NULL;
}
