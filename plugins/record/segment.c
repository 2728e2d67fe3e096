/* SPDX-License-Identifier: MIT */
#include "cluster.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REORDER_NS  INT64_C(1000000000) /* packets are decoded in another order than they are shown */
#define TIME_MAX_NS (INT64_C(1) << 60)	/* beyond this a time is none: sums of them must be right */

/* --- space ------------------------------------------------------------------------------------------------------- */

int segment_reserve(struct segment *segment, uint64_t bytes)
{
	/* The curtain, the cues, and a cluster more in them. */
	const uint64_t needed =
		segment->end + bytes + MATROSKA_PAGE + matroska_cues_bytes(segment->cue_count + segment->clusters + 1);
	uint64_t more = segment->config.reserve_bytes;
	int r;

	if (needed <= segment->reserved)
		return 0;
	if (more < needed - segment->reserved)
		more = matroska_pages(needed - segment->reserved);
	r = segment->config.may_reserve(segment->config.data, more);
	if (r == -ENOSPC || r == -EDQUOT) {
		more = matroska_pages(needed - segment->reserved);
		r = segment->config.may_reserve(segment->config.data, more);
	}
	if (r < 0)
		return r;
	/* The size grows, too: a write that would extend the file waits for all others. */
	do
		r = fallocate(segment->fd, 0, (off_t)segment->reserved, (off_t)more) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	segment->reserved += more;
	return 0;
}

/* --- making ------------------------------------------------------------------------------------------------------ */

static int open_file(int directory_fd, const char *name, bool *is_linked)
{
	const int flags = O_RDWR | O_CLOEXEC | O_DIRECT;
	int fd = openat(directory_fd, ".", O_TMPFILE | flags, 0640);

	*is_linked = false;
	if (fd < 0 && errno == EINVAL)
		fd = openat(directory_fd, ".", O_TMPFILE | (flags & ~O_DIRECT), 0640);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd < 0 ? -errno : fd;
	*is_linked = true;
	fd = openat(directory_fd, name, O_CREAT | O_EXCL | flags, 0640);
	if (fd < 0 && errno == EINVAL)
		fd = openat(directory_fd, name, O_CREAT | O_EXCL | (flags & ~O_DIRECT), 0640);
	return fd < 0 ? -errno : fd;
}

static int write_head(struct segment *segment, const struct matroska_head *head)
{
	const size_t bytes = MATROSKA_HEAD_BYTES + MATROSKA_PAGE;
	int r = matroska_put_head(segment->pages, head);
	ssize_t done;

	if (r < 0)
		return r;
	matroska_put_curtain(segment->pages + MATROSKA_HEAD_BYTES);
	do
		done = pwrite(segment->fd, segment->pages, bytes, 0);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	return (size_t)done == bytes ? 0 : -ENOSPC;
}

/* The name appears when the head is there: whoever finds the file can open it. */
static int link_file(struct segment *segment)
{
	char path[32];

	if (segment->is_linked)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", segment->fd);
	if (linkat(AT_FDCWD, path, segment->config.directory_fd, segment->name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	segment->is_linked = true;
	return 0;
}

static int make_file(struct segment *segment, const struct matroska_head *head)
{
	int r = open_file(segment->config.directory_fd, segment->name, &segment->is_linked);

	if (r < 0)
		return r;
	segment->fd = r;
	segment->pages = aligned_alloc(MATROSKA_PAGE, MATROSKA_HEAD_BYTES + MATROSKA_PAGE);
	if (segment->pages == NULL)
		return -ENOMEM;
	r = segment_reserve(segment, MATROSKA_PAGE);
	if (r == 0)
		r = write_head(segment, head);
	return r == 0 ? link_file(segment) : r;
}

int segment_create(struct segment **segment, const struct segment_config *config, const struct item *first)
{
	struct segment *made = calloc(1, sizeof(*made));
	struct matroska_head head = { .wall_ns = first->frame.wall_ns };
	int r;

	if (made == NULL)
		return -ENOMEM;
	made->config = *config;
	made->format = *config->format;
	made->codec = *config->codec;
	snprintf(made->name, sizeof(made->name), "%s", config->name);
	made->raw = made->format.kind == WEIR_KIND_VIDEO;
	made->fd = -1;
	made->last = &made->first;
	made->end = made->committed_bytes = MATROSKA_HEAD_BYTES;
	made->by_pts = first->frame.pts_ns != WEIR_TIME_NONE;
	made->base_ns = made->last_ns = segment_time_ns(made, &first->frame);
	made->first_pts_ns = first->frame.pts_ns;
	made->first_wall_ns = first->frame.wall_ns;
	head.format = &made->format;
	head.codec = &made->codec;
	r = make_file(made, &head);
	if (r < 0) {
		segment_free(&made);
		return r;
	}
	*segment = made;
	return 0;
}

void segment_free(struct segment **segment)
{
	struct segment *old = *segment;

	if (old == NULL)
		return;
	assert(old->in_flight == 0);
	if (old->is_linked && old->committed_frames == 0)
		unlinkat(old->config.directory_fd, old->name, 0);
	if (old->fd >= 0)
		close(old->fd);
	cluster_free_all(old);
	free(old->cues);
	free(old->pages);
	free(old);
	*segment = NULL;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

int64_t segment_time_ns(const struct segment *segment, const struct weir_frame *frame)
{
	const int64_t ns = segment->by_pts ? frame->pts_ns : frame->capture_ns;

	return ns > -TIME_MAX_NS && ns < TIME_MAX_NS ? ns : segment->last_ns;
}

bool segment_goes_on(const struct segment *segment, const struct weir_frame *frame, int64_t span_ns)
{
	const int64_t ns = segment_time_ns(segment, frame);

	return ns >= segment->last_ns - REORDER_NS && ns - segment->base_ns < span_ns;
}

void segment_submit(struct segment *segment, struct engine_op *op)
{
	segment->in_flight++;
	op->fd = segment->fd;
	engine_submit(segment->config.engine, op);
}

void segment_fail(struct segment *segment, int status)
{
	if (segment->error == 0)
		segment->error = status;
}

int segment_put(struct segment *segment, struct item *item)
{
	const int64_t ns = segment_time_ns(segment, &item->frame);
	int64_t span_ns = ns - segment->base_ns;
	struct weir_frame frame = item->frame; /* the item may be gone afterwards */
	int r;

	if (segment->error < 0)
		return segment->error;
	assert(segment->stage == SEGMENT_OPEN);
	r = cluster_put(segment, item);
	if (r < 0)
		return r;
	segment->frames++;
	segment->last_ns = ns;
	segment->last_pts_ns = frame.pts_ns;
	segment->last_wall_ns = frame.wall_ns;
	span_ns += codec_frame_ns(&segment->codec, &frame);
	if (span_ns > segment->span_ns)
		segment->span_ns = span_ns;
	return 0;
}

void segment_tick(struct segment *segment, int64_t now_ns)
{
	struct cluster *cluster = cluster_open(segment);
	struct stat status;

	if (fstat(segment->fd, &status) == 0 && status.st_nlink == 0) {
		segment->committed_frames = 0;
		segment_fail(segment, -ENOENT);
		segment_advance(segment);
		return;
	}
	if (cluster != NULL && segment->error == 0 && now_ns - cluster->begun_ns > 2 * segment->config.cluster_ns)
		cluster_close(cluster);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void step_done(struct engine_op *op, int status)
{
	struct segment *segment = op->data;

	segment->in_flight--;
	if (status < 0)
		segment_fail(segment, status);
	segment_advance(segment);
}

static void submit_step(struct segment *segment, enum engine_kind kind, uint64_t offset, size_t bytes)
{
	segment->op = (struct engine_op){
		.kind = kind,
		.offset = offset,
		.iov = { { .iov_base = segment->pages, .iov_len = bytes } },
		.iovs = 1,
		.done = step_done,
		.data = segment,
	};
	segment_submit(segment, &segment->op);
	engine_flush(segment->config.engine);
}

static int put_cues(struct segment *segment)
{
	const uint64_t bytes = matroska_cues_bytes(segment->cue_count);

	free(segment->pages);
	segment->pages = aligned_alloc(MATROSKA_PAGE, bytes > MATROSKA_HEAD_BYTES ? bytes : MATROSKA_HEAD_BYTES);
	if (segment->pages == NULL)
		return -ENOMEM;
	matroska_put_cues(segment->pages, segment->cues, segment->cue_count);
	submit_step(segment, ENGINE_WRITE, segment->end, bytes);
	return 0;
}

static int put_last_head(struct segment *segment)
{
	struct matroska_head head = {
		.format = &segment->format,
		.codec = &segment->codec,
		.wall_ns = segment->first_wall_ns,
		.duration_ns = segment->span_ns,
		.cues_offset = segment->end,
		.file_bytes = segment->end + matroska_cues_bytes(segment->cue_count),
	};
	int r;

	/* Cut before the head tells the size. */
	if (ftruncate(segment->fd, (off_t)head.file_bytes) < 0)
		return -errno;
	r = matroska_put_head(segment->pages, &head);
	if (r < 0)
		return r;
	segment->end = segment->committed_bytes = head.file_bytes;
	submit_step(segment, ENGINE_WRITE, 0, MATROSKA_HEAD_BYTES);
	return 0;
}

/* Gives back what was reserved, as far as the disk still obeys. */
static void give_up(struct segment *segment)
{
	segment->stage = SEGMENT_OVER;
	(void)!ftruncate(segment->fd, (off_t)(segment->committed_bytes + MATROSKA_PAGE));
}

static int finish_step(struct segment *segment)
{
	switch (segment->stage) {
	case SEGMENT_FINISHING: segment->stage = SEGMENT_CUES; return put_cues(segment);
	case SEGMENT_CUES: segment->stage = SEGMENT_HEAD; return put_last_head(segment);
	case SEGMENT_HEAD:
		segment->stage = SEGMENT_SYNC;
		if (segment->config.sync != SEGMENT_SYNC_NEVER) {
			submit_step(segment, ENGINE_SYNC, 0, 0);
			return 0;
		}
		/* fall through */
	case SEGMENT_SYNC: segment->stage = SEGMENT_OVER; return 0;
	case SEGMENT_OPEN:
	case SEGMENT_OVER: break;
	}
	return 0;
}

void segment_advance(struct segment *segment)
{
	int r;

	while (segment->error == 0 && cluster_advance(segment))
		;
	if (segment->stage == SEGMENT_OVER || segment->in_flight > 0)
		return;
	if (segment->error == 0 && segment->first == NULL && segment->stage != SEGMENT_OPEN) {
		r = segment->committed_frames > 0 ? finish_step(segment) : -ENODATA;
		if (r < 0)
			segment_fail(segment, r);
	}
	if (segment->error < 0 && segment->in_flight == 0)
		give_up(segment);
}

void segment_finish(struct segment *segment)
{
	struct cluster *cluster = cluster_open(segment);

	if (segment->stage != SEGMENT_OPEN)
		return;
	if (cluster != NULL && segment->error == 0)
		cluster_close(cluster);
	segment->stage = SEGMENT_FINISHING;
	segment_advance(segment);
}

const struct weir_format *segment_format(const struct segment *segment)
{
	return &segment->format;
}

void segment_stats(const struct segment *segment, struct segment_stats *stats)
{
	*stats = (struct segment_stats){
		.over = segment->stage == SEGMENT_OVER,
		.error = segment->error,
		.bytes = segment->end + MATROSKA_PAGE,
		.frames = segment->frames,
		.committed_frames = segment->committed_frames,
		.committed_bytes = segment->committed_bytes,
		.first_pts_ns = segment->first_pts_ns,
		.last_pts_ns = segment->last_pts_ns,
		.first_wall_ns = segment->first_wall_ns,
		.last_wall_ns = segment->last_wall_ns,
		.span_ns = segment->span_ns,
	};
	memcpy(stats->name, segment->name, sizeof(stats->name));
}
