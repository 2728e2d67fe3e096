/* SPDX-License-Identifier: MIT */
/* Files that somebody has cut, changed or made up, as a source: no byte is believed, and what is whole is played. */
#include "fixture.h"

#include <fcntl.h>

#include <weir/log.h>

#include "source.h"

#define FILES_MAX  4
#define BYTES_MAX  (1 << 20)
#define FRAMES_MAX 1000000

/* WEIR_LONG=1: at every length, and so many more changes. */
#define IS_LONG (getenv("WEIR_LONG") != NULL)

static char files[FILES_MAX][SEGMENT_NAME_BYTES], path[256], error[512];
static uint8_t bytes[BYTES_MAX], changed[BYTES_MAX];
static size_t size;

static int setup_quiet(void **state)
{
	weir_log_set(NULL, NULL, -1);
	return setup(state);
}

/* A recording in several clusters; its bytes, and a copy of it to be spoiled. */
static void record(const struct weir_format *format, uint32_t frames)
{
	int fd;

	rig_record_all(&rig, format, frames, "");
	assert_int_equal(rig_files(&rig, files, FILES_MAX), 1);
	rig_path(&rig, files[0], path);
	fd = open(path, O_RDONLY);
	size = (size_t)read(fd, bytes, sizeof(bytes));
	assert_in_range(size, 1, sizeof(bytes) - 1);
	close(fd);
	rig_path(&rig, "spoiled.mkv", path);
}

static void spoil(const uint8_t *with, size_t length)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_int_equal(write(fd, with, length), length);
	close(fd);
}

/* Reads what is told to be there. */
static int look_at(const struct source *source, const struct place *place)
{
	struct weir_frame frame;
	uint8_t page[MATROSKA_PAGE];

	if (source_format(source)->kind != WEIR_KIND_VIDEO) {
		uint32_t sum = 0;

		for (uint32_t i = 0; i < place->frame.size_bytes; i++)
			sum += place->frame.data[i];
		return sum != UINT32_MAX;
	}
	if (pread(source->recording.fd, page, sizeof(page), (off_t)place->page_offset) != sizeof(page))
		return 0;
	return parse_frame_page(&frame, page, source_format(source)->payload_bytes, place->cluster_ms) == 0;
}

/* All frames from the beginning, then some seeks. -errno: it cannot be opened. */
static int play_all(void)
{
	struct source source;
	struct place place;
	int frames = 0, r = source_open(&source, path, NULL, error, sizeof(error));

	if (r < 0)
		return r;
	while (frames < FRAMES_MAX && source_next(&source, &place) == 0)
		frames += look_at(&source, &place);
	for (int64_t s = 0; s < 6; s++)
		if (source_seek(&source, s * SECOND) == 0 && source_next(&source, &place) == 0)
			look_at(&source, &place);
	source_close(&source);
	return frames;
}

/* How many frames the clusters hold that end before so many bytes. */
static int frames_within(const struct recording *recording, uint64_t length)
{
	int frames = 0;

	for (size_t i = 0; i < recording->count; i++) {
		const struct recording_cluster *cluster = &recording->cluster[i];
		struct parse_packets packets;
		struct weir_frame frame;
		uint8_t *buffer;

		if (cluster->offset + cluster->bytes > length)
			break;
		frames += (int)cluster->frames;
		if (recording->format.kind == WEIR_KIND_VIDEO)
			continue;
		assert_int_equal(recording_read_packets(recording, i, &packets, &buffer), 0);
		while (parse_packet(&packets, &frame) == 0)
			frames++;
		free(buffer);
	}
	return frames;
}

static void assert_cuts(const struct weir_format *format, uint32_t frames)
{
	const size_t step = IS_LONG ? 1 : 1499;
	struct recording recording;
	size_t next_edge = 0;
	char whole[256];

	record(format, frames);
	rig_path(&rig, files[0], whole);
	assert_int_equal(recording_open(&recording, AT_FDCWD, whole), 0);
	assert_true(recording.count >= 3);
	next_edge = recording.count;
	spoil(bytes, size);
	/* From the end to the beginning, so that the file only has to be cut; each edge exactly. */
	for (size_t length = size;; length = length > step ? length - step : 0) {
		int wanted;

		if (next_edge > 0 && length <= recording.cluster[next_edge - 1].offset + step)
			length = (size_t)recording.cluster[--next_edge].offset;
		for (int beside = 1; beside >= -1; beside--) {
			const size_t at = length + (size_t)beside;

			if ((step == 1 && beside != 0) || at > size)
				continue;
			wanted = frames_within(&recording, at);
			assert_int_equal(truncate(path, (off_t)at), 0);
			if (at < MATROSKA_HEAD_BYTES)
				assert_int_equal(play_all(), -EPROTO);
			else if (play_all() != wanted)
				fail_msg("cut at %zu: %d frames, not %d", at, play_all(), wanted);
		}
		if (length == 0)
			break;
	}
	recording_close(&recording);
}

static void pictures_that_are_cut_at_any_length_play_what_is_committed(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 48, 32);

	assert_cuts(&format, 60);
}

static void packets_that_are_cut_at_any_length_play_what_is_committed(void **state)
{
	struct weir_format format = rig_sound("audio/x-opus, rate=(int)48000, channels=(int)2", 300);

	assert_cuts(&format, 60);
}

static void assert_changes(const struct weir_format *format)
{
	const int rounds = IS_LONG ? 100000 : 500;
	unsigned seed = 5;

	record(format, 60);
	for (int i = 0; i < rounds; i++) {
		memcpy(changed, bytes, size);
		for (int n = 1 + rand_r(&seed) % 6; n > 0; n--) {
			/* Every other one where something stands that means something. */
			size_t at = (size_t)rand_r(&seed) % size;

			if (rand_r(&seed) % 2 != 0)
				at = at / MATROSKA_PAGE * MATROSKA_PAGE +
				     (size_t)(rand_r(&seed) % 2 != 0 ? rand_r(&seed) % 40 : 4095 - rand_r(&seed) % 16);
			changed[at % size] = (uint8_t)(rand_r(&seed) % 4 == 0 ? 0xff : rand_r(&seed));
		}
		spoil(changed, size);
		assert_in_range(play_all() + 4096, 1, 4096 + FRAMES_MAX - 1);
	}
}

static void changed_pictures_do_no_harm(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 48, 32);

	assert_changes(&format);
}

static void changed_packets_do_no_harm(void **state)
{
	struct weir_format format = rig_sound("audio/x-opus, rate=(int)48000, channels=(int)2", 300);

	assert_changes(&format);
}

/* --- heads that lie --- */

static uint8_t *in_note(size_t word)
{
	uint8_t *note = memmem(changed, MATROSKA_HEAD_BYTES, "WEIRFMT1", 8);

	assert_non_null(note);
	return note + 8 + 4 * word;
}

static void put32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void head_that_lies_is_found_out(void **state)
{
	static const struct {
		size_t word; /* of the note: kind, pixel, width, height, rate_num, rate_den, payload_bytes */
		uint32_t value;
		int frames;
	} lies[] = {
		{ 0, WEIR_KIND_ENCODED, 60 },	 /* then they are packets without flags */
		{ 0, 77, -EPROTO },		 /* no such kind */
		{ 1, WEIR_PIXEL_RGBA, -EPROTO }, /* more than the payload has */
		{ 2, 40000, -EPROTO },
		{ 3, 480, -EPROTO },
		{ 4, UINT32_MAX, 60 },
		{ 5, UINT32_MAX, 60 },
		{ 6, 48 * 32 * 2, 0 }, /* larger than each frame's block */
		{ 6, 0, -EPROTO },
		{ 6, UINT32_MAX, 0 },
	};
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 48, 32);

	record(&format, 60);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		int frames;

		memcpy(changed, bytes, size);
		put32(in_note(lies[i].word), lies[i].value);
		spoil(changed, size);
		frames = play_all();
		if (frames != lies[i].frames)
			fail_msg("word %zu: %d", lies[i].word, frames);
	}
}

static void duration_that_lies_is_not_believed(void **state)
{
	static const uint64_t durations[] = { UINT64_MAX, 0x7ff0000000000000, 0xfff0000000000000, 0x8000000000000000,
		0x7fefffffffffffff, 1 };
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 48, 32);
	uint8_t *at;

	record(&format, 60);
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		memcpy(changed, bytes, size);
		at = memmem(changed, MATROSKA_HEAD_BYTES, "\x44\x89\x01\0\0\0\0\0\0\x08", 10);
		assert_non_null(at);
		for (int b = 0; b < 8; b++)
			at[10 + b] = (uint8_t)(durations[i] >> 8 * (7 - b));
		spoil(changed, size);
		assert_int_equal(play_all(), 60);
	}
}

/* A size that is not known, sizes beyond the file, of nothing, and of a part of the cluster. */
static void cluster_of_odd_size_is_the_end(void **state)
{
	static const uint8_t sizes[][8] = {
		{ 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		{ 0x01, 0, 0, 0xff, 0, 0, 0, 0 },
		{ 0x01, 0, 0, 0, 0, 0, 0, 0 },
		{ 0x01, 0, 0, 0, 0, 0, 0x20, 0 },
	};
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 48, 32);
	struct recording recording;
	char whole[256];

	record(&format, 60);
	rig_path(&rig, files[0], whole);
	assert_int_equal(recording_open(&recording, AT_FDCWD, whole), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memcpy(changed, bytes, size);
		memcpy(changed + recording.cluster[1].offset + 4, sizes[i], 8);
		spoil(changed, size);
		assert_int_equal(play_all(), recording.cluster[0].frames);
	}
	recording_close(&recording);
}

#define HOSTILE(test) cmocka_unit_test_setup_teardown(test, setup_quiet, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOSTILE(pictures_that_are_cut_at_any_length_play_what_is_committed),
		HOSTILE(packets_that_are_cut_at_any_length_play_what_is_committed),
		HOSTILE(changed_pictures_do_no_harm),
		HOSTILE(changed_packets_do_no_harm),
		HOSTILE(head_that_lies_is_found_out),
		HOSTILE(duration_that_lies_is_not_believed),
		HOSTILE(cluster_of_odd_size_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
