/* SPDX-License-Identifier: MIT */
#include "wiremeta.h"

#include <gst/video/video.h>

/* Metas of others' making that we register here, if nobody did: a writer must not fill our type system. */
#define REGISTERED_MAX 32
#define NAME_MAX_BYTES 64

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void append_string(GByteArray *record, const char *text)
{
	g_byte_array_append(record, (const guint8 *)text, strlen(text) + 1);
}

static void append_structure(GByteArray *record, const GstStructure *structure)
{
	gchar *text = wireformat_to_text(structure);

	if (text != NULL)
		append_string(record, text);
	g_free(text);
}

static void append_region(GByteArray *record, const GstVideoRegionOfInterestMeta *meta)
{
	struct wire_region fixed = {
		.x = meta->x,
		.y = meta->y,
		.width = meta->w,
		.height = meta->h,
		.id = meta->id,
		.parent = meta->parent_id,
	};
	const gchar *type = g_quark_to_string(meta->roi_type);

	g_byte_array_append(record, (const guint8 *)&fixed, sizeof(fixed));
	append_string(record, type != NULL ? type : "");
	for (GList *l = meta->params; l != NULL; l = l->next)
		append_structure(record, l->data);
}

static void append_reference(GByteArray *record, const GstReferenceTimestampMeta *meta)
{
	struct wire_reference fixed = { .timestamp = meta->timestamp, .duration = meta->duration };
	gchar *text = gst_caps_to_string(meta->reference);

	g_byte_array_append(record, (const guint8 *)&fixed, sizeof(fixed));
	append_string(record, text);
	g_free(text);
}

static GByteArray *record_of(GstMeta *meta)
{
	GByteArray *record;

	if (meta->info->api == GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) {
		record = wireformat_record(WIRE_REGION, 0);
		append_region(record, (GstVideoRegionOfInterestMeta *)meta);
	} else if (meta->info->api == GST_REFERENCE_TIMESTAMP_META_API_TYPE) {
		record = wireformat_record(WIRE_REFERENCE, 0);
		append_reference(record, (GstReferenceTimestampMeta *)meta);
	} else if (meta->info->api == GST_VIDEO_CROP_META_API_TYPE) {
		const GstVideoCropMeta *crop = (GstVideoCropMeta *)meta;
		struct wire_crop fixed = { .x = crop->x, .y = crop->y, .width = crop->width, .height = crop->height };

		record = wireformat_record(WIRE_CROP, 0);
		g_byte_array_append(record, (const guint8 *)&fixed, sizeof(fixed));
	} else if (gst_meta_info_is_custom(meta->info)) {
		record = wireformat_record(WIRE_OWN_META, 0);
		append_string(record, g_type_name(meta->info->type));
		append_structure(record, gst_custom_meta_get_structure((GstCustomMeta *)meta));
	} else {
		return NULL;
	}
	return wireformat_finish(record);
}

/* A reader takes a label that no honest writer sends for an attack. */
static bool is_sendable(GstMeta *meta)
{
	const gchar *label = NULL;

	if (meta->info->api == GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)
		label = g_quark_to_string(((GstVideoRegionOfInterestMeta *)meta)->roi_type);
	return label == NULL || (strlen(label) < WIRE_TEXT_MAX && g_utf8_validate(label, -1, NULL));
}

uint32_t wiremeta_write(uint8_t *area, uint32_t room, GstBuffer *buffer, uint32_t *lost, uint32_t *needed)
{
	gpointer state = NULL;
	uint32_t used = 0;
	GstMeta *meta;

	*needed = 0;
	while ((meta = gst_buffer_iterate_meta(buffer, &state)) != NULL) {
		GByteArray *record = record_of(meta);
		bool sendable;

		if (record == NULL)
			continue;
		sendable = is_sendable(meta);
		if (sendable)
			*needed += MIN(record->len, WIRE_ROOM_MAX);
		if (sendable && record->len <= room - used) {
			memcpy(area + used, record->data, record->len);
			used += record->len;
		} else {
			++*lost;
		}
		g_byte_array_unref(record);
	}
	return used;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* False: a text that an honest writer would not have sent. */
static bool add_region(struct wire_view *view, GstBuffer *buffer)
{
	GstVideoRegionOfInterestMeta *meta;
	struct wire_region fixed;
	const char *text;

	if (!wireformat_take(view, &fixed, sizeof(fixed)) || (text = wireformat_string(view)) == NULL ||
		strlen(text) >= WIRE_TEXT_MAX)
		return false;
	meta = gst_buffer_add_video_region_of_interest_meta(buffer, text, fixed.x, fixed.y, fixed.width, fixed.height);
	meta->id = fixed.id;
	meta->parent_id = fixed.parent;
	while ((text = wireformat_string(view)) != NULL && text[0] != '\0') {
		GstStructure *param = wireformat_structure(text);

		if (param == NULL)
			return false;
		gst_video_region_of_interest_meta_add_param(meta, param);
	}
	return true;
}

static bool add_reference(struct wire_view *view, GstBuffer *buffer)
{
	struct wire_reference fixed;
	const char *text;
	GstCaps *caps;

	if (!wireformat_take(view, &fixed, sizeof(fixed)) || (text = wireformat_string(view)) == NULL ||
		fixed.timestamp == GST_CLOCK_TIME_NONE)
		return true;
	caps = gst_caps_from_string(text);
	if (caps == NULL)
		return false;
	gst_buffer_add_reference_timestamp_meta(buffer, caps, fixed.timestamp, fixed.duration);
	gst_caps_unref(caps);
	return true;
}

static void add_crop(struct wire_view *view, GstBuffer *buffer)
{
	struct wire_crop fixed;
	GstVideoCropMeta *meta;

	if (!wireformat_take(view, &fixed, sizeof(fixed)))
		return;
	meta = gst_buffer_add_video_crop_meta(buffer);
	meta->x = fixed.x;
	meta->y = fixed.y;
	meta->width = fixed.width;
	meta->height = fixed.height;
}

static bool is_name(const char *name)
{
	if (!g_ascii_isalpha(name[0]) || strlen(name) < 3 || strlen(name) >= NAME_MAX_BYTES)
		return false;
	for (; *name != '\0'; name++)
		if (!g_ascii_isalnum(*name) && *name != '-' && *name != '_' && *name != '+')
			return false;
	return true;
}

/* The meta of this name; one that is new here is registered, up to a limit for the life of the process. */
static const GstMetaInfo *own_meta(const char *name)
{
	static GMutex lock;
	static unsigned registered;
	const GstMetaInfo *info;

	if (!is_name(name))
		return NULL;
	g_mutex_lock(&lock);
	info = gst_meta_get_info(name);
	if (info == NULL && g_type_from_name(name) == 0 && registered < REGISTERED_MAX) {
		static const gchar *const tags[] = { NULL };

		registered++;
		info = gst_meta_register_custom(name, (const gchar **)tags, NULL, NULL, NULL);
	}
	g_mutex_unlock(&lock);
	return info != NULL && gst_meta_info_is_custom(info) ? info : NULL;
}

static gboolean copy_field(GQuark field, const GValue *value, gpointer data)
{
	gst_structure_id_set_value(data, field, value);
	return TRUE;
}

static bool add_own_meta(struct wire_view *view, GstBuffer *buffer)
{
	const char *name = wireformat_string(view);
	const char *text = name != NULL ? wireformat_string(view) : NULL;
	GstStructure *structure;

	if (text == NULL || own_meta(name) == NULL)
		return true;
	structure = wireformat_structure(text);
	if (structure == NULL)
		return false;
	gst_structure_foreach(
		structure, copy_field, gst_custom_meta_get_structure(gst_buffer_add_custom_meta(buffer, name)));
	gst_structure_free(structure);
	return true;
}

bool wiremeta_read(const uint8_t *section, uint32_t bytes, GstBuffer *buffer)
{
	struct wire_view view;
	bool honest = true;

	while (honest && wireformat_next(&section, &bytes, &view))
		switch (view.head.type) {
		case WIRE_REGION: honest = add_region(&view, buffer); break;
		case WIRE_REFERENCE: honest = add_reference(&view, buffer); break;
		case WIRE_CROP: add_crop(&view, buffer); break;
		case WIRE_OWN_META: honest = add_own_meta(&view, buffer); break;
		}
	return honest;
}
