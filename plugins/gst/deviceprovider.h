/* SPDX-License-Identifier: MIT */
#ifndef DEVICEPROVIDER_H
#define DEVICEPROVIDER_H

/* Lists the rings that are served on this machine (gst-device-monitor-1.0): every weirsink that this user may read. */

#include <gst/gst.h>

G_DECLARE_FINAL_TYPE(WeirDeviceProvider, weirdeviceprovider, WEIR, DEVICE_PROVIDER, GstDeviceProvider)

#endif
