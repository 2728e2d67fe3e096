/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <errno.h>
#include <string.h>

#include "streamcaps.h"
#include "wireformat.h"
#include "wiremeta.h"

#define NEWS_MAX     32 /* events that a frame repeats for those who missed frames */
#define NEWS_FRAMES  64 /* for so many frames */
#define NEWS_BYTES   8192
#define ROOM_TO_GROW 4096 /* for news and metas, beside what is known of */
#define CUSTOM_MAX   8	  /* sticky events of one's own */
#define STICKY_MAX   (WIRE_ROOM_MAX - ROOM_TO_GROW - (uint32_t)sizeof(struct wire_header))

static_assert(sizeof(struct wire_header) % 8 == 0, "records begin on a word");

/* Sticky events, in the order in which a pad wants them. */
enum sticky { STREAM_START, CAPS, SEGMENT, TAG_STREAM, TAG_GLOBAL, CUSTOM, STICKIES = CUSTOM + CUSTOM_MAX };

struct news {
	GByteArray *record;
	uint64_t number;
	uint64_t frame; /* the first that carries it */
};

struct wire_out {
	GByteArray *sticky[STICKIES]; /* records, or NULL */
	char *custom_name[CUSTOM_MAX];
	GQueue news; /* struct news, the oldest first */
	uint64_t numbers;
	uint64_t serial;   /* of the sticky events as a whole */
	uint64_t told;	   /* events up to this one were carried by a frame */
	uint64_t frames;   /* written so far */
	uint64_t *in_slot; /* which serial stands in each slot */
	uint32_t sticky_bytes, news_bytes;
	uint32_t metas_bytes; /* the most that a buffer's metas took which did not fit */
	uint32_t left_out;    /* events, since the last frame was written */
};

/* --- events become records -------------------------------------------------------------------------------------- */

static GByteArray *text_record(struct wire_out *out, uint32_t type, uint32_t word, const char *text)
{
	struct wire_text fixed = { .word = word };
	GByteArray *record;

	if (text == NULL || strlen(text) >= (type == WIRE_CAPS ? WIRE_CAPS_MAX : WIRE_TEXT_MAX)) {
		out->left_out++;
		return NULL;
	}
	record = wireformat_record(type, ++out->numbers);
	g_byte_array_append(record, (const guint8 *)&fixed, sizeof(fixed));
	g_byte_array_append(record, (const guint8 *)text, strlen(text) + 1);
	return wireformat_finish(record);
}

static GByteArray *stream_start_record(struct wire_out *out, GstEvent *event)
{
	GstStreamFlags flags;
	const gchar *id;

	gst_event_parse_stream_start(event, &id);
	gst_event_parse_stream_flags(event, &flags);
	return text_record(out, WIRE_STREAM_START, flags, id);
}

static GByteArray *segment_record(struct wire_out *out, GstEvent *event)
{
	GByteArray *record = wireformat_record(WIRE_SEGMENT, ++out->numbers);
	struct wire_segment fixed;
	const GstSegment *segment;

	gst_event_parse_segment(event, &segment);
	fixed = (struct wire_segment){
		.flags = segment->flags,
		.format = segment->format,
		.rate = segment->rate,
		.applied_rate = segment->applied_rate,
		.base = segment->base,
		.offset = segment->offset,
		.start = segment->start,
		.stop = segment->stop,
		.time = segment->time,
		.position = segment->position,
		.duration = segment->duration,
	};
	g_byte_array_append(record, (const guint8 *)&fixed, sizeof(fixed));
	return wireformat_finish(record);
}

/* Pictures are too large for metadata, and are what makes tags too large. */
static GByteArray *tag_record(struct wire_out *out, GstEvent *event)
{
	GByteArray *record;
	GstTagList *tags;
	gchar *text;

	gst_event_parse_tag(event, &tags);
	text = gst_tag_list_to_string(tags);
	if (strlen(text) >= WIRE_TEXT_MAX) {
		GstTagList *smaller = gst_tag_list_copy(tags);

		gst_tag_list_remove_tag(smaller, GST_TAG_IMAGE);
		gst_tag_list_remove_tag(smaller, GST_TAG_PREVIEW_IMAGE);
		gst_tag_list_remove_tag(smaller, GST_TAG_ATTACHMENT);
		g_free(text);
		text = gst_tag_list_to_string(smaller);
		gst_tag_list_unref(smaller);
	}
	record = text_record(out, WIRE_TAG, gst_tag_list_get_scope(tags), text);
	g_free(text);
	return record;
}

static GByteArray *custom_record(struct wire_out *out, GstEvent *event)
{
	const GstStructure *structure = gst_event_get_structure(event);
	gchar *text = structure != NULL ? wireformat_to_text(structure) : NULL;
	GByteArray *record = text_record(out, WIRE_CUSTOM, GST_EVENT_TYPE(event), text);

	g_free(text);
	return record;
}

static GByteArray *gap_record(struct wire_out *out, GstEvent *event)
{
	GByteArray *record = wireformat_record(WIRE_GAP, ++out->numbers);
	struct wire_gap fixed;
	uint64_t all_flags;
	GstGapFlags flags;

	gst_event_parse_gap(event, &fixed.timestamp, &fixed.duration);
	gst_event_parse_gap_flags(event, &flags);
	all_flags = flags;
	g_byte_array_append(record, (const guint8 *)&fixed, sizeof(fixed));
	g_byte_array_append(record, (const guint8 *)&all_flags, sizeof(all_flags));
	return wireformat_finish(record);
}

static GByteArray *flush_record(struct wire_out *out, GstEvent *event)
{
	GByteArray *record = wireformat_record(WIRE_FLUSH, ++out->numbers);
	struct wire_text fixed;
	gboolean reset;

	gst_event_parse_flush_stop(event, &reset);
	fixed.word = reset;
	fixed.unused = 0;
	g_byte_array_append(record, (const guint8 *)&fixed, sizeof(fixed));
	return wireformat_finish(record);
}

/* --- what is kept ----------------------------------------------------------------------------------------------- */

/* Takes the record over; NULL removes. */
static void set_sticky(struct wire_out *out, unsigned which, GByteArray *record)
{
	if (out->sticky[which] != NULL) {
		out->sticky_bytes -= out->sticky[which]->len;
		g_byte_array_unref(out->sticky[which]);
	}
	if (record != NULL && record->len > STICKY_MAX - out->sticky_bytes) {
		g_clear_pointer(&record, g_byte_array_unref);
		out->left_out++;
	}
	out->sticky[which] = record;
	if (record != NULL)
		out->sticky_bytes += record->len;
	out->serial++;
}

static void forget_oldest(struct wire_out *out)
{
	struct news *news = g_queue_pop_head(&out->news);

	out->news_bytes -= news->record->len;
	g_byte_array_unref(news->record);
	g_free(news);
}

static bool add_news(struct wire_out *out, GByteArray *record)
{
	struct news *news;

	if (record == NULL)
		return false;
	news = g_new0(struct news, 1);
	news->record = record;
	news->number = out->numbers;
	news->frame = out->frames + 1;
	g_queue_push_tail(&out->news, news);
	out->news_bytes += record->len;
	while (out->news.length > NEWS_MAX || (out->news_bytes > NEWS_BYTES && out->news.length > 1))
		forget_oldest(out);
	return true;
}

static void set_custom_sticky(struct wire_out *out, GstEvent *event)
{
	const GstStructure *structure = gst_event_get_structure(event);
	const char *name = structure != NULL ? gst_structure_get_name(structure) : NULL;
	unsigned i = 0;

	while (i < CUSTOM_MAX && name != NULL && out->custom_name[i] != NULL && strcmp(out->custom_name[i], name) != 0)
		i++;
	if (i == CUSTOM_MAX || name == NULL) {
		out->left_out++;
		return;
	}
	if (out->custom_name[i] == NULL)
		out->custom_name[i] = g_strdup(name);
	set_sticky(out, CUSTOM + i, custom_record(out, event));
}

static void set_caps(struct wire_out *out, GstEvent *event)
{
	gchar *text = NULL;
	GstCaps *caps;

	gst_event_parse_caps(event, &caps);
	caps = streamcaps_to_cross(caps);
	if (caps != NULL)
		text = gst_caps_to_string(caps);
	/* After long ones all are sent: short ones may differ from these in what the head leaves out. */
	if (out->sticky[CAPS] != NULL || text == NULL || strlen(text) >= WEIR_CAPS_BYTES)
		set_sticky(out, CAPS, text_record(out, WIRE_CAPS, 0, text));
	g_free(text);
	gst_clear_caps(&caps);
}

bool wire_out_event(struct wire_out *out, GstEvent *event)
{
	GstTagList *tags;

	switch (GST_EVENT_TYPE(event)) {
	case GST_EVENT_STREAM_START:
		wire_out_reset(out);
		set_sticky(out, STREAM_START, stream_start_record(out, event));
		return false;
	case GST_EVENT_CAPS: set_caps(out, event); return false;
	case GST_EVENT_SEGMENT: set_sticky(out, SEGMENT, segment_record(out, event)); return false;
	case GST_EVENT_TAG:
		gst_event_parse_tag(event, &tags);
		set_sticky(out, gst_tag_list_get_scope(tags) == GST_TAG_SCOPE_GLOBAL ? TAG_GLOBAL : TAG_STREAM,
			tag_record(out, event));
		return false;
	case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY: set_custom_sticky(out, event); return false;
	case GST_EVENT_CUSTOM_DOWNSTREAM:
	case GST_EVENT_CUSTOM_BOTH: return add_news(out, custom_record(out, event));
	case GST_EVENT_GAP: return add_news(out, gap_record(out, event));
	case GST_EVENT_FLUSH_STOP:
		/* A flush takes the segment with it; the next one follows. */
		set_sticky(out, SEGMENT, NULL);
		return add_news(out, flush_record(out, event));
	default: return false;
	}
}

void wire_out_reset(struct wire_out *out)
{
	for (unsigned i = 0; i < STICKIES; i++)
		if (i != CAPS && out->sticky[i] != NULL)
			set_sticky(out, i, NULL);
	for (unsigned i = 0; i < CUSTOM_MAX; i++)
		g_clear_pointer(&out->custom_name[i], g_free);
}

/* --- a frame ---------------------------------------------------------------------------------------------------- */

uint32_t wire_out_room(const struct wire_out *out)
{
	uint32_t room = sizeof(struct wire_header) + out->sticky_bytes + ROOM_TO_GROW + out->news_bytes +
			MIN(2 * out->metas_bytes, WIRE_ROOM_MAX);

	return MIN((room + 4095) / 4096 * 4096, WIRE_ROOM_MAX);
}

void wire_out_new_ring(struct wire_out *out)
{
	memset(out->in_slot, 0, WEIR_SLOTS_MAX * sizeof(*out->in_slot));
}

static void write_sticky(struct wire_out *out, uint8_t *area, uint32_t slot)
{
	if (out->in_slot[slot] == out->serial)
		return;
	for (unsigned i = 0; i < STICKIES; i++)
		if (out->sticky[i] != NULL) {
			memcpy(area, out->sticky[i]->data, out->sticky[i]->len);
			area += out->sticky[i]->len;
		}
	out->in_slot[slot] = out->serial;
}

/* The newest ones, as many as fit, in their order. */
static uint32_t write_news(struct wire_out *out, uint8_t *area, uint32_t room, uint32_t *lost)
{
	GList *first = NULL;
	uint32_t bytes = 0;

	while (out->news.length > 0 &&
		((struct news *)g_queue_peek_head(&out->news))->frame + NEWS_FRAMES <= out->frames)
		forget_oldest(out);
	for (GList *l = out->news.tail; l != NULL; l = l->prev) {
		const struct news *news = l->data;

		if (bytes + news->record->len > room) {
			*lost += news->number > out->told;
			break;
		}
		bytes += news->record->len;
		first = l;
	}
	for (GList *l = first; l != NULL; l = l->next) {
		const struct news *news = l->data;

		memcpy(area, news->record->data, news->record->len);
		area += news->record->len;
	}
	return bytes;
}

int wire_out_write(struct wire_out *out, uint8_t *area, uint32_t room, uint32_t slot, const struct wire_times *times,
	GstBuffer *buffer, uint32_t *lost)
{
	struct wire_header header = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.serial = out->serial,
		.sticky_bytes = out->sticky_bytes,
		.told = out->told,
		.times = *times,
	};
	uint32_t used = sizeof(header) + out->sticky_bytes, news_lost = 0, metas_lost = 0, needed = 0;

	if (used > room)
		return -EMSGSIZE;
	write_sticky(out, area + sizeof(header), slot);
	if (out->news.length > 0)
		header.news_bytes = write_news(out, area + used, room - used, &news_lost);
	used += header.news_bytes;
	if (buffer != NULL)
		header.meta_bytes = wiremeta_write(area + used, room - used, buffer, &metas_lost, &needed);
	/* Another ring may have room for all of it. */
	if (room < WIRE_ROOM_MAX && (news_lost > 0 || needed > room - used)) {
		out->metas_bytes = MIN(MAX(out->metas_bytes, needed), WIRE_ROOM_MAX);
		return -EMSGSIZE;
	}
	used += header.meta_bytes;
	memcpy(area, &header, sizeof(header));
	*lost += out->left_out + news_lost + metas_lost;
	out->left_out = 0;
	out->frames++;
	out->told = out->numbers;
	return (int)used;
}

struct wire_out *wire_out_new(void)
{
	struct wire_out *out = g_new0(struct wire_out, 1);

	g_queue_init(&out->news);
	out->in_slot = g_new0(uint64_t, WEIR_SLOTS_MAX);
	out->serial = 1;
	return out;
}

void wire_out_free(struct wire_out **out)
{
	struct wire_out *old = *out;

	if (old == NULL)
		return;
	for (unsigned i = 0; i < STICKIES; i++)
		set_sticky(old, i, NULL);
	for (unsigned i = 0; i < CUSTOM_MAX; i++)
		g_free(old->custom_name[i]);
	while (old->news.length > 0)
		forget_oldest(old);
	g_free(old->in_slot);
	g_free(old);
	*out = NULL;
}
