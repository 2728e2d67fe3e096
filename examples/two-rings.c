/* SPDX-License-Identifier: MIT */
/* A process that listens at once to its control pipe and to two rings: it poll()s all three, so that neither a command
 * nor a frame of either camera waits for the others.
 *
 *	camera left  ==ring==> +----------+
 *	                       | listener | <--questions, answers--> this
 *	camera right ==ring==> +----------+
 */
#include "deadline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/stream.h>

#define SIZE 64

enum { HOW_MANY = WEIR_MESSAGE_USER };

/* --- backend: a camera, of which each picture is a little brighter than the one before --------------------------- */

struct camera_back {
	int frames, done;
	struct weir_writer *writer;
};

static int enter_camera_back(struct weir_back *back, void *state, const char *args)
{
	struct weir_ring_config ring = { 0 };

	((struct camera_back *)state)->frames = atoi(args);
	weir_format_video(&ring.format, WEIR_PIXEL_GRAY8, SIZE, SIZE);
	return weir_back_want_ring(back, &ring);
}

static int command_camera_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct camera_back *own = state;

	if (message->type != WEIR_COMMAND_WRITER)
		return -ENOSYS;
	return message->status < 0 ? message->status : weir_back_take_writer(back, &own->writer);
}

/* About every 100 ms. */
static int tick_camera_back(struct weir_back *back, void *state, int64_t now_ns)
{
	struct camera_back *own = state;
	struct weir_frame frame;
	uint8_t *pixels;

	if (own->writer == NULL)
		return 0;
	if (own->done == own->frames) {
		weir_writer_end(own->writer);
		if (weir_writer_drained(own->writer))
			weir_back_exit(back, 0);
		return 0;
	}
	if (weir_writer_claim(own->writer, &frame, &pixels) < 0)
		return 0; /* the next time */
	memset(pixels, own->done++, SIZE * SIZE);
	frame.size_bytes = SIZE * SIZE;
	return weir_writer_publish(own->writer, &frame, false);
}

static void leave_camera_back(struct weir_back *back, void *state, int reason)
{
	weir_writer_free(&((struct camera_back *)state)->writer);
}

static const struct weir_backend camera = {
	.abi = WEIR_BACKEND_ABI,
	.name = "camera",
	.state_bytes = sizeof(struct camera_back),
	.enter = enter_camera_back,
	.command = command_camera_back,
	.tick = tick_camera_back,
	.leave = leave_camera_back,
};

/* --- backend: the listener --------------------------------------------------------------------------------------- */

struct seen {
	int frames[2], brightest[2];
};

static int enter_listener_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int command_listener_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	if (message->type != HOW_MANY)
		return -ENOSYS;
	return weir_back_reply(back, message, 0, state, sizeof(struct seen));
}

static int frame_listener_back(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame)
{
	struct seen *own = state;
	const uint8_t *pixels = frame->data;

	own->frames[input]++;
	own->brightest[input] = pixels[0];
	return 0;
}

static const struct weir_backend listener = {
	.abi = WEIR_BACKEND_ABI,
	.name = "listener",
	.state_bytes = sizeof(struct seen),
	.enter = enter_listener_back,
	.command = command_listener_back,
	.frame = frame_listener_back,
};

/* --- frontend ---------------------------------------------------------------------------------------------------- */

static struct weir_frontend *frontend;
static struct weir_child *ear;
static struct weir_stream *stream[2];

static int add(int i, const char *name, const char *frames)
{
	static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS };
	struct weir_stream_config config = { .name = name };
	uint32_t input; /* 0, then 1 */
	int r = weir_child_add(frontend, &config.writer,
		&(struct weir_child_config){
			.name = name, .backend = "camera", .args = frames, .restart = WEIR_RESTART_TRANSIENT });

	if (r == 0)
		r = weir_stream_create(frontend, &stream[i], &config);
	return r == 0 ? weir_stream_add_reader(stream[i], ear, &lossless, &input) : r;
}

static int ask(struct seen *seen)
{
	size_t size = sizeof(*seen);

	return weir_child_call(ear, HOW_MANY, NULL, 0, seen, &size, in_ns(5 * SECOND_NS));
}

static int listen(void)
{
	struct seen seen = { 0 };
	int r = 0, answers = 0;

	while (r == 0 && !(weir_stream_finished(stream[0]) && weir_stream_finished(stream[1]))) {
		r = weir_frontend_dispatch(frontend, in_ns(10 * SECOND_NS));
		if (r == 0 && weir_child_state(ear) == WEIR_CHILD_RUNNING) {
			r = ask(&seen);
			answers += r == 0 && seen.frames[0] + seen.frames[1] < 15;
		}
	}
	if (r == 0)
		r = ask(&seen);
	printf("front: answered while frames came: %s\n", answers > 0 ? "yes" : "no");
	printf("front: left %d frames, the last one is %d\n", seen.frames[0], seen.brightest[0]);
	printf("front: right %d frames, the last one is %d\n", seen.frames[1], seen.brightest[1]);
	return r;
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &camera, &listener, NULL };
	int r = weir_init(&(struct weir_init_config){ .backends = backends });

	if (r == 0)
		r = weir_frontend_create(&frontend, NULL);
	if (r == 0)
		r = weir_child_add(
			frontend, &ear, &(struct weir_child_config){ .name = "listener", .backend = "listener" });
	if (r == 0)
		r = add(0, "left", "10");
	if (r == 0)
		r = add(1, "right", "5");
	if (r == 0)
		r = listen();
	weir_frontend_free(&frontend);
	if (r < 0)
		fprintf(stderr, "two-rings: %s\n", strerror(-r));
	return r < 0;
}
