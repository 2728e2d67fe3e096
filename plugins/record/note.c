/* SPDX-License-Identifier: MIT */
#include "note.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define TIME_MAX_NS (INT64_C(1) << 61)

static const char format_magic[] = "WEIRFMT1", frame_magic[] = "WEIRFRM1";

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static uint8_t *put64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static uint32_t get32(const uint8_t **at)
{
	uint32_t value;

	memcpy(&value, *at, sizeof(value));
	*at += sizeof(value);
	return le32toh(value);
}

static uint64_t get64(const uint8_t **at)
{
	uint64_t value;

	memcpy(&value, *at, sizeof(value));
	*at += sizeof(value);
	return le64toh(value);
}

size_t note_put_format(uint8_t note[NOTE_FORMAT_BYTES], const struct weir_format *format)
{
	const uint32_t words[] = { format->kind, format->pixel, format->width, format->height, format->rate_num,
		format->rate_den, format->payload_bytes, format->plane_count };
	uint8_t *at = note + NOTE_MAGIC_BYTES;

	memcpy(note, format_magic, NOTE_MAGIC_BYTES);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		at = put32(at, words[i]);
	for (uint32_t i = 0; i < WEIR_PLANES_MAX; i++)
		at = put32(put32(at, format->plane[i].offset_bytes), format->plane[i].stride_bytes);
	memcpy(at, format->caps, WEIR_CAPS_BYTES);
	return NOTE_FORMAT_BYTES;
}

int note_get_format(struct weir_format *format, const uint8_t *note, size_t size)
{
	struct weir_format made;
	uint32_t *const words[] = { &made.kind, &made.pixel, &made.width, &made.height, &made.rate_num, &made.rate_den,
		&made.payload_bytes, &made.plane_count };
	const uint8_t *at = note + NOTE_MAGIC_BYTES;

	if (size < NOTE_FORMAT_BYTES || memcmp(note, format_magic, NOTE_MAGIC_BYTES) != 0)
		return -EPROTO;
	memset(&made, 0, sizeof(made)); /* formats are compared as bytes */
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		*words[i] = get32(&at);
	for (uint32_t i = 0; i < WEIR_PLANES_MAX; i++) {
		made.plane[i].offset_bytes = get32(&at);
		made.plane[i].stride_bytes = get32(&at);
	}
	memcpy(made.caps, at, WEIR_CAPS_BYTES);
	if (weir_format_check(&made) < 0)
		return -EPROTO;
	*format = made;
	return 0;
}

size_t note_put_frame(uint8_t *note, size_t room, const struct weir_frame *frame)
{
	const uint32_t meta_bytes = frame->meta_bytes <= room - NOTE_FRAME_BYTES ? frame->meta_bytes : 0;
	uint8_t *at = note + NOTE_MAGIC_BYTES;

	memcpy(note, frame_magic, NOTE_MAGIC_BYTES);
	at = put64(put64(at, frame->sequence), frame->dropped_before);
	at = put64(put64(at, (uint64_t)frame->pts_ns), (uint64_t)frame->dts_ns);
	at = put64(put64(at, (uint64_t)frame->duration_ns), (uint64_t)frame->capture_ns);
	at = put64(at, (uint64_t)frame->wall_ns);
	at = put32(put32(at, frame->flags), frame->size_bytes);
	at = put32(put64(at, 0), meta_bytes);
	if (meta_bytes > 0)
		memcpy(at, frame->meta, meta_bytes);
	return NOTE_FRAME_BYTES + meta_bytes;
}

/* Times of which sums can be made. */
static bool is_time(int64_t ns)
{
	return ns == WEIR_TIME_NONE || (ns > -TIME_MAX_NS && ns < TIME_MAX_NS);
}

int note_get_frame(struct weir_frame *frame, const uint8_t *note, size_t size)
{
	struct weir_frame made = { 0 };
	const uint8_t *at = note + NOTE_MAGIC_BYTES;

	if (size < NOTE_FRAME_BYTES || memcmp(note, frame_magic, NOTE_MAGIC_BYTES) != 0)
		return -EPROTO;
	made.sequence = get64(&at);
	made.dropped_before = get64(&at);
	made.pts_ns = (int64_t)get64(&at);
	made.dts_ns = (int64_t)get64(&at);
	made.duration_ns = (int64_t)get64(&at);
	made.capture_ns = (int64_t)get64(&at);
	made.wall_ns = (int64_t)get64(&at);
	made.flags = get32(&at);
	made.size_bytes = get32(&at);
	get64(&at);
	made.meta_bytes = get32(&at);
	made.meta = at;
	if (made.meta_bytes > size - NOTE_FRAME_BYTES || !is_time(made.pts_ns) || !is_time(made.dts_ns) ||
		!is_time(made.duration_ns) || !is_time(made.capture_ns) || !is_time(made.wall_ns))
		return -EPROTO;
	*frame = made;
	return 0;
}
