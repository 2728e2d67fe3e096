/* SPDX-License-Identifier: MIT */
#ifndef LINK_H
#define LINK_H

/* A weirsink and a weirsrc with a harness at each end: what is pushed into `in` should come out of `out`. Failures end
 * the running test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gst/check/gstharness.h>
#include <gst/gst.h>

struct link {
	char path[64]; /* of the socket */
	GstHarness *in, *out;
};

/* Registers the elements; gst_init() comes first. */
void link_register(void);

/* Opens the sink with caps (NULL: none yet) and, when it has a ring, a lossless source. More properties may follow
 * ("max-readers=1"), or NULL. Returns when the source is connected. */
void link_open(struct link *link, const char *caps, const char *sink_properties, const char *source_properties);

/* The parts of it. */
void link_open_sink(struct link *link, const char *caps, const char *properties);
GstHarness *link_open_source(struct link *link, const char *properties);
void link_await_clients(struct link *link, guint count);
void link_close(struct link *link);

/* A buffer of so many bytes, each of which is byte. */
GstBuffer *link_buffer(gsize bytes, guint8 byte);

/* Pushes it; it must be accepted. */
void link_push(struct link *link, GstBuffer *buffer);

/* The next buffer at a source. */
GstBuffer *link_pull(GstHarness *out);

/* The next event at the source that is of this type; others before it are dropped. */
GstEvent *link_pull_event(GstHarness *out, GstEventType type);

/* The number of a field in the element's stats. */
guint64 link_stat(GstElement *element, const char *field);

#endif
