/* SPDX-License-Identifier: MIT */
/* What is in a file after each single write, when writes come to their ends in any order: a crash at that moment leaves
 * exactly this. The disk is this test: it writes what it likes, when it likes. */
#include "rig.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "engine.h"

#define OPS_MAX	   256
#define FRAMES_MAX 64

static struct engine_op *waiting[OPS_MAX];
static uint32_t waits;
static unsigned seed;

void __wrap_engine_submit(struct engine *engine, struct engine_op *op);
void __wrap_engine_flush(struct engine *engine);

void __wrap_engine_submit(struct engine *engine, struct engine_op *op)
{
	assert_true(waits < OPS_MAX);
	waiting[waits++] = op;
}

void __wrap_engine_flush(struct engine *engine)
{
}

/* --- */

struct scene {
	struct rig rig;
	struct weir_format format;
	struct codec codec;
	int directory_fd;
	struct segment *segment;
	uint64_t next;
	uint32_t released;
};

static int may_reserve(void *data, uint64_t bytes)
{
	return 0;
}

/* A slot that is given back is written again at once. */
static void release(void *data, struct item *item)
{
	struct scene *scene = data;

	memset((void *)(uintptr_t)item->frame.data, 0xee, item->frame.size_bytes);
	free((void *)(uintptr_t)item->frame.data);
	free(item);
	scene->released++;
}

static struct item *make_item(struct scene *scene)
{
	struct item *item = calloc(1, sizeof(*item));
	const uint64_t sequence = ++scene->next;
	const uint32_t size = rig_size(&scene->format, sequence);
	uint8_t *bytes = aligned_alloc(MATROSKA_PAGE, matroska_pages(size + 64));
	char *meta = (char *)bytes + size;

	rig_fill(bytes, size, sequence);
	item->frame = (struct weir_frame){
		.sequence = sequence,
		.pts_ns = (int64_t)(sequence - 1) * 40000000 + 123,
		.dts_ns = (int64_t)(sequence - 1) * 40000000 + 123,
		.duration_ns = 40000000,
		.wall_ns = INT64_C(1700000000) * SECOND + (int64_t)sequence * 40000000,
		.flags = rig_is_key(&scene->format, sequence) ? WEIR_FRAME_KEY : 0,
		.size_bytes = size,
		.data = bytes,
		.meta = (const uint8_t *)meta,
	};
	item->frame.meta_bytes = (uint32_t)snprintf(meta, 32, "meta of %llu", (unsigned long long)sequence);
	return item;
}

/* Nothing of it may be foreign, and what is behind it must not look like anything. */
static uint32_t check_file(struct scene *scene)
{
	struct recording recording;
	struct ebml_element element;
	uint32_t frames = rig_check_file(&scene->rig, "file.mkv", NULL, NULL);
	uint8_t next[16] = { 0 };
	char path[256];

	rig_path(&scene->rig, "file.mkv", path);
	assert_int_equal(recording_open(&recording, AT_FDCWD, path), 0);
	if (pread(recording.fd, next, sizeof(next), (off_t)recording.end) == (ssize_t)sizeof(next)) {
		assert_int_equal(ebml_read(&element, next, sizeof(next)), 0);
		assert_true(element.id == EBML_ID_VOID || element.id == MATROSKA_ID_CUES);
	}
	recording_close(&recording);
	return frames;
}

/* One of what waits comes to its end. */
static void end_one(struct scene *scene)
{
	const uint32_t which = (uint32_t)rand_r(&seed) % waits;
	struct engine_op *op = waiting[which];

	waiting[which] = waiting[--waits];
	if (op->kind == ENGINE_WRITE) {
		ssize_t size = 0;

		for (uint32_t i = 0; i < op->iovs; i++)
			size += (ssize_t)op->iov[i].iov_len;
		assert_int_equal(pwritev(op->fd, op->iov, (int)op->iovs, (off_t)op->offset), size);
	}
	op->done(op, 0);
	check_file(scene);
}

static void write_in_any_order(const struct weir_format *format, enum segment_sync sync)
{
	struct scene scene = { .format = *format };
	struct segment_config config = {
		.name = "file.mkv",
		.format = &scene.format,
		.codec = &scene.codec,
		.sync = sync,
		.cluster_bytes = 200000,
		.cluster_ns = SECOND,
		.reserve_bytes = 4 << 20,
		.may_reserve = may_reserve,
		.release = release,
		.data = &scene,
	};
	struct segment_stats stats;
	struct stat status;
	struct item *item;

	rig_init(&scene.rig);
	waits = 0;
	assert_int_equal(codec_from_format(&scene.codec, format), 0);
	config.directory_fd = scene.directory_fd = open(scene.rig.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	item = make_item(&scene);
	assert_int_equal(segment_create(&scene.segment, &config, item), 0);
	for (uint32_t i = 0; i < FRAMES_MAX;) {
		int r = segment_put(scene.segment, item);

		assert_true(r == 0 || r == -EAGAIN);
		i += r == 0;
		if (r == 0)
			item = make_item(&scene);
		while (waits > 0 && (r == -EAGAIN || rand_r(&seed) % 3 == 0)) {
			end_one(&scene);
			r = 0;
		}
	}
	segment_finish(scene.segment);
	while (waits > 0)
		end_one(&scene);
	segment_stats(scene.segment, &stats);
	assert_true(stats.over);
	assert_int_equal(stats.error, 0);
	assert_int_equal(stats.committed_frames, FRAMES_MAX);
	assert_int_equal(scene.released, FRAMES_MAX);
	assert_int_equal(check_file(&scene), FRAMES_MAX);
	assert_int_equal(fstatat(scene.directory_fd, "file.mkv", &status, 0), 0);
	assert_int_equal(status.st_size, stats.committed_bytes); /* nothing of what was reserved is left */
	release(&scene, item);
	segment_free(&scene.segment);
	close(scene.directory_fd);
	rig_close(&scene.rig);
}

static void for_some_orders(const struct weir_format *format)
{
	for (seed = 1; seed <= 12; seed++)
		write_in_any_order(format, (enum segment_sync)(seed % 3));
}

static void pictures_are_committed_when_all_of_them_are_there(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 100, 99); /* of no size that fits anything */

	for_some_orders(&format);
}

static void pictures_of_whole_pages_are_committed_when_all_of_them_are_there(void **state)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_GRAY8, 128, 96);

	for_some_orders(&format);
}

static void packets_are_committed_when_all_of_them_are_there(void **state)
{
	struct weir_format format = rig_h264();

	for_some_orders(&format);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_are_committed_when_all_of_them_are_there),
		cmocka_unit_test(pictures_of_whole_pages_are_committed_when_all_of_them_are_there),
		cmocka_unit_test(packets_are_committed_when_all_of_them_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
