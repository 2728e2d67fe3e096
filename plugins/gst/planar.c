/* SPDX-License-Identifier: MIT */
#include "planar.h"

bool planar_info(GstAudioInfo *info, const GstCaps *caps)
{
	const GstStructure *structure = gst_caps_get_structure(caps, 0);

	return gst_structure_has_name(structure, "audio/x-raw") &&
	       g_strcmp0(gst_structure_get_string(structure, "layout"), "non-interleaved") == 0 &&
	       gst_audio_info_from_caps(info, caps);
}

static bool is_packed(const GstAudioMeta *meta, gsize plane_bytes, gsize size)
{
	bool packed = size == plane_bytes * (gsize)meta->info.channels;

	for (gint i = 0; packed && i < meta->info.channels; i++)
		packed = meta->offsets[i] == plane_bytes * (gsize)i;
	return packed;
}

/* All but the one that says where the planes were. */
static void copy_metas(GstBuffer *to, GstBuffer *from)
{
	GstMetaTransformCopy whole = { .region = FALSE, .offset = 0, .size = (gsize)-1 };
	gpointer state = NULL;
	GstMeta *meta;

	while ((meta = gst_buffer_iterate_meta(from, &state)) != NULL)
		if (meta->info->api != GST_AUDIO_META_API_TYPE && meta->info->transform_func != NULL)
			meta->info->transform_func(to, meta, from, _gst_meta_transform_copy, &whole);
}

GstBuffer *planar_pack(const GstAudioInfo *info, GstBuffer *buffer)
{
	GstAudioMeta *meta = gst_buffer_get_audio_meta(buffer);
	gsize plane_bytes = meta != NULL ? meta->samples * GST_AUDIO_INFO_BPS(info) : 0;
	GstBuffer *packed;
	GstMapInfo map;

	if (meta == NULL || meta->info.layout != GST_AUDIO_LAYOUT_NON_INTERLEAVED ||
		meta->info.channels != info->channels || is_packed(meta, plane_bytes, gst_buffer_get_size(buffer)))
		return gst_buffer_ref(buffer);
	packed = gst_buffer_new_allocate(NULL, plane_bytes * (gsize)info->channels, NULL);
	gst_buffer_copy_into(packed, buffer, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
	copy_metas(packed, buffer);
	gst_buffer_map(packed, &map, GST_MAP_WRITE);
	for (gint i = 0; i < info->channels; i++)
		gst_buffer_extract(buffer, meta->offsets[i], map.data + plane_bytes * (gsize)i, plane_bytes);
	gst_buffer_unmap(packed, &map);
	return packed;
}

void planar_describe(const GstAudioInfo *info, GstBuffer *buffer)
{
	gst_buffer_add_audio_meta(buffer, info, gst_buffer_get_size(buffer) / (gsize)GST_AUDIO_INFO_BPF(info), NULL);
}
