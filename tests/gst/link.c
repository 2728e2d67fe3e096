/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <unistd.h>

#include "weirsink.h"
#include "weirsrc.h"

#define PATIENCE_US (10 * G_USEC_PER_SEC)

void link_register(void)
{
	gst_element_register(NULL, "weirsink", GST_RANK_NONE, weirsink_get_type());
	gst_element_register(NULL, "weirsrc", GST_RANK_NONE, weirsrc_get_type());
}

/* Not gst_harness_new_parse(): that hides the element in a bin. */
static GstHarness *open_harness(const char *description, const char *sink, const char *src)
{
	GstElement *element = gst_parse_launch(description, NULL);
	GstHarness *harness;

	assert_non_null(element);
	gst_object_ref_sink(element);
	harness = gst_harness_new_with_element(element, sink, src);
	gst_object_unref(element);
	return harness;
}

void link_open_sink(struct link *link, const char *caps, const char *properties)
{
	static unsigned number;
	gchar *description;

	g_snprintf(link->path, sizeof(link->path), "@weir-link-%d-%u", (int)getpid(), number++);
	description = g_strdup_printf(
		"weirsink socket-path=%s sync=false async=false %s", link->path, properties != NULL ? properties : "");
	link->in = open_harness(description, "sink", NULL);
	link->out = NULL;
	if (caps != NULL)
		gst_harness_set_src_caps_str(link->in, caps);
	g_free(description);
}

GstHarness *link_open_source(struct link *link, const char *properties)
{
	gchar *description = g_strdup_printf("weirsrc socket-path=%s leaky-type=none max-buffers=8 %s", link->path,
		properties != NULL ? properties : "");
	GstHarness *out = open_harness(description, NULL, "src");

	gst_harness_play(out);
	g_free(description);
	return out;
}

void link_await_clients(struct link *link, guint count)
{
	gint64 deadline_us = g_get_monotonic_time() + PATIENCE_US;
	guint clients = G_MAXUINT;

	while (clients != count && g_get_monotonic_time() < deadline_us) {
		g_usleep(1000);
		g_object_get(link->in->element, "num-clients", &clients, NULL);
	}
	assert_int_equal(clients, count);
}

void link_open(struct link *link, const char *caps, const char *sink_properties, const char *source_properties)
{
	link_open_sink(link, caps, sink_properties);
	link->out = link_open_source(link, source_properties);
	if (caps != NULL)
		link_await_clients(link, 1);
}

void link_close(struct link *link)
{
	g_clear_pointer(&link->out, gst_harness_teardown);
	g_clear_pointer(&link->in, gst_harness_teardown);
}

GstBuffer *link_buffer(gsize bytes, guint8 byte)
{
	GstBuffer *buffer = gst_buffer_new_allocate(NULL, bytes, NULL);

	gst_buffer_memset(buffer, 0, byte, bytes);
	return buffer;
}

void link_push(struct link *link, GstBuffer *buffer)
{
	assert_int_equal(gst_harness_push(link->in, buffer), GST_FLOW_OK);
}

GstBuffer *link_pull(GstHarness *out)
{
	GstBuffer *buffer = NULL;

	/* The harness waits for a minute; a test that fails need not take so long. */
	for (gint64 end_us = g_get_monotonic_time() + PATIENCE_US; g_get_monotonic_time() < end_us;) {
		buffer = gst_harness_try_pull(out);
		if (buffer != NULL)
			return buffer;
		g_usleep(1000);
	}
	fail_msg("no buffer within 10 s");
	return NULL;
}

GstEvent *link_pull_event(GstHarness *out, GstEventType type)
{
	for (gint64 end_us = g_get_monotonic_time() + PATIENCE_US; g_get_monotonic_time() < end_us;) {
		GstEvent *event = gst_harness_try_pull_event(out);

		if (event != NULL && GST_EVENT_TYPE(event) == type)
			return event;
		if (event != NULL)
			gst_event_unref(event);
		else
			g_usleep(1000);
	}
	fail_msg("no %s within 10 s", gst_event_type_get_name(type));
	return NULL;
}

guint64 link_stat(GstElement *element, const char *field)
{
	GstStructure *stats;
	guint64 value;

	g_object_get(element, "stats", &stats, NULL);
	assert_true(gst_structure_get_uint64(stats, field, &value));
	gst_structure_free(stats);
	return value;
}
