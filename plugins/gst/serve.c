/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "advertise.h"

#define SLOTS_AUTO_MIN 24 /* five readers with the defaults of weirsrc */
#define SLOTS_AUTO_MAX 64
#define ENDS_SPARE     4 /* for readers that left while their process lives on */

struct serve {
	struct serve_config config; /* without path */
	GThread *thread;
	int wake_fd;
	int advertisement; /* or -1 */
	GMutex lock;	   /* guards all below; taken by no callback's caller */
	GCond changed;
	struct weir_server *server;
	struct weir_ring *ring;
	uint64_t generation;
	uint32_t notes;
	uint32_t count;
	bool used_up, unlocked, stopping;
	uint64_t needed_bytes, available_bytes;
};

/* Runs in dispatch, with the lock held. */
static void take_note(void *data, uint32_t note)
{
	((struct serve *)data)->notes |= note;
}

/* --- the thread ------------------------------------------------------------------------------------------------- */

static bool is_among(const struct weir_server_reader *one, const struct weir_server_reader *all, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (all[i].number == one->number)
			return true;
	return false;
}

static void tell_changes(struct serve *serve, const struct weir_server_reader *before, uint32_t before_count,
	const struct weir_server_reader *now, uint32_t now_count)
{
	for (uint32_t i = 0; i < before_count; i++)
		if (!is_among(&before[i], now, now_count))
			serve->config.changed(serve->config.data, &before[i], false);
	for (uint32_t i = 0; i < now_count; i++)
		if (!is_among(&now[i], before, before_count))
			serve->config.changed(serve->config.data, &now[i], true);
}

/* Which ends of the present ring were given up as stalled. Called with the lock held. */
static uint32_t find_stalled(struct serve *serve, const struct weir_server_reader *readers, uint32_t count)
{
	struct weir_ring_stats ring = { 0 };
	uint32_t stalled = 0;

	if (serve->ring != NULL)
		weir_ring_stats(serve->ring, &ring);
	for (uint32_t i = 0; ring.stalled > 0 && i < count; i++) {
		struct weir_end_stats stats;

		if (weir_ring_end_stats(serve->ring, readers[i].end, &stats) == 0 && stats.stalled)
			stalled |= 1u << readers[i].end;
	}
	return stalled;
}

static gpointer run(gpointer data)
{
	struct weir_server_reader readers[2][WEIR_READERS_MAX];
	struct serve *serve = data;
	uint32_t count[2] = { 0 }, stalled = 0;
	bool stopping = false;

	for (unsigned turn = 0; !stopping; turn = 1 - turn) {
		struct pollfd fds[] = {
			{ .fd = serve->wake_fd, .events = POLLIN },
			{ .fd = weir_server_fd(serve->server), .events = POLLIN },
		};
		struct weir_server_stats stats;
		uint32_t notes, now_stalled;
		eventfd_t wakes;

		poll(fds, G_N_ELEMENTS(fds), WEIR_WAIT_BOUND_NS / 1000000);
		eventfd_read(serve->wake_fd, &wakes);
		g_mutex_lock(&serve->lock);
		weir_server_dispatch(serve->server);
		weir_server_stats(serve->server, &stats);
		count[turn] = weir_server_readers(serve->server, readers[turn]);
		now_stalled = find_stalled(serve, readers[turn], count[turn]);
		serve->used_up = stats.retire;
		notes = serve->notes;
		serve->notes = 0;
		stopping = serve->stopping;
		g_mutex_unlock(&serve->lock);
		/* Readers count when the writer has granted them their ends: from then on they miss nothing. */
		serve->config.attend(serve->config.data);
		g_mutex_lock(&serve->lock);
		serve->count = count[turn];
		g_cond_broadcast(&serve->changed);
		g_mutex_unlock(&serve->lock);
		if (notes != 0)
			serve->config.note(serve->config.data, notes);
		for (uint32_t i = 0; i < count[turn]; i++)
			if (((now_stalled & ~stalled) >> readers[turn][i].end & 1) != 0)
				serve->config.stalled(serve->config.data, &readers[turn][i]);
		stalled = now_stalled;
		tell_changes(serve, readers[1 - turn], count[1 - turn], readers[turn], count[turn]);
	}
	return NULL;
}

/* --- rings ------------------------------------------------------------------------------------------------------ */

static uint32_t slots_for(const struct serve *serve, uint32_t slot_bytes)
{
	uint64_t pages = ((uint64_t)slot_bytes + 4095) / 4096;

	if (serve->config.slots != 0)
		return serve->config.slots;
	return (uint32_t)CLAMP(serve->config.shm_bytes / (MAX(pages, 1) * 4096), SLOTS_AUTO_MIN, SLOTS_AUTO_MAX);
}

int serve_begin(struct serve *serve, const struct weir_format *format, uint32_t slot_bytes, uint32_t loans,
	uint32_t meta_bytes, struct weir_writer **writer)
{
	struct weir_ring_config config = {
		.format = *format,
		.generation = serve->generation + 1,
		.slot_count = slots_for(serve, slot_bytes),
		.slot_bytes = slot_bytes,
		.ends = MIN(serve->config.max_readers + ENDS_SPARE, WEIR_READERS_MAX),
		.meta_bytes = meta_bytes,
		.loans = loans,
		.untrusted = true,
	};
	struct weir_ring *ring = NULL, *old;
	struct weir_ring_fds fds;
	int r = weir_ring_create(&ring, &config);

	if (r == -ENOSPC)
		weir_ring_space(&config, &serve->needed_bytes, &serve->available_bytes);
	if (r < 0 || (r = weir_ring_writer_fds(ring, &fds)) < 0 || (r = weir_writer_open(writer, &fds)) < 0) {
		weir_ring_free(&ring);
		return r;
	}
	g_mutex_lock(&serve->lock);
	serve->generation++;
	old = serve->ring;
	serve->ring = ring;
	serve->used_up = false;
	weir_server_set_ring(serve->server, ring);
	/* Only now, so that who has drained the old one finds the new one. */
	if (old != NULL)
		weir_ring_writer_gone(old);
	weir_ring_free(&old);
	g_mutex_unlock(&serve->lock);
	weir_writer_attend(*writer);
	eventfd_write(serve->wake_fd, 1);
	return 0;
}

void serve_space(struct serve *serve, uint64_t *needed_bytes, uint64_t *available_bytes)
{
	*needed_bytes = serve->needed_bytes;
	*available_bytes = serve->available_bytes;
}

/* --- what the sink asks ----------------------------------------------------------------------------------------- */

bool serve_is_used_up(struct serve *serve)
{
	bool used_up;

	g_mutex_lock(&serve->lock);
	used_up = serve->used_up;
	g_mutex_unlock(&serve->lock);
	return used_up;
}

uint32_t serve_count(struct serve *serve)
{
	uint32_t count;

	g_mutex_lock(&serve->lock);
	count = serve->count;
	g_mutex_unlock(&serve->lock);
	return count;
}

int serve_wait(struct serve *serve)
{
	int r;

	g_mutex_lock(&serve->lock);
	while (serve->count == 0 && !serve->unlocked && !serve->used_up)
		g_cond_wait(&serve->changed, &serve->lock);
	if (serve->unlocked)
		r = -EINTR;
	else
		r = serve->count == 0 ? -ESTALE : 0;
	g_mutex_unlock(&serve->lock);
	return r;
}

static void set_unlocked(struct serve *serve, bool unlocked)
{
	g_mutex_lock(&serve->lock);
	serve->unlocked = unlocked;
	g_cond_broadcast(&serve->changed);
	g_mutex_unlock(&serve->lock);
}

void serve_unlock(struct serve *serve)
{
	set_unlocked(serve, true);
}

void serve_unlock_stop(struct serve *serve)
{
	set_unlocked(serve, false);
}

/* --- statistics ------------------------------------------------------------------------------------------------- */

static const char *policy_name(uint32_t mode)
{
	switch (mode) {
	case WEIR_POLICY_LATEST: return "latest";
	case WEIR_POLICY_DROP_OLDEST: return "drop-oldest";
	default: return "lossless";
	}
}

static GstStructure *describe_reader(const struct weir_server_reader *reader, const struct weir_end_stats *stats)
{
	return gst_structure_new("reader", "number", G_TYPE_UINT64, reader->number, "pid", G_TYPE_INT, reader->pid,
		"policy", G_TYPE_STRING, policy_name(stats->policy.mode), "depth", G_TYPE_UINT, stats->policy.depth,
		"max-held", G_TYPE_UINT, stats->policy.max_held, "delivered", G_TYPE_UINT64, stats->delivered, "lost",
		G_TYPE_UINT64, stats->overtaken, "held", G_TYPE_UINT, stats->held, "stalled", G_TYPE_BOOLEAN,
		stats->stalled, "latency-p50", G_TYPE_INT64, stats->latency_p50_ns, "latency-p99", G_TYPE_INT64,
		stats->latency_p99_ns, "latency-max", G_TYPE_INT64, stats->latency_max_ns, NULL);
}

static void describe_readers(struct serve *serve, GValue *array)
{
	struct weir_server_reader readers[WEIR_READERS_MAX];
	uint32_t count = weir_server_readers(serve->server, readers);

	for (uint32_t i = 0; i < count; i++) {
		struct weir_end_stats stats;
		GValue value = G_VALUE_INIT;

		if (weir_ring_end_stats(serve->ring, readers[i].end, &stats) < 0)
			continue;
		g_value_init(&value, GST_TYPE_STRUCTURE);
		g_value_take_boxed(&value, describe_reader(&readers[i], &stats));
		gst_value_array_append_and_take_value(array, &value);
	}
}

void serve_describe(struct serve *serve, GstStructure *stats)
{
	struct weir_ring_stats ring = { 0 };
	GValue array = G_VALUE_INIT;

	g_value_init(&array, GST_TYPE_ARRAY);
	g_mutex_lock(&serve->lock);
	if (serve->ring != NULL) {
		weir_ring_stats(serve->ring, &ring);
		describe_readers(serve, &array);
	}
	gst_structure_set(stats, "generation", G_TYPE_UINT64, serve->generation, "published", G_TYPE_UINT64,
		ring.published, "slots", G_TYPE_UINT, ring.slot_count, "slots-free-min", G_TYPE_UINT,
		ring.free_low_water, "waits", G_TYPE_UINT64, ring.claim_waits, "stalled", G_TYPE_UINT64, ring.stalled,
		NULL);
	g_mutex_unlock(&serve->lock);
	gst_structure_take_value(stats, "readers", &array);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

int serve_create(struct serve **serve, const struct serve_config *config, int *owner_pid)
{
	struct serve *made = g_new0(struct serve, 1);
	struct weir_server_config server = {
		.path = config->path,
		.mode = config->perms,
		.any_user = config->any_user,
		.max_readers = config->max_readers,
		.stall_max_ns = config->stall_max_ns,
		.note = take_note,
		.data = made,
	};
	int r;

	made->config = *config;
	made->config.path = NULL;
	made->advertisement = -1;
	g_mutex_init(&made->lock);
	g_cond_init(&made->changed);
	made->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = made->wake_fd < 0 ? -errno : weir_server_create(&made->server, &server, owner_pid);
	if (r < 0) {
		serve_free(&made);
		return r;
	}
	made->advertisement = advertise_path(config->path);
	made->thread = g_thread_new("weirsink", run, made);
	*serve = made;
	return 0;
}

void serve_free(struct serve **serve)
{
	struct serve *old = *serve;

	if (old == NULL)
		return;
	if (old->thread != NULL) {
		g_mutex_lock(&old->lock);
		old->stopping = true;
		g_mutex_unlock(&old->lock);
		eventfd_write(old->wake_fd, 1);
		g_thread_join(old->thread);
	}
	if (old->ring != NULL)
		weir_ring_writer_gone(old->ring);
	weir_server_free(&old->server);
	weir_ring_free(&old->ring);
	if (old->advertisement >= 0)
		close(old->advertisement);
	if (old->wake_fd >= 0)
		close(old->wake_fd);
	g_cond_clear(&old->changed);
	g_mutex_clear(&old->lock);
	g_free(old);
	*serve = NULL;
}
