/* SPDX-License-Identifier: MIT */
#ifndef SHM_SCENE_H
#define SHM_SCENE_H

/* A ring with its writer and its readers, some of them in this process: where victims are put. */

#include "shm_harness.h"

#define SLOTS	12
#define BEFORE	3  /* frames that a victim has published, or finds, when its steps begin */
#define TWELVE	12 /* frames that a successor passes */
#define PENDING 20

/* What one of our own readers has seen. */
struct view {
	struct weir_reader *reader;
	uint64_t generation, last;
	uint32_t end;
	bool is_lossless;
};

enum { LOSSLESS, OLDEST, NEWEST, LATE, VIEWS };

struct scene {
	struct weir_ring *ring;
	struct weir_writer *writer;
	struct view view[VIEWS];
	struct weir_ring_fds fds, reader_fds;
	pid_t pid, reader_pid;
};

/* What a child found wrong; shared. Empty: nothing. */
extern char *scene_verdict;
bool scene_must_back(bool ok);

bool scene_open_ring(struct scene *scene, uint32_t backing, uint64_t generation);
bool scene_attach(struct scene *scene, int which);
bool scene_open_view(struct scene *scene, int which);
void scene_close(struct scene *scene);

/* Acquires and checks one frame. 1: took one; 0: *status says why not; -1: wrong. */
int scene_take(struct view *view, struct weir_frame *frame, int *status);
bool scene_take_available(struct view *view);

/* After the writer's death: all that was published, then the news of its death. */
bool scene_drain(struct view *view, uint64_t published);

/* Publishes, and takes each frame by the views from first to last. */
bool scene_publish_to(struct scene *scene, uint32_t count, int first, int last);

/* The next generation: a writer, readers of each policy, twelve frames. */
bool scene_pass_frames(uint32_t backing);

#endif
