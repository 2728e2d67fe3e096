/* SPDX-License-Identifier: MIT */
#include "streamcaps.h"

#include <errno.h>
#include <string.h>

#include "videoframe.h"
#include "wire.h"

#define SIDE_MAX 32768

bool streamcaps_is_system_memory(const GstCaps *caps)
{
	GstCapsFeatures *features = gst_caps_get_features(caps, 0);
	bool elsewhere = false;

	/* Others, like format:Interlaced, do not say where the memory is. */
	for (guint i = 0; features != NULL && i < gst_caps_features_get_size(features); i++) {
		const gchar *feature = gst_caps_features_get_nth(features, i);

		elsewhere |= g_str_has_prefix(feature, "memory:") &&
			     strcmp(feature, GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY) != 0;
	}
	return !elsewhere;
}

static uint32_t kind_of(const GstStructure *structure)
{
	const char *name = gst_structure_get_name(structure);

	if (strcmp(name, "audio/x-raw") == 0)
		return WEIR_KIND_AUDIO;
	if (g_str_has_prefix(name, "video/") || g_str_has_prefix(name, "audio/") || g_str_has_prefix(name, "image/"))
		return WEIR_KIND_ENCODED;
	return WEIR_KIND_OTHER;
}

static void put_rate(struct weir_format *format, const GstStructure *structure)
{
	gint numerator, denominator, rate;

	if (gst_structure_get_fraction(structure, "framerate", &numerator, &denominator) && numerator > 0) {
		format->rate_num = numerator;
		format->rate_den = denominator;
	} else if (gst_structure_get_int(structure, "rate", &rate) && rate > 0) {
		format->rate_num = rate;
		format->rate_den = 1;
	}
}

/* What a decoder needs (codec_data) may be long: then what can be found in it anyway is left out. */
static void put_caps(struct weir_format *format, const GstCaps *caps)
{
	GstCaps *fewer = NULL;
	gchar *text = gst_caps_to_string(caps);

	if (strlen(text) >= sizeof(format->caps) && format->kind == WEIR_KIND_ENCODED) {
		g_free(text);
		fewer = gst_caps_copy(caps);
		gst_structure_remove_fields(gst_caps_get_structure(fewer, 0), "colorimetry", "chroma-site",
			"chroma-format", "bit-depth-luma", "bit-depth-chroma", "interlace-mode", "pixel-aspect-ratio",
			"multiview-mode", "multiview-flags", "lcevc", "level", "profile", "tier",
			"coded-picture-structure", NULL);
		text = gst_caps_to_string(fewer);
		gst_caps_unref(fewer);
	}
	if (strlen(text) < sizeof(format->caps))
		strcpy(format->caps, text);
	g_free(text);
}

int streamcaps_to_format(struct weir_format *format, GstVideoInfo *info, const GstCaps *caps, uint32_t packet_bytes)
{
	const GstStructure *structure = gst_caps_get_structure(caps, 0);
	struct weir_format made;
	gint side;

	if (!streamcaps_is_system_memory(caps))
		return -ENOTSUP;
	memset(info, 0, sizeof(*info));
	if (gst_structure_has_name(structure, "video/x-raw")) {
		if (!gst_video_info_from_caps(info, caps))
			return -EINVAL;
		if (videoframe_format(format, info, caps) == 0)
			return 0;
	}
	/* memset, because formats are compared as bytes. */
	memset(&made, 0, sizeof(made));
	made.kind = info->size > 0 ? WEIR_KIND_OTHER : kind_of(structure);
	made.payload_bytes = info->size > 0 ? info->size : packet_bytes;
	if (gst_structure_get_int(structure, "width", &side) && side > 0)
		made.width = side;
	if (gst_structure_get_int(structure, "height", &side) && side > 0)
		made.height = side;
	put_rate(&made, structure);
	put_caps(&made, caps);
	*format = made;
	return 0;
}

GstCaps *streamcaps_of_format(const struct weir_format *format)
{
	GstCaps *caps = NULL;

	if (format->caps[0] != '\0')
		caps = gst_caps_from_string(format->caps);
	else if (format->kind == WEIR_KIND_VIDEO && weir_pixel_name(format->pixel) != NULL)
		caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, weir_pixel_name(format->pixel),
			"width", G_TYPE_INT, format->width, "height", G_TYPE_INT, format->height, "framerate",
			GST_TYPE_FRACTION, format->rate_den != 0 ? (gint)format->rate_num : 0,
			format->rate_den != 0 ? (gint)format->rate_den : 1, NULL);
	if (caps != NULL && !gst_caps_is_fixed(caps))
		gst_clear_caps(&caps);
	return caps;
}

static bool is_short(const GstCaps *caps)
{
	gchar *text = gst_caps_to_string(caps);
	bool result = strlen(text) < WIRE_CAPS_MAX;

	g_free(text);
	return result;
}

GstCaps *streamcaps_to_cross(GstCaps *caps)
{
	GstCaps *fewer;

	if (is_short(caps))
		return gst_caps_ref(caps);
	fewer = gst_caps_copy(caps);
	gst_structure_remove_field(gst_caps_get_structure(fewer, 0), "streamheader");
	if (!is_short(fewer))
		gst_clear_caps(&fewer);
	return fewer;
}

bool streamcaps_are_of(const GstCaps *caps, const struct weir_format *format)
{
	struct weir_format made;
	GstVideoInfo info;

	if (streamcaps_to_format(&made, &info, caps, format->payload_bytes) < 0)
		return false;
	made.payload_bytes = format->payload_bytes;
	return memcmp(&made, format, sizeof(made)) == 0;
}

bool streamcaps_video_info(GstVideoInfo *info, const GstCaps *caps)
{
	const GstStructure *structure = gst_caps_get_structure(caps, 0);
	gint width, height;

	return gst_structure_has_name(structure, "video/x-raw") && gst_structure_get_int(structure, "width", &width) &&
	       gst_structure_get_int(structure, "height", &height) && width > 0 && width <= SIDE_MAX && height > 0 &&
	       height <= SIDE_MAX && gst_video_info_from_caps(info, caps);
}

bool streamcaps_take_layout(GstVideoInfo *info, const struct weir_format *format)
{
	const char *name = weir_pixel_name(format->pixel);

	if (format->kind != WEIR_KIND_VIDEO || name == NULL ||
		gst_video_format_from_string(name) != GST_VIDEO_INFO_FORMAT(info) ||
		format->width != (uint32_t)GST_VIDEO_INFO_WIDTH(info) ||
		format->height != (uint32_t)GST_VIDEO_INFO_HEIGHT(info) ||
		format->plane_count != GST_VIDEO_INFO_N_PLANES(info))
		return false;
	for (uint32_t i = 0; i < format->plane_count; i++) {
		info->offset[i] = format->plane[i].offset_bytes;
		info->stride[i] = (gint)format->plane[i].stride_bytes;
	}
	info->size = format->payload_bytes;
	return true;
}
