/* SPDX-License-Identifier: MIT */
#include "filesink.h"

#include <errno.h>
#include <unistd.h>

#include <gst/gst.h>

/* A pad of ours in front of it, so that a frame is written when the push returns: no thread, no queue, no copy. */
static GstPad *connect_filesink(GstElement *sink)
{
	GstPad *pad = gst_pad_new("src", GST_PAD_SRC), *into = gst_element_get_static_pad(sink, "sink");
	GstSegment segment;

	gst_pad_set_active(pad, TRUE);
	if (gst_pad_link(pad, into) != GST_PAD_LINK_OK)
		_exit(1);
	gst_object_unref(into);
	gst_segment_init(&segment, GST_FORMAT_BYTES);
	gst_pad_push_event(pad, gst_event_new_stream_start("bench"));
	gst_pad_push_event(pad, gst_event_new_segment(&segment));
	return pad;
}

void filesink_back(struct weir_reader *reader, const char *path)
{
	struct weir_frame frame;
	GstElement *sink;
	GstPad *pad;
	int r;

	gst_init(NULL, NULL);
	sink = gst_element_factory_make("filesink", NULL);
	if (sink == NULL)
		_exit(1);
	g_object_set(sink, "location", path, "sync", FALSE, NULL);
	gst_element_set_state(sink, GST_STATE_PLAYING);
	pad = connect_filesink(sink);
	while ((r = weir_reader_acquire(reader, &frame)) != -ENODATA) {
		GstBuffer *buffer;

		if (r == -EAGAIN) {
			weir_reader_wait(reader, INT64_MAX);
			continue;
		}
		buffer = gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY, (gpointer)(guintptr)frame.data,
			frame.size_bytes, 0, frame.size_bytes, NULL, NULL);
		if (r < 0 || gst_pad_push(pad, buffer) != GST_FLOW_OK)
			_exit(1);
		weir_reader_release(reader, &frame);
	}
	gst_pad_push_event(pad, gst_event_new_eos());
	gst_element_set_state(sink, GST_STATE_NULL);
	_exit(0);
}
