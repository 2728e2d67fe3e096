/* SPDX-License-Identifier: MIT */
#include "parse.h"

#include <errno.h>
#include <string.h>

#define BLOCK_HEAD_BYTES 4
#define MS		 INT64_C(1000000)

/* The element at an offset, which lies within the bytes with all its content. */
static int read_whole(struct ebml_element *element, const uint8_t *bytes, size_t size, size_t at)
{
	int r = ebml_read(element, bytes + at, size - at);

	if (r < 0)
		return -EPROTO;
	return element->size <= size - at - element->head_bytes ? 0 : -EPROTO;
}

static int64_t find_duration(const uint8_t *info, size_t size)
{
	struct ebml_element element;
	uint64_t bits;
	double ms;

	for (size_t at = 0; at < size; at += element.head_bytes + (size_t)element.size) {
		if (read_whole(&element, info, size, at) < 0)
			return 0;
		if (element.id != MATROSKA_ID_DURATION || element.size != sizeof(ms))
			continue;
		bits = ebml_uint(info + at + element.head_bytes, element.size);
		memcpy(&ms, &bits, sizeof(ms));
		return ms > 0 && ms < MATROSKA_TIME_MS_MAX ? (int64_t)(ms * MS) : 0;
	}
	return 0;
}

int parse_head(struct weir_format *format, int64_t *duration_ns, const uint8_t head[MATROSKA_HEAD_BYTES])
{
	struct ebml_element element;
	size_t at;

	if (read_whole(&element, head, MATROSKA_HEAD_BYTES, 0) < 0 || element.id != MATROSKA_ID_EBML)
		return -EPROTO;
	at = element.head_bytes + (size_t)element.size;
	if (ebml_read(&element, head + at, MATROSKA_HEAD_BYTES - at) < 0 || element.id != MATROSKA_ID_SEGMENT)
		return -EPROTO;
	*duration_ns = 0;
	for (at += element.head_bytes; at < MATROSKA_HEAD_BYTES; at += element.head_bytes + (size_t)element.size) {
		if (read_whole(&element, head, MATROSKA_HEAD_BYTES, at) < 0)
			return -EPROTO;
		if (element.id == MATROSKA_ID_INFO)
			*duration_ns = find_duration(head + at + element.head_bytes, (size_t)element.size);
		if (element.id == EBML_ID_VOID &&
			note_get_format(format, head + at + element.head_bytes, (size_t)element.size) == 0)
			return 0;
	}
	return -EPROTO;
}

int parse_cluster(struct parse_cluster *cluster, const uint8_t *bytes, size_t size)
{
	struct ebml_element element, time;
	uint64_t time_ms;

	if (ebml_read(&element, bytes, size) < 0 || element.id != MATROSKA_ID_CLUSTER)
		return -ENODATA;
	if (element.size == EBML_UNKNOWN || read_whole(&time, bytes, size, element.head_bytes) < 0 ||
		time.id != MATROSKA_ID_TIME || time.head_bytes + time.size > element.size)
		return -EPROTO;
	time_ms = ebml_uint(bytes + element.head_bytes + time.head_bytes, time.size);
	if (time_ms > MATROSKA_TIME_MS_MAX)
		return -EPROTO;
	*cluster = (struct parse_cluster){
		.bytes = element.head_bytes + element.size,
		.head_bytes = element.head_bytes + time.head_bytes + (uint32_t)time.size,
		.time_ms = (int64_t)time_ms,
	};
	return 0;
}

/* Without a note there is only what Matroska knows. */
static void describe(struct weir_frame *frame, const uint8_t *block, int64_t cluster_ms)
{
	const int16_t relative_ms = (int16_t)(block[1] << 8 | block[2]);

	*frame = (struct weir_frame){
		.pts_ns = (cluster_ms + relative_ms) * MS,
		.dts_ns = WEIR_TIME_NONE,
		.duration_ns = WEIR_TIME_NONE,
		.flags = (block[3] & 0x80) != 0 ? WEIR_FRAME_KEY : 0,
	};
}

static bool is_block(const struct ebml_element *element, const uint8_t *block)
{
	/* The track, and no lacing. */
	return element->id == MATROSKA_ID_SIMPLE_BLOCK && block[0] == (0x80 | MATROSKA_TRACK) && (block[3] & 0x06) == 0;
}

int parse_frame_page(
	struct weir_frame *frame, const uint8_t page[MATROSKA_PAGE], uint32_t payload_bytes, int64_t cluster_ms)
{
	struct ebml_element filler, block;
	size_t at;

	if (read_whole(&filler, page, MATROSKA_PAGE, 0) < 0 || filler.id != EBML_ID_VOID)
		return -EPROTO;
	at = filler.head_bytes + (size_t)filler.size;
	if (ebml_read(&block, page + at, MATROSKA_PAGE - at) < 0 ||
		at + block.head_bytes + BLOCK_HEAD_BYTES != MATROSKA_PAGE ||
		block.size != BLOCK_HEAD_BYTES + (uint64_t)payload_bytes ||
		!is_block(&block, page + at + block.head_bytes))
		return -EPROTO;
	if (note_get_frame(frame, page + filler.head_bytes, (size_t)filler.size) < 0)
		describe(frame, page + at + block.head_bytes, cluster_ms);
	frame->size_bytes = payload_bytes;
	frame->data = NULL;
	return 0;
}

int parse_packet(struct parse_packets *packets, struct weir_frame *frame)
{
	const uint8_t *note = NULL;
	size_t note_bytes = 0;

	while (packets->at < packets->size) {
		struct ebml_element element;
		const uint8_t *content;
		int r = read_whole(&element, packets->bytes, packets->size, packets->at);

		if (r < 0)
			return r;
		content = packets->bytes + packets->at + element.head_bytes;
		packets->at += element.head_bytes + (size_t)element.size;
		if (element.id == EBML_ID_VOID) {
			note = content;
			note_bytes = (size_t)element.size;
			continue;
		}
		if (element.size < BLOCK_HEAD_BYTES || element.size - BLOCK_HEAD_BYTES > UINT32_MAX ||
			!is_block(&element, content)) {
			note = NULL;
			continue;
		}
		if (note == NULL || note_get_frame(frame, note, note_bytes) < 0)
			describe(frame, content, packets->cluster_ms);
		packets->block_ms = packets->cluster_ms + (int16_t)(content[1] << 8 | content[2]);
		packets->block_key = (content[3] & 0x80) != 0;
		frame->size_bytes = (uint32_t)(element.size - BLOCK_HEAD_BYTES);
		frame->data = content + BLOCK_HEAD_BYTES;
		return 0;
	}
	return -ENODATA;
}
