/* SPDX-License-Identifier: MIT */
/* v4l2 without a camera: an element of the same name that plays one. What it cannot show is a driver. */
#include "session.h"

#include <string.h>

#include <gst/gst.h>

/* v4l2src as far as the decoder can tell. The device says how it behaves: /dev/fake-yuy2; /dev/fake-mjpeg; or
 * /dev/fake-unplugged: gives 20 frames, fails, cannot be opened twice, and then gives frames again; or
 * /dev/fake-silent: gives 20 frames, nothing more, and when it is opened again frames. */
struct fake {
	GstBin parent;
	gchar *device;
	GstPad *pad;
};

typedef GstBinClass FakeClass;
typedef struct fake Fake;

static GType fake_get_type(void);
G_DEFINE_TYPE(Fake, fake, GST_TYPE_BIN)

static unsigned opened; /* how often a device was opened in this test */

static bool is_unplugged(const Fake *fake)
{
	return strcmp(fake->device, "/dev/fake-unplugged") == 0;
}

static bool is_silent(const Fake *fake)
{
	return strcmp(fake->device, "/dev/fake-silent") == 0;
}

static GstPadProbeReturn pass_buffer(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
	guint64 number = GST_BUFFER_OFFSET(GST_PAD_PROBE_INFO_BUFFER(info));
	Fake *fake = data;

	if ((!is_unplugged(fake) && !is_silent(fake)) || opened > 1 || number < 20)
		return GST_PAD_PROBE_OK;
	if (number == 20 && is_unplugged(fake))
		GST_ELEMENT_ERROR(fake, RESOURCE, READ, ("Could not read from device"), (NULL));
	return GST_PAD_PROBE_DROP;
}

static GstStateChangeReturn fake_change_state(GstElement *element, GstStateChange transition)
{
	Fake *fake = (Fake *)element;

	if (transition == GST_STATE_CHANGE_NULL_TO_READY) {
		opened++;
		if (is_unplugged(fake) && (opened == 2 || opened == 3)) {
			GST_ELEMENT_ERROR(fake, RESOURCE, NOT_FOUND, ("Cannot identify device"), (NULL));
			return GST_STATE_CHANGE_FAILURE;
		}
	}
	return GST_ELEMENT_CLASS(fake_parent_class)->change_state(element, transition);
}

static void fake_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
	Fake *fake = (Fake *)object;
	GstElement *bin;
	GstPad *pad;

	fake->device = g_value_dup_string(value);
	bin = gst_parse_bin_from_description(strcmp(fake->device, "/dev/fake-mjpeg") == 0
						     ? "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,"
						       "height=240,framerate=50/1 ! jpegenc"
						     : "videotestsrc is-live=true ! capsfilter caps=video/x-raw,"
						       "format=YUY2,width=320,height=240,framerate=50/1",
		TRUE, NULL);
	gst_bin_add(GST_BIN(fake), bin);
	pad = gst_element_get_static_pad(bin, "src");
	gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, pass_buffer, fake, NULL);
	gst_ghost_pad_set_target(GST_GHOST_PAD(fake->pad), pad);
	gst_object_unref(pad);
}

static void fake_finalize(GObject *object)
{
	g_free(((Fake *)object)->device);
	G_OBJECT_CLASS(fake_parent_class)->finalize(object);
}

static void fake_class_init(FakeClass *class)
{
	static GstStaticPadTemplate template =
		GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

	G_OBJECT_CLASS(class)->set_property = fake_set_property;
	G_OBJECT_CLASS(class)->finalize = fake_finalize;
	GST_ELEMENT_CLASS(class)->change_state = fake_change_state;
	gst_element_class_set_static_metadata(
		GST_ELEMENT_CLASS(class), "Fake camera", "Source/Video", "Plays a camera", "The Weir authors");
	gst_element_class_add_static_pad_template(GST_ELEMENT_CLASS(class), &template);
	g_object_class_install_property(G_OBJECT_CLASS(class), 1,
		g_param_spec_string("device", "Device", "Device", NULL, G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS));
}

static void fake_init(Fake *fake)
{
	fake->pad = gst_ghost_pad_new_no_target("src", GST_PAD_SRC);
	gst_element_add_pad(GST_ELEMENT(fake), fake->pad);
}

/* --- facts ----------------------------------------------------------------------------------------------------- */

static void a_camera_is_read(const char *device)
{
	struct session session = { 0 };
	struct weir_ring_stats stats;

	session_open(&session, "{'source': 'v4l2:%s', 'lossless': true}", device);
	session_run(&session, 20, 0);
	session_run(&session, 0, 2);
	session_assert_states(&session, WEIR_SOURCE_CONNECTING, WEIR_SOURCE_LIVE, 0);
	assert_int_equal(session.want.format.width, 320);
	assert_int_equal(session.want.format.pixel, WEIR_PIXEL_I420);
	weir_ring_stats(session.ring[0], &stats);
	assert_int_equal(stats.copied, 0);
	session_close(&session);
}

static void a_camera_that_gives_yuy2_is_converted_into_slots(void **state)
{
	a_camera_is_read("/dev/fake-yuy2");
}

static void a_camera_that_gives_mjpeg_is_decoded_into_slots(void **state)
{
	a_camera_is_read("/dev/fake-mjpeg");
}

static void see_discontinuity(void *data, const struct weir_format *format, const struct weir_frame *frame)
{
	uint64_t *marked = data;

	if (frame->sequence > 1 && (frame->flags & WEIR_FRAME_DISCONTINUITY) != 0)
		*marked = frame->sequence;
}

static void a_camera_that_is_unplugged_comes_back_in_the_same_ring(void **state)
{
	uint64_t marked = 0;
	struct session session = { .frame = see_discontinuity, .data = &marked };

	opened = 0;
	session_open(&session, "{'source': 'v4l2:/dev/fake-unplugged', 'lossless': true}");
	session_run(&session, 40, 0);
	session_run(&session, 0, 4);
	session_assert_states(
		&session, WEIR_SOURCE_CONNECTING, WEIR_SOURCE_LIVE, WEIR_SOURCE_LOST, WEIR_SOURCE_LIVE, 0);
	assert_non_null(strstr(session.event[2].text, "no such camera: /dev/fake-unplugged"));
	assert_int_equal(opened, 4);
	assert_int_equal(session.rings, 1);
	assert_int_equal(marked, 21);
	session_close(&session);
}

static void a_camera_that_falls_silent_is_lost_and_opened_again(void **state)
{
	struct session session = { 0 };

	opened = 0;
	session_open(&session, "{'source': 'v4l2:/dev/fake-silent', 'lossless': true}");
	session_run(&session, 40, 4);
	session_assert_states(
		&session, WEIR_SOURCE_CONNECTING, WEIR_SOURCE_LIVE, WEIR_SOURCE_LOST, WEIR_SOURCE_LIVE, 0);
	assert_non_null(strstr(session.event[2].text, "no picture for 5 s"));
	assert_int_equal(opened, 2);
	session_close(&session);
}

static void a_reader_that_stands_still_is_no_silent_camera(void **state)
{
	struct session session = { 0 };

	opened = 0;
	session_open(&session, "{'source': 'v4l2:/dev/fake-yuy2', 'lossless': true}");
	session_run(&session, 10, 2);
	session.still = true;
	session_run_for(&session, INT64_C(7000000000));
	session.still = false;
	session_run(&session, session.frames + 40, 2);
	session_assert_states(&session, WEIR_SOURCE_CONNECTING, WEIR_SOURCE_LIVE, 0);
	session_close(&session);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_camera_that_gives_yuy2_is_converted_into_slots),
		cmocka_unit_test(a_camera_that_gives_mjpeg_is_decoded_into_slots),
		cmocka_unit_test(a_camera_that_is_unplugged_comes_back_in_the_same_ring),
		cmocka_unit_test(a_camera_that_falls_silent_is_lost_and_opened_again),
		cmocka_unit_test(a_reader_that_stands_still_is_no_silent_camera),
	};
	GstPluginFeature *real;

	gst_init(&argc, &argv);
	real = gst_registry_lookup_feature(gst_registry_get(), "v4l2src");
	if (real != NULL) {
		gst_registry_remove_feature(gst_registry_get(), real);
		gst_object_unref(real);
	}
	gst_element_register(NULL, "v4l2src", GST_RANK_PRIMARY, fake_get_type());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
