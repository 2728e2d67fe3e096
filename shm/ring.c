/* SPDX-License-Identifier: MIT */
#include <weir/ring.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ring.h"
#include "segment.h"

#define SLOTS_DEFAULT 8
#define ENDS_DEFAULT  8
#define LOANS_DEFAULT 2
#define META_DEFAULT  256

static uint32_t power_of_two_from(uint32_t least)
{
	uint32_t power = 8;

	while (power < least)
		power *= 2;
	return power;
}

static uint32_t ring_backing(const struct weir_ring_config *config)
{
	return config->untrusted ? WEIR_BACKING_SEALED : config->backing;
}

static int make_geometry(struct geometry *geometry, const struct weir_ring_config *config)
{
	uint64_t slot_bytes = layout_pages(config->slot_bytes != 0 ? config->slot_bytes : config->format.payload_bytes);
	uint32_t slots = config->slot_count != 0 ? config->slot_count : SLOTS_DEFAULT;
	struct geometry made = {
		.magic = LAYOUT_MAGIC,
		.version = LAYOUT_VERSION,
		.generation = config->generation != 0 ? config->generation : 1,
		.slot_count = slots,
		.slot_bytes = (uint32_t)slot_bytes,
		.order_count = power_of_two_from(2 * (slots <= WEIR_SLOTS_MAX ? slots : 0)),
		.end_count = config->ends != 0 ? config->ends : ENDS_DEFAULT,
		.meta_bytes = (config->meta_bytes != 0 ? config->meta_bytes + 7 : META_DEFAULT) & ~7u,
		.loans = config->loans != 0 ? config->loans : LOANS_DEFAULT,
		.has_bells = !config->no_semaphores && !config->untrusted,
		.has_sockets = config->untrusted,
		.format = config->format,
	};

	if (config->backing > WEIR_BACKING_SEALED || slot_bytes > UINT32_MAX || layout_check(&made) < 0)
		return -EINVAL;
	*geometry = made;
	return 0;
}

int layout_check(const struct geometry *geometry)
{
	if (geometry->magic != LAYOUT_MAGIC || geometry->version != LAYOUT_VERSION)
		return -EPROTO;
	if (geometry->slot_count < 2 || geometry->slot_count > WEIR_SLOTS_MAX ||
		geometry->order_count != power_of_two_from(2 * geometry->slot_count) || geometry->end_count < 1 ||
		geometry->end_count > WEIR_READERS_MAX || geometry->slot_bytes == 0 ||
		geometry->slot_bytes % LAYOUT_PAGE != 0 || geometry->loans >= geometry->slot_count ||
		geometry->meta_bytes > META_MAX || geometry->meta_bytes % 8 != 0)
		return -EPROTO;
	if (geometry->format.payload_bytes > geometry->slot_bytes)
		return -EPROTO;
	return weir_format_check(&geometry->format);
}

int weir_ring_space(const struct weir_ring_config *config, uint64_t *needed_bytes, uint64_t *available_bytes)
{
	struct geometry geometry;
	struct statvfs fs;
	int r = make_geometry(&geometry, config);

	if (r < 0)
		return r;
	*needed_bytes = layout_data_bytes(&geometry) + layout_head_bytes(&geometry) + layout_request_bytes() +
			layout_view_bytes(&geometry) * (geometry.has_bells ? 2 : 1);
	if (ring_backing(config) == WEIR_BACKING_SEALED)
		*needed_bytes += layout_view_bytes(&geometry);
	*available_bytes = UINT64_MAX;
	if (ring_backing(config) == WEIR_BACKING_POSIX && statvfs("/dev/shm", &fs) == 0 && fs.f_blocks != 0)
		*available_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

static int create_segment(int *fd, uint32_t backing, uint64_t bytes)
{
	int made = segment_create(backing, bytes);

	if (made < 0)
		return made;
	*fd = made;
	return 0;
}

static int create_wake(int *fd, int *peer_fd)
{
	int made[2], r;

	if (peer_fd == NULL) {
		made[0] = wake_create_eventfd();
		if (made[0] < 0)
			return made[0];
	} else {
		r = wake_create_sockets(made);
		if (r < 0)
			return r;
		*peer_fd = made[1];
	}
	*fd = made[0];
	return 0;
}

static int create_end(const struct weir_ring *ring, struct ring_end *end)
{
	int r;

	if ((r = create_segment(&end->fd, ring->backing, LAYOUT_PAGE)) < 0 ||
		(r = segment_seal(ring->backing, end->fd, SEGMENT_SEALS_FIXED)) < 0 ||
		(r = segment_map((void **)&end->map, end->fd, LAYOUT_PAGE, false)) < 0 ||
		(r = create_wake(&end->wake_fd, ring->geometry.has_sockets ? &end->peer_fd : NULL)) < 0)
		return r;
	if (!ring->geometry.has_bells)
		return 0;
	if ((r = create_segment(&end->bell_fd, ring->backing, LAYOUT_PAGE)) < 0 ||
		(r = segment_seal(ring->backing, end->bell_fd, SEGMENT_SEALS_FIXED)) < 0)
		return r;
	return ring_bell_init(end->bell_fd);
}

/* Who has a descriptor of an end can open it once more for writing, by /proc/self/fd, read-only as it may be: its
 * reader must be able to write there, so no seal forbids it. */
static int create_view(struct weir_ring *ring)
{
	uint64_t bytes = layout_view_bytes(&ring->geometry);
	int r;

	if ((r = create_segment(&ring->view_fd, ring->backing, bytes)) < 0 ||
		(r = segment_map((void **)&ring->view, ring->view_fd, bytes, true)) < 0)
		return r;
	return segment_seal(ring->backing, ring->view_fd, SEGMENT_SEALS_OURS);
}

static int create_objects(struct weir_ring *ring)
{
	const struct geometry *geometry = &ring->geometry;
	int r;

	/* The largest first: a full /dev/shm shows at once. */
	if ((r = create_segment(&ring->data_fd, ring->backing, layout_data_bytes(geometry))) < 0 ||
		(r = segment_fix_size(ring->backing, ring->data_fd)) < 0 ||
		(r = create_segment(&ring->head_fd, ring->backing, layout_head_bytes(geometry))) < 0 ||
		(r = segment_fix_size(ring->backing, ring->head_fd)) < 0 ||
		(r = segment_map((void **)&ring->head, ring->head_fd, layout_head_bytes(geometry), false)) < 0 ||
		(r = create_segment(&ring->request_fd, ring->backing, layout_request_bytes())) < 0 ||
		(r = segment_map((void **)&ring->request, ring->request_fd, layout_request_bytes(), true)) < 0 ||
		(r = segment_seal(ring->backing, ring->request_fd, SEGMENT_SEALS_OURS)) < 0 ||
		(r = create_wake(&ring->space_eventfd, NULL)) < 0)
		return r;
	ring->request->geometry = *geometry;
	if (ring->backing == WEIR_BACKING_SEALED && (r = create_view(ring)) < 0)
		return r;
	for (uint32_t i = 0; i < geometry->end_count; i++)
		if ((r = create_end(ring, &ring->end[i])) < 0)
			return r;
	return 0;
}

struct weir_ring *ring_alloc(void)
{
	struct weir_ring *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return NULL;
	made->data_fd = made->head_fd = made->request_fd = made->space_eventfd = made->view_fd = -1;
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++)
		made->end[i].fd = made->end[i].bell_fd = made->end[i].wake_fd = made->end[i].peer_fd = -1;
	return made;
}

int weir_ring_create(struct weir_ring **ring, const struct weir_ring_config *config)
{
	struct weir_ring *made = ring_alloc();
	int r;

	if (made == NULL)
		return -ENOMEM;
	made->backing = ring_backing(config);
	r = make_geometry(&made->geometry, config);
	if (r < 0)
		goto fail;
	r = create_objects(made);
	if (r < 0)
		goto fail;
	*ring = made;
	return 0;
fail:
	weir_ring_free(&made);
	return r;
}

void weir_ring_free(struct weir_ring **ring)
{
	struct weir_ring *old = *ring;

	if (old == NULL)
		return;
	for (uint32_t i = 0; i < WEIR_READERS_MAX; i++) {
		segment_unmap(old->end[i].map, LAYOUT_PAGE);
		segment_close(&old->end[i].fd);
		segment_close(&old->end[i].bell_fd);
		segment_close(&old->end[i].wake_fd);
		segment_close(&old->end[i].peer_fd);
	}
	segment_unmap(old->head, layout_head_bytes(&old->geometry));
	segment_unmap(old->request, layout_request_bytes());
	segment_unmap(old->view, layout_view_bytes(&old->geometry));
	segment_close(&old->view_fd);
	segment_close(&old->data_fd);
	segment_close(&old->head_fd);
	segment_close(&old->request_fd);
	segment_close(&old->space_eventfd);
	free(old);
	*ring = NULL;
}

const struct weir_format *weir_ring_format(const struct weir_ring *ring)
{
	return &ring->geometry.format;
}

uint64_t weir_ring_generation(const struct weir_ring *ring)
{
	return ring->geometry.generation;
}

static int check_policy(struct weir_policy *checked, const struct weir_policy *policy)
{
	struct weir_policy made = *policy;

	if (made.depth == 0)
		made.depth = made.mode == WEIR_POLICY_LOSSLESS ? 2 : 1;
	if (made.mode == WEIR_POLICY_LATEST)
		made.depth = 1;
	if (made.max_held == 0)
		made.max_held = 1;
	if (made.stall_ns == 0)
		made.stall_ns = RING_STALL_DEFAULT_NS;
	if (policy_picks(&made) && made.depth > WEIR_DUE_MAX)
		return -EINVAL;
	if (!(made.max_fps == 0 || (made.max_fps >= 1e-6 && made.max_fps <= 1e9)) || made.mode > WEIR_POLICY_LOSSLESS ||
		made.depth > WEIR_SLOTS_MAX || made.max_held > WEIR_HELD_MAX || made.on_stall > WEIR_STALL_EVICT ||
		made.stall_ns < 0)
		return -EINVAL;
	*checked = made;
	return 0;
}

static void add_need(const struct weir_policy *policy, uint32_t *own, uint32_t *depth)
{
	*own += policy->max_held;
	if (policy_picks(policy))
		*own += policy->depth; /* frames that are kept for this reader alone */
	else if (policy->depth > *depth)
		*depth = policy->depth;
}

uint32_t weir_policy_slots(const struct weir_policy *policies, uint32_t count, uint32_t loans)
{
	uint32_t own = 0, depth = 1;
	struct weir_policy policy;

	for (uint32_t i = 0; i < count; i++)
		if (check_policy(&policy, &policies[i]) == 0)
			add_need(&policy, &own, &depth);
	return own + depth + (loans != 0 ? loans : LOANS_DEFAULT) + 1;
}

uint32_t weir_ring_slots_needed(const struct weir_ring *ring, const struct weir_policy *more)
{
	struct weir_policy policies[WEIR_READERS_MAX + 1];
	uint32_t count = 0;

	for (uint32_t i = 0; i < ring->geometry.end_count; i++)
		if (ring->end[i].attached)
			policies[count++] = ring->end[i].policy;
	if (more != NULL)
		policies[count++] = *more;
	return weir_policy_slots(policies, count, ring->geometry.loans);
}

/* model: Grant. An end is free again once the writer has acknowledged that it looks at it no more. */
static bool end_is_free(const struct weir_ring *ring, uint32_t i)
{
	const struct ring_end *end = &ring->end[i];

	if (end->attached)
		return false;
	/* A stranger that we did not fork may have left its mapping to a child of its own, which could clear the pins
	 * of the next one here: an end of such a ring is granted once. */
	if (end->handed && ring->geometry.has_sockets)
		return false;
	return end->id == 0 || atomic_load_explicit(&ring->head->grant[i].ack, memory_order_acquire) ==
				       (end->id << VERB_BITS | VERB_REAP);
}

static void tell_writer(struct weir_ring *ring)
{
	atomic_fetch_add_explicit(&ring->request->changed, 1, memory_order_release);
	/* A writer that waits for a slot sleeps on this one. */
	wake_ring(ring->space_eventfd, false);
}

static void post_request(struct weir_ring *ring, uint32_t i, enum verb verb)
{
	struct request *request = ring->request;

	atomic_store_explicit(&request->end[i].word, ring->end[i].id << VERB_BITS | verb, memory_order_release);
	tell_writer(ring);
}

int weir_ring_attach(struct weir_ring *ring, const struct weir_policy *policy, uint32_t *end)
{
	static const char zeroes[LAYOUT_PAGE];
	struct weir_policy checked;
	uint32_t i = 0;
	int r = check_policy(&checked, policy);

	if (r < 0)
		return r;
	if (atomic_load_explicit(&ring->request->writer_gone, memory_order_relaxed))
		return -EPIPE;
	if (weir_ring_slots_needed(ring, &checked) > ring->geometry.slot_count)
		return -ENOSPC;
	while (i < ring->geometry.end_count && !end_is_free(ring, i))
		i++;
	if (i == ring->geometry.end_count)
		return -EBUSY;
	/* Nobody else looks at this end now: what its last reader wrote is thrown away. */
	if (ring->end[i].id != 0 && pwrite(ring->end[i].fd, zeroes, sizeof(zeroes), 0) != sizeof(zeroes))
		return -errno;
	if (ring->end[i].id != 0 && (r = ring_bell_renew(ring->end[i].bell_fd)) < 0)
		return r;
	ring->end[i].id = ++ring->next_id;
	ring->end[i].attached = true;
	ring->end[i].policy = checked;
	ring->request->end[i].policy = checked;
	post_request(ring, i, VERB_ATTACH);
	*end = i;
	return 0;
}

int weir_ring_withdraw(struct weir_ring *ring, uint32_t end)
{
	if (!ring_is_attached(ring, end))
		return -EINVAL;
	post_request(ring, end, VERB_WITHDRAW);
	return 0;
}

int weir_ring_degrade(struct weir_ring *ring, uint32_t end)
{
	if (!ring_is_attached(ring, end))
		return -EINVAL;
	atomic_store_explicit(&ring->request->end[end].degrade, ring->end[end].id, memory_order_release);
	tell_writer(ring);
	return 0;
}

int weir_ring_reap(struct weir_ring *ring, uint32_t end)
{
	if (!ring_is_attached(ring, end))
		return -EINVAL;
	if (ring->end[end].policy.async_io && ring_pins(ring, end) != 0) {
		/* A reaped process is not quiet: what it asked the kernel to do goes on. */
		post_request(ring, end, VERB_WITHDRAW);
		return 1;
	}
	ring->end[end].attached = false;
	post_request(ring, end, VERB_REAP);
	return 0;
}

void ring_revoke(struct weir_ring *ring, uint32_t end)
{
	ring->end[end].handed = false;
	weir_ring_reap(ring, end);
}

void weir_ring_writer_gone(struct weir_ring *ring)
{
	atomic_store_explicit(&ring->request->writer_gone, 1, memory_order_release);
	for (uint32_t i = 0; i < ring->geometry.end_count; i++)
		wake_ring(ring->end[i].wake_fd, ring->geometry.has_sockets);
}
