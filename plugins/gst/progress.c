/* SPDX-License-Identifier: MIT */
#include "progress.h"

struct progress {
	struct weir_back *back;
	GstPadChainFunction chain; /* the sink's own */
};

static GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
	const struct progress *progress = pad->chaindata;
	GstClockTime pts = GST_BUFFER_PTS(buffer);
	GstFlowReturn flow;

	if (GST_CLOCK_TIME_IS_VALID(pts))
		weir_back_set_position(progress->back, pts / GST_SECOND + 1);
	weir_back_work(progress->back, false);
	flow = progress->chain(pad, parent, buffer);
	weir_back_work(progress->back, flow == GST_FLOW_OK);
	return flow;
}

/* The sink may wait with a gap; and after the last buffer there is nothing left to do. */
static GstPadProbeReturn on_event(GstPad *pad, GstPadProbeInfo *info, gpointer back)
{
	weir_back_work(back, false);
	return GST_PAD_PROBE_OK;
}

void progress_watch(struct weir_back *back, GstElement *sink)
{
	GstPad *pad = gst_element_get_static_pad(sink, "sink");
	struct progress *progress = g_new0(struct progress, 1);

	*progress = (struct progress){ .back = back, .chain = GST_PAD_CHAINFUNC(pad) };
	gst_pad_set_chain_function_full(pad, chain, progress, g_free);
	gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_event, back, NULL);
	gst_object_unref(pad);
}
