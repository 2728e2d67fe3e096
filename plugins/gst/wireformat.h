/* SPDX-License-Identifier: MIT */
#ifndef WIREFORMAT_H
#define WIREFORMAT_H

/* The bytes of weir/wire.h: a header, then three sections of records: sticky events, news, metas. */

#include <assert.h>
#include <string.h>

#include <gst/gst.h>
#include <weir/ring.h>

#include "wire.h"

#define WIRE_MAGIC   0x31474557u /* "WEG1" */
#define WIRE_VERSION 1u

struct wire_header {
	uint32_t magic, version;
	uint64_t serial; /* changes with the sticky section */
	uint64_t told;	 /* news up to this number were carried by an earlier frame, too */
	uint32_t sticky_bytes, news_bytes, meta_bytes, unused;
	struct wire_times times;
};

enum wire_type {
	WIRE_STREAM_START = 1, /* struct wire_text: GstStreamFlags, stream id */
	WIRE_CAPS = 2,	       /* struct wire_text: 0, caps */
	WIRE_SEGMENT = 3,      /* struct wire_segment */
	WIRE_TAG = 4,	       /* struct wire_text: GstTagScope, tag list */
	WIRE_CUSTOM = 5,       /* struct wire_text: GstEventType, structure */
	WIRE_GAP = 6,	       /* struct wire_gap */
	WIRE_FLUSH = 7,	       /* struct wire_text: reset time, nothing */

	WIRE_REGION = 32,    /* struct wire_region, type and parameters as strings */
	WIRE_REFERENCE = 33, /* struct wire_reference, caps as string */
	WIRE_CROP = 34,	     /* struct wire_crop */
	WIRE_OWN_META = 35,  /* name and structure as strings */
};

/* Each begins on a word of 8 bytes; bytes counts this header and the padding, too. */
struct wire_record {
	uint32_t type, bytes;
	uint64_t number; /* of an event */
};

struct wire_text {
	uint32_t word, unused; /* then a string with its NUL */
};

struct wire_segment {
	uint32_t flags, format;
	double rate, applied_rate;
	uint64_t base, offset, start, stop, time, position, duration;
};

struct wire_gap {
	uint64_t timestamp, duration; /* then, maybe, GstGapFlags in 8 bytes */
};

struct wire_region {
	uint32_t x, y, width, height;
	int32_t id, parent;
};

struct wire_reference {
	uint64_t timestamp, duration;
};

struct wire_crop {
	uint32_t x, y, width, height;
};

static inline GByteArray *wireformat_record(uint32_t type, uint64_t number)
{
	struct wire_record head = { .type = type, .number = number };
	GByteArray *record = g_byte_array_new();

	g_byte_array_append(record, (const guint8 *)&head, sizeof(head));
	return record;
}

/* Pads it and writes its length. */
static inline GByteArray *wireformat_finish(GByteArray *record)
{
	static const guint8 zeroes[8];
	uint32_t bytes = (record->len + 7) & ~7u;

	g_byte_array_append(record, zeroes, bytes - record->len);
	memcpy(record->data + offsetof(struct wire_record, bytes), &bytes, sizeof(bytes));
	return record;
}

/* A record in private memory. Takes the next one from *at, of *left bytes; false: none, or it is broken. */
struct wire_view {
	struct wire_record head;
	const uint8_t *body;
	uint32_t body_bytes;
};

static inline bool wireformat_next(const uint8_t **at, uint32_t *left, struct wire_view *view)
{
	if (*left < sizeof(view->head))
		return false;
	memcpy(&view->head, *at, sizeof(view->head));
	if (view->head.bytes < sizeof(view->head) || view->head.bytes % 8 != 0 || view->head.bytes > *left)
		return false;
	view->body = *at + sizeof(view->head);
	view->body_bytes = view->head.bytes - (uint32_t)sizeof(view->head);
	*at += view->head.bytes;
	*left -= view->head.bytes;
	return true;
}

/* Takes a part of fixed size from the front of a body. */
static inline bool wireformat_take(struct wire_view *view, void *part, uint32_t bytes)
{
	if (view->body_bytes < bytes)
		return false;
	memcpy(part, view->body, bytes);
	view->body += bytes;
	view->body_bytes -= bytes;
	return true;
}

/* Parses a structure; NULL: it is none. GStreamer takes a bad name for a mistake of ours, so it is looked at first. */
static inline GstStructure *wireformat_structure(const char *text)
{
	size_t length = strcspn(text, ",;");

	if (!g_ascii_isalpha(text[0]))
		return NULL;
	for (size_t i = 1; i < length; i++)
		if (!g_ascii_isalnum(text[i]) && strchr("/-_.:+", text[i]) == NULL)
			return NULL;
	return gst_structure_from_string(text, NULL);
}

/* A structure as text that reads back; NULL: it holds what has no text, like an object. */
static inline gchar *wireformat_to_text(const GstStructure *structure)
{
	gchar *text = gst_structure_to_string(structure);
	GstStructure *back = strlen(text) < WIRE_TEXT_MAX ? wireformat_structure(text) : NULL;

	if (back == NULL)
		g_clear_pointer(&text, g_free);
	else
		gst_structure_free(back);
	return text;
}

/* Takes a string; NULL: none that ends, or no UTF-8. */
static inline const char *wireformat_string(struct wire_view *view)
{
	const uint8_t *end = view->body_bytes > 0 ? memchr(view->body, '\0', view->body_bytes) : NULL;
	const char *text = (const char *)view->body;

	if (end == NULL || !g_utf8_validate(text, end - view->body, NULL))
		return NULL;
	view->body_bytes -= (uint32_t)(end + 1 - view->body);
	view->body = end + 1;
	return text;
}

#endif
