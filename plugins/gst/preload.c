/* SPDX-License-Identifier: MIT */
#include "preload.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include <gst/gst.h>

void preload_init(void)
{
	/* Else a missing registry is made by gst-plugin-scanner, a child that nobody here expects. */
	setenv("GST_REGISTRY_FORK", "no", 1);
	gst_init(NULL, NULL);
}

static int count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	int count = 0;

	for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return count;
}

int preload_decoder(void)
{
	static const char *const factories[] = { "avdec_h264", "avidemux", "capsfilter", "decodebin", "fakesink",
		"filesrc", "h264parse", "jpegdec", "matroskademux", "openh264dec", "qtdemux", "queue", "rtph264depay",
		"rtpjitterbuffer", "rtspsrc", "typefind", "udpsrc", "v4l2src", "videoconvert", "videoscale",
		"videotestsrc", "vp8dec" };
	int before = count_threads();

	preload_init();
	for (size_t i = 0; i < G_N_ELEMENTS(factories); i++) {
		GstPluginFeature *feature =
			gst_registry_find_feature(gst_registry_get(), factories[i], GST_TYPE_ELEMENT_FACTORY);
		GstPluginFeature *loaded = feature != NULL ? gst_plugin_feature_load(feature) : NULL;

		if (loaded != NULL)
			gst_object_unref(loaded);
		if (feature != NULL)
			gst_object_unref(feature);
	}
	return count_threads() > before ? -EBUSY : 0;
}
