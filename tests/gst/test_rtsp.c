/* SPDX-License-Identifier: MIT */
/* A loopback camera: gst-rtsp-server in a process of its own, so that it can be killed. */
#include "session.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/gst.h>
#include <gst/rtsp-server/rtsp-server.h>

#include "link.h"

static void add_camera(GstRTSPServer *server, const char *path, GstRTSPLowerTrans transport)
{
	GstRTSPMountPoints *mounts = gst_rtsp_server_get_mount_points(server);
	GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new();

	gst_rtsp_media_factory_set_launch(factory,
		"( videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! "
		"openh264enc gop-size=5 ! rtph264pay config-interval=1 name=pay0 pt=96 "
		"audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8 )");
	gst_rtsp_media_factory_set_protocols(factory, transport);
	gst_rtsp_media_factory_set_shared(factory, TRUE);
	gst_rtsp_media_factory_add_role(factory, "viewer", GST_RTSP_PERM_MEDIA_FACTORY_ACCESS, G_TYPE_BOOLEAN, TRUE,
		GST_RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, G_TYPE_BOOLEAN, TRUE, NULL);
	gst_rtsp_mount_points_add_factory(mounts, path, factory);
	gst_object_unref(mounts);
}

/* What the README tells to put into an RTSP server. */
static void add_ring(GstRTSPServer *server, const char *port)
{
	GstRTSPMountPoints *mounts = gst_rtsp_server_get_mount_points(server);
	GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new();
	gchar *launch = g_strdup_printf("( weirsrc socket-path=@weir-rtsp-%s ! videoconvert ! openh264enc ! "
					"rtph264pay name=pay0 )",
		port);

	gst_rtsp_media_factory_set_launch(factory, launch);
	gst_rtsp_mount_points_add_factory(mounts, "/ring", factory);
	gst_object_unref(mounts);
	g_free(launch);
}

static int serve(const char *port, bool guarded)
{
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);
	GstRTSPServer *server = gst_rtsp_server_new();

	gst_rtsp_server_set_address(server, "127.0.0.1");
	gst_rtsp_server_set_service(server, port);
	add_camera(server, "/udp", GST_RTSP_LOWER_TRANS_UDP);
	add_camera(server, "/tcp", GST_RTSP_LOWER_TRANS_TCP);
	add_ring(server, port);
	if (guarded) {
		GstRTSPAuth *auth = gst_rtsp_auth_new();
		GstRTSPToken *token =
			gst_rtsp_token_new(GST_RTSP_TOKEN_MEDIA_FACTORY_ROLE, G_TYPE_STRING, "viewer", NULL);
		gchar *basic = gst_rtsp_auth_make_basic("ann", "s3cret");

		gst_rtsp_auth_add_basic(auth, basic, token);
		gst_rtsp_server_set_auth(server, auth);
	}
	if (gst_rtsp_server_attach(server, NULL) == 0)
		return 1;
	if (write(STDOUT_FILENO, "!", 1) != 1)
		return 1;
	g_main_loop_run(loop);
	return 0;
}

/* Starts this program again as a server and waits until it listens. */
static pid_t start_server(int port, bool guarded)
{
	char text[16], byte;
	int ready[2];
	pid_t pid;

	snprintf(text, sizeof(text), "%d", port);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], STDOUT_FILENO);
		close(ready[0]);
		execl("/proc/self/exe", "test_rtsp", guarded ? "--guarded" : "--open", text, NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void kill_server(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

/* --- facts ----------------------------------------------------------------------------------------------------- */

static void assert_survives_a_restart(const char *path)
{
	struct session session = { 0 };
	int port = free_port();
	pid_t server = start_server(port, false);

	session_open(&session, "{'source': 'rtsp://127.0.0.1:%d/%s', 'lossless': true}", port, path);
	session_run(&session, 25, 2);
	kill_server(server);
	session_run(&session, 0, 3);
	server = start_server(port, false);
	session_run(&session, 0, 4);
	session.frames = 0;
	session_run(&session, 25, 0);
	session_assert_states(
		&session, WEIR_SOURCE_CONNECTING, WEIR_SOURCE_LIVE, WEIR_SOURCE_LOST, WEIR_SOURCE_LIVE, 0);
	assert_int_equal(session.rings, 1);
	session_close(&session);
	kill_server(server);
}

static void a_camera_on_udp_survives_the_restart_of_its_server(void **state)
{
	assert_survives_a_restart("udp");
}

static void a_camera_on_tcp_survives_the_restart_of_its_server(void **state)
{
	assert_survives_a_restart("tcp");
}

static void assert_fails(const char *source, int port, const char *path, int status, const char *text)
{
	struct session session = { 0 };

	session_open(&session, "{'source': '%s%d/%s', 'lossless': true}", source, port, path);
	session_run_to_failure(&session, status, text);
	for (unsigned i = 0; i < session.events; i++)
		assert_null(strstr(session.event[i].text, "wr0ng"));
	session_close(&session);
}

static void a_camera_that_never_worked_fails_at_once_and_keeps_its_password(void **state)
{
	int port = free_port();
	pid_t server;

	assert_fails("rtsp://ann:wr0ng@127.0.0.1:", port, "udp", -EHOSTUNREACH, "cannot connect");
	server = start_server(port, true);
	assert_fails("rtsp://ann:wr0ng@127.0.0.1:", port, "udp", -EACCES, "(401)");
	assert_fails("rtsp://127.0.0.1:", port, "udp", -EACCES, "(401)");
	assert_fails("rtsp://ann:s3cret@127.0.0.1:", port, "none", -ENOENT, "(404)");
	kill_server(server);
}

static void a_password_opens_a_guarded_camera(void **state)
{
	struct session session = { 0 };
	int port = free_port();
	pid_t server = start_server(port, true);

	session_open(&session, "{'source': 'rtsp://ann:s3cret@127.0.0.1:%d/udp', 'lossless': true}", port);
	session_run(&session, 5, 2);
	assert_null(strstr(session.event[0].text, "s3cret"));
	assert_null(strstr(session.event[1].text, "s3cret"));
	session_close(&session);
	kill_server(server);
}

static void a_ring_is_bridged_to_rtsp_by_stock_elements(void **state)
{
	int port = free_port();
	pid_t server = start_server(port, false);
	gchar *text = g_strdup_printf("videotestsrc is-live=true ! weirsink socket-path=@weir-rtsp-%d", port);
	GstElement *producer = gst_parse_launch(text, NULL), *viewer;
	GstMessage *message;
	GstBus *bus;

	g_free(text);
	gst_element_set_state(producer, GST_STATE_PLAYING);
	text = g_strdup_printf("rtspsrc location=rtsp://127.0.0.1:%d/ring protocols=tcp latency=0 ! rtph264depay ! "
			       "avdec_h264 ! fakesink num-buffers=20",
		port);
	viewer = gst_parse_launch(text, NULL);
	g_free(text);
	bus = gst_element_get_bus(viewer);
	gst_element_set_state(viewer, GST_STATE_PLAYING);
	message = gst_bus_timed_pop_filtered(bus, 30 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
	assert_non_null(message);
	assert_int_equal(GST_MESSAGE_TYPE(message), GST_MESSAGE_EOS);
	gst_message_unref(message);
	gst_object_unref(bus);
	gst_element_set_state(viewer, GST_STATE_NULL);
	gst_element_set_state(producer, GST_STATE_NULL);
	gst_object_unref(viewer);
	gst_object_unref(producer);
	kill_server(server);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_camera_on_udp_survives_the_restart_of_its_server),
		cmocka_unit_test(a_camera_on_tcp_survives_the_restart_of_its_server),
		cmocka_unit_test(a_camera_that_never_worked_fails_at_once_and_keeps_its_password),
		cmocka_unit_test(a_password_opens_a_guarded_camera),
		cmocka_unit_test(a_ring_is_bridged_to_rtsp_by_stock_elements),
	};

	gst_init(NULL, NULL);
	link_register();
	if (argc == 3)
		return serve(argv[2], strcmp(argv[1], "--guarded") == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
