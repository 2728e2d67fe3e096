/* SPDX-License-Identifier: MIT */
#include "source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS INT64_C(1000000000)
#define MS INT64_C(1000000)

/* --- files ------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_path(struct source *source, const char *directory, const char *name)
{
	char **path = realloc(source->path, (source->count + 1) * sizeof(*path));

	if (path == NULL)
		return -ENOMEM;
	source->path = path;
	if (directory == NULL)
		path[source->count] = strdup(name);
	else if (asprintf(&path[source->count], "%s/%s", directory, name) < 0)
		path[source->count] = NULL;
	if (path[source->count] == NULL)
		return -ENOMEM;
	source->count++;
	return 0;
}

static int list_directory(struct source *source, const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (directory == NULL)
		return errno == ENOTDIR ? add_path(source, NULL, path) : -errno;
	while (r == 0 && (entry = readdir(directory)) != NULL) {
		const size_t length = strlen(entry->d_name);

		if (length > 4 && strcmp(entry->d_name + length - 4, ".mkv") == 0)
			r = add_path(source, path, entry->d_name);
	}
	closedir(directory);
	if (r == 0 && source->count > 0)
		qsort(source->path, source->count, sizeof(*source->path), by_name);
	return r == 0 && source->count == 0 ? -ENOENT : r;
}

/* Whether a file can be read past the page cache at multiples of its frame's size. */
static bool can_be_direct(int fd, uint32_t frame_bytes)
{
	struct statx status;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) < 0 || (status.stx_mask & STATX_DIOALIGN) == 0 ||
		status.stx_dio_offset_align == 0)
		return frame_bytes % MATROSKA_PAGE == 0;
	return frame_bytes % status.stx_dio_offset_align == 0 && MATROSKA_PAGE % status.stx_dio_mem_align == 0;
}

static int open_raw(struct source *source, const char *path)
{
	struct recording *recording = &source->recording;
	struct stat status;

	recording->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (recording->fd < 0 || fstat(recording->fd, &status) < 0)
		return -errno;
	source->frames = (uint64_t)status.st_size / recording->format.payload_bytes;
	source->is_direct = can_be_direct(recording->fd, recording->format.payload_bytes);
	if (source->is_direct)
		recording->direct_fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (recording->direct_fd < 0)
		source->is_direct = false;
	return source->frames > 0 ? 0 : -ENODATA;
}

static int open_file(struct source *source)
{
	const char *path = source->path[source->file];

	source->cluster = 0;
	source->frame = 0;
	free(source->bytes);
	source->bytes = NULL;
	if (source->is_raw)
		return source->recording.fd >= 0 ? 0 : open_raw(source, path);
	recording_close(&source->recording);
	return recording_open(&source->recording, AT_FDCWD, path);
}

static int explain(const char *path, int status, char *error, size_t size)
{
	if (status == -EPROTO)
		snprintf(error, size, "%s: this is no recording of Weir; other films are decoded, not replayed", path);
	else if (status == -ENODATA)
		snprintf(error, size, "%s: there is not one whole frame in it", path);
	else
		snprintf(error, size, "%s: %s", path, strerror(-status));
	return status;
}

int source_open(struct source *source, const struct player_options *options, char *error, size_t size)
{
	int r;

	*source = (struct source){ .recording = { .fd = -1, .direct_fd = -1 }, .is_raw = options->raw.kind != 0 };
	source->recording.format = options->raw;
	r = source->is_raw ? add_path(source, NULL, options->source) : list_directory(source, options->source);
	if (r == 0)
		r = open_file(source);
	if (r < 0) {
		explain(options->source, r, error, size);
		source_close(source);
	}
	return r;
}

void source_close(struct source *source)
{
	recording_close(&source->recording);
	for (size_t i = 0; i < source->count; i++)
		free(source->path[i]);
	free(source->path);
	free(source->bytes);
	*source = (struct source){ .recording = { .fd = -1, .direct_fd = -1 } };
}

const struct weir_format *source_format(const struct source *source)
{
	return &source->recording.format;
}

int source_next_file(struct source *source)
{
	if (source->file + 1 >= source->count)
		return -ENODATA;
	source->file++;
	return open_file(source);
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

static int64_t frame_ns(const struct weir_format *format)
{
	return format->rate_num > 0 ? NS * format->rate_den / format->rate_num : 0;
}

static int next_in_raw_file(struct source *source, struct place *place)
{
	const struct weir_format *format = source_format(source);
	const int64_t duration_ns = frame_ns(format);

	if (source->frame == source->frames)
		return -ENODATA;
	*place = (struct place){
		.fd = source->is_direct ? source->recording.direct_fd : source->recording.fd,
		.page_offset = UINT64_MAX,
		.payload_offset = source->frame * format->payload_bytes,
		.payload_bytes = format->payload_bytes,
		.frame = {
			.size_bytes = format->payload_bytes,
			.pts_ns = (int64_t)source->frame * duration_ns,
			.dts_ns = WEIR_TIME_NONE,
			.duration_ns = duration_ns > 0 ? duration_ns : WEIR_TIME_NONE,
			.flags = WEIR_FRAME_KEY,
		},
	};
	if (duration_ns == 0)
		place->frame.pts_ns = WEIR_TIME_NONE;
	source->frame++;
	return 0;
}

static int next_picture(struct source *source, struct place *place)
{
	const struct recording *recording = &source->recording;
	const struct recording_cluster *cluster;

	while (source->cluster < recording->count && source->frame >= recording->cluster[source->cluster].frames) {
		source->cluster++;
		source->frame = 0;
	}
	if (source->cluster == recording->count)
		return -ENODATA;
	cluster = &recording->cluster[source->cluster];
	*place = (struct place){
		.fd = recording->direct_fd,
		.page_offset = cluster->offset + MATROSKA_PAGE + source->frame++ * recording->frame_bytes,
		.payload_bytes = (uint32_t)matroska_pages(recording->format.payload_bytes),
		.cluster_ms = cluster->time_ms,
	};
	place->payload_offset = place->page_offset + MATROSKA_PAGE;
	return 0;
}

static int next_packet(struct source *source, struct place *place)
{
	int r;

	*place = (struct place){ .fd = -1 };
	for (;;) {
		if (source->bytes == NULL && source->cluster == source->recording.count)
			return -ENODATA;
		if (source->bytes == NULL) {
			r = recording_read_packets(
				&source->recording, source->cluster, &source->packets, &source->bytes);
			if (r < 0)
				return r;
		}
		r = parse_packet(&source->packets, &place->frame);
		if (r != -ENODATA)
			return r;
		free(source->bytes);
		source->bytes = NULL;
		source->cluster++;
	}
}

int source_next(struct source *source, struct place *place)
{
	if (source->is_raw)
		return next_in_raw_file(source, place);
	return source->recording.format.kind == WEIR_KIND_VIDEO ? next_picture(source, place)
								: next_packet(source, place);
}

/* --- seeking ----------------------------------------------------------------------------------------------------- */

/* As long as the last cluster says, and what its frames take. */
static int64_t duration_ns(const struct source *source)
{
	const struct recording *recording = &source->recording;
	const struct recording_cluster *last;

	if (recording->count == 0)
		return 0;
	last = &recording->cluster[recording->count - 1];
	return last->time_ms * MS + (last->frames > 0 ? last->frames * frame_ns(&recording->format) : NS);
}

static void seek_picture(struct source *source, int64_t position_ns)
{
	const struct recording_cluster *cluster = &source->recording.cluster[source->cluster];
	const int64_t step_ns = frame_ns(source_format(source)), into_ns = position_ns - cluster->time_ms * MS;

	if (step_ns > 0 && into_ns > 0)
		source->frame = (uint64_t)(into_ns / step_ns);
	if (source->frame >= cluster->frames)
		source->frame = cluster->frames - 1;
}

/* The last key frame of the present cluster that is not later than this, or one of an earlier cluster. Times in a file
 * are relative to its first frame. */
static int seek_packet(struct source *source, int64_t position_ns)
{
	struct parse_packets here = { 0 };
	struct place place;

	for (;; source->cluster--) {
		const size_t cluster = source->cluster;
		bool found = false;
		size_t at;

		free(source->bytes);
		source->bytes = NULL;
		for (;;) {
			at = source->bytes != NULL ? source->packets.at : 0;
			if (next_packet(source, &place) < 0 || source->cluster != cluster)
				break;
			if (source->packets.block_key && (!found || source->packets.block_ms * MS <= position_ns)) {
				found = true;
				here = source->packets;
				here.at = at;
			}
		}
		free(source->bytes);
		source->bytes = NULL;
		source->cluster = cluster;
		if (found || cluster == 0) {
			int r = recording_read_packets(&source->recording, cluster, &source->packets, &source->bytes);

			if (r == 0 && found)
				source->packets.at = here.at;
			return r;
		}
	}
}

int source_seek(struct source *source, int64_t position_ns)
{
	const struct recording *recording = &source->recording;
	int r;

	source->file = 0;
	r = open_file(source);
	if (r < 0)
		return r;
	if (source->is_raw) {
		const int64_t step_ns = frame_ns(source_format(source));
		const uint64_t frame = step_ns > 0 ? (uint64_t)(position_ns / step_ns) : 0;

		source->frame = frame < source->frames ? frame : source->frames - 1;
		return 0;
	}
	while (position_ns >= duration_ns(source) && source->file + 1 < source->count) {
		position_ns -= duration_ns(source);
		r = source_next_file(source);
		if (r < 0)
			return r;
	}
	if (recording->count == 0)
		return 0;
	while (source->cluster + 1 < recording->count &&
		recording->cluster[source->cluster + 1].time_ms * MS <= position_ns)
		source->cluster++;
	if (recording->format.kind != WEIR_KIND_VIDEO)
		return seek_packet(source, position_ns);
	seek_picture(source, position_ns);
	return 0;
}
