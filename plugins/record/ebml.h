/* SPDX-License-Identifier: MIT */
#ifndef EBML_H
#define EBML_H

/* EBML, the binary format below Matroska (RFC 8794): elements of id, size and content, into a buffer and out of one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EBML_UNKNOWN UINT64_MAX /* a size that is not known yet: the element goes on to the end of its parent */

#define EBML_ID_VOID 0xecu

/* --- writing: what does not fit is left out, and `full` says so ----------------------------------------------------
 */

struct ebml {
	uint8_t *bytes;
	size_t size, room;
	bool full;
};

/* Sizes are written with 8 bytes, so that a size can be changed in place. */
void ebml_put_head(struct ebml *ebml, uint32_t id, uint64_t size);
void ebml_put_uint(struct ebml *ebml, uint32_t id, uint64_t value);
void ebml_put_float(struct ebml *ebml, uint32_t id, double value);
void ebml_put_bytes(struct ebml *ebml, uint32_t id, const void *bytes, size_t size);
void ebml_put_string(struct ebml *ebml, uint32_t id, const char *text);

/* An element with elements in it: begin returns what end needs. */
size_t ebml_begin(struct ebml *ebml, uint32_t id);
void ebml_end(struct ebml *ebml, size_t begun);

/* A Void element of so many bytes, header included: 2 at the least. Its content is left as it is. Returns the bytes of
 * its header. */
size_t ebml_put_void(struct ebml *ebml, size_t total_bytes);

/* --- reading: from bytes that nobody vouches for -------------------------------------------------------------------
 */

struct ebml_element {
	uint32_t id;
	uint32_t head_bytes; /* of id and size */
	uint64_t size;	     /* of the content, or EBML_UNKNOWN */
};

/* The id and size at the beginning of so many bytes. -ENODATA: these are too few; -EPROTO: no element. */
int ebml_read(struct ebml_element *element, const uint8_t *bytes, size_t size);

/* The content of an unsigned integer element of 0 to 8 bytes, else 0. */
uint64_t ebml_uint(const uint8_t *content, uint64_t size);

#endif
