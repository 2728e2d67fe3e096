/* SPDX-License-Identifier: MIT */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/log.h>

#define MS INT64_C(1000000)

/* Of what is odd with a file the log tells once, however often it is played. */
static void tell(struct source *source, int status)
{
	const struct recording *recording = &source->recording;
	const char *path = source->files.path[source->file];

	/* A directory of other films is an error, which is told alone. */
	if (source->file < source->told || (status < 0 && !source->found))
		return;
	if (!source->found && source->file > 0)
		weir_log(WEIR_LOG_WARNING, "recording", "%zu files before %s: passed over: they cannot be opened",
			source->file, path);
	source->found = true;
	source->told = source->file + 1;
	if (status < 0)
		weir_log(WEIR_LOG_WARNING, "recording", "%s: passed over: %s", path,
			status == -EPROTO ? "this is no recording of Weir" : strerror(-status));
	else if (!recording->complete)
		weir_log(WEIR_LOG_WARNING, "recording",
			"%s: it was not completed: it is played up to its last committed cluster, at %.3f s", path,
			recording->count > 0 ? (double)recording->cluster[recording->count - 1].time_ms / 1000 : 0.);
}

static int open_file(struct source *source)
{
	const char *path = source->files.path[source->file];
	int r;

	source->is_new = true;
	source->cluster = 0;
	source->frame = 0;
	free(source->bytes);
	source->bytes = NULL;
	if (source->is_raw)
		return source->recording.fd >= 0 ? 0 : rawfile_open(source, path);
	recording_close(&source->recording);
	r = recording_open(&source->recording, AT_FDCWD, path);
	if (r == 0 || source->files.is_directory)
		tell(source, r);
	return r;
}

/* This file or the first one behind it that can be opened. -ENODATA: there is none. */
static int open_next(struct source *source)
{
	for (; source->file < source->files.count; source->file++) {
		int r = open_file(source);

		if (r == 0 || r == -ENOMEM || !source->files.is_directory)
			return r;
	}
	return -ENODATA;
}

static int explain(const struct source *source, const char *path, int status, char *error, size_t size)
{
	if (source->files.is_directory && (status == -ENODATA || status == -ENOENT))
		snprintf(error, size, "%s is a directory without a recording of Weir: name a file in it", path);
	else if (status == -EPROTO)
		snprintf(error, size, "%s: this is no recording of Weir; other films are decoded, not replayed", path);
	else if (status == -ENODATA)
		snprintf(error, size, "%s: there is not one whole frame in it", path);
	else if (status == -EINVAL)
		snprintf(error, size, "%s: this is no file", path);
	else
		snprintf(error, size, "%s: %s", path, strerror(-status));
	return status;
}

int source_open(struct source *source, const char *path, const struct weir_format *raw, char *error, size_t size)
{
	int r;

	*source = (struct source){ .recording = { .fd = -1, .direct_fd = -1 }, .is_raw = raw != NULL };
	if (raw != NULL)
		source->recording.format = *raw;
	r = listing_read(&source->files, path);
	if (r == 0 && raw != NULL && source->files.is_directory)
		r = -EISDIR;
	if (r == 0)
		r = open_next(source);
	if (r < 0) {
		explain(source, path, r, error, size);
		source_close(source);
	}
	return r;
}

void source_close(struct source *source)
{
	recording_close(&source->recording);
	listing_finish(&source->files);
	free(source->bytes);
	*source = (struct source){ .recording = { .fd = -1, .direct_fd = -1 } };
}

const struct weir_format *source_format(const struct source *source)
{
	return &source->recording.format;
}

int source_next_file(struct source *source)
{
	source->file++;
	return open_next(source);
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

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
		source->packet = source->packets.at;
		r = parse_packet(&source->packets, &place->frame);
		if (r != -ENODATA)
			return r;
		free(source->bytes);
		source->bytes = NULL;
		source->cluster++;
	}
}

void source_again(struct source *source)
{
	if (source->bytes != NULL)
		source->packets.at = source->packet;
}

int source_next(struct source *source, struct place *place)
{
	int r = source->is_raw					   ? rawfile_next(source, place)
		: source->recording.format.kind == WEIR_KIND_VIDEO ? next_picture(source, place)
								   : next_packet(source, place);

	if (r == 0) {
		place->first = source->is_new;
		source->is_new = false;
	}
	return r;
}

/* --- seeking ----------------------------------------------------------------------------------------------------- */

static int64_t last_packet_ms(const struct recording *recording, size_t cluster)
{
	int64_t last_ms = recording->cluster[cluster].time_ms;
	struct parse_packets packets;
	struct weir_frame frame;
	uint8_t *bytes;

	if (recording_read_packets(recording, cluster, &packets, &bytes) < 0)
		return last_ms;
	while (parse_packet(&packets, &frame) == 0)
		last_ms = packets.block_ms > last_ms ? packets.block_ms : last_ms;
	free(bytes);
	return last_ms;
}

/* As its head tells it; of one that was not completed, what its last frame tells. */
static int64_t duration_ns(const struct source *source)
{
	const struct recording *recording = &source->recording;
	const struct recording_cluster *last;
	int64_t last_ms;

	if (recording->complete && recording->duration_ns > 0)
		return recording->duration_ns;
	if (recording->count == 0)
		return 0;
	last = &recording->cluster[recording->count - 1];
	last_ms = last->time_ms;
	if (recording->format.kind != WEIR_KIND_VIDEO)
		last_ms = last_packet_ms(recording, recording->count - 1);
	else if (last->frames > 0)
		(void)!recording_frame_ms(recording, recording->count - 1, last->frames - 1, &last_ms);
	return last_ms * MS + source_frame_ns(&recording->format);
}

/* The last one that is not later, however many were dropped before it. */
static int seek_picture(struct source *source, int64_t position_ns)
{
	const struct recording *recording = &source->recording;
	uint32_t first = 0, end = recording->cluster[source->cluster].frames;

	while (end - first > 1) {
		const uint32_t middle = first + (end - first) / 2;
		int64_t ms;
		int r = recording_frame_ms(recording, source->cluster, middle, &ms);

		if (r < 0)
			return r;
		if (ms * MS <= position_ns)
			first = middle;
		else
			end = middle;
	}
	source->frame = first;
	return 0;
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

/* To the file that has the position, which becomes one in it; beyond the end: to the last one. */
static int seek_file(struct source *source, int64_t *position_ns)
{
	int64_t length_ns;

	while (*position_ns >= (length_ns = duration_ns(source))) {
		const size_t file = source->file;
		int r = source_next_file(source);

		if (r == -ENODATA) {
			source->file = file;
			return open_file(source);
		}
		if (r < 0)
			return r;
		*position_ns -= length_ns;
	}
	return 0;
}

int source_seek(struct source *source, int64_t position_ns)
{
	const struct recording *recording = &source->recording;
	int r;

	source->file = 0;
	r = open_next(source);
	if (r < 0)
		return r;
	if (source->is_raw) {
		const int64_t step_ns = source_frame_ns(source_format(source));
		const uint64_t frame = step_ns > 0 ? (uint64_t)(position_ns / step_ns) : 0;

		source->frame = frame < source->frames ? frame : source->frames - 1;
		return 0;
	}
	r = seek_file(source, &position_ns);
	if (r < 0)
		return r;
	if (recording->count == 0)
		return 0;
	while (source->cluster + 1 < recording->count &&
		recording->cluster[source->cluster + 1].time_ms * MS <= position_ns)
		source->cluster++;
	if (recording->format.kind != WEIR_KIND_VIDEO)
		return seek_packet(source, position_ns);
	return seek_picture(source, position_ns);
}
