/* SPDX-License-Identifier: MIT */
/* The metadata that weirsrc reads with each frame: events and metas, as a hostile producer could write them. */
#include "fuzz.h"

#include <gst/gst.h>

#include "wireformat.h"

/* GStreamer's own parsers complain of much that they then refuse. */
static void be_silent(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer data)
{
}

static void set_up(void)
{
	setenv("GST_REGISTRY_UPDATE", "no", 1);
	setenv("GST_PLUGIN_SYSTEM_PATH_1_0", "", 1);
	gst_init(NULL, NULL);
	g_log_set_default_handler(be_silent, NULL);
}

/* The same frame twice, and then as another writer's: what was seen is not given again. */
static void read_frame(struct wire_in *in, const uint8_t *meta, uint32_t bytes)
{
	GQueue events = G_QUEUE_INIT;
	struct wire_times times;
	GstBuffer *buffer;

	if (wire_in_read(in, meta, bytes, &times, &events) < 0)
		return;
	buffer = gst_buffer_new();
	wire_in_add_metas(in, buffer);
	gst_buffer_unref(buffer);
	g_queue_clear_full(&events, (GDestroyNotify)gst_event_unref);
	FUZZ_CHECK(wire_in_read(in, meta, bytes, &times, &events) == 0);
	for (GList *l = events.head; l != NULL; l = l->next)
		FUZZ_CHECK(!GST_EVENT_IS_STICKY(l->data));
	g_queue_clear_full(&events, (GDestroyNotify)gst_event_unref);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct wire_in *in;
	struct wire_header header;
	uint8_t *meta;

	if (in == NULL) {
		set_up();
		in = wire_in_new();
	}
	if (bytes < sizeof(header) || bytes > WIRE_ROOM_MAX)
		return 0;
	meta = malloc(bytes);
	memcpy(meta, data, bytes);
	memcpy(&header, meta, sizeof(header));
	header.magic = WIRE_MAGIC;
	header.version = WIRE_VERSION;
	memcpy(meta, &header, sizeof(header));
	wire_in_reset(in);
	read_frame(in, meta, (uint32_t)bytes);
	free(meta);
	return 0;
}
