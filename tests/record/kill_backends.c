/* SPDX-License-Identifier: MIT */
#include "kill_backends.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static struct weir_format picture_format(void)
{
	struct weir_format format;

	weir_format_video(&format, WEIR_PIXEL_NV12, KILL_WIDTH, KILL_HEIGHT);
	return format;
}

static void fill(uint8_t *bytes, size_t size, uint64_t number)
{
	for (size_t i = 0; i < size; i += sizeof(number))
		memcpy(bytes + i, &(uint64_t){ number << 24 | i }, sizeof(number));
}

bool kill_is_filled(const uint8_t *bytes, size_t size, uint64_t number)
{
	for (size_t i = 0; i < size; i += sizeof(number))
		if (memcmp(bytes + i, &(uint64_t){ number << 24 | i }, sizeof(number)) != 0)
			return false;
	return true;
}

/* --- pump -------------------------------------------------------------------------------------------------------- */

struct pump {
	struct weir_writer *writer;
	uint64_t number;
	int timer_fd;
};

static int want_back(struct weir_back *back)
{
	return weir_back_want_ring(back, &(struct weir_ring_config){ .format = picture_format() });
}

static void on_timer_back(struct weir_back *back, void *state, int fd)
{
	struct pump *pump = state;
	struct weir_frame frame;
	struct timespec wall;
	uint8_t *payload;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 || pump->writer == NULL)
		return;
	for (int i = 0; i < 2 && weir_writer_claim(pump->writer, &frame, &payload) == 0; i++) {
		frame.size_bytes = picture_format().payload_bytes;
		pump->number++;
		fill(payload, frame.size_bytes, pump->number);
		clock_gettime(CLOCK_REALTIME, &wall);
		frame.wall_ns = wall.tv_sec * INT64_C(1000000000) + wall.tv_nsec;
		frame.pts_ns = (int64_t)pump->number * KILL_STEP;
		weir_writer_publish(pump->writer, &frame, false);
	}
}

static int enter_pump_back(struct weir_back *back, void *state, const char *args)
{
	struct pump *pump = state;
	struct itimerspec when = { .it_value = { .tv_nsec = 1 }, .it_interval = { .tv_nsec = 1000000 } };

	pump->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	timerfd_settime(pump->timer_fd, 0, &when, NULL);
	weir_back_watch(back, pump->timer_fd, on_timer_back);
	return want_back(back);
}

static int command_pump_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct pump *pump = state;

	switch (message->type) {
	case WEIR_COMMAND_WRITER:
		return message->status < 0 ? message->status : weir_back_take_writer(back, &pump->writer);
	case WEIR_COMMAND_RENEW:
		weir_writer_end(pump->writer);
		weir_writer_free(&pump->writer);
		return want_back(back);
	default: return -ENOSYS;
	}
}

static int tick_pump_back(struct weir_back *back, void *state, int64_t now_ns)
{
	struct pump *pump = state;

	if (pump->writer != NULL)
		weir_writer_attend(pump->writer);
	return 0;
}

static void leave_pump_back(struct weir_back *back, void *state, int reason)
{
	struct pump *pump = state;

	weir_writer_free(&pump->writer);
	close(pump->timer_fd);
}

static const struct weir_backend pump = {
	.abi = WEIR_BACKEND_ABI,
	.name = "pump",
	.state_bytes = sizeof(struct pump),
	.enter = enter_pump_back,
	.command = command_pump_back,
	.tick = tick_pump_back,
	.leave = leave_pump_back,
};

/* --- checker ----------------------------------------------------------------------------------------------------- */

struct checker {
	uint64_t count[2]; /* frames, wrong ones */
	uint64_t last;
};

static int enter_checker_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int frame_checker_back(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame)
{
	struct checker *checker = state;
	const uint64_t number = (uint64_t)(frame->pts_ns / KILL_STEP);
	uint64_t first, last;

	/* Its ends: to look at all of it would slow the source. */
	memcpy(&first, frame->data, sizeof(first));
	memcpy(&last, frame->data + frame->size_bytes - sizeof(last), sizeof(last));
	checker->count[0]++;
	checker->count[1] += number != checker->last + 1 || first >> 24 != number || last >> 24 != number;
	checker->last = number;
	return 0;
}

static int command_checker_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct checker *checker = state;

	if (message->type == ORDER_WRONG)
		return weir_back_reply(back, message, 0, checker->count, sizeof(checker->count));
	return message->type == WEIR_COMMAND_FORMAT || message->type == WEIR_COMMAND_END ? 0 : -ENOSYS;
}

static const struct weir_backend checker = {
	.abi = WEIR_BACKEND_ABI,
	.name = "checker",
	.state_bytes = sizeof(struct checker),
	.enter = enter_checker_back,
	.command = command_checker_back,
	.frame = frame_checker_back,
};

const struct weir_backend *const kill_backends[] = { &pump, &checker, NULL };
