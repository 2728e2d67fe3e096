/* SPDX-License-Identifier: MIT */
/* A producer and four readers that do at random what applications do: start, pause, seek, change caps, ask, end.
 * Whatever comes together: nothing crashes, leaks or hangs. Usage: test_turmoil [SECONDS [SEED]]. */
#include "link.h"

#include <stdlib.h>

#include <gst/video/video.h>

#define READERS	   4
#define STOP_US	   (5 * G_USEC_PER_SEC) /* a second, and room for a loaded machine */
#define PATH	   "@weir-turmoil"
#define TURMOIL_US (seconds * G_USEC_PER_SEC)

static gint64 seconds = 3;
static guint32 seed;
static gint finished;
static gint buffers;

static bool toss(GRand *random)
{
	return g_rand_boolean(random);
}

static void go(GstElement *pipeline, GstState state)
{
	gint64 start_us = g_get_monotonic_time();

	gst_element_set_state(pipeline, state);
	if (g_get_monotonic_time() - start_us > STOP_US)
		g_error("%s took longer than %d s", gst_element_state_get_name(state), (int)(STOP_US / G_USEC_PER_SEC));
}

static void ask(GstElement *element)
{
	GstStructure *stats;

	g_object_get(element, "stats", &stats, NULL);
	gst_structure_free(stats);
}

static void go_somewhere(GstElement *pipeline, GRand *random)
{
	static const GstState states[] = { GST_STATE_READY, GST_STATE_PAUSED, GST_STATE_PLAYING, GST_STATE_PLAYING };

	go(pipeline, states[g_rand_int_range(random, 0, G_N_ELEMENTS(states))]);
}

static void disturb_reader(GstElement *pipeline, GstElement *source, GRand *random)
{
	switch (g_rand_int_range(random, 0, 6)) {
	case 0:
		gst_element_send_event(
			source, gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 1));
		break;
	case 1: gst_element_send_event(pipeline, gst_event_new_eos()); break;
	case 2: g_object_set(source, "socket-path", PATH, NULL); break;
	case 3: ask(source); break;
	default: go_somewhere(pipeline, random);
	}
}

static gpointer read_at_random(gpointer data)
{
	static const char *const tails[] = { "fakesink sync=false", "queue ! videoconvert ! fakesink sync=true",
		"identity sleep-time=3000 ! fakesink sync=false",
		"queue max-size-buffers=30 ! identity sleep-time=10000 ! fakesink sync=false",
		"videoflip method=clockwise ! fakesink" };
	GRand *random = g_rand_new_with_seed(seed + GPOINTER_TO_UINT(data));

	while (!g_atomic_int_get(&finished)) {
		gchar *text = g_strdup_printf(
			"weirsrc name=source socket-path=" PATH
			" leaky-type=%s max-buffers=%d max-held=%d is-live=%s timestamp-mode=%d ! %s",
			toss(random) ? "none" : "downstream", g_rand_int_range(random, 1, 6),
			g_rand_int_range(random, 1, 5), toss(random) ? "true" : "false", g_rand_int_range(random, 0, 3),
			tails[g_rand_int_range(random, 0, G_N_ELEMENTS(tails))]);
		GstElement *pipeline = gst_parse_launch(text, NULL);
		GstElement *source = gst_bin_get_by_name(GST_BIN(pipeline), "source");

		go(pipeline, GST_STATE_PLAYING);
		for (int i = g_rand_int_range(random, 1, 8); i > 0; i--) {
			g_usleep((gulong)g_rand_int_range(random, 0, 60000));
			disturb_reader(pipeline, source, random);
		}
		g_atomic_int_add(&buffers, (gint)link_stat(source, "buffers"));
		go(pipeline, GST_STATE_NULL);
		gst_object_unref(source);
		gst_object_unref(pipeline);
		g_free(text);
	}
	g_rand_free(random);
	return NULL;
}

static void change_caps(GstElement *filter, GRand *random)
{
	GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, toss(random) ? "I420" : "YUY2",
		"width", G_TYPE_INT, g_rand_int_range(random, 16, 300), "height", G_TYPE_INT, 48, NULL);

	g_object_set(filter, "caps", caps, NULL);
	gst_caps_unref(caps);
}

static void publish_at_random(GRand *random)
{
	gchar *text = g_strdup_printf("videotestsrc name=source is-live=%s ! capsfilter name=filter "
				      "caps=video/x-raw,width=%d,height=64 ! %s ! "
				      "weirsink name=sink socket-path=" PATH
				      " stall-timeout=%d000000 wait-for-connection=%s lossless=%s "
				      "enable-last-sample=%s max-readers=%d sync=%s",
		toss(random) ? "true" : "false", g_rand_int_range(random, 16, 300),
		toss(random) ? "queue" : "videoconvert ! tee ! queue", g_rand_int_range(random, 1, 300),
		toss(random) ? "true" : "false", toss(random) ? "true" : "false", toss(random) ? "true" : "false",
		g_rand_int_range(random, 3, 9), toss(random) ? "true" : "false");
	GstElement *pipeline = gst_parse_launch(text, NULL);
	GstElement *source = gst_bin_get_by_name(GST_BIN(pipeline), "source");
	GstElement *filter = gst_bin_get_by_name(GST_BIN(pipeline), "filter");
	GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");

	go(pipeline, GST_STATE_PLAYING);
	for (int i = g_rand_int_range(random, 1, 20); i > 0; i--) {
		g_usleep((gulong)g_rand_int_range(random, 0, 50000));
		switch (g_rand_int_range(random, 0, 6)) {
		case 0: change_caps(filter, random); break;
		case 1: gst_element_seek_simple(source, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0); break;
		case 2: ask(sink); break;
		default: go_somewhere(pipeline, random);
		}
	}
	go(pipeline, GST_STATE_NULL);
	gst_object_unref(sink);
	gst_object_unref(filter);
	gst_object_unref(source);
	gst_object_unref(pipeline);
	g_free(text);
}

static void whatever_comes_together_nothing_hangs(void **state)
{
	GRand *random = g_rand_new_with_seed(seed);
	gint64 end_us = g_get_monotonic_time() + TURMOIL_US;
	GThread *readers[READERS];

	for (guint i = 0; i < READERS; i++)
		readers[i] = g_thread_new("reader", read_at_random, GUINT_TO_POINTER(i + 1));
	while (g_get_monotonic_time() < end_us)
		publish_at_random(random);
	g_atomic_int_set(&finished, 1);
	for (guint i = 0; i < READERS; i++)
		g_thread_join(readers[i]);
	g_rand_free(random);
	assert_true(buffers > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_comes_together_nothing_hangs),
	};

	gst_init(&argc, &argv);
	link_register();
	if (argc > 1)
		seconds = atoi(argv[1]);
	seed = argc > 2 ? (guint32)strtoul(argv[2], NULL, 10) : g_random_int();
	g_printerr("seed %u\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
