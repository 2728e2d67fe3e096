/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

int64_t rig_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->wall_s = 1700000000;
	/* In the build directory: /tmp may be memory. */
	snprintf(rig->directory, sizeof(rig->directory), "record-XXXXXX");
	assert_non_null(mkdtemp(rig->directory));
}

void rig_close(struct rig *rig)
{
	DIR *directory;
	struct dirent *entry;

	weir_back_local_free(&rig->back);
	weir_writer_free(&rig->writer);
	weir_reader_free(&rig->reader);
	weir_ring_free(&rig->ring);
	directory = opendir(rig->directory);
	while (directory != NULL && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory != NULL)
		closedir(directory);
	rmdir(rig->directory);
}

struct weir_format rig_raw(uint32_t pixel, uint32_t width, uint32_t height)
{
	struct weir_format format;

	assert_int_equal(weir_format_video(&format, pixel, width, height), 0);
	format.rate_num = 25;
	format.rate_den = 1;
	return format;
}

struct weir_format rig_h264(void)
{
	struct weir_format format = { .kind = WEIR_KIND_ENCODED, .payload_bytes = 65536 };

	strcpy(format.caps, "video/x-h264, stream-format=(string)avc, alignment=(string)au, width=(int)320, "
			    "height=(int)240, framerate=(fraction)25/1, codec_data=(buffer)0142c00dffe1000467420001"
			    "01000468ce3c80");
	return format;
}

struct weir_format rig_sound(const char *caps, uint32_t bytes)
{
	struct weir_format format = { .kind = WEIR_KIND_ENCODED, .payload_bytes = bytes };

	if (strncmp(caps, "audio/x-raw", 11) == 0)
		format.kind = WEIR_KIND_AUDIO;
	strcpy(format.caps, caps);
	return format;
}

static void sink(void *data, const struct weir_message *message)
{
	struct rig *rig = data;

	/* Events, and the answers to rig_ask(). */
	if (message->size == sizeof(rig->status)) {
		memcpy(&rig->status, message->data, sizeof(rig->status));
		rig->told++;
	}
	if (message->type == WEIR_EVENT_WANT_RING && message->size == sizeof(rig->want)) {
		memcpy(&rig->want, message->data, sizeof(rig->want));
		rig->wants++;
	}
	if (message->type == WEIR_EVENT_SOURCE && message->size == sizeof(rig->source))
		memcpy(&rig->source, message->data, sizeof(rig->source));
}

static void make_ring(struct rig *rig, const struct weir_format *format, struct weir_policy *policy)
{
	struct weir_ring_config config = { .format = *format, .slot_count = 2 * policy->max_held + 6 };
	struct weir_ring_fds fds;

	assert_int_equal(weir_ring_create(&rig->ring, &config), 0);
	assert_int_equal(weir_ring_attach(rig->ring, policy, &rig->end), 0);
	assert_int_equal(weir_ring_writer_fds(rig->ring, &fds), 0);
	assert_int_equal(weir_writer_open(&rig->writer, &fds), 0);
}

void rig_change(struct rig *rig, const struct weir_format *format, struct weir_policy policy)
{
	struct weir_ring_fds fds;

	policy.async_io = 1;
	policy.max_held = policy.max_held != 0 ? policy.max_held : 8;
	if (rig->writer != NULL)
		weir_writer_end(rig->writer);
	weir_writer_free(&rig->writer);
	weir_ring_free(&rig->ring);
	make_ring(rig, format, &policy);
	rig->published = 0;
	assert_int_equal(weir_ring_reader_fds(rig->ring, rig->end, &fds), 0);
	assert_int_equal(weir_back_local_ring(rig->back, 0, &fds), 0);
}

void rig_record(struct rig *rig, const struct weir_format *format, struct weir_policy policy, const char *more)
{
	char args[1024];

	snprintf(args, sizeof(args), "{\"directory\":\"%s\",\"name\":\"cam\"%s%s}", rig->directory,
		strstr(more, "floor_mb") == NULL ? ",\"floor_mb\":0" : "", more);
	memset(&rig->status, 0, sizeof(rig->status));
	assert_int_equal(weir_back_create_local(&rig->back, &recorder_backend, args, sink, rig), 0);
	rig_change(rig, format, policy);
}

const struct weir_record_status *rig_ask(struct rig *rig)
{
	assert_int_equal(weir_back_local_command(rig->back, WEIR_COMMAND_RECORD_STATUS, NULL, 0), 0);
	return &rig->status;
}

void rig_stop(struct rig *rig)
{
	weir_back_local_free(&rig->back);
}

void rig_play(struct rig *rig, const char *source, const char *more)
{
	char args[1024];

	snprintf(args, sizeof(args), "{\"source\":\"%s\"%s}", source, more);
	assert_int_equal(weir_back_create_local(&rig->back, &player_backend, args, sink, rig), 0);
}

void rig_give_ring(struct rig *rig)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 20 * SECOND, .max_held = 2 };
	struct weir_ring_fds fds;

	RIG_UNTIL(rig, rig->wants > 0);
	rig->wants--;
	weir_reader_free(&rig->reader);
	weir_ring_free(&rig->ring);
	rig->want.slot_count = rig->want.loans + 8;
	assert_int_equal(weir_ring_create(&rig->ring, &rig->want), 0);
	assert_int_equal(weir_ring_attach(rig->ring, &policy, &rig->end), 0);
	assert_int_equal(weir_ring_writer_fds(rig->ring, &fds), 0);
	assert_int_equal(weir_back_local_ring(rig->back, 0, &fds), 0);
	assert_int_equal(weir_ring_reader_fds(rig->ring, rig->end, &fds), 0);
	assert_int_equal(weir_reader_open(&rig->reader, &fds), 0);
}

void rig_renew(struct rig *rig)
{
	assert_int_equal(weir_back_local_command(rig->back, WEIR_COMMAND_RENEW, NULL, 0), 0);
}

int rig_take(struct rig *rig, struct weir_frame *frame)
{
	const int64_t until_ns = rig_now_ns() + PATIENCE_S * SECOND;
	int r;

	while ((r = weir_reader_acquire(rig->reader, frame)) == -EAGAIN && rig_now_ns() < until_ns)
		rig_turn(rig);
	return r;
}

void rig_fill(uint8_t *bytes, size_t size, uint64_t sequence)
{
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = sequence * UINT64_C(0x9e3779b97f4a7c15) + i;

		memcpy(bytes + i, &word, size - i < sizeof(word) ? size - i : sizeof(word));
	}
}

bool rig_is_filled(const uint8_t *bytes, size_t size, uint64_t sequence)
{
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = sequence * UINT64_C(0x9e3779b97f4a7c15) + i;

		if (memcmp(bytes + i, &word, size - i < sizeof(word) ? size - i : sizeof(word)) != 0)
			return false;
	}
	return true;
}

uint32_t rig_size(const struct weir_format *format, uint64_t sequence)
{
	if (format->kind != WEIR_KIND_ENCODED || strncmp(format->caps, "audio/", 6) == 0)
		return format->payload_bytes;
	return (uint32_t)(1 + sequence * 7919 % 20000);
}

bool rig_is_key(const struct weir_format *format, uint64_t sequence)
{
	return format->kind == WEIR_KIND_VIDEO || sequence % 12 == 1;
}

bool rig_try_publish(struct rig *rig)
{
	const struct weir_format *format = weir_ring_format(rig->ring);
	const uint64_t sequence = rig->published + 1;
	struct weir_frame frame;
	uint8_t *payload;
	char *meta;

	if (weir_writer_claim(rig->writer, &frame, &payload) < 0)
		return false;
	frame.size_bytes = rig_size(format, sequence);
	rig_fill(payload, frame.size_bytes, sequence);
	if (rig->packet != NULL)
		memcpy(payload, rig->packet, frame.size_bytes);
	frame.pts_ns = (int64_t)(sequence - 1) * 40000000 + 123; /* not whole milliseconds */
	frame.duration_ns = 40000000;
	frame.dts_ns = frame.pts_ns;
	frame.capture_ns = rig_now_ns();
	frame.wall_ns = rig->wall_s * SECOND + (int64_t)sequence * 40000000;
	frame.flags = rig_is_key(format, sequence) ? WEIR_FRAME_KEY : 0;
	meta = weir_writer_meta(rig->writer, frame.slot);
	frame.meta_bytes = (uint32_t)snprintf(meta, 32, "meta of %llu", (unsigned long long)sequence);
	if (rig->shape != NULL)
		rig->shape(&frame, sequence);
	assert_int_equal(weir_writer_publish(rig->writer, &frame, false), 0);
	rig->published++;
	return true;
}

void rig_turn(struct rig *rig)
{
	rig->ended = weir_back_local_run(rig->back, rig_now_ns() + SECOND / 50);
}

void rig_publish(struct rig *rig, uint32_t count)
{
	const uint64_t goal = rig->published + count;

	while (rig->published < goal) {
		while (rig->published < goal && rig_try_publish(rig))
			;
		RIG_UNTIL(rig, rig->published == goal || rig_try_publish(rig));
	}
}

void rig_record_all(struct rig *rig, const struct weir_format *format, uint32_t frames, const char *more)
{
	static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 20 * SECOND };

	rig_record(rig, format, lossless, more);
	rig_publish(rig, frames);
	weir_writer_end(rig->writer);
	RIG_UNTIL(rig, rig->status.committed == frames);
	rig_stop(rig);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

size_t rig_files(const struct rig *rig, char name[][SEGMENT_NAME_BYTES], size_t room)
{
	DIR *directory = opendir(rig->directory);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		if (strstr(entry->d_name, ".mkv") == NULL)
			continue;
		assert_true(count < room);
		snprintf(name[count++], SEGMENT_NAME_BYTES, "%.127s", entry->d_name);
	}
	closedir(directory);
	qsort(name, count, SEGMENT_NAME_BYTES, by_name);
	return count;
}

void rig_path(const struct rig *rig, const char *name, char path[256])
{
	snprintf(path, 256, "%s/%s", rig->directory, name);
}

void rig_check_frame(const struct weir_format *format, const struct weir_frame *frame, const uint8_t *bytes)
{
	char meta[32];

	assert_true(frame->sequence > 0);
	assert_int_equal(frame->pts_ns, (int64_t)(frame->sequence - 1) * 40000000 + 123);
	assert_int_equal(frame->dts_ns, frame->pts_ns);
	assert_int_equal(frame->duration_ns, 40000000);
	assert_int_equal(frame->wall_ns, INT64_C(1700000000) * SECOND + (int64_t)frame->sequence * 40000000);
	assert_int_equal(frame->size_bytes, rig_size(format, frame->sequence));
	assert_int_equal((frame->flags & WEIR_FRAME_KEY) != 0, rig_is_key(format, frame->sequence));
	snprintf(meta, sizeof(meta), "meta of %llu", (unsigned long long)frame->sequence);
	assert_int_equal(frame->meta_bytes, strlen(meta));
	assert_memory_equal(frame->meta, meta, strlen(meta));
	if (!rig_is_filled(bytes, frame->size_bytes, frame->sequence))
		fail_msg("the bytes of frame %llu are not its own", (unsigned long long)frame->sequence);
}

struct tally {
	uint32_t frames;
	uint64_t first, last;
};

static void note(struct tally *tally, uint64_t sequence)
{
	if (tally->frames++ == 0)
		tally->first = sequence;
	else
		assert_true(sequence > tally->last);
	tally->last = sequence;
}

static void check_raw(const struct recording *recording, const struct recording_cluster *cluster, struct tally *tally)
{
	uint8_t *bytes = malloc(recording->frame_bytes);

	assert_non_null(bytes);
	for (uint32_t i = 0; i < cluster->frames; i++) {
		uint64_t offset = cluster->offset + MATROSKA_PAGE + i * recording->frame_bytes;
		struct weir_frame frame;

		assert_int_equal(
			pread(recording->fd, bytes, recording->frame_bytes, (off_t)offset), recording->frame_bytes);
		assert_int_equal(parse_frame_page(&frame, bytes, recording->format.payload_bytes, cluster->time_ms), 0);
		rig_check_frame(&recording->format, &frame, bytes + MATROSKA_PAGE);
		note(tally, frame.sequence);
	}
	free(bytes);
}

static void check_packets(const struct recording *recording, size_t cluster, struct tally *tally)
{
	struct parse_packets packets;
	struct weir_frame frame;
	uint8_t *bytes;

	assert_int_equal(recording_read_packets(recording, cluster, &packets, &bytes), 0);
	while (parse_packet(&packets, &frame) == 0) {
		rig_check_frame(&recording->format, &frame, frame.data);
		note(tally, frame.sequence);
	}
	assert_int_equal(packets.at, packets.size);
	free(bytes);
}

uint32_t rig_check_file(const struct rig *rig, const char *name, uint64_t *first, uint64_t *last)
{
	struct recording recording;
	struct tally tally = { 0 };
	char path[256];

	rig_path(rig, name, path);
	assert_int_equal(recording_open(&recording, AT_FDCWD, path), 0);
	for (size_t i = 0; i < recording.count; i++)
		if (recording.format.kind == WEIR_KIND_VIDEO)
			check_raw(&recording, &recording.cluster[i], &tally);
		else
			check_packets(&recording, i, &tally);
	recording_close(&recording);
	if (first != NULL)
		*first = tally.first;
	if (last != NULL)
		*last = tally.last;
	return tally.frames;
}

void rig_command(char *output, size_t size, const char *format, ...)
{
	char command[1024];
	va_list args;
	size_t used;
	FILE *pipe;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	used = fread(output, 1, size - 1, pipe);
	output[used] = '\0';
	status = pclose(pipe);
	if (status != 0)
		fail_msg("%s: status %d: %s", command, status, output);
}
