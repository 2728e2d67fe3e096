/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "index.h"
#include "recording.h"

#define NS_PER_S     INT64_C(1000000000)
#define MARGIN_BYTES 65536 /* what file systems take for themselves, for the files being written */

struct file {
	char name[SEGMENT_NAME_BYTES];
	uint64_t bytes;
	size_t place; /* in the index, from 1 on; 0: none */
};

struct store {
	char name[STORE_NAME_BYTES];
	int directory_fd;
	struct index index;
	uint64_t quota_bytes, floor_bytes;
	struct file *file; /* complete ones, oldest first */
	size_t count, room;
	uint64_t bytes, reserved_bytes; /* of complete files, and for those being written */
	uint64_t deleted, recovered;
};

int store_directory(const struct store *store)
{
	return store->directory_fd;
}

bool store_is_at(const struct store *store, const char *path)
{
	struct stat ours, named;

	return fstat(store->directory_fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev;
}

void store_name(const struct store *store, int64_t wall_ns, char name[SEGMENT_NAME_BYTES])
{
	time_t seconds = wall_ns / NS_PER_S;
	struct tm utc;
	char text[32];

	gmtime_r(&seconds, &utc);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%S", &utc);
	snprintf(name, SEGMENT_NAME_BYTES, "%s-%s.%06uZ.mkv", store->name, text,
		(unsigned)(wall_ns % NS_PER_S / 1000) % 1000000);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static int add_file(struct store *store, const char *name, uint64_t bytes)
{
	if (store->count == store->room) {
		size_t room = store->room * 2 + 64;
		struct file *file = realloc(store->file, room * sizeof(*file));

		if (file == NULL)
			return -ENOMEM;
		store->file = file;
		store->room = room;
	}
	store->file[store->count].place = 0;
	snprintf(store->file[store->count].name, SEGMENT_NAME_BYTES, "%s", name);
	store->file[store->count++].bytes = bytes;
	store->bytes += bytes;
	return 0;
}

static int delete_oldest(struct store *store)
{
	struct file *oldest = store->file;

	if (store->count == 0)
		return -ENOENT;
	if (unlinkat(store->directory_fd, oldest->name, 0) < 0 && errno != ENOENT)
		return -errno;
	index_add_deleted(&store->index, oldest->name);
	store->bytes -= oldest->bytes;
	store->deleted++;
	memmove(oldest, oldest + 1, --store->count * sizeof(*oldest));
	return 0;
}

static uint64_t free_bytes(const struct store *store)
{
	struct statvfs fs;

	if (fstatvfs(store->directory_fd, &fs) < 0)
		return UINT64_MAX; /* then the write will say what is wrong */
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

int store_reserve(struct store *store, uint64_t bytes)
{
	uint64_t now;

	/* Nothing is deleted for what would not help. */
	if (store->quota_bytes > 0 && store->reserved_bytes + bytes + MARGIN_BYTES > store->quota_bytes)
		return -EDQUOT;
	now = free_bytes(store);
	if (now < UINT64_MAX - store->bytes && now + store->bytes < bytes + store->floor_bytes)
		return -ENOSPC;
	while (store->quota_bytes > 0 &&
		store->bytes + store->reserved_bytes + bytes + MARGIN_BYTES > store->quota_bytes)
		if (delete_oldest(store) < 0)
			return -EDQUOT;
	for (now = free_bytes(store); now < bytes || now - bytes < store->floor_bytes; now = free_bytes(store))
		if (delete_oldest(store) < 0)
			return -ENOSPC;
	store->reserved_bytes += bytes;
	return 0;
}

void store_unreserve(struct store *store, uint64_t bytes)
{
	store->reserved_bytes -= bytes;
}

static uint64_t disk_bytes(const struct store *store, const char *name)
{
	struct stat status;

	return fstatat(store->directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)status.st_blocks * 512
										     : 0;
}

int store_enter(
	struct store *store, const struct weir_format *format, const struct segment_stats *segment, uint64_t dropped)
{
	int r = add_file(store, segment->name, disk_bytes(store, segment->name));

	return r < 0 ? r : index_add_segment(&store->index, format, segment, dropped, false);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static bool is_ours(const struct store *store, const char *name)
{
	const size_t prefix = strlen(store->name), length = strlen(name);

	return length < SEGMENT_NAME_BYTES && length == prefix + strlen("-YYYYMMDDTHHMMSS.uuuuuuZ.mkv") &&
	       strncmp(name, store->name, prefix) == 0 && name[prefix] == '-' && strcmp(name + length - 4, ".mkv") == 0;
}

static uint64_t count_frames(const struct recording *recording)
{
	uint64_t frames = 0;

	for (size_t i = 0; i < recording->count; i++) {
		struct parse_packets packets;
		struct weir_frame frame;
		uint8_t *bytes;

		frames += recording->cluster[i].frames;
		if (recording->format.kind == WEIR_KIND_VIDEO ||
			recording_read_packets(recording, i, &packets, &bytes) < 0)
			continue;
		while (parse_packet(&packets, &frame) == 0)
			frames++;
		free(bytes);
	}
	return frames;
}

/* A file that its recorder did not complete. What was reserved for it is given back; the curtain stays: writes of the
 * dead recorder may still arrive behind it. */
static void recover(struct store *store, const char *name)
{
	struct segment_stats stats = { .first_pts_ns = WEIR_TIME_NONE, .last_pts_ns = WEIR_TIME_NONE };
	struct recording recording;

	if (recording_open(&recording, store->directory_fd, name) < 0)
		return; /* nothing of ours: it is left alone */
	if (recording.count == 0) {
		unlinkat(store->directory_fd, name, 0);
	} else {
		int fd = openat(store->directory_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

		if (fd >= 0) {
			if (recording.file_bytes > recording.end + MATROSKA_PAGE)
				(void)!ftruncate(fd, (off_t)(recording.end + MATROSKA_PAGE));
			close(fd);
		}
		snprintf(stats.name, sizeof(stats.name), "%s", name);
		stats.committed_bytes = recording.end;
		stats.committed_frames = count_frames(&recording);
		index_add_segment(&store->index, &recording.format, &stats, 0, true);
		store->recovered++;
	}
	recording_close(&recording);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static int by_place(const void *a, const void *b)
{
	const size_t x = ((const struct file *)a)->place - 1, y = ((const struct file *)b)->place - 1; /* none: last */

	return x != y ? (x > y) - (x < y) : by_name(a, b);
}

/* Oldest first is as the index has them: names tell the time of a clock that may have been set back. */
static int put_in_order(struct store *store)
{
	char **name, file[SEGMENT_NAME_BYTES];
	size_t count;
	int r;

	snprintf(file, sizeof(file), "%s.jsonl", store->name);
	r = index_read(store->directory_fd, file, &name, &count);
	for (size_t i = 0; i < count; i++) {
		struct file key, *found = NULL;

		snprintf(key.name, sizeof(key.name), "%s", name[i]);
		if (store->count > 0)
			found = bsearch(&key, store->file, store->count, sizeof(key), by_name);
		if (found != NULL && found->place == 0)
			found->place = i + 1;
		free(name[i]);
	}
	free(name);
	if (store->count > 0)
		qsort(store->file, store->count, sizeof(*store->file), by_place);
	return r;
}

static int read_directory(struct store *store)
{
	int fd = openat(store->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (directory == NULL) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(directory)) != NULL)
		if (is_ours(store, entry->d_name))
			r = add_file(store, entry->d_name, 0);
	closedir(directory);
	if (store->count > 0)
		qsort(store->file, store->count, sizeof(*store->file), by_name);
	return r;
}

/* Recovers what is not in the index, and takes stock. */
static int take_stock(struct store *store)
{
	size_t kept = 0;
	int r = read_directory(store);

	if (r < 0)
		return r;
	for (size_t i = 0; i < store->count; i++) {
		struct file *file = &store->file[i];

		if (!index_has(&store->index, file->name))
			recover(store, file->name);
		if (faccessat(store->directory_fd, file->name, F_OK, 0) < 0)
			continue;
		file->bytes = disk_bytes(store, file->name);
		store->bytes += file->bytes;
		store->file[kept++] = *file;
	}
	store->count = kept;
	return put_in_order(store);
}

static int explain(const struct store_config *config, int status, char *error, size_t size)
{
	switch (status) {
	case -EBUSY:
		snprintf(error, size, "%s: another recorder writes %s here: stop it, or give another name or directory",
			config->path, config->name);
		break;
	case -ENOENT: snprintf(error, size, "%s: the folder that it is to be in does not exist", config->path); break;
	case -EACCES:
		snprintf(error, size, "%s: not permitted; whoever runs this must be able to write there", config->path);
		break;
	case -EROFS: snprintf(error, size, "%s: the file system is mounted read-only", config->path); break;
	default: snprintf(error, size, "%s: %s", config->path, strerror(-status));
	}
	return status;
}

int store_open(struct store **store, const struct store_config *config, char *error, size_t size)
{
	struct store *made = calloc(1, sizeof(*made));
	int r = 0;

	if (made == NULL)
		return explain(config, -ENOMEM, error, size);
	made->directory_fd = made->index.fd = -1;
	made->quota_bytes = config->quota_bytes;
	made->floor_bytes = config->floor_bytes;
	snprintf(made->name, sizeof(made->name), "%s", config->name);
	if (mkdir(config->path, 0750) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0)
		made->directory_fd = open(config->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && made->directory_fd < 0)
		r = -errno;
	if (r == 0)
		r = index_open(&made->index, made->directory_fd, made->name);
	if (r == 0)
		r = take_stock(made);
	if (r < 0) {
		store_close(&made);
		return explain(config, r, error, size);
	}
	if (*store != NULL) {
		made->deleted += (*store)->deleted;
		made->recovered += (*store)->recovered;
		store_close(store);
	}
	*store = made;
	return 0;
}

void store_close(struct store **store)
{
	struct store *old = *store;

	if (old == NULL)
		return;
	index_close(&old->index);
	if (old->directory_fd >= 0)
		close(old->directory_fd);
	free(old->file);
	free(old);
	*store = NULL;
}

void store_stats(const struct store *store, struct store_stats *stats)
{
	*stats = (struct store_stats){
		.files = store->count, .bytes = store->bytes, .deleted = store->deleted, .recovered = store->recovered
	};
}
