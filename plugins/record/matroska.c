/* SPDX-License-Identifier: MIT */
#include "matroska.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define EBML_HEADER_BYTES 95			   /* as put_ebml_header() makes it */
#define SEGMENT_START	  (EBML_HEADER_BYTES + 12) /* offsets inside of the file are told relative to this */
#define BLOCK_HEAD_BYTES  (1 + 8 + 4)
#define VOID_HEAD_BYTES	  (1 + 8)
#define CUE_BYTES	  69
#define HIDDEN_BYTES	  (UINT64_C(1) << 48) /* more than any file */
#define EPOCH_2001_NS	  (INT64_C(978307200) * 1000000000)
#define MS		  INT64_C(1000000)

static void put_ebml_header(struct ebml *ebml)
{
	size_t header = ebml_begin(ebml, MATROSKA_ID_EBML);

	ebml_put_uint(ebml, 0x42f7, 1); /* EBMLReadVersion */
	ebml_put_uint(ebml, 0x42f3, 8); /* EBMLMaxSizeLength */
	ebml_put_string(ebml, 0x4282, "matroska");
	ebml_put_uint(ebml, 0x4287, 4);	       /* DocTypeVersion */
	ebml_put_bytes(ebml, 0x4285, "\2", 1); /* DocTypeReadVersion */
	ebml_end(ebml, header);
}

static void put_seek(struct ebml *ebml, uint32_t id, uint64_t offset)
{
	const uint8_t bytes[] = { (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
	size_t seek = ebml_begin(ebml, 0x4dbb);

	ebml_put_bytes(ebml, 0x53ab, bytes, sizeof(bytes));
	ebml_put_uint(ebml, 0x53ac, offset - SEGMENT_START);
	ebml_end(ebml, seek);
}

static void put_info(struct ebml *ebml, const struct matroska_head *config)
{
	size_t info = ebml_begin(ebml, MATROSKA_ID_INFO);

	ebml_put_uint(ebml, 0x2ad7b1, MS);     /* TimestampScale */
	ebml_put_string(ebml, 0x4d80, "weir"); /* MuxingApp */
	ebml_put_string(ebml, 0x5741, "weir"); /* WritingApp */
	if (config->wall_ns > 0)
		ebml_put_uint(ebml, 0x4461, (uint64_t)(config->wall_ns - EPOCH_2001_NS)); /* DateUTC */
	if (config->duration_ns > 0)
		ebml_put_float(ebml, MATROSKA_ID_DURATION, (double)config->duration_ns / MS);
	ebml_end(ebml, info);
}

static void put_video(struct ebml *ebml, const struct codec *codec)
{
	size_t video;

	if (codec->rate_num > 0 && codec->rate_den > 0)
		ebml_put_uint(ebml, 0x23e383, UINT64_C(1000000000) * codec->rate_den / codec->rate_num);
	video = ebml_begin(ebml, 0xe0);
	ebml_put_uint(ebml, 0xb0, codec->width);
	ebml_put_uint(ebml, 0xba, codec->height);
	if (codec->fourcc[0] != 0)
		ebml_put_bytes(ebml, 0x2eb524, codec->fourcc, sizeof(codec->fourcc)); /* UncompressedFourCC */
	ebml_end(ebml, video);
}

static void put_audio(struct ebml *ebml, const struct codec *codec)
{
	size_t audio;

	if (codec->delay_ns > 0)
		ebml_put_uint(ebml, 0x56aa, codec->delay_ns); /* CodecDelay */
	if (codec->preroll_ns > 0)
		ebml_put_uint(ebml, 0x56bb, codec->preroll_ns); /* SeekPreRoll */
	audio = ebml_begin(ebml, 0xe1);
	ebml_put_float(ebml, 0xb5, codec->sample_rate);
	ebml_put_uint(ebml, 0x9f, codec->channels);
	if (codec->sample_bits > 0)
		ebml_put_uint(ebml, 0x6264, codec->sample_bits);
	ebml_end(ebml, audio);
}

static void put_track(struct ebml *ebml, const struct codec *codec)
{
	size_t tracks = ebml_begin(ebml, MATROSKA_ID_TRACKS), track = ebml_begin(ebml, 0xae);

	ebml_put_uint(ebml, 0xd7, MATROSKA_TRACK);
	ebml_put_uint(ebml, 0x73c5, MATROSKA_TRACK);		/* TrackUID */
	ebml_put_uint(ebml, 0x83, codec->channels > 0 ? 2 : 1); /* TrackType: audio, video */
	ebml_put_uint(ebml, 0x9c, 0);				/* FlagLacing */
	ebml_put_string(ebml, 0x86, codec->id);
	if (codec->private_bytes > 0)
		ebml_put_bytes(ebml, 0x63a2, codec->private, codec->private_bytes);
	if (codec->channels > 0)
		put_audio(ebml, codec);
	else
		put_video(ebml, codec);
	ebml_end(ebml, track);
	ebml_end(ebml, tracks);
}

int matroska_put_head(uint8_t head[MATROSKA_HEAD_BYTES], const struct matroska_head *config)
{
	/* Room for the Void element at the end, whatever else there is. */
	struct ebml ebml = { .bytes = head, .room = MATROSKA_HEAD_BYTES - VOID_HEAD_BYTES };
	uint8_t note[NOTE_FORMAT_BYTES];
	size_t content;

	memset(head, 0, MATROSKA_HEAD_BYTES);
	put_ebml_header(&ebml);
	assert(ebml.size == EBML_HEADER_BYTES);
	ebml_put_head(
		&ebml, MATROSKA_ID_SEGMENT, config->file_bytes > 0 ? config->file_bytes - SEGMENT_START : EBML_UNKNOWN);
	assert(ebml.size == SEGMENT_START);
	if (config->cues_offset > 0) {
		size_t seek_head = ebml_begin(&ebml, 0x114d9b74);

		put_seek(&ebml, MATROSKA_ID_CUES, config->cues_offset);
		ebml_end(&ebml, seek_head);
	}
	put_info(&ebml, config);
	put_track(&ebml, config->codec);
	note_put_format(note, config->format);
	content = ebml.size + VOID_HEAD_BYTES;
	ebml_put_void(&ebml, VOID_HEAD_BYTES + sizeof(note));
	if (ebml.full)
		return -EMSGSIZE;
	memcpy(head + content, note, sizeof(note));
	ebml.room = MATROSKA_HEAD_BYTES;
	ebml_put_void(&ebml, ebml.room - ebml.size);
	return 0;
}

void matroska_put_curtain(uint8_t page[MATROSKA_PAGE])
{
	struct ebml ebml = { .bytes = page, .room = MATROSKA_PAGE };

	memset(page, 0, MATROSKA_PAGE);
	ebml_put_head(&ebml, EBML_ID_VOID, HIDDEN_BYTES);
}

void matroska_put_cluster(struct ebml *ebml, uint64_t total_bytes, int64_t time_ms)
{
	ebml_put_head(ebml, MATROSKA_ID_CLUSTER, total_bytes - 12);
	ebml_put_uint(ebml, MATROSKA_ID_TIME, (uint64_t)time_ms);
}

void matroska_put_cluster_page(uint8_t page[MATROSKA_PAGE], uint64_t total_bytes, int64_t time_ms)
{
	struct ebml ebml = { .bytes = page, .room = MATROSKA_PAGE };

	memset(page, 0, MATROSKA_PAGE);
	matroska_put_cluster(&ebml, total_bytes, time_ms);
	ebml_put_void(&ebml, ebml.room - ebml.size);
}

static void put_block_head(struct ebml *ebml, const struct weir_frame *frame, bool key, int16_t relative_ms)
{
	const uint8_t head[] = { 0x80 | MATROSKA_TRACK, (uint8_t)((uint16_t)relative_ms >> 8), (uint8_t)relative_ms,
		key ? 0x80 : 0 };

	ebml_put_head(ebml, MATROSKA_ID_SIMPLE_BLOCK, sizeof(head) + (uint64_t)frame->size_bytes);
	memcpy(ebml->bytes + ebml->size, head, sizeof(head));
	ebml->size += sizeof(head);
}

void matroska_put_frame_page(uint8_t page[MATROSKA_PAGE], const struct weir_frame *frame, int16_t relative_ms)
{
	const size_t void_bytes = MATROSKA_PAGE - BLOCK_HEAD_BYTES;
	struct ebml ebml = { .bytes = page, .room = MATROSKA_PAGE };

	memset(page, 0, MATROSKA_PAGE);
	ebml_put_void(&ebml, void_bytes);
	note_put_frame(page + VOID_HEAD_BYTES, void_bytes - VOID_HEAD_BYTES, frame);
	put_block_head(&ebml, frame, true, relative_ms);
}

/* A Void element cannot be a single byte. */
static uint32_t tail_bytes(uint32_t payload_bytes)
{
	const uint32_t rest = payload_bytes % MATROSKA_PAGE;

	return rest == 0 ? 0 : (uint32_t)matroska_pages(rest + 2);
}

uint32_t matroska_put_tail(uint8_t tail[MATROSKA_TAIL_MAX], const uint8_t *payload, uint32_t payload_bytes)
{
	const uint32_t rest = payload_bytes % MATROSKA_PAGE, bytes = tail_bytes(payload_bytes);
	struct ebml ebml = { .bytes = tail, .size = rest, .room = bytes };

	if (rest == 0)
		return 0;
	memcpy(tail, payload + matroska_whole_bytes(payload_bytes), rest);
	memset(tail + rest, 0, bytes - rest);
	ebml_put_void(&ebml, bytes - rest);
	return bytes;
}

uint64_t matroska_frame_bytes(uint32_t payload_bytes)
{
	return MATROSKA_PAGE + (uint64_t)matroska_whole_bytes(payload_bytes) + tail_bytes(payload_bytes);
}

uint64_t matroska_packet_bytes(const struct weir_frame *frame)
{
	return VOID_HEAD_BYTES + NOTE_FRAME_BYTES + frame->meta_bytes + BLOCK_HEAD_BYTES + (uint64_t)frame->size_bytes;
}

void matroska_put_packet(struct ebml *ebml, const struct weir_frame *frame, bool key, int16_t relative_ms)
{
	const size_t note_bytes = NOTE_FRAME_BYTES + frame->meta_bytes;

	assert(matroska_packet_bytes(frame) <= ebml->room - ebml->size);
	note_put_frame(ebml->bytes + ebml->size + VOID_HEAD_BYTES, note_bytes, frame);
	ebml_put_void(ebml, VOID_HEAD_BYTES + note_bytes);
	put_block_head(ebml, frame, key, relative_ms);
	memcpy(ebml->bytes + ebml->size, frame->data, frame->size_bytes);
	ebml->size += frame->size_bytes;
}

uint64_t matroska_cues_bytes(size_t count)
{
	return matroska_pages(12 + count * CUE_BYTES + VOID_HEAD_BYTES);
}

void matroska_put_cues(uint8_t *bytes, const struct matroska_cue *cues, size_t count)
{
	struct ebml ebml = { .bytes = bytes, .room = matroska_cues_bytes(count) };
	size_t all = ebml_begin(&ebml, MATROSKA_ID_CUES);

	memset(bytes + ebml.size, 0, ebml.room - ebml.size);
	for (size_t i = 0; i < count; i++) {
		size_t point = ebml_begin(&ebml, 0xbb), positions;

		ebml_put_uint(&ebml, 0xb3, (uint64_t)cues[i].time_ms);
		positions = ebml_begin(&ebml, 0xb7);
		ebml_put_uint(&ebml, 0xf7, MATROSKA_TRACK);
		ebml_put_uint(&ebml, 0xf1, cues[i].offset - SEGMENT_START);
		ebml_end(&ebml, positions);
		ebml_end(&ebml, point);
	}
	ebml_end(&ebml, all);
	ebml_put_void(&ebml, ebml.room - ebml.size);
}
