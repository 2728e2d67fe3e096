/* SPDX-License-Identifier: MIT */
#include "shm_scene.h"

#include "writer.h"

static const struct weir_policy policies[VIEWS] = {
	[LOSSLESS] = { .mode = WEIR_POLICY_LOSSLESS, .depth = 1, .max_held = 2 },
	[OLDEST] = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 2 },
	[NEWEST] = { .mode = WEIR_POLICY_LATEST },
	[LATE] = { .mode = WEIR_POLICY_LOSSLESS, .depth = 1 },
};

char *scene_verdict;

bool scene_attach(struct scene *scene, int which)
{
	struct view *view = &scene->view[which];

	view->is_lossless = policies[which].mode == WEIR_POLICY_LOSSLESS;
	view->generation = weir_ring_generation(scene->ring);
	return EXPECT(weir_ring_attach(scene->ring, &policies[which], &view->end) == 0);
}

bool scene_open_view(struct scene *scene, int which)
{
	struct view *view = &scene->view[which];
	struct weir_end_stats stats;

	if (!harness_open_reader(scene->ring, view->end, &view->reader) ||
		!EXPECT(weir_ring_end_stats(scene->ring, view->end, &stats) == 0))
		return false;
	view->last = stats.start > 0 ? stats.start - 1 : 0;
	return true;
}

int scene_take(struct view *view, struct weir_frame *frame, int *status)
{
	*status = weir_reader_acquire(view->reader, frame);
	if (*status < 0)
		return 0;
	if (!harness_frame_is_whole(frame, view->generation) || !EXPECT(frame->sequence > view->last) ||
		!EXPECT(!view->is_lossless || frame->sequence == view->last + 1) ||
		!EXPECT(frame->dropped_before == frame->sequence - view->last - 1))
		return -1;
	view->last = frame->sequence;
	return 1;
}

static int take_and_release(struct view *view, int *status)
{
	struct weir_frame frame;
	int r = scene_take(view, &frame, status);

	if (r == 1 && !EXPECT(weir_reader_release(view->reader, &frame) == 0))
		return -1;
	return r;
}

bool scene_take_available(struct view *view)
{
	int r, status;

	while ((r = take_and_release(view, &status)) == 1)
		;
	return r == 0 && EXPECT(status == -EAGAIN || status == -ENODATA);
}

bool scene_drain(struct view *view, uint64_t published)
{
	int r, status = -EAGAIN;

	for (int idle = 0; idle < 20; idle++) {
		while ((r = take_and_release(view, &status)) == 1)
			;
		if (r < 0)
			return false;
		if (status == -EPIPE || status == -ENODATA)
			return EXPECT(view->last == published || view->last == 0);
	}
	return harness_fail(
		"the reader of end %u is never told that the writer is gone: %s", view->end, strerror(-status));
}

bool scene_publish_to(struct scene *scene, uint32_t count, int first, int last)
{
	for (uint32_t n = 0; n < count; n++) {
		if (!EXPECT(harness_publish(scene->writer, scene->writer->published + 1, false) == 0))
			return false;
		for (int i = first; i <= last; i++) {
			int status;

			if (take_and_release(&scene->view[i], &status) != 1)
				return harness_fail(
					"%s (%s)", status < 0 ? "no frame" : harness_why, strerror(-status));
		}
	}
	return true;
}

void scene_close(struct scene *scene)
{
	if (scene->pid > 0)
		harness_kill(scene->pid);
	if (scene->reader_pid > 0)
		harness_kill(scene->reader_pid);
	weir_ring_fds_close(&scene->fds);
	weir_ring_fds_close(&scene->reader_fds);
	for (int i = 0; i < VIEWS; i++)
		weir_reader_free(&scene->view[i].reader);
	weir_writer_free(&scene->writer);
	weir_ring_free(&scene->ring);
}

bool scene_open_ring(struct scene *scene, uint32_t backing, uint64_t generation)
{
	struct weir_ring_config config = harness_config(SLOTS, backing);

	config.generation = generation;
	if (scene_verdict == NULL)
		scene_verdict = harness_shared(sizeof(harness_why));
	scene_verdict[0] = '\0';
	return EXPECT(weir_ring_create(&scene->ring, &config) == 0);
}

bool scene_pass_frames(uint32_t backing)
{
	struct scene scene = { 0 };
	bool ok = scene_open_ring(&scene, backing, 2) && scene_attach(&scene, LOSSLESS) &&
		  scene_attach(&scene, OLDEST) && scene_attach(&scene, NEWEST) &&
		  harness_open_writer(scene.ring, &scene.writer) && scene_open_view(&scene, LOSSLESS) &&
		  scene_open_view(&scene, OLDEST) && scene_open_view(&scene, NEWEST) &&
		  scene_publish_to(&scene, TWELVE, LOSSLESS, NEWEST);

	weir_writer_free(&scene.writer);
	if (ok)
		weir_ring_writer_gone(scene.ring);
	for (int i = LOSSLESS; ok && i <= NEWEST; i++)
		ok = scene_drain(&scene.view[i], TWELVE);
	scene_close(&scene);
	return ok;
}

bool scene_must_back(bool ok)
{
	if (!ok && scene_verdict[0] == '\0')
		memcpy(scene_verdict, harness_why, sizeof(harness_why));
	return ok;
}
