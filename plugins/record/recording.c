/* SPDX-License-Identifier: MIT */
#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
	uint8_t *to = buffer;

	while (size > 0) {
		ssize_t done = pread(fd, to, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -ENODATA;
		to += done;
		offset += (uint64_t)done;
		size -= (size_t)done;
	}
	return 0;
}

static int add_cluster(struct recording *recording, size_t *room, const struct recording_cluster *cluster)
{
	if (recording->count == *room) {
		size_t more = *room * 2 + 64;
		struct recording_cluster *all = realloc(recording->cluster, more * sizeof(*all));

		if (all == NULL)
			return -ENOMEM;
		recording->cluster = all;
		*room = more;
	}
	recording->cluster[recording->count++] = *cluster;
	return 0;
}

/* How many frames of raw video are in a cluster: all take the same. */
static int count_frames(const struct recording *recording, struct recording_cluster *cluster)
{
	uint64_t content = cluster->bytes - MATROSKA_PAGE;

	if (recording->format.kind != WEIR_KIND_VIDEO)
		return cluster->bytes <= RECORDING_CLUSTER_BYTES_MAX ? 0 : -EPROTO;
	if (cluster->bytes < MATROSKA_PAGE || content % recording->frame_bytes != 0 ||
		content / recording->frame_bytes > UINT32_MAX)
		return -EPROTO;
	cluster->frames = (uint32_t)(content / recording->frame_bytes);
	return 0;
}

static int scan(struct recording *recording)
{
	size_t room = 0;
	int r = 0;

	recording->end = MATROSKA_HEAD_BYTES;
	while (r == 0) {
		struct recording_cluster cluster = { .offset = recording->end };
		struct parse_cluster parsed;
		uint8_t head[MATROSKA_CLUSTER_BYTES];

		if (read_at(recording->fd, head, sizeof(head), cluster.offset) < 0 ||
			parse_cluster(&parsed, head, sizeof(head)) < 0)
			break;
		cluster.bytes = parsed.bytes;
		cluster.head_bytes = parsed.head_bytes;
		cluster.time_ms = parsed.time_ms;
		if (cluster.bytes > recording->file_bytes - cluster.offset || cluster.bytes % MATROSKA_PAGE != 0 ||
			cluster.bytes == 0 || count_frames(recording, &cluster) < 0)
			break;
		r = add_cluster(recording, &room, &cluster);
		recording->end += cluster.bytes;
	}
	return r;
}

/* Only a file that is complete has cues. */
static bool is_complete(const struct recording *recording)
{
	struct ebml_element element;
	uint8_t head[12];

	return read_at(recording->fd, head, sizeof(head), recording->end) == 0 &&
	       ebml_read(&element, head, sizeof(head)) == 0 && element.id == MATROSKA_ID_CUES;
}

static int open_both(struct recording *recording, int directory_fd, const char *name)
{
	struct stat status;

	recording->fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (recording->fd < 0 || fstat(recording->fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : -EPROTO;
	recording->file_bytes = (uint64_t)status.st_size;
	posix_fadvise(recording->fd, 0, 0, POSIX_FADV_RANDOM);
	recording->direct_fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (recording->direct_fd < 0)
		recording->direct_fd = fcntl(recording->fd, F_DUPFD_CLOEXEC, 3);
	return recording->direct_fd < 0 ? -errno : 0;
}

int recording_open(struct recording *recording, int directory_fd, const char *name)
{
	struct recording made = { .fd = -1, .direct_fd = -1 };
	uint8_t head[MATROSKA_HEAD_BYTES];
	int r = open_both(&made, directory_fd, name);

	if (r == 0)
		r = read_at(made.fd, head, sizeof(head), 0);
	if (r == 0)
		r = parse_head(&made.format, &made.duration_ns, head);
	if (r == 0 && made.format.kind == WEIR_KIND_VIDEO) {
		made.frame_bytes = matroska_frame_bytes(made.format.payload_bytes);
		r = made.format.payload_bytes > 0 ? 0 : -EPROTO;
	}
	if (r == 0)
		r = scan(&made);
	if (r < 0) {
		recording_close(&made);
		return r == -ENODATA ? -EPROTO : r;
	}
	made.complete = is_complete(&made);
	*recording = made;
	return 0;
}

void recording_close(struct recording *recording)
{
	if (recording->fd >= 0)
		close(recording->fd);
	if (recording->direct_fd >= 0)
		close(recording->direct_fd);
	free(recording->cluster);
	*recording = (struct recording){ .fd = -1, .direct_fd = -1 };
}

int recording_frame_ms(const struct recording *recording, size_t i, uint32_t frame, int64_t *time_ms)
{
	const struct recording_cluster *cluster = &recording->cluster[i];
	const uint64_t page = cluster->offset + MATROSKA_PAGE + frame * recording->frame_bytes;
	uint8_t block[4]; /* the block's head ends the page: track, time, flags */
	int r = read_at(recording->fd, block, sizeof(block), page + MATROSKA_PAGE - sizeof(block));

	if (r < 0)
		return r;
	*time_ms = cluster->time_ms + (int16_t)(block[1] << 8 | block[2]);
	return 0;
}

int recording_read_packets(const struct recording *recording, size_t i, struct parse_packets *packets, uint8_t **bytes)
{
	const struct recording_cluster *cluster = &recording->cluster[i];
	uint8_t *buffer = malloc(cluster->bytes);
	int r;

	if (buffer == NULL)
		return -ENOMEM;
	r = read_at(recording->fd, buffer, cluster->bytes, cluster->offset);
	if (r < 0) {
		free(buffer);
		return r == -ENODATA ? -EPROTO : r;
	}
	*packets = (struct parse_packets){
		.bytes = buffer + cluster->head_bytes,
		.size = cluster->bytes - cluster->head_bytes,
		.cluster_ms = cluster->time_ms,
	};
	*bytes = buffer;
	return 0;
}
