/* SPDX-License-Identifier: MIT */
/* A file with nothing but raw frames as a source. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/log.h>

#include "source.h"

#define NS INT64_C(1000000000)

#define FRAME_MAX_NS (24 * 3600 * NS) /* a rate that says longer is none */

/* Whether a file can be read past the page cache at multiples of its frame's size. */
static bool can_be_direct(int fd, uint32_t frame_bytes)
{
	struct statx status;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) < 0 || (status.stx_mask & STATX_DIOALIGN) == 0 ||
		status.stx_dio_offset_align == 0)
		return frame_bytes % MATROSKA_PAGE == 0;
	return frame_bytes % status.stx_dio_offset_align == 0 && MATROSKA_PAGE % status.stx_dio_mem_align == 0;
}

int rawfile_open(struct source *source, const char *path)
{
	struct recording *recording = &source->recording;
	const uint32_t frame_bytes = recording->format.payload_bytes;
	struct stat status;

	recording->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (recording->fd < 0 || fstat(recording->fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	source->frames = (uint64_t)status.st_size / frame_bytes;
	if (source->frames > 0 && (uint64_t)status.st_size % frame_bytes != 0)
		weir_log(WEIR_LOG_WARNING, "recording",
			"%s: %llu frames of %u bytes, and a rest: see whether format, width and height are right", path,
			(unsigned long long)source->frames, frame_bytes);
	source->is_direct = can_be_direct(recording->fd, frame_bytes);
	if (source->is_direct)
		recording->direct_fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (recording->direct_fd < 0)
		source->is_direct = false;
	return source->frames > 0 ? 0 : -ENODATA;
}

int64_t source_frame_ns(const struct weir_format *format)
{
	const int64_t ns = format->rate_num > 0 ? NS * format->rate_den / format->rate_num : 0;

	return ns <= FRAME_MAX_NS ? ns : 0;
}

int rawfile_next(struct source *source, struct place *place)
{
	const struct weir_format *format = source_format(source);
	const int64_t duration_ns = source_frame_ns(format);

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
