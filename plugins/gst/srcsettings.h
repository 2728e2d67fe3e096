/* SPDX-License-Identifier: MIT */
#ifndef SRCSETTINGS_H
#define SRCSETTINGS_H

/* The properties of weirsrc, and what they mean for a ring. Guarded by the element's object lock; what counts for a
 * run is read when it starts. */

#include <gst/gst.h>
#include <weir/ring.h>

#include "srcstream.h"

struct srcsettings {
	gchar *socket_path;
	gint leaky_type;     /* WeirSrcLeakyType */
	gint timestamp_mode; /* enum timestamp_mode */
	guint max_buffers, max_held;
	gint num_buffers;
	gboolean reconnect, is_live;
	guint64 connection_timeout_ns, timeout_ns, processing_deadline_ns;
};

void srcsettings_init(struct srcsettings *settings);
void srcsettings_finish(struct srcsettings *settings);
void srcsettings_copy(struct srcsettings *to, const struct srcsettings *from);

void srcsettings_install(GObjectClass *class);

/* False: no property of ours. */
bool srcsettings_set(struct srcsettings *settings, guint id, const GValue *value);
bool srcsettings_get(const struct srcsettings *settings, guint id, GValue *value);
#define SRCSETTINGS_LAST 32 /* ids from here on are the element's own */

struct weir_policy srcsettings_policy(const struct srcsettings *settings);

/* weir:///tmp/cam0, weir:///@cam0 for an abstract name; leaky-type, max-buffers and others may follow as ?a=b&c=d. */
bool srcsettings_take_uri(GObject *element, const gchar *uri, GError **error);
gchar *srcsettings_uri(const struct srcsettings *settings);

#endif
