/* SPDX-License-Identifier: MIT */
#include "srcstream.h"

#include <inttypes.h>
#include <string.h>

#include "headers.h"
#include "streamcaps.h"
#include "videoframe.h"
#include "weirsrc.h"

#define GST_CAT_DEFAULT weirsrc_debug

/* Reading two clocks takes time: a shift is no news below this. */
#define SHIFT_TOLERANCE_NS 1000000

void srcstream_init(struct srcstream *stream, GstElement *element, GstPad *pad)
{
	*stream = (struct srcstream){ .element = element, .pad = pad, .wire = wire_in_new() };
}

void srcstream_finish(struct srcstream *stream)
{
	wire_in_free(&stream->wire);
	gst_clear_caps(&stream->caps);
	gst_clear_caps(&stream->long_caps);
}

static void count(struct srcstream *stream, uint64_t *counter, uint64_t by)
{
	GST_OBJECT_LOCK(stream->element);
	*counter += by;
	GST_OBJECT_UNLOCK(stream->element);
}

void srcstream_reset(struct srcstream *stream)
{
	gst_clear_caps(&stream->caps);
	stream->stream_started = stream->segment_pushed = false;
	stream->epoch.clock = NULL;
}

void srcstream_new_producer(struct srcstream *stream)
{
	count(stream, &stream->producers, 1);
	wire_in_reset(stream->wire);
	gst_clear_caps(&stream->long_caps);
	gst_segment_init(&stream->segment, GST_FORMAT_TIME);
	stream->segment_pushed = false;
	stream->shift_ns = 0;
	stream->buffers = 0;
	stream->discont = true;
	stream->joined = false;
}

void srcstream_new_generation(struct srcstream *stream, FrameAllocator *frames)
{
	stream->frames = frames;
	stream->new_generation = true;
}

/* --- caps ------------------------------------------------------------------------------------------------------- */

/* Of sound, the rate counts samples: its first buffer will tell. */
static void set_frame_time(struct srcstream *stream, const struct weir_format *format)
{
	GST_OBJECT_LOCK(stream->element);
	stream->frame_ns = 0;
	if (format->width > 0 && format->rate_num > 0)
		stream->frame_ns = gst_util_uint64_scale(GST_SECOND, format->rate_den, format->rate_num);
	GST_OBJECT_UNLOCK(stream->element);
}

static bool push_caps(struct srcstream *stream)
{
	const struct weir_format *format = frameallocator_format(stream->frames);
	GstCaps *caps = streamcaps_of_format(format);

	/* They may stand there cut short. */
	if (stream->long_caps != NULL && streamcaps_are_of(stream->long_caps, format))
		gst_caps_replace(&caps, stream->long_caps);
	stream->is_video = stream->is_planar = false;
	if (caps == NULL && format->kind == WEIR_KIND_OTHER) {
		stream->new_generation = false; /* a stream without caps */
		return true;
	}
	if (caps == NULL || !streamcaps_is_system_memory(caps)) {
		GST_ELEMENT_ERROR(stream->element, STREAM, FORMAT,
			("The ring does not say in which format its frames are"),
			("caps in its head: '%s'", format->caps));
		gst_clear_caps(&caps);
		return false;
	}
	stream->is_planar = planar_info(&stream->planar, caps);
	stream->is_video = streamcaps_video_info(&stream->info, caps);
	stream->to_pack = false;
	if (stream->caps == NULL || !gst_caps_is_equal(caps, stream->caps)) {
		GST_INFO_OBJECT(
			stream->element, "generation %" PRIu64 ": %" GST_PTR_FORMAT, stream->buffers, (void *)caps);
		gst_caps_replace(&stream->caps, caps);
		gst_pad_push_event(stream->pad, gst_event_new_caps(caps));
	}
	if (stream->is_video && streamcaps_take_layout(&stream->info, format))
		stream->to_pack = videoframe_must_pack(&stream->info, caps, stream->pad);
	set_frame_time(stream, format);
	gst_caps_unref(caps);
	stream->new_generation = false;
	return true;
}

/* --- times ------------------------------------------------------------------------------------------------------ */

/* By how much the producer's running time is ahead of ours. */
static int64_t wanted_shift(struct srcstream *stream, const struct wire_times *times)
{
	int64_t ours;

	if (stream->mode != TIMESTAMP_PRODUCER || !stream->live || times->epoch_ns == EPOCH_NONE)
		return 0;
	ours = epoch_of(&stream->epoch, stream->element);
	return ours != EPOCH_NONE ? times->epoch_ns - ours : 0;
}

static void push_segment(struct srcstream *stream)
{
	GstSegment segment = stream->segment;

	if (stream->mode == TIMESTAMP_ARRIVAL)
		gst_segment_init(&segment, GST_FORMAT_TIME);
	else if (segment.format == GST_FORMAT_TIME &&
		 !gst_segment_offset_running_time(&segment, GST_FORMAT_TIME, stream->shift_ns))
		GST_WARNING_OBJECT(stream->element, "the producer's segment ended before this pipeline began");
	gst_pad_push_event(stream->pad, gst_event_new_segment(&segment));
	stream->segment_pushed = true;
}

static void follow_clock(struct srcstream *stream, const struct wire_times *times)
{
	int64_t shift_ns = wanted_shift(stream, times);

	if (ABS(shift_ns - stream->shift_ns) > (stream->segment_pushed ? SHIFT_TOLERANCE_NS : 0)) {
		stream->shift_ns = shift_ns;
		stream->segment_pushed = false;
	}
}

static void set_times(struct srcstream *stream, GstBuffer *buffer, const struct wire_times *times)
{
	GST_BUFFER_DURATION(buffer) = times->duration;
	GST_BUFFER_OFFSET(buffer) = times->offset;
	GST_BUFFER_OFFSET_END(buffer) = times->offset_end;
	if (stream->mode != TIMESTAMP_ARRIVAL) {
		GST_BUFFER_PTS(buffer) = times->pts;
		GST_BUFFER_DTS(buffer) = times->dts;
	} else {
		int64_t epoch_ns = epoch_of(&stream->epoch, stream->element), now_ns = epoch_monotonic_ns();

		if (epoch_ns != EPOCH_NONE)
			GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) = MAX(now_ns - epoch_ns, 0);
	}
}

/* A ring that no weirsink writes knows no running time; the capture time will do. */
static void times_of_frame(struct srcstream *stream, const struct weir_frame *frame, struct wire_times *times)
{
	uint64_t before = stream->buffers;

	*times = (struct wire_times){
		.buffers = before + 1 + (before != 0 ? frame->dropped_before : 0),
		.pts = frame->pts_ns >= 0 ? (GstClockTime)frame->pts_ns : GST_CLOCK_TIME_NONE,
		.dts = frame->dts_ns >= 0 ? (GstClockTime)frame->dts_ns : GST_CLOCK_TIME_NONE,
		.duration = frame->duration_ns >= 0 ? (GstClockTime)frame->duration_ns : GST_CLOCK_TIME_NONE,
		.offset = GST_BUFFER_OFFSET_NONE,
		.offset_end = GST_BUFFER_OFFSET_NONE,
		.epoch_ns = EPOCH_NONE,
		.flags = (frame->flags & WEIR_FRAME_KEY) != 0 ? 0 : GST_BUFFER_FLAG_DELTA_UNIT,
	};
	if (frame->capture_ns > 0 && times->pts == GST_CLOCK_TIME_NONE)
		times->pts = 0;
	if (frame->capture_ns > 0)
		times->epoch_ns = frame->capture_ns - (int64_t)times->pts;
	if ((frame->flags & WEIR_FRAME_CORRUPT) != 0)
		times->flags |= GST_BUFFER_FLAG_CORRUPTED;
	if ((frame->flags & WEIR_FRAME_GAP) != 0)
		times->flags |= GST_BUFFER_FLAG_GAP;
	if ((frame->flags & WEIR_FRAME_DISCONTINUITY) != 0)
		times->flags |= GST_BUFFER_FLAG_DISCONT;
}

/* --- events ----------------------------------------------------------------------------------------------------- */

static void start_stream(struct srcstream *stream)
{
	gchar *id = gst_pad_create_stream_id(stream->pad, stream->element, NULL);
	GstEvent *event = gst_event_new_stream_start(id);

	gst_event_set_group_id(event, gst_util_group_id_next());
	gst_pad_push_event(stream->pad, event);
	stream->stream_started = true;
	g_free(id);
}

/* Takes the event. False: caps that cannot be used. */
static bool take_event(struct srcstream *stream, GstEvent *event)
{
	GstCaps *caps;

	switch (GST_EVENT_TYPE(event)) {
	case GST_EVENT_STREAM_START:
		gst_pad_push_event(stream->pad, event);
		stream->stream_started = true;
		/* What follows is another stream: it has no caps yet. */
		gst_clear_caps(&stream->caps);
		stream->new_generation = true;
		stream->segment_pushed = false;
		return true;
	case GST_EVENT_CAPS:
		gst_event_parse_caps(event, &caps);
		gst_caps_replace(&stream->long_caps, caps);
		gst_event_unref(event);
		stream->new_generation = true;
		return true;
	default: break;
	}
	if (!stream->stream_started)
		start_stream(stream);
	if (stream->new_generation && !push_caps(stream)) {
		gst_event_unref(event);
		return false;
	}
	if (GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT) {
		gst_event_copy_segment(event, &stream->segment);
		gst_event_unref(event);
		push_segment(stream);
		return true;
	}
	if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_STOP) {
		gst_pad_push_event(stream->pad, gst_event_new_flush_start());
		stream->segment_pushed = false;
		stream->discont = true;
	} else if (!stream->segment_pushed) {
		push_segment(stream);
	}
	gst_pad_push_event(stream->pad, event);
	return true;
}

/* Everything that comes before the frame. */
static bool push_events(struct srcstream *stream, GQueue *events, const struct wire_times *times, bool only_events)
{
	bool usable = true;
	GstEvent *event;

	if (stream->wire != NULL)
		follow_clock(stream, times);
	while ((event = g_queue_pop_head(events)) != NULL)
		if (usable)
			usable = take_event(stream, event);
		else
			gst_event_unref(event);
	if (!usable || only_events)
		return usable;
	if (!stream->stream_started)
		start_stream(stream);
	if (stream->new_generation && !push_caps(stream))
		return false;
	if (!stream->segment_pushed)
		push_segment(stream);
	return true;
}

/* --- a frame ---------------------------------------------------------------------------------------------------- */

static GstBuffer *to_buffer(
	struct srcstream *stream, const struct weir_frame *frame, const struct wire_times *times, bool is_ours)
{
	GstBuffer *buffer = gst_buffer_new();
	bool copied;

	gst_buffer_append_memory(buffer, frameallocator_wrap(stream->frames, frame, &copied));
	if (copied)
		count(stream, &stream->copied, 1);
	set_times(stream, buffer, times);
	GST_BUFFER_FLAGS(buffer) |=
		times->flags &
		(GST_BUFFER_FLAG_DELTA_UNIT | GST_BUFFER_FLAG_CORRUPTED | GST_BUFFER_FLAG_GAP | GST_BUFFER_FLAG_HEADER |
			GST_BUFFER_FLAG_MARKER | GST_BUFFER_FLAG_DROPPABLE | GST_BUFFER_FLAG_DISCONT |
			GST_BUFFER_FLAG_RESYNC | GST_BUFFER_FLAG_DECODE_ONLY | 0xfff00000u);
	if (stream->is_video)
		gst_buffer_add_video_meta_full(buffer, 0, GST_VIDEO_INFO_FORMAT(&stream->info),
			GST_VIDEO_INFO_WIDTH(&stream->info), GST_VIDEO_INFO_HEIGHT(&stream->info),
			GST_VIDEO_INFO_N_PLANES(&stream->info), stream->info.offset, stream->info.stride);
	if (stream->to_pack) {
		buffer = videoframe_pack(&stream->info, stream->caps, buffer);
		count(stream, &stream->copied, !copied);
	}
	if (stream->is_planar)
		planar_describe(&stream->planar, buffer);
	if (is_ours)
		wire_in_add_metas(stream->wire, buffer);
	return buffer;
}

static void note_loss(struct srcstream *stream, GstBuffer *buffer, const struct wire_times *times)
{
	uint64_t lost =
		stream->buffers != 0 && times->buffers > stream->buffers ? times->buffers - stream->buffers - 1 : 0;

	if (lost > 0)
		count(stream, &stream->lost, lost);
	if (lost > 0 || stream->discont)
		GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
	if (GST_BUFFER_OFFSET(buffer) == GST_BUFFER_OFFSET_NONE && times->buffers > 0)
		GST_BUFFER_OFFSET(buffer) = times->buffers - 1;
	stream->discont = false;
	stream->buffers = times->buffers;
	count(stream, &stream->pushed, 1);
}

static void take_latency(struct srcstream *stream, const struct wire_times *times)
{
	bool first = stream->frame_ns == 0 && GST_CLOCK_TIME_IS_VALID(times->duration) && times->duration > 0;

	if (times->latency_ns == stream->latency_ns && !first)
		return;
	GST_OBJECT_LOCK(stream->element);
	stream->latency_ns = times->latency_ns;
	if (first)
		stream->frame_ns = times->duration;
	GST_OBJECT_UNLOCK(stream->element);
	gst_element_post_message(stream->element, gst_message_new_latency(GST_OBJECT(stream->element)));
}

GstFlowReturn srcstream_push(struct srcstream *stream, const struct weir_frame *frame)
{
	GQueue events = G_QUEUE_INIT;
	struct wire_times times;
	bool is_ours = wire_in_read(stream->wire, frame->meta, frame->meta_bytes, &times, &events) == 0;
	bool only_events = (frame->flags & WEIR_FRAME_EVENT) != 0;
	GstFlowReturn flow = GST_FLOW_OK;
	GstBuffer *buffer;

	if (is_ours)
		take_latency(stream, &times);
	else
		times_of_frame(stream, frame, &times);
	if (!push_events(stream, &events, &times, only_events)) {
		frameallocator_release(stream->frames, frame);
		return GST_FLOW_NOT_NEGOTIATED;
	}
	if (only_events) {
		frameallocator_release(stream->frames, frame);
		return GST_FLOW_OK;
	}
	if (stream->is_video && frame->size_bytes < GST_VIDEO_INFO_SIZE(&stream->info)) {
		GST_WARNING_OBJECT(stream->element, "a frame of %u bytes is no picture of %" GST_PTR_FORMAT,
			frame->size_bytes, (void *)stream->caps);
		frameallocator_release(stream->frames, frame);
		count(stream, &stream->broken, 1);
		stream->discont = true;
		return GST_FLOW_OK;
	}
	buffer = to_buffer(stream, frame, &times, is_ours);
	note_loss(stream, buffer, &times);
	if (!stream->joined && stream->caps != NULL && !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_HEADER))
		flow = headers_push(stream->pad, stream->caps);
	stream->joined = true;
	if (flow != GST_FLOW_OK) {
		gst_buffer_unref(buffer);
		return flow;
	}
	GST_LOG_OBJECT(stream->element, "pushing %" GST_PTR_FORMAT, (void *)buffer);
	return gst_pad_push(stream->pad, buffer);
}

void srcstream_end(struct srcstream *stream)
{
	if (!stream->stream_started)
		start_stream(stream);
	gst_pad_push_event(stream->pad, gst_event_new_eos());
}
