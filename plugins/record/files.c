/* SPDX-License-Identifier: MIT */
#include "recorder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/log.h>

#define SECOND_NS     INT64_C(1000000000)
#define MIB	      UINT64_C(1048576)
#define NAME_TRIES    100
#define CLUSTER_BYTES (32 * MIB) /* raw: what is lost by a kill is about two of them */
#define PACKETS_BYTES (2 * MIB)
#define RESERVE_BYTES (16 * MIB) /* of packets, at a time */

int files_open_store(struct recorder *recorder, char *error, size_t size)
{
	struct store_config config = {
		.path = recorder->options.directory,
		.name = recorder->options.name,
		.quota_bytes = recorder->options.quota_bytes,
		.floor_bytes = recorder->options.floor_bytes,
	};

	return store_open(&recorder->store, &config, error, size);
}

static int may_reserve(void *data, uint64_t bytes)
{
	struct file *file = data;
	int r = store_reserve(file->recorder->store, bytes);

	if (r == 0)
		file->reserved += bytes;
	return r;
}

static void release(void *data, struct item *item)
{
	struct file *file = data;

	item_free_back(file->recorder, item);
}

static int64_t wall_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int make(struct recorder *recorder, struct file *file, const struct item *first)
{
	const struct recorder_options *options = &recorder->options;
	const bool raw = recorder->format.kind == WEIR_KIND_VIDEO;
	int64_t wall_ns = first->frame.wall_ns > 0 ? first->frame.wall_ns : wall_now_ns();
	char name[SEGMENT_NAME_BYTES];
	struct segment_config config = {
		.engine = recorder->engine,
		.directory_fd = store_directory(recorder->store),
		.name = name,
		.format = &recorder->format,
		.codec = &recorder->codec,
		.sync = options->sync,
		.cluster_bytes = raw ? CLUSTER_BYTES : PACKETS_BYTES,
		.cluster_ns = SECOND_NS,
		/* Raw video fills what it may have soon; reserving waits for all writes, so it is done once. */
		.reserve_bytes = raw ? options->segment_bytes + 2 * CLUSTER_BYTES : RESERVE_BYTES,
		.may_reserve = may_reserve,
		.release = release,
		.data = file,
	};
	int r = -EEXIST;

	if (options->quota_bytes > 0 && config.reserve_bytes > options->quota_bytes / 2)
		config.reserve_bytes = matroska_pages(options->quota_bytes / 4);
	/* Another file of the same microsecond is of a former life. */
	for (int i = 0; r == -EEXIST && i < NAME_TRIES; i++) {
		store_unreserve(recorder->store, file->reserved);
		file->reserved = 0;
		store_name(recorder->store, wall_ns + i * 1000, name);
		r = segment_create(&file->segment, &config, first);
	}
	return r;
}

static int open_file(struct recorder *recorder, const struct item *first)
{
	struct file *file = calloc(1, sizeof(*file)), **link;
	int r;

	if (file == NULL)
		return -ENOMEM;
	file->recorder = recorder;
	r = make(recorder, file, first);
	if (r < 0) {
		store_unreserve(recorder->store, file->reserved);
		free(file);
		return r;
	}
	for (link = &recorder->files; *link != NULL; link = &(*link)->next)
		;
	*link = recorder->file = file;
	if (recorder->status.state != WEIR_RECORD_ACTIVE) {
		recorder->status.state = WEIR_RECORD_ACTIVE;
		recorder->status.text[0] = recorder->told[0] = '\0';
		recorder_tell_back(recorder);
	}
	return 0;
}

void files_finish(struct recorder *recorder)
{
	struct file *file = recorder->file;

	if (file == NULL)
		return;
	recorder->file = NULL;
	file->dropped = recorder->file_dropped;
	recorder->file_dropped = 0;
	segment_finish(file->segment);
}

static bool is_full(const struct recorder *recorder, const struct item *item)
{
	const struct segment *segment = recorder->file->segment;
	struct segment_stats stats;

	segment_stats(segment, &stats);
	return stats.span_ns >= recorder->options.segment_ns || stats.bytes >= recorder->options.segment_bytes ||
	       !segment_goes_on(segment, &item->frame, recorder->options.segment_ns);
}

/* A directory that was removed, or whose disk was pulled out, may be there again. */
static int open_again(struct recorder *recorder, const struct item *item, int status)
{
	char text[200];
	int r;

	if (recorder->files != NULL || store_is_at(recorder->store, recorder->options.directory))
		return status;
	r = files_open_store(recorder, text, sizeof(text));
	return r < 0 ? r : open_file(recorder, item);
}

/* What cannot be written now waits, if the source can be slowed; else it is dropped. True: the queue goes on. */
static bool refuse_back(struct recorder *recorder)
{
	if (recorder->options.lossless && !recorder->leaving)
		return false;
	recorder_drop(recorder, &recorder->status.refused, 1);
	item_free_back(recorder, list_take(&recorder->queue));
	return true;
}

static bool is_disk_full(int status)
{
	return status == -ENOSPC || status == -EDQUOT;
}

static void block(struct recorder *recorder, int status, const char *what)
{
	recorder->retry_ns = recorder_now_ns() + SECOND_NS;
	recorder_block(recorder, status, what);
}

/* 0; -EAGAIN: files that are being completed will give back what they do not need, and can be deleted. */
static int begin_file(struct recorder *recorder, const struct item *item)
{
	int r;

	if (recorder_now_ns() < recorder->retry_ns)
		return -EBUSY;
	r = open_file(recorder, item);
	if (r < 0)
		r = open_again(recorder, item, r);
	if (is_disk_full(r) && recorder->files != NULL)
		return -EAGAIN;
	if (r < 0)
		block(recorder, r, "cannot begin a file");
	return r;
}

/* The file takes no more: what can be done? True: the item may be tried again. */
static bool give_up_file(struct recorder *recorder, int status)
{
	struct segment_stats stats;

	segment_stats(recorder->file->segment, &stats);
	/* As in begin_file(). */
	if (is_disk_full(status) && stats.frames == 0 && recorder->files != recorder->file)
		return false;
	/* The next file finds room if there is any; one that is empty has tried. */
	if (!is_disk_full(status) || stats.frames == 0)
		block(recorder, status, "cannot write");
	files_finish(recorder);
	return true;
}

/* True: the first item is taken care of, or something else may be possible for it now. */
static bool place_back(struct recorder *recorder, struct item *item)
{
	const bool key = item_is_key(recorder, item);
	int r = 0;

	if (recorder->file != NULL && key && (recorder->is_new_generation || is_full(recorder, item)))
		files_finish(recorder);
	recorder->is_new_generation &= !key;
	if (recorder->file == NULL && !key) {
		recorder_drop(recorder, &recorder->status.before_key, 1);
		item_free_back(recorder, list_take(&recorder->queue));
		return true;
	}
	if (recorder->file == NULL)
		r = begin_file(recorder, item);
	if (r < 0)
		return r != -EAGAIN && refuse_back(recorder);
	list_take(&recorder->queue);
	r = segment_put(recorder->file->segment, item);
	if (r < 0)
		list_return(&recorder->queue, item);
	return r == 0 || (r != -EAGAIN && give_up_file(recorder, r));
}

void files_pump_back(struct recorder *recorder)
{
	while (recorder->queue.first != NULL && place_back(recorder, recorder->queue.first))
		;
	if (recorder->ending && recorder->queue.first == NULL) {
		recorder->ending = false;
		files_finish(recorder);
	}
	engine_flush(recorder->engine);
}

static void see_off_back(struct recorder *recorder, struct file *file, const struct segment_stats *stats)
{
	int r = 0;

	store_unreserve(recorder->store, file->reserved);
	recorder->status.failed += stats->frames - stats->committed_frames;
	if (stats->committed_frames > 0) {
		r = store_enter(recorder->store, segment_format(file->segment), stats,
			file->dropped + stats->frames - stats->committed_frames);
		recorder->status.files++;
		recorder->status.bytes += stats->committed_bytes;
	}
	if (r < 0)
		weir_log(WEIR_LOG_WARNING, "recorder", "%s is complete, but the index could not be written: %s",
			stats->name, strerror(-r));
	if (stats->error < 0 && stats->error != -ENODATA) { /* it may have nothing in it */
		recorder->retry_ns = recorder_now_ns() + SECOND_NS;
		recorder_block(recorder, stats->error, "cannot write");
	}
	segment_free(&file->segment);
	recorder_tell_back(recorder);
}

/* In the order of their beginnings, which is that of the index: one that is complete waits for those before it. */
void files_sweep_back(struct recorder *recorder)
{
	uint64_t committed = 0;
	bool waits = false;
	struct file *next;

	for (struct file *file = recorder->files; file != NULL; file = next) {
		struct segment_stats stats;

		next = file->next;
		segment_stats(file->segment, &stats);
		if (stats.error < 0 && file == recorder->file)
			files_finish(recorder);
		segment_stats(file->segment, &stats);
		waits |= !stats.over;
		if (waits) {
			committed += stats.committed_frames;
			continue;
		}
		assert(file != recorder->file && file == recorder->files);
		recorder->files = next;
		recorder->committed_before += stats.committed_frames;
		recorder->status.committed = recorder->committed_before;
		see_off_back(recorder, file, &stats);
		free(file);
	}
	recorder->status.committed = recorder->committed_before + committed;
}
