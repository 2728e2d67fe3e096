/* SPDX-License-Identifier: MIT */
#include "stream_backends.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HEIGHT 80

/* --- source ------------------------------------------------------------------------------------------------------ */

struct source {
	uint32_t frames, interval_us, change_after, slot_bytes;
	uint32_t done;	/* frames published */
	uint32_t width; /* of the present format */
	int paused;	/* as ORDER_PAUSE says */
	bool ended;
	int timer_fd;
	struct weir_writer *writer;
};

static int want_back(struct weir_back *back, struct source *source)
{
	struct weir_ring_config config = { .slot_bytes = source->slot_bytes };
	int r = weir_format_video(&config.format, WEIR_PIXEL_GRAY8, source->width, HEIGHT);

	return r < 0 ? r : weir_back_want_ring(back, &config);
}

static int publish_back(struct source *source)
{
	struct weir_frame frame;
	uint8_t *payload;
	uint64_t number;
	int r = weir_writer_claim(source->writer, &frame, &payload);

	if (r < 0)
		return r;
	/* Sequences begin with 1 in each generation: what the reader must find is the same number. */
	memset(payload, 0, source->width * HEIGHT);
	frame.size_bytes = source->width * HEIGHT;
	number = source->change_after != 0 && source->done >= source->change_after
			 ? source->done - source->change_after + 1
			 : source->done + 1;
	memcpy(payload, &number, sizeof(number));
	memcpy(payload + frame.size_bytes - sizeof(number), &number, sizeof(number));
	r = weir_writer_publish(source->writer, &frame, false);
	source->done++;
	return r;
}

static int say_back(struct weir_back *back, uint32_t state, const char *text)
{
	struct weir_source_status status = { .state = state };

	snprintf(status.text, sizeof(status.text), "%s", text);
	return weir_back_event(back, WEIR_EVENT_SOURCE, &status, sizeof(status));
}

static int finish_back(struct weir_back *back, struct source *source)
{
	weir_writer_end(source->writer);
	source->ended = true;
	return say_back(back, WEIR_SOURCE_ENDED, "all frames are out");
}

/* Ends this ring, and asks for another. */
static int renew_back(struct weir_back *back, struct source *source)
{
	if (source->writer == NULL || source->ended)
		return 0;
	weir_writer_end(source->writer);
	weir_writer_free(&source->writer);
	source->change_after = source->done;
	return want_back(back, source);
}

static int change_back(struct weir_back *back, struct source *source)
{
	source->width *= 2;
	return renew_back(back, source);
}

static void on_timer_back(struct weir_back *back, void *state, int fd)
{
	struct source *source = state;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return;
	if (source->paused || source->writer == NULL || source->ended || publish_back(source) < 0)
		return;
	if (source->done == source->frames)
		finish_back(back, source);
	else if (source->done == source->change_after)
		change_back(back, source);
}

static int enter_source_back(struct weir_back *back, void *state, const char *args)
{
	struct source *source = state;

	if (sscanf(args, SOURCE_ARGS, &source->frames, &source->interval_us, &source->change_after,
		    &source->slot_bytes) != 4)
		return -EINVAL;
	source->width = 64;
	source->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	weir_back_watch(back, source->timer_fd, on_timer_back);
	return want_back(back, source);
}

static int command_source_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct source *source = state;
	struct itimerspec when = { .it_value = { .tv_nsec = 1 },
		.it_interval = { .tv_nsec = source->interval_us * 1000 } };
	int value = 0;

	if (message->size >= sizeof(value))
		memcpy(&value, message->data, sizeof(value));
	switch (message->type) {
	case WEIR_COMMAND_WRITER:
		if (message->status < 0) {
			weir_back_exit(back, message->status);
			return 0;
		}
		timerfd_settime(source->timer_fd, 0, &when, NULL);
		return weir_back_take_writer(back, &source->writer);
	case WEIR_COMMAND_RENEW: return renew_back(back, source);
	case ORDER_PAUSE: source->paused = value; return 0;
	case ORDER_CHANGE: return change_back(back, source);
	case ORDER_FINISH: return finish_back(back, source);
	case ORDER_TELL: return say_back(back, (uint32_t)value, "as told");
	default: return -ENOSYS;
	}
}

static int tick_source_back(struct weir_back *back, void *state, int64_t now_ns)
{
	struct source *source = state;

	if (source->writer == NULL || source->paused == 2)
		return 0;
	weir_writer_attend(source->writer);
	if (source->ended && weir_writer_drained(source->writer))
		weir_back_exit(back, 0);
	return 0;
}

static void leave_source_back(struct weir_back *back, void *state, int reason)
{
	struct source *source = state;

	weir_writer_free(&source->writer);
	close(source->timer_fd);
}

static const struct weir_backend source = {
	.abi = WEIR_BACKEND_ABI,
	.name = "source",
	.state_bytes = sizeof(struct source),
	.enter = enter_source_back,
	.command = command_source_back,
	.tick = tick_source_back,
	.leave = leave_source_back,
};

/* --- sink -------------------------------------------------------------------------------------------------------- */

struct sink {
	struct report report;
	uint64_t last; /* sequence in this generation */
	int dawdle_ms;
};

/* args: "semaphore" or "eventfd", and perhaps how many milliseconds enter() takes. */
static int enter_sink_back(struct weir_back *back, void *state, const char *args)
{
	int ms = 0;

	if (strncmp(args, "semaphore", 9) == 0)
		weir_back_set_wait(back, WEIR_WAIT_SEMAPHORE);
	if (sscanf(args, "%*s %d", &ms) == 1)
		nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
	return 0;
}

static int command_sink_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct sink *sink = state;

	switch (message->type) {
	case WEIR_COMMAND_FORMAT:
		sink->report.formats++;
		sink->report.generation_frames = 0;
		sink->last = 0;
		return message->size == sizeof(struct weir_format) ? 0 : -EPROTO;
	case WEIR_COMMAND_END: sink->report.ends++; return 0;
	case ORDER_REPORT: return weir_back_reply(back, message, 0, &sink->report, sizeof(sink->report));
	case ORDER_DAWDLE: memcpy(&sink->dawdle_ms, message->data, sizeof(int)); return 0;
	default: return -ENOSYS;
	}
}

static int frame_sink_back(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame)
{
	const struct weir_format *format = weir_back_input_format(back, input);
	struct sink *sink = state;
	uint64_t first = 0, last = 0;

	if (frame->size_bytes >= sizeof(first)) {
		memcpy(&first, frame->data, sizeof(first));
		memcpy(&last, frame->data + frame->size_bytes - sizeof(last), sizeof(last));
	}
	sink->report.wrong += first != frame->sequence || last != frame->sequence ||
			      format->payload_bytes != frame->size_bytes || frame->sequence <= sink->last;
	/* A reader that was attached later does not know of the frames before. */
	sink->report.unsaid +=
		sink->report.generation_frames > 0 && frame->dropped_before != frame->sequence - sink->last - 1;
	sink->last = frame->sequence;
	sink->report.frames++;
	sink->report.generation_frames++;
	if (sink->dawdle_ms > 0)
		nanosleep(&(struct timespec){ .tv_nsec = sink->dawdle_ms * 1000000 }, NULL);
	return 0;
}

static const struct weir_backend sink = {
	.abi = WEIR_BACKEND_ABI,
	.name = "sink",
	.state_bytes = sizeof(struct sink),
	.enter = enter_sink_back,
	.command = command_sink_back,
	.frame = frame_sink_back,
};

const struct weir_backend *const stream_backends[] = { &source, &sink, NULL };
