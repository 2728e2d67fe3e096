/* SPDX-License-Identifier: MIT */
/* What camera-to-analyzer does with a file, in one process and without Weir's rings: the same GStreamer pipeline into
 *an appsink, the same two analyzers on every frame, the same lines out. The yardstick of cpu_per_frame.
 *
 *	one-process FILE ANALYZER.so... */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include <weir/analyzer.h>

#define ANALYZERS_MAX 4

static struct {
	const struct weir_analyzer *analyzer;
	void *state;
} loaded[ANALYZERS_MAX];
static int loaded_count;

static void load(const char *path)
{
	void *module = dlopen(path, RTLD_NOW);
	const struct weir_analyzer *analyzer = module != NULL ? dlsym(module, "weir_analyzer") : NULL;

	if (analyzer == NULL) {
		fprintf(stderr, "%s: %s\n", path, dlerror());
		exit(1);
	}
	loaded[loaded_count].analyzer = analyzer;
	loaded[loaded_count].state = calloc(1, analyzer->state_bytes + 1);
	if (analyzer->init != NULL && analyzer->init(loaded[loaded_count].state, "{}") < 0)
		exit(1);
	loaded_count++;
}

static void analyze(const struct weir_format *format, const struct weir_frame *frame)
{
	static char json[16384];
	struct weir_picture picture;

	if (weir_picture_init(&picture, format, frame) < 0)
		exit(1);
	for (int i = 0; i < loaded_count; i++) {
		const struct weir_analyzer *analyzer = loaded[i].analyzer;
		struct weir_result result = { .sequence = frame->sequence, .pts_ns = frame->pts_ns, .score = -1 };

		snprintf(result.type, sizeof(result.type), "%s", analyzer->name);
		if (frame->sequence == 1 && analyzer->format != NULL && analyzer->format(loaded[i].state, format) < 0)
			exit(1);
		if (analyzer->frame(loaded[i].state, &picture, &result) == 1 &&
			weir_result_json(&result, "file", analyzer->name, json, sizeof(json)) == 0)
			puts(json);
	}
}

static void take(GstSample *sample, uint64_t sequence)
{
	GstBuffer *buffer = gst_sample_get_buffer(sample);
	struct weir_format format;
	GstVideoFrame video;
	GstVideoInfo info;
	struct weir_frame frame = { .sequence = sequence, .pts_ns = (int64_t)GST_BUFFER_PTS(buffer) };

	if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) ||
		weir_format_video(&format, WEIR_PIXEL_I420, (uint32_t)info.width, (uint32_t)info.height) < 0 ||
		!gst_video_frame_map(&video, &info, buffer, GST_MAP_READ))
		exit(1);
	frame.data = GST_VIDEO_FRAME_PLANE_DATA(&video, 0);
	frame.size_bytes = (uint32_t)(GST_VIDEO_FRAME_SIZE(&video));
	for (uint32_t i = 0; i < format.plane_count; i++) {
		format.plane[i].offset_bytes = (uint32_t)GST_VIDEO_FRAME_PLANE_OFFSET(&video, i);
		format.plane[i].stride_bytes = (uint32_t)GST_VIDEO_FRAME_PLANE_STRIDE(&video, i);
	}
	format.payload_bytes = frame.size_bytes;
	analyze(&format, &frame);
	gst_video_frame_unmap(&video);
}

int main(int argc, char **argv)
{
	GstElement *pipeline, *source, *sink;
	uint64_t frames = 0;
	GstSample *sample;

	if (argc < 3 || argc - 2 > ANALYZERS_MAX) {
		fprintf(stderr, "Usage: one-process FILE ANALYZER.so...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		load(argv[i]);
	gst_init(NULL, NULL);
	pipeline = gst_parse_launch("filesrc name=source ! decodebin ! videoconvert ! "
				    "appsink name=sink sync=false max-buffers=4 caps=video/x-raw,format=I420",
		NULL);
	source = gst_bin_get_by_name(GST_BIN(pipeline), "source");
	sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
	g_object_set(source, "location", argv[1], NULL);
	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	while ((sample = gst_app_sink_pull_sample(GST_APP_SINK(sink))) != NULL) {
		take(sample, ++frames);
		gst_sample_unref(sample);
	}
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(source);
	gst_object_unref(sink);
	gst_object_unref(pipeline);
	fprintf(stderr, "%llu frames\n", (unsigned long long)frames);
	return frames > 0 ? 0 : 1;
}
