/* SPDX-License-Identifier: MIT */
/* What a player reads from a file that somebody gave it. */
#include "fuzz.h"

#include "parse.h"

static volatile uint8_t touched;

/* All that the parser says is there must be there. */
static void touch(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < size; i++)
		touched ^= at[i];
}

static void look_at(const struct weir_frame *frame)
{
	touch(frame->meta, frame->meta_bytes);
	FUZZ_CHECK(frame->pts_ns == WEIR_TIME_NONE || (frame->pts_ns < INT64_MAX / 2 && frame->pts_ns > INT64_MIN / 2));
}

/* A head as it should be, with some bytes of it changed: blindly nothing like it is ever found. */
static void read_head(struct fuzz_input *input)
{
	uint8_t *head = malloc(MATROSKA_HEAD_BYTES);
	struct weir_format format, read;
	int64_t duration_ns;
	struct codec codec = { .id = "V_UNCOMPRESSED", .width = 64, .height = 48 };

	weir_format_video(&format, WEIR_PIXEL_NV12, 64, 48);
	FUZZ_CHECK(matroska_put_head(head, &(struct matroska_head){ .format = &format, .codec = &codec }) == 0);
	FUZZ_CHECK(parse_head(&read, &duration_ns, head) == 0 && memcmp(&read, &format, sizeof(format)) == 0);
	while (input->at < input->end) {
		uint16_t at = (uint16_t)fuzz_take(input, 2) % MATROSKA_HEAD_BYTES;

		head[at] = (uint8_t)fuzz_take(input, 1);
	}
	if (parse_head(&read, &duration_ns, head) == 0)
		FUZZ_CHECK(weir_format_check(&read) == 0 && duration_ns >= 0);
	free(head);
}

static void read_packets(struct fuzz_input *input)
{
	const size_t size = (size_t)(input->end - input->at);
	uint8_t *bytes = malloc(size + 1);
	struct parse_packets packets = { .bytes = bytes, .size = size };
	struct parse_cluster cluster;
	struct weir_frame frame;

	memcpy(bytes, input->at, size);
	if (parse_cluster(&cluster, bytes, size) == 0) {
		packets.at = cluster.head_bytes;
		packets.cluster_ms = cluster.time_ms;
		FUZZ_CHECK(packets.at <= size);
	}
	for (size_t before = packets.at; parse_packet(&packets, &frame) == 0; before = packets.at) {
		FUZZ_CHECK(packets.at > before && packets.at <= size);
		touch(frame.data, frame.size_bytes);
		look_at(&frame);
	}
	free(bytes);
}

static void read_page(struct fuzz_input *input)
{
	const uint32_t payload_bytes = (uint32_t)fuzz_take(input, 4);
	uint8_t *page = malloc(MATROSKA_PAGE);
	struct weir_frame frame = { .pts_ns = 1, .size_bytes = payload_bytes };

	matroska_put_frame_page(page, &frame, 0);
	FUZZ_CHECK(parse_frame_page(&frame, page, payload_bytes, 0) == 0);
	while (input->at < input->end) {
		uint16_t at = (uint16_t)fuzz_take(input, 2) % MATROSKA_PAGE;

		page[at] = (uint8_t)fuzz_take(input, 1);
	}
	if (parse_frame_page(&frame, page, payload_bytes, 0) == 0)
		look_at(&frame);
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { .at = data, .end = data + bytes };

	switch (fuzz_take(&input, 1) % 3) {
	case 0: read_packets(&input); break;
	case 1: read_head(&input); break;
	case 2: read_page(&input); break;
	}
	return 0;
}
