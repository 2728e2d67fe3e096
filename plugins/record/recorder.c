/* SPDX-License-Identifier: MIT */
/* The recorder backend: frames from a ring to files. A frame is kept, pinned in its slot, until its write has come to
 * an end; packets, which are small, are gathered in memory. */
#include "recorder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weir/log.h>

#define SECOND_NS INT64_C(1000000000)
#define LEAVE_NS  (9 * SECOND_NS)
#define LINGER_NS (10 * SECOND_NS) /* for the key frame behind an event */

int64_t recorder_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

void recorder_drop(struct recorder *recorder, uint64_t *counter, uint64_t count)
{
	*counter += count;
	recorder->file_dropped += count;
}

void recorder_tell_back(struct recorder *recorder)
{
	struct store_stats store;

	store_stats(recorder->store, &store);
	recorder->status.deleted = store.deleted;
	recorder->status.recovered = store.recovered;
	weir_back_event(recorder->back, WEIR_EVENT_RECORD, &recorder->status, sizeof(recorder->status));
}

void recorder_block(struct recorder *recorder, int status, const char *what)
{
	const struct recorder_options *options = &recorder->options;
	const char *why = strerror(-status), *advice = "";

	if (status == -ENOSPC) {
		why = "the disk is full but for what shall stay free";
		advice = ": make room, or lower floor_mb";
	} else if (status == -EDQUOT) {
		why = "the quota does not hold one file";
		advice = ": raise quota_mb, or lower segment_mb";
	} else if (status == -EROFS) {
		why = "the file system is mounted read-only";
	}
	recorder->status.state = WEIR_RECORD_BLOCKED;
	snprintf(recorder->status.text, sizeof(recorder->status.text), "%.80s: %s: %s%s", options->directory, what, why,
		advice);
	if (strcmp(recorder->told, recorder->status.text) == 0)
		return;
	snprintf(recorder->told, sizeof(recorder->told), "%s", recorder->status.text);
	weir_log(WEIR_LOG_ERROR, "recorder", "%s; %s, and it is tried again every second", recorder->told,
		options->lossless ? "the source is slowed" : "frames are dropped");
	recorder_tell_back(recorder);
}

static void on_engine_back(struct weir_back *back, void *state, int fd)
{
	struct recorder *recorder = state;

	engine_reap(recorder->engine);
	files_sweep_back(recorder);
	files_pump_back(recorder);
}

/* --- events ------------------------------------------------------------------------------------------------------ */

static void begin_event_back(struct recorder *recorder)
{
	struct item *item;

	recorder->event_end_ns = recorder_now_ns() + recorder->options.after_ns;
	if (recorder->recording)
		return;
	recorder->recording = true;
	while ((item = list_take(&recorder->memory)) != NULL)
		list_append(&recorder->queue, item);
	files_pump_back(recorder);
}

/* The file ends where the next one may begin, so that nothing is lost between two events. */
static void check_event_back(struct recorder *recorder, bool key)
{
	const int64_t over_ns = recorder_now_ns() - recorder->event_end_ns;

	if (!recorder->recording || over_ns <= 0 || (!key && over_ns < LINGER_NS))
		return;
	files_pump_back(recorder);
	if (recorder->queue.first != NULL)
		return;
	recorder->recording = false;
	recorder->status.state = WEIR_RECORD_IDLE;
	files_finish(recorder);
}

/* --- what comes -------------------------------------------------------------------------------------------------- */

static int frame_back(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame)
{
	struct recorder *recorder = state;
	const bool key = recorder->codec.intra || (frame->flags & WEIR_FRAME_KEY) != 0;
	bool remember;
	struct item *item;

	recorder_drop(recorder, &recorder->status.overtaken, frame->dropped_before);
	if ((frame->flags & WEIR_FRAME_EVENT) != 0)
		return 0;
	recorder->status.frames++;
	if (recorder->options.events)
		check_event_back(recorder, key);
	remember = recorder->options.events && !recorder->recording;
	if (recorder->format.kind == WEIR_KIND_VIDEO && frame->size_bytes != recorder->format.payload_bytes) {
		recorder_drop(recorder, &recorder->status.before_key, 1);
		return 0;
	}
	item = item_new_back(recorder, frame, remember);
	if (item == NULL) {
		recorder_drop(recorder, &recorder->status.refused, 1);
		return 0;
	}
	if (remember) {
		list_append(&recorder->memory, item);
		memory_trim_back(recorder);
		return 0;
	}
	list_append(&recorder->queue, item);
	files_pump_back(recorder);
	return 0;
}

static void forget_back(struct recorder *recorder, struct list *list)
{
	struct item *item;

	/* What was before an event that never came is no loss. */
	if (list == &recorder->queue)
		recorder_drop(recorder, &recorder->status.refused, list->count);
	while ((item = list_take(list)) != NULL)
		item_free_back(recorder, item);
}

static bool is_same_stream(const struct weir_format *before, struct weir_format now)
{
	now.payload_bytes = before->payload_bytes;
	return now.kind != WEIR_KIND_VIDEO && memcmp(before, &now, sizeof(now)) == 0;
}

static int begin_generation_back(struct recorder *recorder, const struct weir_message *message)
{
	struct weir_format format;
	struct codec codec;
	int r;

	if (message->size != sizeof(format) || message->status != 0)
		return -EPROTO;
	memcpy(&format, message->data, sizeof(format));
	r = codec_from_format(&codec, &format);
	if (r < 0) {
		weir_log(WEIR_LOG_ERROR, "recorder", "cannot record %.100s: %s",
			format.kind == WEIR_KIND_VIDEO ? "this picture format"
			: format.caps[0] != '\0'       ? format.caps
						       : "this stream",
			r == -ENOTSUP ? codec.why : strerror(-r));
		return r;
	}
	/* A ring for larger packets may begin in the middle of a group of pictures, which belongs together. */
	recorder->is_new_generation = is_same_stream(&recorder->format, format);
	if (!recorder->is_new_generation)
		files_finish(recorder);
	if (!recorder->is_new_generation && recorder->format.kind != 0 &&
		memcmp(&recorder->format, &format, sizeof(format)) != 0) {
		forget_back(recorder, &recorder->memory);
		forget_back(recorder, &recorder->queue);
	}
	recorder->format = format;
	recorder->codec = codec;
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct recorder *recorder = state;

	switch (message->type) {
	case WEIR_COMMAND_FORMAT: return begin_generation_back(recorder, message);
	case WEIR_COMMAND_END:
		recorder->ending = true;
		files_pump_back(recorder);
		return 0;
	case WEIR_COMMAND_RECORD_EVENT:
		if (!recorder->options.events)
			return -ENOTSUP;
		begin_event_back(recorder);
		return 0;
	case WEIR_COMMAND_RECORD_STATUS:
		return weir_back_reply(back, message, 0, &recorder->status, sizeof(recorder->status));
	default: return -ENOSYS;
	}
}

static int tick_back(struct weir_back *back, void *state, int64_t now_ns)
{
	struct recorder *recorder = state;

	if (recorder->file != NULL)
		segment_tick(recorder->file->segment, now_ns);
	if (recorder->options.events && !recorder->recording)
		memory_trim_back(recorder);
	on_engine_back(back, recorder, -1);
	check_event_back(recorder, recorder->codec.intra);
	return 0;
}

/* --- a life ------------------------------------------------------------------------------------------------------ */

/* What cannot be written until then is lost: what is in flight may go on after this process. */
static void drain_back(struct recorder *recorder)
{
	const int64_t deadline_ns = recorder_now_ns() + LEAVE_NS;
	int r = 0;

	recorder->leaving = true;
	files_pump_back(recorder);
	while (recorder->queue.first != NULL && r == 0) {
		r = engine_wait(recorder->engine, deadline_ns);
		files_sweep_back(recorder);
		files_pump_back(recorder);
	}
	files_finish(recorder);
	while (recorder->files != NULL && r == 0) {
		r = engine_wait(recorder->engine, deadline_ns);
		files_sweep_back(recorder);
	}
	if (r < 0)
		weir_log(WEIR_LOG_ERROR, "recorder", "the disk is too slow to finish: the last file is not complete");
}

static void leave_back(struct weir_back *back, void *state, int reason)
{
	struct recorder *recorder = state;

	if (recorder->store != NULL && recorder->engine != NULL) {
		drain_back(recorder);
		recorder_tell_back(recorder);
		weir_back_watch(back, engine_fd(recorder->engine), NULL);
	}
	/* Memory that the kernel still reads is left to it. */
	if (recorder->engine == NULL || engine_in_flight(recorder->engine) == 0) {
		forget_back(recorder, &recorder->memory);
		engine_free(&recorder->engine);
	}
	store_close(&recorder->store);
	recorder_options_finish(&recorder->options);
}

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	struct recorder *recorder = state;
	char text[512] = "";
	int r;

	recorder->back = back;
	list_init(&recorder->queue);
	list_init(&recorder->memory);
	r = recorder_options_parse(&recorder->options, args, text, sizeof(text));
	if (r == 0)
		r = files_open_store(recorder, text, sizeof(text));
	if (r == 0)
		r = engine_create(
			&recorder->engine, &(struct engine_config){ .depth = 64, .plain = recorder->options.plain });
	if (r == 0)
		r = weir_back_watch(back, engine_fd(recorder->engine), on_engine_back);
	if (r < 0) {
		weir_log(WEIR_LOG_ERROR, "recorder", "%s", text[0] != '\0' ? text : strerror(-r));
		engine_free(&recorder->engine);
		store_close(&recorder->store);
		recorder_options_finish(&recorder->options);
		return r;
	}
	recorder->status.is_uring = strcmp(engine_name(recorder->engine), "io_uring") == 0;
	if (engine_refused(recorder->engine) < 0)
		weir_log(WEIR_LOG_INFO, "recorder", "io_uring: %s; plain writes do the same",
			strerror(-engine_refused(recorder->engine)));
	return 0;
}

__attribute__((visibility("default"))) extern const struct weir_backend weir_backend;
const struct weir_backend weir_backend = {
	.abi = WEIR_BACKEND_ABI,
	.name = "recorder",
	.state_bytes = sizeof(struct recorder),
	.enter = enter_back,
	.command = command_back,
	.frame = frame_back,
	.tick = tick_back,
	.leave = leave_back,
};
