/* SPDX-License-Identifier: MIT */
#ifndef SINKSETTINGS_H
#define SINKSETTINGS_H

/* The properties of weirsink. Guarded by the element's object lock; what counts for a run is read when it starts. */

#include <gst/gst.h>
#include <stdbool.h>

struct sinksettings {
	gchar *socket_path;
	guint perms;
	gboolean any_user;
	gboolean wait_for_connection;
	guint max_readers;
	guint slots;
	guint64 shm_bytes;
	guint64 stall_ns;
	gboolean lossless;
};

void sinksettings_init(struct sinksettings *settings);
void sinksettings_finish(struct sinksettings *settings);

void sinksettings_install(GObjectClass *class);

/* False: no property of ours. */
bool sinksettings_set(struct sinksettings *settings, guint id, const GValue *value);
bool sinksettings_get(const struct sinksettings *settings, guint id, GValue *value);
#define SINKSETTINGS_LAST 32 /* ids from here on are the element's own */

#endif
