/* SPDX-License-Identifier: MIT */
#include "index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <weir/result.h>

#define LINE_BYTES 2048
#define OPEN_TRIES 10

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool index_has(const struct index *index, const char *file)
{
	return index->count > 0 && bsearch(&file, index->name, index->count, sizeof(*index->name), compare) != NULL;
}

/* Of lines that are broken nothing is believed. */
static int learn(char ***name, size_t *count, size_t *room, const char *line)
{
	json_t *object = json_loads(line, 0, NULL);
	const char *type = NULL, *file = NULL;
	int r = 0;

	if (json_unpack(object, "{s:s, s:s}", "type", &type, "file", &file) == 0 && strcmp(type, "segment") == 0) {
		if (*count == *room) {
			size_t more = *room * 2 + 64;
			char **names = realloc(*name, more * sizeof(*names));

			if (names != NULL) {
				*name = names;
				*room = more;
			}
		}
		if (*count < *room && ((*name)[*count] = strdup(file)) != NULL)
			(*count)++;
		else
			r = -ENOMEM;
	}
	json_decref(object);
	return r;
}

int index_read(int directory_fd, const char *file, char ***name, size_t *count)
{
	int fd = openat(directory_fd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
	FILE *from = fd >= 0 ? fdopen(fd, "r") : NULL;
	size_t size = 0, room = 0;
	char *line = NULL;

	*name = NULL;
	*count = 0;
	while (from != NULL && r == 0 && getline(&line, &size, from) >= 0)
		r = learn(name, count, &room, line);
	free(line);
	if (from != NULL)
		fclose(from);
	else if (fd >= 0)
		close(fd);
	return r;
}

/* Copies the lines of files that exist, learns their names, and counts the others. */
static int read_lines(struct index *index, int directory_fd, FILE *from, FILE *to, size_t *stale)
{
	char *line = NULL;
	size_t size = 0, room = 0;
	int r = 0;

	while (r == 0 && getline(&line, &size, from) >= 0) {
		const size_t before = index->count;

		r = learn(&index->name, &index->count, &room, line);
		if (index->count > before &&
			faccessat(directory_fd, index->name[index->count - 1], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			fputs(line, to);
		else
			(*stale)++;
	}
	free(line);
	if (index->count > 0)
		qsort(index->name, index->count, sizeof(*index->name), compare);
	return r;
}

/* What is told of deleted files is left out from time to time, or the index would grow for ever. */
static int replace(struct index *index, int directory_fd, const char *file, const char *next, FILE *to)
{
	int fd;

	if (fflush(to) != 0 || fsync(fileno(to)) < 0)
		return 0; /* later, then */
	fd = openat(directory_fd, next, O_RDWR | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || renameat(directory_fd, next, directory_fd, file) < 0) {
		close(fd);
		return 0;
	}
	close(index->fd);
	index->fd = fd;
	return 0;
}

static int load(struct index *index, int directory_fd, const char *file)
{
	char next[SEGMENT_NAME_BYTES + 16];
	int from_fd = openat(directory_fd, file, O_RDONLY | O_CLOEXEC), to_fd, r = -EIO;
	FILE *from, *to;
	size_t stale = 0;

	snprintf(next, sizeof(next), "%s.new", file);
	to_fd = openat(directory_fd, next, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	from = from_fd >= 0 ? fdopen(from_fd, "r") : NULL;
	to = to_fd >= 0 ? fdopen(to_fd, "w") : NULL;
	if (from == NULL || to == NULL) {
		r = -errno;
		goto fail;
	}
	r = read_lines(index, directory_fd, from, to, &stale);
	if (r == 0 && stale > 0)
		r = replace(index, directory_fd, file, next, to);
fail:
	if (from != NULL)
		fclose(from);
	else if (from_fd >= 0)
		close(from_fd);
	if (to != NULL)
		fclose(to);
	else if (to_fd >= 0)
		close(to_fd);
	unlinkat(directory_fd, next, 0);
	return r;
}

/* The file of this name, locked: not one that another recorder is just putting another one in the place of. */
static int open_locked(int directory_fd, const char *file)
{
	struct stat mine, named;
	int fd, r;

	for (int i = 0; i < OPEN_TRIES; i++) {
		fd = openat(directory_fd, file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
		if (fd < 0)
			return -errno;
		r = flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &mine) < 0 ? -errno : 0;
		if (r == 0 && fstatat(directory_fd, file, &named, 0) == 0 && named.st_ino == mine.st_ino &&
			named.st_dev == mine.st_dev)
			return fd;
		close(fd);
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

int index_open(struct index *index, int directory_fd, const char *name)
{
	char file[SEGMENT_NAME_BYTES];
	int r;

	*index = (struct index){ .fd = -1 };
	snprintf(file, sizeof(file), "%s.jsonl", name);
	r = index->fd = open_locked(directory_fd, file);
	if (r >= 0)
		r = load(index, directory_fd, file);
	if (r == -EWOULDBLOCK)
		r = -EBUSY;
	if (r < 0)
		index_close(index);
	return r < 0 ? r : 0;
}

void index_close(struct index *index)
{
	if (index->fd >= 0)
		close(index->fd);
	for (size_t i = 0; i < index->count; i++)
		free(index->name[i]);
	free(index->name);
	*index = (struct index){ .fd = -1 };
}

static int add_line(struct index *index, const char *line, int size)
{
	struct stat status;
	ssize_t done;

	if (size < 0 || size >= LINE_BYTES || fstat(index->fd, &status) < 0)
		return -EOVERFLOW;
	do
		done = write(index->fd, line, (size_t)size);
	while (done < 0 && errno == EINTR);
	if (done == size)
		return 0;
	if (done > 0)
		(void)!ftruncate(index->fd, status.st_size);
	return done < 0 ? -errno : -ENOSPC;
}

static void utc(int64_t wall_ns, char text[40])
{
	time_t seconds = wall_ns / 1000000000;
	struct tm tm;
	size_t used;

	gmtime_r(&seconds, &tm);
	used = strftime(text, 40, "\"%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + used, 40 - used, ".%03dZ\"", (int)(wall_ns % 1000000000 / 1000000));
}

static void time_text(int64_t ns, char text[24])
{
	if (ns == WEIR_TIME_NONE)
		strcpy(text, "null");
	else
		snprintf(text, 24, "%" PRId64, ns);
}

int index_add_segment(struct index *index, const struct weir_format *format, const struct segment_stats *segment,
	uint64_t dropped, bool recovered)
{
	static const char *const kinds[] = { "", "video", "encoded", "audio", "other" };
	const bool raw = format->kind == WEIR_KIND_VIDEO;
	char line[LINE_BYTES], file[SEGMENT_NAME_BYTES * 2], media[64], start[40] = "null", first[24], last[24];
	int size;

	snprintf(media, sizeof(media), "%.*s", (int)strcspn(format->caps, ", ;"), format->caps);
	if (weir_json_string(segment->name, file, sizeof(file)) < 0)
		return -EINVAL;
	if (segment->first_wall_ns > 0)
		utc(segment->first_wall_ns, start);
	time_text(segment->first_pts_ns, first);
	time_text(segment->last_pts_ns, last);
	size = snprintf(line, sizeof(line),
		"{\"v\":1,\"type\":\"segment\",\"file\":%s,\"kind\":\"%s\",\"format\":\"%s\",\"width\":%" PRIu32
		",\"height\":%" PRIu32 ",\"frames\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"dropped\":%" PRIu64
		",\"start\":%s,\"first_pts_ns\":%s,\"last_pts_ns\":%s,\"duration_ns\":%" PRId64 ",\"complete\":%s}\n",
		file, kinds[format->kind], raw ? weir_pixel_name(format->pixel) : media, format->width, format->height,
		segment->committed_frames, segment->committed_bytes, dropped, start, first, last, segment->span_ns,
		recovered || segment->error < 0 ? "false" : "true");
	return add_line(index, line, size);
}

int index_add_deleted(struct index *index, const char *file)
{
	char line[LINE_BYTES], name[SEGMENT_NAME_BYTES * 2];

	if (weir_json_string(file, name, sizeof(name)) < 0)
		return -EINVAL;
	return add_line(
		index, line, snprintf(line, sizeof(line), "{\"v\":1,\"type\":\"deleted\",\"file\":%s}\n", name));
}
