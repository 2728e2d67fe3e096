/* SPDX-License-Identifier: MIT */
/* The player backend: frames from files to a ring. Raw pictures are read straight into free slots, several at a time,
 * and published in order when it is time. */
#include "player.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <weir/log.h>

#define DRAIN_NS (5 * SECOND_NS) /* for lossless readers; what they have not taken by then they can take still */

int64_t player_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void tell_back(struct player *player, uint32_t state, const char *text)
{
	struct weir_source_status status = { .state = state };

	snprintf(status.text, sizeof(status.text), "%s", text);
	weir_back_event(player->back, WEIR_EVENT_SOURCE, &status, sizeof(status));
}

static void fail_back(struct player *player, const char *text, int status)
{
	if (player->stopped)
		return;
	player->stopped = true;
	tell_back(player, WEIR_SOURCE_FAILED, text);
	weir_back_exit(player->back, status);
}

/* --- the ring ---------------------------------------------------------------------------------------------------- */

static void disarm_back(struct player *player)
{
	if (player->is_armed)
		weir_writer_disarm(player->writer);
	player->is_armed = false;
}

/* Readers get the end of this ring; the frames of another format come in another one. */
static void drop_writer_back(struct player *player)
{
	if (player->writer == NULL)
		return;
	disarm_back(player);
	weir_back_watch(player->back, weir_writer_fd(player->writer), NULL);
	weir_writer_free(&player->writer);
}

static int want_ring_back(struct player *player)
{
	struct weir_ring_config config = { .format = *source_format(&player->source),
		.slot_count = player->options.slots,
		.loans = LOADS,
		.meta_bytes = META_MAX };

	player->format = config.format;
	if (config.format.kind != WEIR_KIND_VIDEO && config.format.payload_bytes == 0)
		config.format.payload_bytes = 1 << 20;
	if (config.format.payload_bytes < player->packet_bytes)
		config.format.payload_bytes = player->packet_bytes;
	player->packet_bytes = 0;
	return weir_back_want_ring(player->back, &config);
}

/* --- files end --------------------------------------------------------------------------------------------------- */

static void begin_again(struct player *player)
{
	player->file_over = false;
	player->discontinuity = true;
	player->base_time_ns = WEIR_TIME_NONE;
	player->round = 0;
}

static void end_back(struct player *player)
{
	player->over = true;
	player->drain_ns = player_now_ns() + DRAIN_NS;
	if (player->writer != NULL)
		weir_writer_end(player->writer);
	tell_back(player, WEIR_SOURCE_ENDED, "the recording is over");
}

/* Readers get the end of this one. Nothing is on its way. */
static int turn_to_next_ring_back(struct player *player)
{
	int r;

	player->renewing = false;
	weir_writer_end(player->writer);
	drop_writer_back(player);
	r = want_ring_back(player);
	return r < 0 ? r : -EAGAIN;
}

/* Nothing is on its way any more. */
static int turn_over_back(struct player *player)
{
	int r = source_next_file(&player->source);

	if (r == -ENODATA && player->options.loop && player->round > 0) {
		r = source_seek(&player->source, 0);
		begin_again(player);
	} else if (r == -ENODATA) {
		end_back(player);
		return -EAGAIN;
	}
	if (r < 0)
		return r;
	player->file_over = false;
	if (memcmp(source_format(&player->source), &player->format, sizeof(player->format)) == 0)
		return 0;
	return turn_to_next_ring_back(player);
}

static void broken_back(struct player *player, int status)
{
	char text[200];

	snprintf(text, sizeof(text), "%.120s: cannot be read further: %s",
		player->source.file < player->source.files.count ? player->source.files.path[player->source.file]
								 : player->options.source,
		strerror(-status));
	fail_back(player, text, status);
}

/* A writer that finds no slot sleeps in the main loop, armed. */
static void play_back(struct player *player)
{
	int published = -EAGAIN, loaded = -EAGAIN;

	if (player->writer == NULL || player->over || player->stopped)
		return;
	disarm_back(player);
	do {
		published = loads_publish_back(player);
		if (published < 0 && published != -EAGAIN)
			loaded = published;
		else if (!player->renewing)
			loaded = loads_begin_back(player);
		else
			loaded = player->loads == 0 ? turn_to_next_ring_back(player) : -EAGAIN;
		if (loaded == -EMSGSIZE && player->packet_bytes > 0) {
			player->renewing = true;
			loaded = player->loads == 0 ? 0 : -EAGAIN;
		}
		if (loaded == -ENODATA && player->loads == 0)
			loaded = turn_over_back(player);
		else if (loaded == -ENODATA)
			loaded = -EAGAIN;
		if (loaded < 0 && loaded != -EAGAIN) {
			broken_back(player, loaded);
			return;
		}
		if (player->writer == NULL || player->over)
			return;
		if (published < 0 && loaded < 0 && player->loads < LOADS && !player->file_over && !player->renewing) {
			player->is_armed = weir_writer_arm(player->writer) == 0;
			loaded = player->is_armed ? loaded : 0;
		}
	} while (published == 0 || loaded == 0);
	engine_flush(player->engine);
}

/* --- what comes -------------------------------------------------------------------------------------------------- */

static void on_engine_back(struct weir_back *back, void *state, int fd)
{
	struct player *player = state;

	engine_reap(player->engine);
	play_back(player);
}

static void on_writer_back(struct weir_back *back, void *state, int fd)
{
	struct player *player = state;

	player->is_armed = true; /* a wake-up may come late: it must be taken */
	play_back(player);
}

static void on_timer_back(struct weir_back *back, void *state, int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	play_back(state);
}

static int take_writer_back(struct player *player, const struct weir_message *message)
{
	int r = message->status;
	char text[200];

	if (r == 0)
		r = weir_back_take_writer(player->back, &player->writer);
	if (r == 0)
		r = weir_back_watch(player->back, weir_writer_fd(player->writer), on_writer_back);
	if (r < 0) {
		snprintf(text, sizeof(text), "%.120s: no ring for frames of %u bytes: %s", player->options.source,
			player->format.payload_bytes, strerror(-r));
		fail_back(player, text, r);
		return 0;
	}
	memset(player->is_slot_known, 0, sizeof(player->is_slot_known));
	tell_back(player, WEIR_SOURCE_LIVE, "the recording plays");
	play_back(player);
	return 0;
}

static int seek_back(struct player *player, const struct weir_message *message)
{
	int64_t position_ns;
	int r;

	if (message->size != sizeof(position_ns))
		return -EINVAL;
	memcpy(&position_ns, message->data, sizeof(position_ns));
	if (position_ns < 0)
		return -EINVAL;
	if (player->over || player->writer == NULL)
		return -EAGAIN;
	r = loads_drop_back(player);
	if (r < 0)
		return r;
	r = source_seek(&player->source, position_ns);
	if (r < 0)
		return r;
	begin_again(player);
	if (memcmp(source_format(&player->source), &player->format, sizeof(player->format)) != 0) {
		r = turn_to_next_ring_back(player);
		return r == -EAGAIN ? 0 : r;
	}
	play_back(player);
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct player *player = state;

	switch (message->type) {
	case WEIR_COMMAND_WRITER: return take_writer_back(player, message);
	case WEIR_COMMAND_RENEW:
		player->renewing = player->writer != NULL && !player->over;
		play_back(player);
		return 0;
	case WEIR_COMMAND_REPLAY_SEEK: return seek_back(player, message);
	default: return -ENOSYS;
	}
}

static int tick_back(struct weir_back *back, void *state, int64_t now_ns)
{
	struct player *player = state;

	if (player->writer == NULL || player->stopped)
		return 0;
	weir_writer_attend(player->writer);
	if (!player->over) {
		on_engine_back(back, player, -1);
	} else if (weir_writer_drained(player->writer) || now_ns > player->drain_ns) {
		weir_back_exit(back, 0);
		player->stopped = true;
	}
	return 0;
}

/* --- a life ------------------------------------------------------------------------------------------------------ */

static void leave_back(struct weir_back *back, void *state, int reason)
{
	struct player *player = state;

	engine_free(&player->engine);
	drop_writer_back(player);
	source_close(&player->source);
	player_options_finish(&player->options);
	for (int i = 0; i < LOADS; i++)
		free(player->load[i].page);
	if (player->timer_fd >= 0)
		close(player->timer_fd);
}

static int open_all_back(struct player *player)
{
	int r = 0;

	for (int i = 0; r == 0 && i < LOADS; i++) {
		player->load[i].player = player;
		player->load[i].page = aligned_alloc(MATROSKA_PAGE, MATROSKA_PAGE);
		r = player->load[i].page != NULL ? 0 : -ENOMEM;
	}
	player->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r == 0 && player->timer_fd < 0)
		r = -errno;
	if (r == 0)
		r = engine_create(&player->engine,
			&(struct engine_config){
				.depth = 4 * LOADS, .plain = player->options.plain, .buffers = WEIR_SLOTS_MAX });
	if (r == 0)
		r = weir_back_watch(player->back, engine_fd(player->engine), on_engine_back);
	if (r == 0)
		r = weir_back_watch(player->back, player->timer_fd, on_timer_back);
	return r;
}

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	struct player *player = state;
	char text[512] = "";
	int r;

	player->back = back;
	player->timer_fd = -1;
	player->base_time_ns = WEIR_TIME_NONE;
	player->source.recording.fd = player->source.recording.direct_fd = -1;
	r = player_options_parse(&player->options, args, text, sizeof(text));
	if (r == 0)
		r = source_open(&player->source, player->options.source,
			player->options.raw.kind != 0 ? &player->options.raw : NULL, text, sizeof(text));
	if (r == 0 && player->options.start_ns > 0)
		r = source_seek(&player->source, player->options.start_ns);
	if (r < 0) {
		/* Not a failure of enter(): then nobody would learn why. */
		fail_back(player, text[0] != '\0' ? text : strerror(-r), r);
		return 0;
	}
	r = open_all_back(player);
	if (r == 0)
		r = want_ring_back(player);
	if (r < 0) {
		weir_log(WEIR_LOG_ERROR, "player", "%s", strerror(-r));
		leave_back(back, player, WEIR_LEAVE_ERROR);
	}
	return r;
}

__attribute__((visibility("default"))) extern const struct weir_backend weir_backend;
const struct weir_backend weir_backend = {
	.abi = WEIR_BACKEND_ABI,
	.name = "player",
	.state_bytes = sizeof(struct player),
	.enter = enter_back,
	.command = command_back,
	.tick = tick_back,
	.leave = leave_back,
};
