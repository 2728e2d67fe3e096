/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rig.h"

#include <weir/frontend.h>
#include <weir/stream.h>

#include "clip.h"

/* A frontend in which GStreamer plays, with all its threads, starts decoders again and again (row 10), each of which
 * must come to publish frames of an H.264 file; and while one of them dies in the middle of it (row 4), its neighbour
 * goes on. */

#define SECOND_NS INT64_C(1000000000)
#ifdef __SANITIZE_ADDRESS__
#define RESTARTS 10 /* each takes as long as fifteen others */
#else
#define RESTARTS 50
#endif
#define LONG 500

static struct weir_frontend *frontend;
static struct weir_child *decoder, *neighbour;
static struct weir_stream *stream, *beside;

static int64_t now_ns(void)
{
	return g_get_monotonic_time() * 1000;
}

static struct weir_stream_stats stats_of(const struct weir_stream *which)
{
	struct weir_stream_stats stats;

	weir_stream_stats(which, &stats);
	return stats;
}

static struct weir_child *add_decoder(const char *name, const char *args, struct weir_stream **its_stream)
{
	struct weir_child_config config = {
		.name = name, .backend = "gst/decoder", .args = args, .intensity = 64, .period_ns = 1
	};
	struct weir_child *child;

	assert_int_equal(weir_child_add(frontend, &child, &config), 0);
	assert_int_equal(
		weir_stream_create(frontend, its_stream, &(struct weir_stream_config){ .name = name, .writer = child }),
		0);
	return child;
}

/* Until the ring of another process has a frame; returns when that was. The neighbour must not stand still meanwhile.
 */
static int64_t await_frame(uint64_t generations, uint64_t published)
{
	int64_t end_ns = now_ns() + 20 * SECOND_NS, since_ns = now_ns();
	uint64_t seen = stats_of(beside).published;
	struct weir_stream_stats stats;

	do {
		weir_frontend_dispatch(frontend, now_ns() + SECOND_NS / 1000);
		if (stats_of(beside).published != seen)
			since_ns = now_ns();
		seen = stats_of(beside).published;
		assert_true(now_ns() < end_ns);
		assert_true(now_ns() - since_ns < 2 * SECOND_NS);
		stats = stats_of(stream);
	} while (stats.generations == generations || stats.published == published);
	return now_ns();
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int64_t kill_and_await_frame(void)
{
	struct weir_stream_stats stats = stats_of(stream);
	int64_t begin_ns = now_ns();

	kill(weir_child_pid(decoder), SIGKILL);
	return await_frame(stats.generations, stats.published) - begin_ns;
}

/* Out of the back-off. */
static void stop_and_start(void)
{
	struct weir_stream_stats stats = stats_of(stream);

	weir_child_stop(decoder);
	while (weir_child_state(decoder) != WEIR_CHILD_DONE)
		weir_frontend_dispatch(frontend, now_ns() + SECOND_NS / 10);
	assert_int_equal(weir_child_start(decoder), 0);
	await_frame(stats.generations, stats_of(stream).published);
}

static void decoders_start_while_gstreamer_plays_in_the_frontend(void **state)
{
	static const char *const description[] = {
		"videotestsrc is-live=true ! queue ! videoconvert ! queue ! fakesink",
		"audiotestsrc is-live=true ! queue ! audioconvert ! fakesink",
		"videotestsrc ! video/x-raw,width=64,height=64 ! queue ! videoconvert ! fakesink sync=true",
	};
	int restarts = getenv("WEIR_LONG") != NULL ? LONG : RESTARTS;
	static double ms[LONG];
	GstElement *pipeline[3];
	char *args = g_strdup_printf("{\"source\":\"%s\"}", clip_path("h264.mp4"));

	clip_make(clip_path("h264.mp4"), "openh264enc ! h264parse ! mp4mux", 250);
	for (int i = 0; i < 3; i++) {
		pipeline[i] = gst_parse_launch(description[i], NULL);
		gst_element_set_state(pipeline[i], GST_STATE_PLAYING);
	}
	assert_int_equal(weir_frontend_create(&frontend, &(struct weir_frontend_config){ .own_signals = true }), 0);
	neighbour = add_decoder("neighbour", "{\"source\":\"test\"}", &beside);
	while (stats_of(beside).published == 0)
		weir_frontend_dispatch(frontend, now_ns() + SECOND_NS);
	decoder = add_decoder("decoder", args, &stream);
	await_frame(0, 0);
	for (int i = 0; i < restarts / 2; i++) {
		ms[i] = (double)kill_and_await_frame() / 1e6;
		stop_and_start();
	}
	assert_int_equal(weir_child_restarts(decoder), restarts / 2 * 2);
	assert_int_equal(weir_child_restarts(neighbour), 0);
	qsort(ms, (size_t)restarts / 2, sizeof(ms[0]), compare);
	printf("# %d of %d restarts gave frames; from the kill to the next frame p50 %.1f ms, max %.1f ms\n", restarts,
		restarts, ms[restarts / 4], ms[restarts / 2 - 1]);
	weir_frontend_free(&frontend);
	for (int i = 0; i < 3; i++) {
		gst_element_set_state(pipeline[i], GST_STATE_NULL);
		gst_object_unref(pipeline[i]);
	}
	g_free(args);
	clip_remove_dir();
}

int main(int argc, char **argv)
{
	static const char *const preload[] = { "gst/decoder", NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoders_start_while_gstreamer_plays_in_the_frontend),
	};

	if (weir_init(&(struct weir_init_config){ .preload = preload }) < 0) {
		fprintf(stderr, "%s\n", weir_init_error());
		return 1;
	}
	gst_init(&argc, &argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
