/* SPDX-License-Identifier: MIT */
#include "headers.h"

#include <stdbool.h>

/* Decoders of bare streams take their headers from the caps themselves. */
static bool is_container(const GstStructure *structure)
{
	static const char *const names[] = { "application/ogg", "audio/ogg", "video/ogg", "audio/webm", "video/webm",
		"audio/x-matroska", "video/x-matroska", "video/x-flv" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (gst_structure_has_name(structure, names[i]))
			return true;
	return false;
}

GstFlowReturn headers_push(GstPad *pad, const GstCaps *caps)
{
	const GstStructure *structure = gst_caps_get_structure(caps, 0);
	const GValue *headers = gst_structure_get_value(structure, "streamheader");
	GstFlowReturn flow = GST_FLOW_OK;

	if (!is_container(structure) || headers == NULL || !GST_VALUE_HOLDS_ARRAY(headers))
		return GST_FLOW_OK;
	for (guint i = 0; flow == GST_FLOW_OK && i < gst_value_array_get_size(headers); i++) {
		const GValue *value = gst_value_array_get_value(headers, i);

		if (GST_VALUE_HOLDS_BUFFER(value) && gst_value_get_buffer(value) != NULL) {
			GstBuffer *buffer = gst_buffer_copy(gst_value_get_buffer(value));

			GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_HEADER);
			flow = gst_pad_push(pad, buffer);
		}
	}
	return flow;
}
