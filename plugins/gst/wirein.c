/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>

#include "wireformat.h"
#include "wiremeta.h"

struct wire_in {
	uint64_t serial; /* of the sticky section that was read; 0: none */
	uint64_t seen;	 /* events up to this number were given */
	bool joined;	 /* some frame was read */
	/* It sent text that no honest writer would: GStreamer's parsers leak memory over some of that, so no more of
	 * its events and metas are read. */
	bool distrusted;
	uint32_t meta_bytes;
	uint8_t copy[WIRE_ROOM_MAX];  /* of sticky events or news, while they are read */
	uint8_t metas[WIRE_ROOM_MAX]; /* of the frame read last */
};

/* --- records become events -------------------------------------------------------------------------------------- */

/* gst_segment_*() assert what is checked here. */
static bool is_plausible(const struct wire_segment *segment)
{
	bool forward = segment->rate > 0;

	return segment->format >= GST_FORMAT_DEFAULT && segment->format <= GST_FORMAT_BUFFERS &&
	       isfinite(segment->rate) && segment->rate != 0 && isfinite(segment->applied_rate) &&
	       segment->applied_rate != 0 && segment->start != GST_CLOCK_TIME_NONE &&
	       segment->base != GST_CLOCK_TIME_NONE && segment->offset != GST_CLOCK_TIME_NONE &&
	       segment->start <= segment->stop && (forward || segment->stop != GST_CLOCK_TIME_NONE) &&
	       segment->offset <= segment->stop - segment->start;
}

static GstEvent *segment_event(struct wire_view *view)
{
	struct wire_segment fixed;
	GstSegment segment;

	if (!wireformat_take(view, &fixed, sizeof(fixed)) || !is_plausible(&fixed))
		return NULL;
	gst_segment_init(&segment, fixed.format);
	segment.flags =
		fixed.flags & (GST_SEGMENT_FLAG_RESET | GST_SEGMENT_FLAG_TRICKMODE | GST_SEGMENT_FLAG_SEGMENT |
				      GST_SEGMENT_FLAG_TRICKMODE_KEY_UNITS | GST_SEGMENT_FLAG_TRICKMODE_NO_AUDIO);
	segment.rate = fixed.rate;
	segment.applied_rate = fixed.applied_rate;
	segment.base = fixed.base;
	segment.offset = fixed.offset;
	segment.start = fixed.start;
	segment.stop = fixed.stop;
	segment.time = fixed.time;
	segment.position = fixed.position;
	segment.duration = fixed.duration;
	return gst_event_new_segment(&segment);
}

static GstEvent *stream_start_event(uint32_t flags, const char *id)
{
	GstEvent *event = id[0] != '\0' ? gst_event_new_stream_start(id) : NULL;

	if (event != NULL) {
		gst_event_set_stream_flags(
			event, flags & (GST_STREAM_FLAG_SPARSE | GST_STREAM_FLAG_SELECT | GST_STREAM_FLAG_UNSELECT));
		gst_event_set_group_id(event, gst_util_group_id_next());
	}
	return event;
}

static GstEvent *caps_event(const char *text)
{
	GstCaps *caps = gst_caps_from_string(text);
	GstEvent *event = caps != NULL && gst_caps_is_fixed(caps) ? gst_event_new_caps(caps) : NULL;

	gst_clear_caps(&caps);
	return event;
}

static GstEvent *tag_event(uint32_t scope, const char *text)
{
	/* Anything else it takes for a mistake of ours. */
	GstTagList *tags = g_str_has_prefix(text, "taglist") ? gst_tag_list_new_from_string(text) : NULL;

	if (tags == NULL)
		return NULL;
	gst_tag_list_set_scope(tags, scope == GST_TAG_SCOPE_GLOBAL ? GST_TAG_SCOPE_GLOBAL : GST_TAG_SCOPE_STREAM);
	return gst_event_new_tag(tags);
}

static GstEvent *custom_event(uint32_t type, const char *text)
{
	GstStructure *structure;

	if (type != GST_EVENT_CUSTOM_DOWNSTREAM && type != GST_EVENT_CUSTOM_BOTH &&
		type != GST_EVENT_CUSTOM_DOWNSTREAM_STICKY)
		return NULL;
	structure = wireformat_structure(text);
	return structure != NULL ? gst_event_new_custom(type, structure) : NULL;
}

static GstEvent *text_event(struct wire_view *view)
{
	struct wire_text fixed;
	const char *text;

	if (!wireformat_take(view, &fixed, sizeof(fixed)))
		return NULL;
	if (view->head.type == WIRE_FLUSH)
		return gst_event_new_flush_stop(fixed.word != 0);
	text = wireformat_string(view);
	if (text == NULL || strlen(text) >= (view->head.type == WIRE_CAPS ? WIRE_CAPS_MAX : WIRE_TEXT_MAX))
		return NULL;
	switch (view->head.type) {
	case WIRE_STREAM_START: return stream_start_event(fixed.word, text);
	case WIRE_CAPS: return caps_event(text);
	case WIRE_TAG: return tag_event(fixed.word, text);
	case WIRE_CUSTOM: return custom_event(fixed.word, text);
	default: return NULL;
	}
}

static GstEvent *gap_event(struct wire_view *view)
{
	struct wire_gap fixed;
	uint64_t flags;
	GstEvent *event;

	if (!wireformat_take(view, &fixed, sizeof(fixed)) || fixed.timestamp == GST_CLOCK_TIME_NONE)
		return NULL;
	event = gst_event_new_gap(fixed.timestamp, fixed.duration);
	if (wireformat_take(view, &flags, sizeof(flags)))
		gst_event_set_gap_flags(event, flags & GST_GAP_FLAG_MISSING_DATA);
	return event;
}

static GstEvent *to_event(struct wire_view *view)
{
	switch (view->head.type) {
	case WIRE_SEGMENT: return segment_event(view);
	case WIRE_GAP: return gap_event(view);
	default: return text_event(view);
	}
}

/* --- a frame ---------------------------------------------------------------------------------------------------- */

struct found {
	uint64_t number;
	bool sticky;
	GstEvent *event;
};

static gint by_number(gconstpointer a, gconstpointer b, gpointer data)
{
	const struct found *first = a, *second = b;

	return first->number < second->number ? -1 : first->number > second->number;
}

/* Appends the events of a section with numbers over after. False: one is broken. */
static bool find_events(GQueue *found, const uint8_t *section, uint32_t bytes, uint64_t after, bool sticky)
{
	struct wire_view view;

	while (wireformat_next(&section, &bytes, &view)) {
		GstEvent *event = view.head.number > after ? to_event(&view) : NULL;
		struct found *one;

		if (event == NULL && view.head.number > after)
			return false;
		if (event == NULL)
			continue;
		one = g_new(struct found, 1);
		*one = (struct found){ .number = view.head.number, .sticky = sticky, .event = event };
		g_queue_push_tail(found, one);
	}
	return true;
}

static void read_events(struct wire_in *in, const struct wire_header *header, const uint8_t *sections, GQueue *events)
{
	GQueue found = G_QUEUE_INIT;
	struct found *one;

	if (header->serial != in->serial) {
		memcpy(in->copy, sections, header->sticky_bytes);
		in->distrusted |= !find_events(&found, in->copy, header->sticky_bytes, in->seen, true);
	}
	if (header->news_bytes > 0) {
		memcpy(in->copy, sections + header->sticky_bytes, header->news_bytes);
		/* Who joins now has no part in what happened before. */
		in->distrusted |=
			!find_events(&found, in->copy, header->news_bytes, in->joined ? in->seen : header->told, false);
	}
	/* At first sticky events come in the order in which they stand; later in that in which they happened. */
	if (in->joined)
		g_queue_sort(&found, by_number, NULL);
	while ((one = g_queue_pop_head(&found)) != NULL) {
		in->seen = MAX(in->seen, one->number);
		g_queue_push_tail(events, one->event);
		g_free(one);
	}
	in->seen = MAX(in->seen, header->told);
	in->serial = header->serial;
	in->joined = true;
}

int wire_in_read(struct wire_in *in, const uint8_t *meta, uint32_t bytes, struct wire_times *times, GQueue *events)
{
	struct wire_header header;
	uint64_t needed = sizeof(header);

	in->meta_bytes = 0;
	if (bytes < sizeof(header) || bytes > WIRE_ROOM_MAX)
		return -EPROTO;
	memcpy(&header, meta, sizeof(header));
	needed += (uint64_t)header.sticky_bytes + header.news_bytes + header.meta_bytes;
	if (header.magic != WIRE_MAGIC || header.version != WIRE_VERSION || needed > bytes)
		return -EPROTO;
	meta += sizeof(header);
	if (!in->distrusted && (header.serial != in->serial || header.news_bytes > 0))
		read_events(in, &header, meta, events);
	in->meta_bytes = header.meta_bytes;
	memcpy(in->metas, meta + header.sticky_bytes + header.news_bytes, header.meta_bytes);
	*times = header.times;
	return 0;
}

void wire_in_add_metas(struct wire_in *in, GstBuffer *buffer)
{
	if (in->meta_bytes > 0 && !in->distrusted)
		in->distrusted = !wiremeta_read(in->metas, in->meta_bytes, buffer);
}

struct wire_in *wire_in_new(void)
{
	return g_new0(struct wire_in, 1);
}

void wire_in_reset(struct wire_in *in)
{
	in->serial = in->seen = 0;
	in->joined = in->distrusted = false;
}

void wire_in_free(struct wire_in **in)
{
	g_clear_pointer(in, g_free);
}
