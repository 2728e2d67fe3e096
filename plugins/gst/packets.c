/* SPDX-License-Identifier: MIT */
#include "packets.h"

/* Media types, and what makes of each of them what files hold. */
static const struct {
	const char *caps, *parser;
} codecs[] = {
	{ "video/x-h264", "h264parse ! capsfilter caps=video/x-h264,stream-format=avc,alignment=au" },
	{ "video/x-h265", "h265parse ! capsfilter caps=video/x-h265,stream-format=hvc1,alignment=au" },
	{ "video/x-vp8", "identity" },
	{ "video/x-vp9", "identity" },
	{ "image/jpeg", "jpegparse" },
	{ "video/mpeg,mpegversion=4,systemstream=false", "mpeg4videoparse" },
	{ "video/mpeg,mpegversion=(int)[1,2],systemstream=false", "mpegvideoparse" },
};

static const char *parser_of(const GstCaps *caps)
{
	const char *parser = NULL;

	for (size_t i = 0; parser == NULL && i < G_N_ELEMENTS(codecs); i++) {
		GstCaps *known = gst_caps_from_string(codecs[i].caps);

		if (!gst_caps_is_any(caps) && gst_caps_can_intersect(caps, known))
			parser = codecs[i].parser;
		gst_caps_unref(known);
	}
	return parser;
}

bool packets_are(const GstCaps *caps)
{
	return parser_of(caps) != NULL;
}

static GstElement *make_parser(GstPad *pad)
{
	GstCaps *caps = gst_pad_query_caps(pad, NULL);
	const char *description = parser_of(caps);
	GstElement *parser = NULL;

	if (description != NULL)
		parser = gst_parse_bin_from_description_full(
			description, TRUE, NULL, GST_PARSE_FLAG_FATAL_ERRORS | GST_PARSE_FLAG_PLACE_IN_BIN, NULL);
	gst_caps_unref(caps);
	return parser;
}

GstElement *packets_tap(GstElement *pipeline, GstPad *pad, GstElement *sink)
{
	GstElement *element[] = { make_parser(pad), gst_element_factory_make("tee", NULL),
		gst_element_factory_make("queue", NULL), gst_element_factory_make("queue", NULL),
		gst_element_factory_make("decodebin", NULL) };
	GstElement *parser = element[0], *tee = element[1], *decodebin = element[4];
	bool complete = true;
	GstPad *into;

	for (size_t i = 0; i < G_N_ELEMENTS(element); i++)
		complete &= element[i] != NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(element); i++) {
		if (complete)
			gst_bin_add(GST_BIN(pipeline), element[i]);
		else if (element[i] != NULL)
			gst_object_unref(gst_object_ref_sink(element[i]));
	}
	if (!complete)
		return NULL;
	gst_bin_add(GST_BIN(pipeline), sink);
	gst_element_link_many(parser, tee, element[2], sink, NULL);
	gst_element_link_many(tee, element[3], decodebin, NULL);
	gst_element_sync_state_with_parent(sink);
	/* From the end to the beginning: data flows as soon as the pad is linked. */
	for (size_t i = G_N_ELEMENTS(element); i > 0; i--)
		if (element[i - 1] != decodebin) /* its owner starts it, when its signals are connected */
			gst_element_sync_state_with_parent(element[i - 1]);
	into = gst_element_get_static_pad(parser, "sink");
	gst_pad_link(pad, into);
	gst_object_unref(into);
	return decodebin;
}

bool packets_lead(GstElement *pipeline, GstPad *pad, GstElement *sink)
{
	GstElement *parser = make_parser(pad);
	GstPad *into;

	if (parser == NULL)
		return false;
	gst_bin_add_many(GST_BIN(pipeline), parser, sink, NULL);
	gst_element_link(parser, sink);
	gst_element_sync_state_with_parent(sink);
	gst_element_sync_state_with_parent(parser);
	into = gst_element_get_static_pad(parser, "sink");
	gst_pad_link(pad, into);
	gst_object_unref(into);
	return true;
}

void packets_untap(GstElement *pipeline, GstElement *sink)
{
	if (GST_OBJECT_PARENT(sink) == GST_OBJECT(pipeline))
		gst_bin_remove(GST_BIN(pipeline), sink);
}
