/* SPDX-License-Identifier: MIT */
#include "shm_victim.h"

#include <sys/mman.h>

#include "layout.h"
#include "ring.h"
#include "shm_scene.h"
#include "shm_step.h"
#include "writer.h"

/* --- a writer ------------------------------------------------------------------------------------------------------
 */

#define STEPPED 4 /* frames that the stepped part publishes */

static void writer_back(void *job)
{
	struct scene *scene = job;
	struct weir_writer *writer = NULL;
	struct weir_frame frame;
	uint64_t sequence = 0;
	uint8_t *payload;

	scene_must_back(EXPECT(weir_writer_open(&writer, &scene->fds) == 0));
	while (sequence < BEFORE)
		scene_must_back(EXPECT(harness_publish(writer, ++sequence, false) == 0));
	step_mark_back();
	scene_must_back(EXPECT(harness_publish(writer, ++sequence, false) == 0));
	scene_must_back(EXPECT(weir_writer_claim(writer, &frame, &payload) == 0));
	scene_must_back(EXPECT(weir_writer_drop(writer, frame.slot) == 0));
	scene_must_back(EXPECT(harness_publish(writer, ++sequence, true) == 0));
	scene_must_back(EXPECT(weir_writer_arm(writer) == 1));
	weir_writer_disarm(writer);
	weir_writer_attend(writer);
	scene_must_back(EXPECT(harness_publish(writer, ++sequence, false) == 0));
	scene_must_back(EXPECT(harness_publish(writer, ++sequence, false) == 0));
	weir_writer_end(writer);
	step_mark_back();
}

/* Lays a reader to sleep in whichever way, so that publishing rings it. */
static bool lay_to_sleep(struct scene *scene, int which, uint64_t how)
{
	struct weir_ring_fds fds;
	struct end *end;

	if (!EXPECT(weir_ring_reader_fds(scene->ring, scene->view[which].end, &fds) == 0))
		return false;
	end = mmap(NULL, LAYOUT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds.fd[RING_FD_ENDS + RING_END_FD_END], 0);
	weir_ring_fds_close(&fds);
	if (!EXPECT(end != MAP_FAILED))
		return false;
	atomic_store(&end->sleeping, SLEEP_EPOCH | SLEEP_ASLEEP | how);
	munmap(end, LAYOUT_PAGE);
	return true;
}

static bool open_writer_scene(struct scene *scene, const struct victim_round *round)
{
	return scene_open_ring(scene, round->backing, 1) && scene_attach(scene, LOSSLESS) &&
	       scene_attach(scene, OLDEST) && scene_attach(scene, NEWEST) &&
	       EXPECT(weir_ring_writer_fds(scene->ring, &scene->fds) == 0) &&
	       (scene->pid = step_fork(writer_back, scene)) > 0 && scene_open_view(scene, LOSSLESS) &&
	       scene_open_view(scene, OLDEST) && scene_open_view(scene, NEWEST) && lay_to_sleep(scene, OLDEST, 0) &&
	       lay_to_sleep(scene, NEWEST, SLEEP_BY_SEMAPHORE) && scene_attach(scene, LATE);
}

static bool check_writer_round(struct scene *scene, struct victim_round *round)
{
	struct weir_frame held = { 0 };
	struct weir_ring_stats stats;
	int status;

	if (!EXPECT(scene_take(&scene->view[LOSSLESS], &held, &status) == 1) || !EXPECT(held.sequence == 1))
		return false;
	round->steps = step_run(scene->pid, round->step, &round->ended);
	if (!EXPECT(round->steps >= 0))
		return false;
	if (round->fate == VICTIM_PAUSED && !round->ended) {
		for (int i = LOSSLESS; i <= NEWEST; i++)
			if (!scene_take_available(&scene->view[i]))
				return false;
		if (!step_resume(scene->pid))
			return false;
	}
	harness_kill(scene->pid);
	scene->pid = 0;
	if (scene_verdict[0] != '\0')
		return harness_fail("in the writer: %s", scene_verdict);
	weir_ring_writer_gone(scene->ring);
	weir_ring_stats(scene->ring, &stats);
	if (!EXPECT(stats.published >= BEFORE && stats.published <= BEFORE + STEPPED) ||
		!EXPECT(round->fate == VICTIM_KILLED || stats.published == BEFORE + STEPPED) ||
		!scene_open_view(scene, LATE) || !harness_frame_is_whole(&held, 1) ||
		!EXPECT(weir_reader_release(scene->view[LOSSLESS].reader, &held) == 0))
		return false;
	for (int i = LOSSLESS; i <= LATE; i++)
		if (!scene_drain(&scene->view[i], stats.published))
			return false;
	return scene_pass_frames(round->backing);
}

bool victim_writer(struct victim_round *round)
{
	struct scene scene = { 0 };
	bool ok = open_writer_scene(&scene, round) && check_writer_round(&scene, round);

	scene_close(&scene);
	return ok;
}

/* --- a reader ------------------------------------------------------------------------------------------------------
 */

static bool take_back(struct view *view, struct weir_frame *frame)
{
	int status, r = scene_take(view, frame, &status);

	scene_must_back(r >= 0);
	return r == 1;
}

static void release_back(struct view *view, const struct weir_frame *frame)
{
	scene_must_back(harness_frame_is_whole(frame, view->generation) &&
			EXPECT(weir_reader_release(view->reader, frame) == 0));
}

static void reader_back(void *job)
{
	struct scene *scene = job;
	struct view view = scene->view[LATE];
	struct weir_frame a, b, c;
	bool have_a, have_b, have_c;

	step_mark_back();
	scene_must_back(EXPECT(weir_reader_open(&view.reader, &scene->reader_fds) == 0));
	have_a = take_back(&view, &a);
	have_b = take_back(&view, &b);
	if (have_a)
		release_back(&view, &a);
	weir_reader_arm(view.reader);
	weir_reader_disarm(view.reader);
	have_c = take_back(&view, &c);
	if (have_b)
		release_back(&view, &b);
	if (have_c)
		release_back(&view, &c);
	weir_reader_wait(view.reader, harness_now_ns() + 2000000);
	if (take_back(&view, &a))
		release_back(&view, &a);
	weir_reader_wait(view.reader, harness_now_ns() + 2000000);
	weir_reader_free(&view.reader);
	step_mark_back();
}

static bool open_reader_scene(struct scene *scene, const struct victim_round *round, bool forks)
{
	const struct weir_policy policy = {
		.mode = round->mode, .depth = 2, .max_held = 2, .every_nth = round->every_nth
	};
	struct view *victim = &scene->view[LATE];

	victim->is_lossless = round->mode == WEIR_POLICY_LOSSLESS && round->every_nth == 0;
	victim->generation = 1;
	if (!scene_open_ring(scene, round->backing, 1) || !scene_attach(scene, LOSSLESS) ||
		!EXPECT(weir_ring_attach(scene->ring, &policy, &victim->end) == 0))
		return false;
	if (!forks)
		return true;
	return harness_open_writer(scene->ring, &scene->writer) && scene_open_view(scene, LOSSLESS) &&
	       EXPECT(weir_ring_reader_fds(scene->ring, victim->end, &scene->reader_fds) == 0) &&
	       scene_publish_to(scene, BEFORE, LOSSLESS, LOSSLESS) &&
	       (scene->reader_pid = step_fork(reader_back, scene)) > 0;
}

/* Publishes while the victim stands still; only one whose every frame counts may hold the writer up. */
static bool publish_meanwhile(struct scene *scene, uint32_t count, bool may_block)
{
	for (uint32_t i = 0; i < count; i++) {
		int r = harness_publish(scene->writer, scene->writer->published + 1, false);

		if (r == -EAGAIN && may_block)
			break;
		if (r != 0)
			return harness_fail("a stopped or dead reader cost a slot: %s", strerror(-r));
		if (!scene_take_available(&scene->view[LOSSLESS]))
			return false;
	}
	return true;
}

/* The newest `depth` frames stay; every other slot must be free. */
static bool all_slots_are_free(struct weir_writer *writer)
{
	weir_writer_arm(writer);
	weir_writer_disarm(writer);
	if (writer->free_count + writer->depth == SLOTS)
		return true;
	return harness_fail("%u of %u slots are free", writer->free_count, SLOTS);
}

static bool check_reader_round(struct scene *scene, struct victim_round *round)
{
	const bool may_block = round->mode == WEIR_POLICY_LOSSLESS;
	struct view *victim = &scene->view[LATE];

	round->steps = step_run(scene->reader_pid, round->step, &round->ended);
	if (!EXPECT(round->steps >= 0) || !publish_meanwhile(scene, PENDING, may_block))
		return false;
	if (round->fate == VICTIM_PAUSED && !round->ended && !step_resume(scene->reader_pid))
		return false;
	harness_kill(scene->reader_pid);
	scene->reader_pid = 0;
	if (scene_verdict[0] != '\0')
		return harness_fail("in the reader: %s", scene_verdict);
	if (!publish_meanwhile(scene, PENDING, may_block) || !EXPECT(weir_ring_reap(scene->ring, victim->end) == 0))
		return false;
	weir_writer_attend(scene->writer);
	if (!scene_publish_to(scene, TWELVE, LOSSLESS, LOSSLESS) || !all_slots_are_free(scene->writer) ||
		!scene_attach(scene, LATE))
		return false;
	weir_writer_attend(scene->writer);
	/* Two lossless readers, each handed every frame. */
	scene->view[OLDEST] = scene->view[LOSSLESS];
	scene->view[LOSSLESS].reader = NULL;
	return scene_open_view(scene, LATE) && EXPECT(scene->view[LATE].end == victim->end) &&
	       scene_publish_to(scene, TWELVE, OLDEST, OLDEST) && scene_take_available(&scene->view[LATE]) &&
	       EXPECT(scene->view[LATE].last == scene->writer->published) && all_slots_are_free(scene->writer);
}

bool victim_reader(struct victim_round *round)
{
	struct scene scene = { 0 };
	bool ok = open_reader_scene(&scene, round, true) && check_reader_round(&scene, round);

	scene_close(&scene);
	return ok;
}

/* --- both ----------------------------------------------------------------------------------------------------------
 */

static void pair_reader_back(void *job)
{
	struct scene *scene = job;
	struct view view = scene->view[LATE];
	struct weir_frame a;

	scene_must_back(EXPECT(weir_reader_open(&view.reader, &scene->reader_fds) == 0));
	step_mark_back();
	if (take_back(&view, &a))
		release_back(&view, &a);
	weir_reader_arm(view.reader);
	weir_reader_disarm(view.reader);
	step_mark_back();
}

static void pair_writer_back(void *job)
{
	struct scene *scene = job;
	struct weir_writer *writer = NULL;

	scene_must_back(EXPECT(weir_writer_open(&writer, &scene->fds) == 0));
	for (uint64_t sequence = 1; sequence <= BEFORE; sequence++)
		scene_must_back(EXPECT(harness_publish(writer, sequence, false) == 0));
	step_mark_back();
	scene_must_back(EXPECT(harness_publish(writer, BEFORE + 1, false) == 0));
	step_mark_back();
}

static bool open_pair_scene(struct scene *scene, const struct victim_round *round)
{
	return open_reader_scene(scene, round, false) && EXPECT(weir_ring_writer_fds(scene->ring, &scene->fds) == 0) &&
	       (scene->pid = step_fork(pair_writer_back, scene)) > 0 && scene_open_view(scene, LOSSLESS) &&
	       EXPECT(weir_ring_reader_fds(scene->ring, scene->view[LATE].end, &scene->reader_fds) == 0) &&
	       (scene->reader_pid = step_fork(pair_reader_back, scene)) > 0;
}

static bool check_pair_round(struct scene *scene, struct victim_round *round)
{
	const bool reader_first = ((round->step ^ round->reader_step) & 1) != 0;
	struct weir_ring_stats stats;
	bool ended, reader_ended;

	if (reader_first)
		round->reader_steps = step_run(scene->reader_pid, round->reader_step, &reader_ended);
	round->steps = step_run(scene->pid, round->step, &ended);
	if (!reader_first)
		round->reader_steps = step_run(scene->reader_pid, round->reader_step, &reader_ended);
	if (!EXPECT(round->steps >= 0 && round->reader_steps >= 0))
		return false;
	harness_kill(scene->pid);
	harness_kill(scene->reader_pid);
	scene->pid = scene->reader_pid = 0;
	if (scene_verdict[0] != '\0')
		return harness_fail("in a child: %s", scene_verdict);
	weir_ring_writer_gone(scene->ring);
	weir_ring_stats(scene->ring, &stats);
	return EXPECT(weir_ring_reap(scene->ring, scene->view[LATE].end) == 0) &&
	       EXPECT(stats.published == BEFORE || stats.published == BEFORE + 1) &&
	       EXPECT(!ended || stats.published == BEFORE + 1) &&
	       scene_drain(&scene->view[LOSSLESS], stats.published) &&
	       EXPECT(scene->view[LOSSLESS].last == stats.published) && scene_pass_frames(round->backing);
}

bool victim_pair(struct victim_round *round)
{
	struct scene scene = { 0 };
	bool ok = open_pair_scene(&scene, round) && check_pair_round(&scene, round);

	scene_close(&scene);
	return ok;
}
