/* SPDX-License-Identifier: MIT */
#include "preload.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/gst.h>

#define REHEARSAL_US 60000000 /* a registry of all plugins takes a second; only a hang takes longer */

void preload_init(void)
{
	/* Else a missing registry is made by gst-plugin-scanner, a child that nobody here expects. */
	setenv("GST_REGISTRY_FORK", "no", 1);
	gst_init(NULL, NULL);
}

/* INT_MAX: it cannot be known. */
static int count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	int count = 0;

	for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return dir != NULL ? count : INT_MAX;
}

/* 0; -EBUSY: that started a thread. */
static int load_plugins(void)
{
	static const char *const factories[] = { "avdec_h264", "avidemux", "capsfilter", "decodebin", "fakesink",
		"filesrc", "h264parse", "jpegdec", "matroskademux", "openh264dec", "qtdemux", "queue", "rtph264depay",
		"rtpjitterbuffer", "rtspsrc", "typefind", "udpsrc", "v4l2src", "videoconvert", "videoscale",
		"videotestsrc", "vp8dec" };
	GstPlugin *typefinders;
	int before = count_threads();

	preload_init();
	/* Not elements: without these each decoder would spend two milliseconds on finding out what its file is. */
	typefinders = gst_plugin_load_by_name("typefindfunctions");
	gst_clear_object(&typefinders);
	for (size_t i = 0; i < G_N_ELEMENTS(factories); i++) {
		GstPluginFeature *feature =
			gst_registry_find_feature(gst_registry_get(), factories[i], GST_TYPE_ELEMENT_FACTORY);
		GstPluginFeature *loaded = feature != NULL ? gst_plugin_feature_load(feature) : NULL;

		if (loaded != NULL)
			gst_object_unref(loaded);
		if (feature != NULL)
			gst_object_unref(feature);
	}
	return count_threads() > before || before == INT_MAX ? -EBUSY : 0;
}

/* Waits for a child of ours; kills it at the deadline. Returns its exit status, or -1. */
static int await(pid_t pid)
{
	struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	gint64 deadline_us = g_get_monotonic_time() + REHEARSAL_US;
	int status, r = 0;

	while (ended.fd >= 0 && r == 0 && g_get_monotonic_time() < deadline_us)
		r = poll(&ended, 1, 100) > 0;
	if (r == 0)
		kill(pid, SIGKILL);
	if (ended.fd >= 0)
		close(ended.fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Loads the plugins in a child, to see whether that starts threads. */
static int rehearse(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() != parent || load_plugins() < 0);
	}
	return await(pid) == 0 ? 0 : -EBUSY;
}

int preload_decoder(void)
{
	/* Without an up-to-date registry GStreamer loads every plugin that there is, and some of them start threads.
	 * The first rehearsal writes it, and the second one finds it. */
	if (rehearse() < 0 && rehearse() < 0)
		return -EBUSY;
	return load_plugins();
}
