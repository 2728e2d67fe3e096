/* SPDX-License-Identifier: MIT */
/* A film whose decoder never comes back from one of its pictures. */
#include <stdio.h>
#include <string.h>

#include "rig.h"

#include <weir/frontend.h>
#include <weir/stream.h>

#include "clip.h"

#define SECOND_NS INT64_C(1000000000)
#define HANG_NS	  (SECOND_NS / 2)
#define LAST	  30 /* the picture that it hangs with */

extern const struct weir_backend weir_backend;

/* --- a decoder that hangs ------------------------------------------------------------------------------------------
 */

typedef struct {
	GstBin parent;
	unsigned pictures;
} HangDec;
typedef GstBinClass HangDecClass;

GType hang_dec_get_type(void);
G_DEFINE_TYPE(HangDec, hang_dec, GST_TYPE_BIN)

static void on_picture(GstElement *identity, GstBuffer *buffer, HangDec *self)
{
	while (++self->pictures >= LAST)
		g_usleep(1000);
}

static void hang_dec_class_init(HangDecClass *class)
{
	GstCaps *jpeg = gst_caps_new_empty_simple("image/jpeg"), *raw = gst_caps_new_empty_simple("video/x-raw");

	gst_element_class_set_static_metadata(
		GST_ELEMENT_CLASS(class), "Hangs", "Codec/Decoder/Video", "Hangs", "The Weir authors");
	gst_element_class_add_pad_template(
		GST_ELEMENT_CLASS(class), gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, jpeg));
	gst_element_class_add_pad_template(
		GST_ELEMENT_CLASS(class), gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, raw));
	gst_caps_unref(jpeg);
	gst_caps_unref(raw);
}

static void hang_dec_init(HangDec *self)
{
	GstElement *inner = gst_parse_bin_from_description("jpegdec ! identity name=pictures", TRUE, NULL);
	GstElement *identity = gst_bin_get_by_name(GST_BIN(inner), "pictures");
	GstPad *sink = gst_element_get_static_pad(inner, "sink"), *src = gst_element_get_static_pad(inner, "src");

	g_signal_connect(identity, "handoff", G_CALLBACK(on_picture), self);
	gst_bin_add(GST_BIN(self), inner);
	gst_element_add_pad(GST_ELEMENT(self), gst_ghost_pad_new("sink", sink));
	gst_element_add_pad(GST_ELEMENT(self), gst_ghost_pad_new("src", src));
	gst_object_unref(identity);
	gst_object_unref(sink);
	gst_object_unref(src);
}

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	gst_init(NULL, NULL);
	gst_element_register(NULL, "hangdec", GST_RANK_PRIMARY + 1000, hang_dec_get_type());
	return weir_backend.enter(back, state, args);
}

/* --- tests ---------------------------------------------------------------------------------------------------------
 */

struct seen {
	unsigned hangs;
	char failed[160];
};

static void on_event(void *data, const struct weir_event *event)
{
	struct seen *seen = data;

	if (event->type != WEIR_EVENT_CHILD_STATE)
		return;
	seen->hangs += event->from == WEIR_CHILD_RUNNING && strstr(event->reason, "hung: no progress") != NULL;
	if (event->to == WEIR_CHILD_FAILED)
		snprintf(seen->failed, sizeof(seen->failed), "%s", event->reason);
}

static struct weir_child *play(struct weir_frontend **frontend, struct weir_stream **stream, const char *backend,
	const char *film, struct seen *seen)
{
	struct weir_frontend_config frontend_config = { .own_signals = true, .event = on_event, .data = seen };
	gchar *args = g_strdup_printf("{\"source\":\"%s\"}", clip_path(film));
	struct weir_child_config config = { .name = backend,
		.backend = backend,
		.args = args,
		.restart = WEIR_RESTART_TRANSIENT,
		.hang_ns = HANG_NS,
		.intensity = 60,
		.period_ns = 1 };
	struct weir_child *child;

	assert_int_equal(weir_frontend_create(frontend, &frontend_config), 0);
	assert_int_equal(weir_child_add(*frontend, &child, &config), 0);
	assert_int_equal(
		weir_stream_create(*frontend, stream, &(struct weir_stream_config){ .name = "film", .writer = child }),
		0);
	g_free(args);
	return child;
}

static void dispatch_until_over(struct weir_frontend *frontend, struct weir_child *child)
{
	int64_t end_ns = g_get_monotonic_time() * 1000 + 60 * SECOND_NS;

	while (weir_child_state(child) != WEIR_CHILD_FAILED && weir_child_state(child) != WEIR_CHILD_DONE) {
		assert_true(g_get_monotonic_time() * 1000 < end_ns);
		weir_frontend_dispatch(frontend, g_get_monotonic_time() * 1000 + SECOND_NS / 10);
	}
}

static void a_decoder_that_hangs_in_a_picture_is_ended_and_given_up_where_it_always_does(void **state)
{
	struct weir_frontend *frontend;
	struct weir_stream *stream;
	struct seen seen = { 0 };
	struct weir_child *child = play(&frontend, &stream, "hanging", "jpeg.avi", &seen);

	dispatch_until_over(frontend, child);
	assert_int_equal(weir_child_state(child), WEIR_CHILD_FAILED);
	assert_int_equal(seen.hangs, 3);
	assert_non_null(strstr(seen.failed, "position"));
	weir_frontend_free(&frontend);
}

/* A picture a second. */
static void a_decoder_that_waits_for_its_clock_does_not_hang(void **state)
{
	struct weir_frontend *frontend;
	struct weir_stream *stream;
	struct seen seen = { 0 };
	struct weir_child *child;

	clip_make(clip_path("slow.avi"), "videorate ! video/x-raw,framerate=1/1 ! jpegenc ! avimux", 75);
	child = play(&frontend, &stream, "decoder", "slow.avi", &seen);

	dispatch_until_over(frontend, child);
	assert_int_equal(weir_child_state(child), WEIR_CHILD_DONE);
	assert_int_equal(seen.hangs, 0);
	assert_int_equal(weir_child_restarts(child), 0);
	weir_frontend_free(&frontend);
}

int main(int argc, char **argv)
{
	static struct weir_backend hanging;
	static const struct weir_backend *const backends[] = { &hanging, &weir_backend, NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decoder_that_hangs_in_a_picture_is_ended_and_given_up_where_it_always_does),
		cmocka_unit_test(a_decoder_that_waits_for_its_clock_does_not_hang),
	};

	hanging = weir_backend;
	hanging.name = "hanging";
	hanging.enter = enter_back;
	if (weir_init(&(struct weir_init_config){ .backends = backends }) < 0) {
		fprintf(stderr, "%s\n", weir_init_error());
		return 1;
	}
	gst_init(&argc, &argv);
	return cmocka_run_group_tests(tests, clip_setup, clip_teardown);
}
