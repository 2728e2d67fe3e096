/* SPDX-License-Identifier: MIT */
#include "deviceprovider.h"
#include "weirsink.h"
#include "weirsrc.h"

static gboolean init(GstPlugin *plugin)
{
	return gst_element_register(plugin, "weirsink", GST_RANK_NONE, weirsink_get_type()) &&
	       gst_element_register(plugin, "weirsrc", GST_RANK_PRIMARY, weirsrc_get_type()) &&
	       gst_device_provider_register(
		       plugin, "weirdeviceprovider", GST_RANK_PRIMARY, weirdeviceprovider_get_type());
}

#define PACKAGE "weir"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, weir, "Streams between processes, in shared memory", init,
	"0.1.0", "MIT/X11", "Weir", "https://example.org/weir")
