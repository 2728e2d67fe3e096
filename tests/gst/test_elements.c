/* SPDX-License-Identifier: MIT */
/* What applications and other elements expect of any sink and source. */
#include "link.h"

#include <string.h>
#include <unistd.h>

#include <gst/video/video.h>

#include "rig.h"

#define GRAY "video/x-raw,format=GRAY8,width=16,height=16,framerate=10/1"

/* --- negotiation ------------------------------------------------------------------------------------------------ */

/* The error of a pipeline that must not come to play; the caller frees it. */
static gchar *error_of(const char *description)
{
	GstElement *pipeline = gst_parse_launch(description, NULL);
	GstBus *bus = gst_element_get_bus(pipeline);
	gchar *text;

	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	text = rig_error(bus);
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(bus);
	gst_object_unref(pipeline);
	return text;
}

static void assert_error(const char *description, const char *code, const char *advice)
{
	gchar *text = error_of(description);

	if (!g_str_has_prefix(text, code) || strstr(text, advice) == NULL)
		fail_msg("%s", text);
	g_free(text);
}

static void errors_have_their_code_and_say_what_to_do(void **state)
{
	gchar *code = g_strdup_printf("gst-resource-error-quark %d", GST_RESOURCE_ERROR_SETTINGS);

	assert_error("videotestsrc ! weirsink", code, "give one under");
	g_free(code);
	code = g_strdup_printf("gst-resource-error-quark %d", GST_RESOURCE_ERROR_OPEN_WRITE);
	assert_error("videotestsrc ! weirsink socket-path=/nonexistent/folder/cam0", code, "make it first");
	g_free(code);
	code = g_strdup_printf("gst-resource-error-quark %d", GST_RESOURCE_ERROR_NOT_FOUND);
	assert_error("weirsrc ! fakesink", code, "No socket-path is set");
	assert_error("weirsrc socket-path=@weir-nobody reconnect=false ! fakesink", code, "start a weirsink");
	assert_error(
		"weirsrc socket-path=@weir-nobody connection-timeout=200000000 ! fakesink", code, "start a weirsink");
	g_free(code);
	code = g_strdup_printf("gst-resource-error-quark %d", GST_RESOURCE_ERROR_OPEN_READ);
	assert_error("weirsrc socket-path=/tmp ! fakesink", code, "something else than the socket");
	assert_error("weirsrc socket-path=/etc/passwd ! fakesink", code, "something else than the socket");
	g_free(code);
}

static void names_of_other_sources_do_the_same(void **state)
{
	GstElement *source = gst_object_ref_sink(gst_parse_launch("weirsrc do-timestamp=true", NULL));
	gint mode;

	g_object_get(source, "timestamp-mode", &mode, NULL);
	assert_int_equal(mode, 1); /* arrival */
	g_object_set(source, "do-timestamp", FALSE, NULL);
	g_object_get(source, "timestamp-mode", &mode, NULL);
	assert_int_equal(mode, 0); /* producer */
	gst_object_unref(source);
}

static void a_silence_is_told_once(void **state)
{
	GstElement *pipeline = gst_parse_launch("weirsrc socket-path=@weir-nobody timeout=200000000 ! fakesink", NULL);
	GstBus *bus = gst_element_get_bus(pipeline);
	GstMessage *message;

	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	message = gst_bus_timed_pop_filtered(bus, 10 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR);
	assert_non_null(message);
	assert_true(gst_message_has_name(message, "weirsrc-timeout"));
	gst_message_unref(message);
	assert_null(gst_bus_timed_pop_filtered(bus, GST_SECOND / 2, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR));
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(bus);
	gst_object_unref(pipeline);
}

static gint warnings;

static void count_warning(GstDebugCategory *category, GstDebugLevel level, const gchar *file, const gchar *function,
	gint line, GObject *object, GstDebugMessage *message, gpointer data)
{
	if (level == GST_LEVEL_WARNING && strstr(gst_debug_message_get(message), "wanted every buffer") != NULL)
		g_atomic_int_inc(&warnings);
}

static void a_stalled_reader_is_warned_of_once(void **state)
{
	struct link link;

	gst_debug_set_active(TRUE);
	gst_debug_set_threshold_for_name("weirsink", GST_LEVEL_WARNING);
	(gst_debug_add_log_function)(count_warning, &warnings, NULL);
	link_open(&link, GRAY, "slots=24 stall-timeout=100000000", NULL);
	gst_element_set_state(link.out->element, GST_STATE_PAUSED);
	for (int i = 0; i < 60; i++)
		link_push(&link, link_buffer(256, 1));
	for (int i = 0; i < 500 && g_atomic_int_get(&warnings) == 0; i++)
		g_usleep(10000);
	for (int i = 0; i < 60; i++)
		link_push(&link, link_buffer(256, 1));
	g_usleep(300000);
	link_close(&link);
	gst_debug_remove_log_function_by_data(&warnings);
	assert_int_equal(warnings, 1);
}

/* It counts from the next start on. */
static void a_path_may_be_set_while_a_source_waits_at_the_one_before(void **state)
{
	GstElement *pipeline = gst_parse_launch("weirsrc name=source socket-path=@weir-nobody-0 ! fakesink", NULL);
	GstElement *source = gst_bin_get_by_name(GST_BIN(pipeline), "source");

	gst_element_set_state(pipeline, GST_STATE_PLAYING);
	for (int i = 0; i < 100; i++) {
		g_object_set(source, "socket-path", i % 2 ? "@weir-nobody-1" : "@weir-nobody-2", NULL);
		g_usleep(3000);
	}
	gst_element_set_state(pipeline, GST_STATE_NULL);
	gst_object_unref(source);
	gst_object_unref(pipeline);
}

static void memory_that_is_not_the_system_s_is_refused(void **state)
{
	GstBus *bus = gst_bus_new();
	struct link link;
	GstCaps *caps;
	gchar *text;

	link_open_sink(&link, GRAY, NULL);
	gst_element_set_bus(link.in->element, bus);
	caps = gst_caps_from_string("video/x-raw(memory:DMABuf),format=NV12,width=16,height=16,framerate=10/1");
	gst_harness_push_event(link.in, gst_event_new_caps(caps));
	text = rig_error(bus);
	assert_non_null(strstr(text, "Only system memory"));
	g_free(text);
	gst_caps_unref(caps);
	gst_element_set_bus(link.in->element, NULL);
	gst_object_unref(bus);
	link_close(&link);
}

static void a_full_sink_says_what_it_lacks(void **state)
{
	gchar *code = g_strdup_printf("gst-resource-error-quark %d", GST_RESOURCE_ERROR_BUSY), *description;
	struct link link;

	link_open(&link, GRAY, "max-readers=1", NULL);
	description = g_strdup_printf("weirsrc socket-path=%s ! fakesink", link.path);
	assert_error(description, code, "max-readers");
	g_free(code);
	link_close(&link);
	g_free(description);

	code = g_strdup_printf("gst-resource-error-quark %d", GST_RESOURCE_ERROR_NO_SPACE_LEFT);
	link_open(&link, GRAY, "slots=20", NULL);
	description = g_strdup_printf("weirsrc socket-path=%s max-buffers=100 ! fakesink", link.path);
	assert_error(description, code, "more slots");
	g_free(code);
	link_close(&link);
	g_free(description);
}

/* --- allocation ------------------------------------------------------------------------------------------------- */

static void the_proposed_pool_writes_into_slots_and_never_swallows_the_ring(void **state)
{
	GstVideoInfo info;
	struct link link;
	GstCaps *caps = gst_caps_from_string(GRAY);
	GstQuery *query = gst_query_new_allocation(caps, TRUE);
	GstBuffer *hoard[100];
	GstBufferPool *pool;
	GstStructure *config;
	guint size, min, max;

	link_open(&link, GRAY, NULL, NULL);
	assert_true(gst_pad_peer_query(link.in->srcpad, query));
	assert_true(gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL));
	assert_int_equal(gst_query_get_n_allocation_pools(query), 1);
	gst_query_parse_nth_allocation_pool(query, 0, &pool, &size, &min, &max);
	assert_int_equal(size, 256);
	assert_true(gst_buffer_pool_has_option(pool, GST_BUFFER_POOL_OPTION_VIDEO_META));
	assert_true(gst_buffer_pool_has_option(pool, GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT));
	config = gst_buffer_pool_get_config(pool);
	gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
	assert_true(gst_buffer_pool_set_config(pool, config));
	assert_true(gst_buffer_pool_set_active(pool, TRUE));
	assert_true(gst_video_info_from_caps(&info, caps));

	for (int i = 0; i < 20; i++) {
		GstBuffer *buffer;

		assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &buffer, NULL), GST_FLOW_OK);
		gst_buffer_memset(buffer, 0, 1, 256);
		link_push(&link, buffer);
		gst_buffer_unref(link_pull(link.out));
	}
	assert_int_equal(link_stat(link.in->element, "copied"), 0);

	for (int i = 0; i < 100; i++) {
		assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &hoard[i], NULL), GST_FLOW_OK);
		gst_buffer_memset(hoard[i], 0, (guint8)i, 256);
	}
	for (int i = 0; i < 100; i++) {
		link_push(&link, hoard[i]);
		gst_buffer_unref(link_pull(link.out));
	}
	assert_true(link_stat(link.in->element, "copied") >= 90);
	assert_int_equal(link_stat(link.in->element, "dropped"), 0);
	gst_buffer_pool_set_active(pool, FALSE);
	gst_object_unref(pool);
	gst_query_unref(query);
	gst_caps_unref(caps);
	link_close(&link);
}

/* --- the object ------------------------------------------------------------------------------------------------- */

static guint connected, disconnected;

static void on_connected(GstElement *sink, guint64 number, gint pid, gpointer data)
{
	assert_int_equal(pid, getpid());
	g_atomic_int_inc(&connected);
}

static void on_disconnected(GstElement *sink, guint64 number, gint pid, gpointer data)
{
	g_atomic_int_inc(&disconnected);
}

static void signals_and_stats_tell_of_every_reader(void **state)
{
	const GstStructure *reader;
	GstStructure *stats;
	const GValue *readers;
	struct link link;
	guint64 delivered = 0;

	link_open_sink(&link, GRAY, NULL);
	g_signal_connect(link.in->element, "reader-connected", G_CALLBACK(on_connected), NULL);
	g_signal_connect(link.in->element, "reader-disconnected", G_CALLBACK(on_disconnected), NULL);
	link.out = link_open_source(&link, NULL);
	link_await_clients(&link, 1);
	for (guint8 i = 0; i < 5; i++) {
		link_push(&link, link_buffer(256, i));
		gst_buffer_unref(link_pull(link.out));
	}
	g_object_get(link.in->element, "stats", &stats, NULL);
	readers = gst_structure_get_value(stats, "readers");
	assert_int_equal(gst_value_array_get_size(readers), 1);
	reader = gst_value_get_structure(gst_value_array_get_value(readers, 0));
	assert_string_equal(gst_structure_get_string(reader, "policy"), "lossless");
	assert_true(gst_structure_get_uint64(reader, "delivered", &delivered));
	assert_int_equal(delivered, 5);
	gst_structure_free(stats);
	g_clear_pointer(&link.out, gst_harness_teardown);
	link_await_clients(&link, 0);
	for (int i = 0; i < 2000 && (guint)g_atomic_int_get(&disconnected) == 0; i++)
		g_usleep(1000);
	assert_int_equal(connected, 1);
	assert_int_equal(disconnected, 1);
	link_close(&link);
}

static void a_uri_sets_the_path_and_what_else_it_says(void **state)
{
	GError *error = NULL;
	GstElement *element = gst_element_make_from_uri(
		GST_URI_SRC, "weir:///tmp/cam%200?leaky-type=none&max-buffers=9", NULL, &error);
	gchar *path, *uri;
	gint leaky;
	guint buffers;

	assert_non_null(element);
	gst_object_ref_sink(element);
	g_object_get(element, "socket-path", &path, "leaky-type", &leaky, "max-buffers", &buffers, NULL);
	assert_string_equal(path, "/tmp/cam 0");
	assert_int_equal(leaky, 0);
	assert_int_equal(buffers, 9);
	g_free(path);
	uri = gst_uri_handler_get_uri(GST_URI_HANDLER(element));
	assert_string_equal(uri, "weir:///tmp/cam%200");
	g_free(uri);
	assert_true(gst_uri_handler_set_uri(GST_URI_HANDLER(element), "weir:///@cam0", NULL));
	g_object_get(element, "socket-path", &path, NULL);
	assert_string_equal(path, "@cam0");
	g_free(path);
	assert_false(gst_uri_handler_set_uri(GST_URI_HANDLER(element), "weir://host/cam0", &error));
	g_clear_error(&error);
	assert_false(gst_uri_handler_set_uri(GST_URI_HANDLER(element), "weir:///tmp/cam0?name=x", &error));
	assert_non_null(strstr(error->message, "name"));
	g_clear_error(&error);
	gst_object_unref(element);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_their_code_and_say_what_to_do),
		cmocka_unit_test(names_of_other_sources_do_the_same),
		cmocka_unit_test(a_silence_is_told_once),
		cmocka_unit_test(a_stalled_reader_is_warned_of_once),
		cmocka_unit_test(a_path_may_be_set_while_a_source_waits_at_the_one_before),
		cmocka_unit_test(memory_that_is_not_the_system_s_is_refused),
		cmocka_unit_test(a_full_sink_says_what_it_lacks),
		cmocka_unit_test(the_proposed_pool_writes_into_slots_and_never_swallows_the_ring),
		cmocka_unit_test(signals_and_stats_tell_of_every_reader),
		cmocka_unit_test(a_uri_sets_the_path_and_what_else_it_says),
	};

	gst_init(&argc, &argv);
	link_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
