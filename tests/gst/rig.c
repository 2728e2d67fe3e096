/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <errno.h>
#include <string.h>

#define PATIENCE_NS INT64_C(20000000000)

static int64_t now_ns(void)
{
	return g_get_monotonic_time() * 1000;
}

/* Runs in the streaming thread, so it tells failures by its answer. */
static int want(void *data, const struct weir_format *format, uint32_t slot_bytes, uint32_t loans)
{
	struct rig *rig = data;
	struct weir_ring_config config = {
		.format = *format,
		.generation = rig->rings + 1,
		.slot_count = rig->slot_count != 0 ? rig->slot_count : 12,
		.slot_bytes = slot_bytes,
		.loans = loans,
	};
	struct weir_writer *writer = NULL;
	struct weir_ring_fds fds;
	unsigned i = rig->rings;
	uint32_t end;
	int r;

	if (rig->want_status != 0)
		return MIN(rig->want_status, 0);
	if (i == RIG_RINGS_MAX)
		return -ENOSPC;
	rig->format[i] = *format;
	r = weir_ring_create(&rig->ring[i], &config);
	if (r == 0)
		r = weir_ring_attach(rig->ring[i], &rig->policy, &end);
	if (r == 0)
		r = weir_ring_writer_fds(rig->ring[i], &fds);
	if (r == 0)
		r = weir_writer_open(&writer, &fds);
	if (r == 0)
		r = weir_ring_reader_fds(rig->ring[i], end, &fds);
	if (r == 0)
		r = weir_reader_open(&rig->reader[i], &fds);
	g_mutex_lock(&rig->lock);
	rig->rings++;
	g_mutex_unlock(&rig->lock);
	weirsink_set_writer(rig->sink, writer, r);
	return 0;
}

void rig_open_sink(struct rig *rig)
{
	struct weirsink_provider provider = { .want = want, .data = rig };

	if (rig->policy.mode == 0 && rig->policy.depth == 0)
		rig->policy.mode = WEIR_POLICY_LOSSLESS;
	if (rig->policy.stall_ns == 0)
		rig->policy.stall_ns = INT64_C(60000000000);
	g_mutex_init(&rig->lock);
	rig->sink = gst_object_ref_sink(weirsink_new(&provider));
	g_object_set(rig->sink, "lossless", !rig->lossy, NULL);
}

void rig_open(struct rig *rig, const char *source)
{
	gchar *description = g_strdup_printf("%s ! capsfilter name=tail", source);
	GError *error = NULL;
	GstElement *bin = gst_parse_bin_from_description(description, FALSE, &error), *tail;
	GstPad *pad;

	if (bin == NULL)
		fail_msg("%s: %s", description, error->message);
	g_free(description);
	/* Not the parser's ghost pads: it makes one on a decoder's sink pad, too, that waits for its demuxer. */
	tail = gst_bin_get_by_name(GST_BIN(bin), "tail");
	pad = gst_element_get_static_pad(tail, "src");
	gst_element_add_pad(bin, gst_ghost_pad_new("src", pad));
	gst_object_unref(pad);
	gst_object_unref(tail);
	rig_open_sink(rig);
	rig->pipeline = gst_pipeline_new(NULL);
	gst_bin_add_many(GST_BIN(rig->pipeline), bin, GST_ELEMENT(rig->sink), NULL);
	assert_true(gst_element_link(bin, GST_ELEMENT(rig->sink)));
	gst_element_set_state(rig->pipeline, GST_STATE_PLAYING);
}

int64_t rig_stop_ns(struct rig *rig)
{
	int64_t start_ns = now_ns();

	gst_element_set_state(rig->pipeline, GST_STATE_NULL);
	return now_ns() - start_ns;
}

void rig_close(struct rig *rig)
{
	if (rig->pipeline != NULL)
		rig_stop_ns(rig);
	gst_clear_object(&rig->pipeline);
	gst_clear_object(&rig->sink);
	for (unsigned i = 0; i < rig->rings; i++) {
		weir_reader_free(&rig->reader[i]);
		weir_ring_free(&rig->ring[i]);
	}
	g_mutex_clear(&rig->lock);
}

static unsigned rings(struct rig *rig)
{
	unsigned count;

	g_mutex_lock(&rig->lock);
	count = rig->rings;
	g_mutex_unlock(&rig->lock);
	return count;
}

static void look_at_bus(struct rig *rig)
{
	GstBus *bus = gst_element_get_bus(rig->pipeline);
	GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
	GError *error = NULL;

	gst_object_unref(bus);
	if (message == NULL)
		return;
	if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
		gst_message_parse_error(message, &error, NULL);
		fail_msg("%s", error->message);
	}
	weirsink_end(rig->sink);
	gst_message_unref(message);
}

int rig_next(struct rig *rig, unsigned ring, struct weir_frame *frame)
{
	int64_t deadline_ns = now_ns() + PATIENCE_NS;

	while (now_ns() < deadline_ns) {
		int r = -EAGAIN;

		look_at_bus(rig);
		if (ring < rings(rig))
			r = weir_reader_acquire(rig->reader[ring], frame);
		else
			g_usleep(1000);
		if (r != -EAGAIN)
			return r;
		if (ring < rings(rig))
			weir_reader_wait(rig->reader[ring], now_ns() + 20000000);
	}
	fail_msg("no frame within 20 s");
	return -ETIMEDOUT;
}

unsigned rig_drain(struct rig *rig, unsigned ring)
{
	struct weir_frame frame;
	unsigned frames = 0;
	int r;

	while ((r = rig_next(rig, ring, &frame)) == 0) {
		frames++;
		assert_int_equal(weir_reader_release(rig->reader[ring], &frame), 0);
	}
	assert_int_equal(r, -ENODATA);
	return frames;
}

struct weir_ring_stats rig_stats(struct rig *rig, unsigned ring)
{
	struct weir_ring_stats stats;

	weir_ring_stats(rig->ring[ring], &stats);
	return stats;
}

const struct weir_format *rig_format(struct rig *rig, unsigned ring)
{
	return weir_reader_format(rig->reader[ring]);
}

gchar *rig_error(GstBus *bus)
{
	GstMessage *message = gst_bus_timed_pop_filtered(bus, PATIENCE_NS, GST_MESSAGE_ERROR);
	GError *error = NULL;
	gchar *text;

	assert_non_null(message);
	gst_message_parse_error(message, &error, NULL);
	text = g_strdup_printf("%s %d: %s", g_quark_to_string(error->domain), error->code, error->message);
	g_error_free(error);
	gst_message_unref(message);
	return text;
}
