/* SPDX-License-Identifier: MIT */
#include "cluster.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS INT64_C(1000000)

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Rounded, and not before the file's beginning: Matroska has no times below 0. Nor above what readers believe. */
static int64_t time_ms(const struct segment *segment, const struct item *item)
{
	int64_t ns = segment_time_ns(segment, &item->frame) - segment->base_ns;

	if (ns <= 0)
		return 0;
	return ns < MATROSKA_TIME_MS_MAX * MS ? (ns + MS / 2) / MS : MATROSKA_TIME_MS_MAX;
}

struct cluster *cluster_open(const struct segment *segment)
{
	struct cluster *cluster = segment->first;

	while (cluster != NULL && cluster->stage != CLUSTER_FILLING)
		cluster = cluster->next;
	return cluster;
}

/* --- operations come to their ends ---------------------------------------------------------------------------------
 */

static void arrive(struct cluster *cluster, int status)
{
	struct segment *segment = cluster->segment;

	cluster->in_flight--;
	segment->in_flight--;
	if (status < 0)
		segment_fail(segment, status);
	else if (cluster->stage == CLUSTER_SYNCING)
		cluster->stage = CLUSTER_SYNCED;
	else if (cluster->stage == CLUSTER_HEADING)
		cluster->stage = CLUSTER_COMMITTED;
	segment_advance(segment);
}

static void op_done(struct engine_op *op, int status)
{
	arrive(op->data, status);
}

static void frame_done(struct engine_op *op, int status)
{
	struct frame_op *frame = op->data;
	struct cluster *cluster = frame->cluster;
	struct segment *segment = cluster->segment;

	segment->config.release(segment->config.data, frame->item);
	segment->frames_in_flight--;
	frame->next = segment->idle;
	segment->idle = frame;
	arrive(cluster, status);
}

static void submit(struct cluster *cluster, struct engine_op *op)
{
	cluster->in_flight++;
	segment_submit(cluster->segment, op);
}

/* --- a cluster's life ----------------------------------------------------------------------------------------------
 */

static void free_cluster(struct cluster *cluster)
{
	free(cluster->page);
	free(cluster->packets.bytes);
	free(cluster);
}

void cluster_free_all(struct segment *segment)
{
	struct frame_op *idle;

	while (segment->first != NULL) {
		struct cluster *old = segment->first;

		segment->first = old->next;
		free_cluster(old);
	}
	while ((idle = segment->idle) != NULL) {
		segment->idle = idle->next;
		free(idle->pages);
		free(idle);
	}
}

/* The packets of a cluster, its header, what fills up the last page, and the curtain behind it. */
static int make_buffer(struct cluster *cluster, uint64_t packet_bytes)
{
	const uint64_t room = cluster->segment->config.cluster_bytes + packet_bytes;
	const uint64_t bytes = matroska_pages(MATROSKA_CLUSTER_BYTES + room + 2) + MATROSKA_PAGE;

	cluster->packets.bytes = aligned_alloc(MATROSKA_PAGE, bytes);
	cluster->packets.room = bytes - MATROSKA_PAGE;
	cluster->packets.size = MATROSKA_CLUSTER_BYTES;
	return cluster->packets.bytes != NULL ? 0 : -ENOMEM;
}

static int begin(struct segment *segment, const struct item *item, struct cluster **cluster)
{
	struct cluster *made;
	int r = 0;

	if (segment->clusters == CLUSTERS_IN_FLIGHT_MAX)
		return -EAGAIN;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return -ENOMEM;
	made->segment = segment;
	made->offset = segment->end;
	made->time_ms = time_ms(segment, item);
	made->begun_ns = now_ns();
	made->bytes = segment->raw ? MATROSKA_PAGE : MATROSKA_CLUSTER_BYTES;
	if (segment->raw)
		r = (made->page = aligned_alloc(MATROSKA_PAGE, MATROSKA_PAGE)) != NULL ? 0 : -ENOMEM;
	else
		r = make_buffer(made, matroska_packet_bytes(&item->frame));
	if (r < 0) {
		free_cluster(made);
		return r;
	}
	if (segment->raw)
		segment->end += MATROSKA_PAGE;
	*segment->last = made;
	segment->last = &made->next;
	segment->clusters++;
	*cluster = made;
	return 0;
}

/* What the packets are followed by, and all of it but the first page. */
static void write_packets(struct cluster *cluster)
{
	struct ebml *ebml = &cluster->packets;
	struct segment *segment = cluster->segment;
	const uint64_t bytes = matroska_pages(ebml->size + 2);
	const size_t used = ebml->size;

	memset(ebml->bytes + used, 0, bytes - used);
	ebml->room = bytes;
	ebml_put_void(ebml, bytes - used);
	cluster->bytes = bytes;
	segment->end = cluster->offset + bytes;
	matroska_put_curtain(ebml->bytes + bytes);
	cluster->body.iov[0] = (struct iovec){ .iov_base = ebml->bytes + MATROSKA_PAGE, .iov_len = bytes };
	cluster->body.offset = cluster->offset + MATROSKA_PAGE;
}

static void write_curtain(struct cluster *cluster)
{
	matroska_put_curtain(cluster->page);
	cluster->body.iov[0] = (struct iovec){ .iov_base = cluster->page, .iov_len = MATROSKA_PAGE };
	cluster->body.offset = cluster->offset + cluster->bytes;
}

void cluster_close(struct cluster *cluster)
{
	cluster->stage = CLUSTER_CLOSED;
	cluster->body = (struct engine_op){ .kind = ENGINE_WRITE, .iovs = 1, .done = op_done, .data = cluster };
	if (cluster->segment->raw)
		write_curtain(cluster);
	else
		write_packets(cluster);
	submit(cluster, &cluster->body);
	engine_flush(cluster->segment->config.engine);
}

static void write_first_page(struct cluster *cluster)
{
	uint8_t *page = cluster->page != NULL ? cluster->page : cluster->packets.bytes;
	struct ebml ebml = { .bytes = page, .room = MATROSKA_CLUSTER_BYTES };

	if (cluster->page != NULL)
		matroska_put_cluster_page(page, cluster->bytes, cluster->time_ms);
	else
		matroska_put_cluster(&ebml, cluster->bytes, cluster->time_ms);
	cluster->head = (struct engine_op){
		.kind = ENGINE_WRITE,
		.offset = cluster->offset,
		.iov = { { .iov_base = page, .iov_len = MATROSKA_PAGE } },
		.iovs = 1,
		.done = op_done,
		.data = cluster,
	};
	cluster->stage = CLUSTER_HEADING;
	submit(cluster, &cluster->head);
	engine_flush(cluster->segment->config.engine);
}

static int add_cue(struct segment *segment, const struct cluster *cluster)
{
	if (segment->cue_count == segment->cue_room) {
		size_t room = segment->cue_room * 2 + 64;
		struct matroska_cue *cues = realloc(segment->cues, room * sizeof(*cues));

		if (cues == NULL)
			return -ENOMEM;
		segment->cues = cues;
		segment->cue_room = room;
	}
	segment->cues[segment->cue_count++] =
		(struct matroska_cue){ .time_ms = cluster->time_ms, .offset = cluster->offset };
	return 0;
}

static void commit(struct segment *segment, struct cluster *cluster)
{
	int r = add_cue(segment, cluster);

	if (r < 0)
		segment_fail(segment, r);
	segment->committed_bytes = cluster->offset + cluster->bytes;
	segment->committed_frames += cluster->frames;
	segment->clusters--;
	segment->first = cluster->next;
	if (segment->first == NULL)
		segment->last = &segment->first;
	free_cluster(cluster);
}

bool cluster_advance(struct segment *segment)
{
	struct cluster *cluster = segment->first;

	if (cluster == NULL || cluster->in_flight > 0)
		return false;
	switch (cluster->stage) {
	case CLUSTER_CLOSED:
		if (segment->config.sync != SEGMENT_SYNC_CLUSTER) {
			write_first_page(cluster);
			return false;
		}
		cluster->stage = CLUSTER_SYNCING;
		cluster->body = (struct engine_op){ .kind = ENGINE_SYNC, .done = op_done, .data = cluster };
		submit(cluster, &cluster->body);
		engine_flush(segment->config.engine);
		return false;
	case CLUSTER_SYNCED: write_first_page(cluster); return false;
	case CLUSTER_COMMITTED: commit(segment, cluster); return true;
	default: return false;
	}
}

/* --- frames --------------------------------------------------------------------------------------------------------
 */

static struct frame_op *take_frame_op(struct segment *segment)
{
	struct frame_op *op = segment->idle;

	if (op != NULL) {
		segment->idle = op->next;
		return op;
	}
	op = calloc(1, sizeof(*op));
	if (op == NULL)
		return NULL;
	op->pages = aligned_alloc(MATROSKA_PAGE, MATROSKA_PAGE + MATROSKA_TAIL_MAX);
	if (op->pages == NULL) {
		free(op);
		return NULL;
	}
	return op;
}

/* One operation: the page before, the picture where it is, the tail. */
static int put_picture(struct cluster *cluster, struct item *item, int16_t relative_ms)
{
	struct segment *segment = cluster->segment;
	const uint32_t payload_bytes = item->frame.size_bytes, whole_bytes = matroska_whole_bytes(payload_bytes);
	struct frame_op *op = take_frame_op(segment);
	struct iovec *iov;
	uint32_t tail;

	if (op == NULL)
		return -ENOMEM;
	op->op = (struct engine_op){
		.kind = ENGINE_WRITE, .offset = segment->end, .iovs = 1, .done = frame_done, .data = op
	};
	iov = op->op.iov;
	matroska_put_frame_page(op->pages, &item->frame, relative_ms);
	tail = matroska_put_tail(op->pages + MATROSKA_PAGE, item->frame.data, payload_bytes);
	iov[0] = (struct iovec){ .iov_base = op->pages, .iov_len = MATROSKA_PAGE };
	if (whole_bytes > 0)
		iov[op->op.iovs++] =
			(struct iovec){ .iov_base = (void *)(uintptr_t)item->frame.data, .iov_len = whole_bytes };
	if (tail > 0)
		iov[op->op.iovs++] = (struct iovec){ .iov_base = op->pages + MATROSKA_PAGE, .iov_len = tail };
	op->cluster = cluster;
	op->item = item;
	segment->frames_in_flight++;
	segment->end += matroska_frame_bytes(payload_bytes);
	cluster->bytes = segment->end - cluster->offset;
	submit(cluster, &op->op);
	return 0;
}

static bool fits(const struct segment *segment, const struct cluster *cluster, const struct item *item, uint64_t bytes)
{
	const int64_t relative_ms = time_ms(segment, item) - cluster->time_ms;

	if (!segment->raw && bytes + 2 > cluster->packets.room - cluster->packets.size)
		return false;
	return relative_ms >= -MATROSKA_RELATIVE_MAX && relative_ms <= MATROSKA_RELATIVE_MAX &&
	       relative_ms * MS < segment->config.cluster_ns &&
	       (cluster->frames == 0 || cluster->bytes + bytes <= segment->config.cluster_bytes);
}

int cluster_put(struct segment *segment, struct item *item)
{
	struct cluster *cluster = cluster_open(segment);
	const uint64_t bytes =
		segment->raw ? matroska_frame_bytes(item->frame.size_bytes) : matroska_packet_bytes(&item->frame);
	const uint64_t open_bytes = cluster != NULL && !segment->raw ? cluster->bytes + 2 * MATROSKA_PAGE : 0;
	int16_t relative_ms;
	int r;

	if (segment->frames_in_flight == FRAMES_IN_FLIGHT_MAX)
		return -EAGAIN;
	if (cluster != NULL && !fits(segment, cluster, item, bytes)) {
		cluster_close(cluster);
		cluster = NULL;
	}
	r = segment_reserve(segment, open_bytes + bytes + 2 * MATROSKA_PAGE);
	if (r == 0 && cluster == NULL)
		r = begin(segment, item, &cluster);
	if (r < 0)
		return r;
	relative_ms = (int16_t)(time_ms(segment, item) - cluster->time_ms);
	if (segment->raw) {
		r = put_picture(cluster, item, relative_ms);
		if (r < 0)
			return r;
		cluster->frames++;
		return 0;
	}
	matroska_put_packet(&cluster->packets, &item->frame,
		segment->codec.intra || (item->frame.flags & WEIR_FRAME_KEY) != 0, relative_ms);
	cluster->bytes = cluster->packets.size;
	cluster->frames++;
	segment->config.release(segment->config.data, item);
	return 0;
}
