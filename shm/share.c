/* SPDX-License-Identifier: MIT */
#include <weir/ring.h>

#include <errno.h>
#include <stdlib.h>

#include "ring.h"
#include "segment.h"

static void share_nothing(struct weir_ring_fds *fds)
{
	fds->fd[fds->count++] = -1;
}

static int share(struct weir_ring_fds *fds, int fd, bool readonly)
{
	int copy;

	if (fd < 0) {
		share_nothing(fds);
		return 0;
	}
	copy = readonly ? segment_reopen_readonly(fd) : segment_dup(fd);
	if (copy < 0)
		return copy;
	fds->fd[fds->count++] = copy;
	return 0;
}

static int share_ring(const struct weir_ring *ring, struct weir_ring_fds *fds, bool readonly)
{
	/* Who is not trusted rings the writer by its own socket. */
	int space_fd = readonly && ring->geometry.has_sockets ? -1 : ring->space_eventfd;
	int r;

	if ((r = share(fds, ring->data_fd, readonly)) < 0 || (r = share(fds, ring->head_fd, readonly)) < 0 ||
		(r = share(fds, ring->request_fd, true)) < 0 || (r = share(fds, space_fd, false)) < 0)
		return r;
	return 0;
}

static int share_end(const struct ring_end *end, struct weir_ring_fds *fds, bool readonly)
{
	bool peer = !readonly && end->peer_fd >= 0;
	int r;

	if ((r = share(fds, end->fd, readonly)) < 0 || (r = share(fds, end->bell_fd, false)) < 0 ||
		(r = share(fds, peer ? end->peer_fd : end->wake_fd, false)) < 0)
		return r;
	return 0;
}

int weir_ring_writer_fds(struct weir_ring *ring, struct weir_ring_fds *fds)
{
	struct weir_ring_fds made = { .role = RING_ROLE_WRITER };
	int r = share_ring(ring, &made, false);

	for (uint32_t i = 0; r == 0 && i < ring->geometry.end_count; i++)
		r = share_end(&ring->end[i], &made, true);
	if (r < 0) {
		weir_ring_fds_close(&made);
		return r;
	}
	*fds = made;
	return 0;
}

int weir_ring_reader_fds(struct weir_ring *ring, uint32_t end, struct weir_ring_fds *fds)
{
	struct weir_ring_fds made = { .role = RING_ROLE_READER, .end = end };
	int r;

	if (!ring_is_attached(ring, end))
		return -EINVAL;
	if (ring->backing == WEIR_BACKING_SEALED && !(segment_is_sealed(ring->data_fd, SEGMENT_SEALS_OURS) &&
							    segment_is_sealed(ring->head_fd, SEGMENT_SEALS_OURS)))
		return -EAGAIN;
	r = share_ring(ring, &made, true);
	if (r == 0)
		r = share_end(&ring->end[end], &made, false);
	if (r < 0) {
		weir_ring_fds_close(&made);
		return r;
	}
	ring->end[end].handed = true;
	*fds = made;
	return 0;
}

void weir_ring_fds_close(struct weir_ring_fds *fds)
{
	for (uint32_t i = 0; i < fds->count && i < WEIR_RING_FDS_MAX; i++)
		segment_close(&fds->fd[i]);
	fds->count = 0;
}

void weir_ring_show(struct weir_ring *ring)
{
	for (uint32_t i = 0; ring->view != NULL && i < ring->geometry.end_count; i++) {
		_Atomic uint64_t *from = (_Atomic uint64_t *)(void *)ring->end[i].map;
		_Atomic uint64_t *to = (_Atomic uint64_t *)(void *)(ring->view + (size_t)i * LAYOUT_PAGE);

		for (size_t k = 0; k < sizeof(struct end) / sizeof(*to); k++)
			atomic_store_explicit(
				&to[k], atomic_load_explicit(&from[k], memory_order_relaxed), memory_order_relaxed);
	}
}

/* The view, where there is one, stands in the place of the data, which no observer gets. */
int weir_ring_observer_fds(struct weir_ring *ring, struct weir_ring_fds *fds)
{
	struct weir_ring_fds made = { .role = RING_ROLE_OBSERVER };
	int r;

	weir_ring_show(ring);
	if ((r = share(&made, ring->view_fd, true)) < 0 || (r = share(&made, ring->head_fd, true)) < 0 ||
		(r = share(&made, ring->request_fd, true)) < 0)
		goto fail;
	share_nothing(&made);
	for (uint32_t i = 0; i < ring->geometry.end_count; i++) {
		r = share(&made, ring->view != NULL ? -1 : ring->end[i].fd, true);
		if (r < 0)
			goto fail;
		share_nothing(&made);
		share_nothing(&made);
	}
	*fds = made;
	return 0;
fail:
	weir_ring_fds_close(&made);
	return r;
}

static int observe_ends(struct weir_ring *ring, const struct weir_ring_fds *fds)
{
	uint8_t *view;
	int r;

	if (fds->fd[RING_FD_DATA] >= 0) {
		r = segment_map((void **)&view, fds->fd[RING_FD_DATA], layout_view_bytes(&ring->geometry), false);
		/* Page by page, because so they are unmapped. */
		for (uint32_t i = 0; r == 0 && i < ring->geometry.end_count; i++)
			ring->end[i].map = (struct end *)(void *)(view + (size_t)i * LAYOUT_PAGE);
		return r;
	}
	r = 0;
	for (uint32_t i = 0; r == 0 && i < ring->geometry.end_count; i++)
		r = segment_map(
			(void **)&ring->end[i].map, fds->fd[RING_FD_ENDS + RING_END_FDS * i], LAYOUT_PAGE, false);
	return r;
}

static int observe(struct weir_ring *ring, const struct weir_ring_fds *fds)
{
	int r = segment_map((void **)&ring->request, fds->fd[RING_FD_REQUEST], layout_request_bytes(), false);

	if (r < 0)
		return r;
	ring->geometry = ring->request->geometry;
	if (layout_check(&ring->geometry) < 0 || fds->count != RING_FD_ENDS + RING_END_FDS * ring->geometry.end_count)
		return -EPROTO;
	r = segment_map((void **)&ring->head, fds->fd[RING_FD_HEAD], layout_head_bytes(&ring->geometry), false);
	return r == 0 ? observe_ends(ring, fds) : r;
}

int weir_ring_observe(struct weir_ring **ring, struct weir_ring_fds *fds)
{
	struct weir_ring *made = NULL;
	int r = -EINVAL;

	if (fds->role == RING_ROLE_OBSERVER && fds->count >= RING_FD_ENDS && fds->count <= WEIR_RING_FDS_MAX)
		r = (made = ring_alloc()) != NULL ? observe(made, fds) : -ENOMEM;
	weir_ring_fds_close(fds);
	if (r < 0) {
		weir_ring_free(&made);
		return r;
	}
	*ring = made;
	return 0;
}
