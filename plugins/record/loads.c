/* SPDX-License-Identifier: MIT */
#include "player.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>

#define GAP_NS	   (10 * SECOND_NS) /* a jump of times that is not waited for */
#define REORDER_NS SECOND_NS	    /* packets are decoded in another order than they are shown */
#define DROP_NS	   (5 * SECOND_NS)

/* --- reading ----------------------------------------------------------------------------------------------------- */

static void part_done(struct engine_op *op, int status)
{
	struct load *load = op->data;

	if (status < 0)
		load->status = status;
	if (--load->in_flight == 0)
		load->state = LOAD_READY;
}

static bool is_fixed(struct player *player, const struct load *load)
{
	const uint32_t slot = load->frame.slot;

	if (slot >= WEIR_SLOTS_MAX)
		return false;
	if (!player->is_slot_known[slot])
		player->is_slot_fixed[slot] = engine_register(player->engine, slot, load->payload,
						      weir_writer_slot_bytes(player->writer)) == 0;
	player->is_slot_known[slot] = true;
	return player->is_slot_fixed[slot];
}

static void submit(struct load *load, struct engine_op *op, uint64_t offset, void *to, size_t bytes, bool fixed)
{
	*op = (struct engine_op){
		.kind = ENGINE_READ,
		.fd = load->place.fd,
		.offset = offset,
		.iov = { { .iov_base = to, .iov_len = bytes } },
		.iovs = 1,
		.buffer = fixed ? 1 + load->frame.slot : 0,
		.done = part_done,
		.data = load,
	};
	load->in_flight++;
	engine_submit(load->player->engine, op);
}

static void read_picture(struct player *player, struct load *load)
{
	load->state = LOAD_READING;
	load->status = 0;
	if (load->place.page_offset != UINT64_MAX)
		submit(load, &load->page_op, load->place.page_offset, load->page, MATROSKA_PAGE, false);
	submit(load, &load->payload_op, load->place.payload_offset, load->payload, load->place.payload_bytes,
		is_fixed(player, load));
}

static int take_packet(struct player *player, struct load *load)
{
	if (load->place.frame.size_bytes > weir_writer_slot_bytes(player->writer)) {
		player->packet_bytes = load->place.frame.size_bytes;
		source_again(&player->source);
		return -EMSGSIZE;
	}
	memcpy(load->payload, load->place.frame.data, load->place.frame.size_bytes);
	if (load->place.frame.meta_bytes <= MATROSKA_PAGE)
		memcpy(load->page, load->place.frame.meta, load->place.frame.meta_bytes);
	else
		load->place.frame.meta_bytes = 0;
	load->place.frame.meta = load->page;
	load->state = LOAD_READY;
	return 0;
}

int loads_begin_back(struct player *player)
{
	struct load *load = &player->load[(player->first + player->loads) % LOADS];
	int r;

	if (player->file_over)
		return -ENODATA;
	if (player->loads == LOADS)
		return -EAGAIN;
	r = weir_writer_claim(player->writer, &load->frame, &load->payload);
	if (r < 0)
		return r == -EBUSY ? -EAGAIN : r;
	r = source_next(&player->source, &load->place);
	if (r == 0 && load->place.payload_bytes == 0)
		r = take_packet(player, load);
	else if (r == 0 && load->place.payload_bytes > weir_writer_slot_bytes(player->writer))
		r = -EMSGSIZE;
	else if (r == 0)
		read_picture(player, load);
	if (r < 0) {
		weir_writer_drop(player->writer, load->frame.slot);
		player->file_over = r == -ENODATA;
		return r;
	}
	player->loads++;
	player->round++;
	return 0;
}

/* --- publishing -------------------------------------------------------------------------------------------------- */

/* Packets come in the order of their decoding. */
static int64_t time_of(const struct player *player, const struct weir_frame *frame)
{
	return player->format.kind != WEIR_KIND_VIDEO && frame->dts_ns != WEIR_TIME_NONE ? frame->dts_ns
											 : frame->pts_ns;
}

/* Times go on from one file to the next unless another life of the recorder, or of its source, lies between. */
static bool follows(const struct player *player, const struct place *place, int64_t ns)
{
	const int64_t ahead_ns = ns - player->last_ns;

	return player->base_time_ns != WEIR_TIME_NONE && ahead_ns <= GAP_NS &&
	       ahead_ns >= (place->first ? 0 : -REORDER_NS);
}

/* When a frame is due, or 0: now. */
static int64_t due_ns(struct player *player, const struct place *place)
{
	const int64_t ns = time_of(player, &place->frame);

	if (ns == WEIR_TIME_NONE)
		return 0;
	if (!follows(player, place, ns)) {
		player->discontinuity |= player->base_time_ns != WEIR_TIME_NONE;
		player->base_ns = player_now_ns();
		player->base_time_ns = player->last_ns = ns;
	}
	if (player->options.pace <= 0)
		return 0;
	return player->base_ns + (int64_t)((double)(ns - player->base_time_ns) / player->options.pace);
}

/* What was written down of it, if it can be believed. */
static int describe(struct player *player, struct load *load)
{
	if (load->place.page_offset == UINT64_MAX || load->place.payload_bytes == 0)
		return 0;
	return parse_frame_page(&load->place.frame, load->page, player->format.payload_bytes, load->place.cluster_ms);
}

static int publish_back(struct player *player, struct load *load)
{
	const struct weir_frame *from = &load->place.frame;
	struct weir_frame frame = *from;
	void *meta = weir_writer_meta(player->writer, load->frame.slot);

	frame.slot = load->frame.slot;
	frame.capture_ns = player_now_ns();
	frame.data = NULL;
	if (frame.meta_bytes > META_MAX)
		frame.meta_bytes = 0;
	if (frame.meta_bytes > 0)
		memcpy(meta, from->meta, frame.meta_bytes);
	if (player->discontinuity)
		frame.flags |= WEIR_FRAME_DISCONTINUITY;
	player->discontinuity = false;
	if (time_of(player, &frame) != WEIR_TIME_NONE)
		player->last_ns = time_of(player, &frame);
	return weir_writer_publish(player->writer, &frame, false);
}

int loads_publish_back(struct player *player)
{
	struct load *load = &player->load[player->first];
	int64_t due;
	int r;

	if (player->loads == 0 || load->state != LOAD_READY)
		return -EAGAIN;
	r = load->status;
	if (r == 0)
		r = describe(player, load);
	if (r < 0)
		return r == -ENODATA || r == -EAGAIN ? -EPROTO : r;
	due = due_ns(player, &load->place);
	if (due > player_now_ns()) {
		struct itimerspec when = { .it_value = { .tv_sec = due / SECOND_NS, .tv_nsec = due % SECOND_NS } };

		timerfd_settime(player->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
		return -EAGAIN;
	}
	r = publish_back(player, load);
	load->state = LOAD_FREE;
	player->first = (player->first + 1) % LOADS;
	player->loads--;
	return r;
}

int loads_drop_back(struct player *player)
{
	int r = engine_wait(player->engine, player_now_ns() + DROP_NS);

	if (r < 0)
		return r;
	for (; player->loads > 0; player->loads--) {
		struct load *load = &player->load[player->first];

		weir_writer_drop(player->writer, load->frame.slot);
		load->state = LOAD_FREE;
		player->first = (player->first + 1) % LOADS;
	}
	return 0;
}
