/* SPDX-License-Identifier: MIT */
#include "videoframe.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "epoch.h"

#define WALK_MAX 64 /* elements upstream; more than that is a loop */

int videoframe_format(struct weir_format *format, const GstVideoInfo *info, const GstCaps *caps)
{
	uint32_t pixel = weir_pixel_from_name(gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(info)));
	gchar *text;

	/* A field alone is no picture of that height. */
	if (pixel == WEIR_PIXEL_NONE || GST_VIDEO_INFO_INTERLACE_MODE(info) == GST_VIDEO_INTERLACE_MODE_ALTERNATE)
		return -ENOTSUP;
	/* memset, because formats are compared as bytes. */
	memset(format, 0, sizeof(*format));
	format->kind = WEIR_KIND_VIDEO;
	format->pixel = pixel;
	format->width = GST_VIDEO_INFO_WIDTH(info);
	format->height = GST_VIDEO_INFO_HEIGHT(info);
	if (GST_VIDEO_INFO_FPS_N(info) > 0) {
		format->rate_num = GST_VIDEO_INFO_FPS_N(info);
		format->rate_den = GST_VIDEO_INFO_FPS_D(info);
	}
	format->payload_bytes = GST_VIDEO_INFO_SIZE(info);
	format->plane_count = GST_VIDEO_INFO_N_PLANES(info);
	for (uint32_t i = 0; i < format->plane_count; i++) {
		format->plane[i].offset_bytes = GST_VIDEO_INFO_PLANE_OFFSET(info, i);
		format->plane[i].stride_bytes = GST_VIDEO_INFO_PLANE_STRIDE(info, i);
	}
	text = gst_caps_to_string(caps);
	if (strlen(text) < sizeof(format->caps))
		strcpy(format->caps, text);
	g_free(text);
	return 0;
}

/* libav decodes into pictures of its own (it goes on referring to them), and gst-libav copies each into the buffer that
 * it pushes. Other decoders write their output once, into the memory that downstream gave. gst-libav never looks at
 * that copy again, but holds it until libav forgets the picture: up to 16 frames and a few for its threads. */
static bool is_libav(const char *factory)
{
	return g_str_has_prefix(factory, "avdec_");
}

/* Elements that push each picture once. A tee or a videorate does not. */
static bool pushes_once(const char *factory)
{
	static const char *const names[] = { "capsfilter", "videoconvert", "videoscale", "videoconvertscale",
		"identity", "queue", "multiqueue" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (strcmp(factory, names[i]) == 0)
			return true;
	return false;
}

/* The pad of an element that feeds this sink pad, through the walls of bins; NULL: none. The caller unrefs it. */
static GstPad *real_peer(GstPad *pad)
{
	GstPad *peer = gst_pad_get_peer(pad);

	for (int i = 0; peer != NULL && i < WALK_MAX; i++) {
		GstPad *next = NULL;

		if (GST_IS_GHOST_PAD(peer)) {
			next = gst_ghost_pad_get_target(GST_GHOST_PAD(peer));
		} else if (GST_IS_PROXY_PAD(peer)) {
			GstProxyPad *outer = gst_proxy_pad_get_internal(GST_PROXY_PAD(peer));

			if (outer != NULL) {
				next = gst_pad_get_peer(GST_PAD(outer));
				gst_object_unref(outer);
			}
		} else {
			return peer;
		}
		gst_object_unref(peer);
		peer = next;
	}
	if (peer != NULL)
		gst_object_unref(peer);
	return NULL;
}

static gpointer ref_pad(gconstpointer pad, gpointer data)
{
	return gst_object_ref((gpointer)pad);
}

/* Walks upstream to find out about copies; once says whether all elements on the way so far push a picture once. */
static void look_upstream(struct videoframe_source *source, GstPad *pad, bool once, int depth)
{
	GstPad *peer = depth > 0 ? real_peer(pad) : NULL;
	GstElement *element = peer != NULL ? gst_pad_get_parent_element(peer) : NULL;
	GstElementFactory *factory = element != NULL ? gst_element_get_factory(element) : NULL;
	const char *name = factory != NULL ? GST_OBJECT_NAME(factory) : "";

	if (element != NULL && is_libav(name)) {
		source->copies = true;
		source->forgets = once;
	} else if (element != NULL) {
		GList *pads;

		GST_OBJECT_LOCK(element);
		pads = g_list_copy_deep(element->sinkpads, ref_pad, NULL);
		GST_OBJECT_UNLOCK(element);
		for (GList *l = pads; l != NULL; l = l->next)
			look_upstream(source, l->data, once && pushes_once(name) && pads->next == NULL, depth - 1);
		g_list_free_full(pads, gst_object_unref);
	}
	if (element != NULL)
		gst_object_unref(element);
	if (peer != NULL)
		gst_object_unref(peer);
}

void videoframe_learn_source(struct videoframe_source *source, GstElement *element, GstPad *pad)
{
	GstQuery *query = gst_query_new_latency();
	struct epoch epoch = { 0 };
	gboolean live = FALSE;

	source->latency_ns = 0;
	if (gst_pad_peer_query(pad, query))
		gst_query_parse_latency(query, &live, &source->latency_ns, NULL);
	gst_query_unref(query);
	source->upstream_live = live;
	epoch_of(&epoch, element);
	source->live = live && epoch.monotonic;
	source->base_time = gst_element_get_base_time(element);
	source->copies = source->forgets = false;
	look_upstream(source, pad, true, WALK_MAX);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t optional_time(GstClockTime time)
{
	return GST_CLOCK_TIME_IS_VALID(time) ? (int64_t)time : WEIR_TIME_NONE;
}

void videoframe_describe(
	struct weir_frame *frame, GstBuffer *buffer, const GstSegment *segment, const struct videoframe_source *source)
{
	int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	GstClockTime running = GST_CLOCK_TIME_NONE;

	memset(frame, 0, sizeof(*frame));
	frame->pts_ns = frame->dts_ns = WEIR_TIME_NONE;
	if (segment->format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID(buffer)) {
		frame->pts_ns =
			optional_time(gst_segment_to_stream_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer)));
		running = gst_segment_to_running_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
	}
	frame->duration_ns = optional_time(GST_BUFFER_DURATION(buffer));
	frame->capture_ns = now_ns;
	/* A source may stamp a little ahead of its clock; nothing was captured in the future. */
	if (source->live && GST_CLOCK_TIME_IS_VALID(running))
		frame->capture_ns = MIN((int64_t)(source->base_time + running), now_ns);
	frame->wall_ns = clock_ns(CLOCK_REALTIME) - (now_ns - frame->capture_ns);
	if (!GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT))
		frame->flags |= WEIR_FRAME_KEY;
	if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DISCONT))
		frame->flags |= WEIR_FRAME_DISCONTINUITY;
	if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_CORRUPTED))
		frame->flags |= WEIR_FRAME_CORRUPT;
	if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_GAP))
		frame->flags |= WEIR_FRAME_GAP;
}

bool videoframe_has_layout(GstBuffer *buffer, const GstVideoInfo *info)
{
	const GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);

	if (gst_buffer_get_size(buffer) < GST_VIDEO_INFO_SIZE(info))
		return false;
	if (meta == NULL)
		return true;
	if (meta->width != (guint)GST_VIDEO_INFO_WIDTH(info) || meta->height != (guint)GST_VIDEO_INFO_HEIGHT(info) ||
		meta->n_planes != GST_VIDEO_INFO_N_PLANES(info))
		return false;
	for (guint i = 0; i < meta->n_planes; i++)
		if (meta->offset[i] != GST_VIDEO_INFO_PLANE_OFFSET(info, i) ||
			meta->stride[i] != GST_VIDEO_INFO_PLANE_STRIDE(info, i))
			return false;
	return true;
}

bool videoframe_copy(const GstVideoInfo *info, GstMemory *target, GstBuffer *source)
{
	GstBuffer *buffer = gst_buffer_new();
	GstVideoFrame from, to;
	bool copied = false;

	gst_buffer_append_memory(buffer, gst_memory_ref(target));
	if (gst_video_frame_map(&from, info, source, GST_MAP_READ)) {
		if (gst_video_frame_map(&to, info, buffer, GST_MAP_WRITE)) {
			copied = gst_video_frame_copy(&to, &from);
			gst_video_frame_unmap(&to);
		}
		gst_video_frame_unmap(&from);
	}
	gst_buffer_unref(buffer);
	return copied;
}

static bool is_default_layout(const GstVideoInfo *info, const GstCaps *caps)
{
	GstVideoInfo usual;

	return gst_video_info_from_caps(&usual, caps) &&
	       memcmp(usual.offset, info->offset, sizeof(usual.offset)) == 0 &&
	       memcmp(usual.stride, info->stride, sizeof(usual.stride)) == 0;
}

/* True if elements downstream look at GstVideoMeta. */
static bool peer_knows_layouts(GstPad *pad, GstCaps *caps)
{
	GstQuery *query = gst_query_new_allocation(caps, FALSE);
	bool known =
		gst_pad_peer_query(pad, query) && gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);

	gst_query_unref(query);
	return known;
}

bool videoframe_must_pack(const GstVideoInfo *info, GstCaps *caps, GstPad *pad)
{
	return !is_default_layout(info, caps) && !peer_knows_layouts(pad, caps);
}

GstBuffer *videoframe_pack(const GstVideoInfo *info, const GstCaps *caps, GstBuffer *buffer)
{
	GstVideoFrame from, to;
	GstBuffer *packed;
	GstVideoInfo usual;

	if (!gst_video_info_from_caps(&usual, caps))
		return buffer;
	packed = gst_buffer_new_allocate(NULL, usual.size, NULL);
	if (gst_video_frame_map(&from, info, buffer, GST_MAP_READ)) {
		if (gst_video_frame_map(&to, &usual, packed, GST_MAP_WRITE)) {
			gst_video_frame_copy(&to, &from);
			gst_video_frame_unmap(&to);
		}
		gst_video_frame_unmap(&from);
	}
	gst_buffer_copy_into(packed, buffer, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
	gst_buffer_unref(buffer);
	return packed;
}
