/* SPDX-License-Identifier: MIT */
#include "ebml.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SIZE_BYTES 8

static void put(struct ebml *ebml, const void *bytes, size_t size)
{
	if (size > ebml->room - ebml->size) {
		ebml->full = true;
		return;
	}
	memcpy(ebml->bytes + ebml->size, bytes, size);
	ebml->size += size;
}

static void put_big_endian(struct ebml *ebml, uint64_t value, size_t size)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * (size - 1 - i));
	put(ebml, bytes, size);
}

static void put_id(struct ebml *ebml, uint32_t id)
{
	put_big_endian(ebml, id, id > 0xffffff ? 4 : id > 0xffff ? 3 : id > 0xff ? 2 : 1);
}

static uint64_t size_field(uint64_t size)
{
	return UINT64_C(1) << 56 | (size == EBML_UNKNOWN ? (UINT64_C(1) << 56) - 1 : size);
}

void ebml_put_head(struct ebml *ebml, uint32_t id, uint64_t size)
{
	put_id(ebml, id);
	put_big_endian(ebml, size_field(size), SIZE_BYTES);
}

void ebml_put_uint(struct ebml *ebml, uint32_t id, uint64_t value)
{
	ebml_put_head(ebml, id, 8);
	put_big_endian(ebml, value, 8);
}

void ebml_put_float(struct ebml *ebml, uint32_t id, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	ebml_put_uint(ebml, id, bits);
}

void ebml_put_bytes(struct ebml *ebml, uint32_t id, const void *bytes, size_t size)
{
	ebml_put_head(ebml, id, size);
	put(ebml, bytes, size);
}

void ebml_put_string(struct ebml *ebml, uint32_t id, const char *text)
{
	ebml_put_bytes(ebml, id, text, strlen(text));
}

size_t ebml_begin(struct ebml *ebml, uint32_t id)
{
	ebml_put_head(ebml, id, 0);
	return ebml->size;
}

void ebml_end(struct ebml *ebml, size_t begun)
{
	struct ebml size = { .bytes = ebml->bytes + begun - SIZE_BYTES, .room = SIZE_BYTES };

	if (!ebml->full)
		put_big_endian(&size, size_field(ebml->size - begun), SIZE_BYTES);
}

size_t ebml_put_void(struct ebml *ebml, size_t total_bytes)
{
	const size_t head_bytes = total_bytes > SIZE_BYTES ? 1 + SIZE_BYTES : 2;

	assert(total_bytes >= 2);
	if (total_bytes > ebml->room - ebml->size) {
		ebml->full = true;
		return 0;
	}
	put_id(ebml, EBML_ID_VOID);
	if (head_bytes == 2)
		put_big_endian(ebml, 0x80 | (total_bytes - 2), 1);
	else
		put_big_endian(ebml, size_field(total_bytes - head_bytes), SIZE_BYTES);
	ebml->size += total_bytes - head_bytes;
	return head_bytes;
}

/* The number of bytes of a variable-size integer is in the leading zero bits of its first byte. */
static uint32_t length_of(uint8_t first)
{
	uint32_t length = 1;

	for (uint32_t mask = 0x80; length <= 8 && (first & mask) == 0; mask >>= 1)
		length++;
	return length;
}

int ebml_read(struct ebml_element *element, const uint8_t *bytes, size_t size)
{
	uint32_t id_bytes, size_bytes, id = 0;
	uint64_t value;

	if (size == 0)
		return -ENODATA;
	id_bytes = length_of(bytes[0]);
	if (id_bytes > 4)
		return -EPROTO;
	if (size <= id_bytes)
		return -ENODATA;
	for (uint32_t i = 0; i < id_bytes; i++)
		id = id << 8 | bytes[i];
	size_bytes = length_of(bytes[id_bytes]);
	if (size_bytes > 8)
		return -EPROTO;
	if (size < id_bytes + size_bytes)
		return -ENODATA;
	value = bytes[id_bytes] & (0xffu >> size_bytes);
	for (uint32_t i = 1; i < size_bytes; i++)
		value = value << 8 | bytes[id_bytes + i];
	*element = (struct ebml_element){
		.id = id,
		.head_bytes = id_bytes + size_bytes,
		.size = value == (UINT64_C(1) << 7 * size_bytes) - 1 ? EBML_UNKNOWN : value,
	};
	return 0;
}

uint64_t ebml_uint(const uint8_t *content, uint64_t size)
{
	uint64_t value = 0;

	for (uint64_t i = 0; i < size && size <= 8; i++)
		value = value << 8 | content[i];
	return value;
}
