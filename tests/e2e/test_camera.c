/* SPDX-License-Identifier: MIT */
/* A camera on the network that goes away and comes back: gst-rtsp-server in a process of its own. */
#include "run.h"

#include <arpa/inet.h>
#include <fcntl.h>
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

static struct run run;
static pid_t camera;
static char port[16];

static int serve(void)
{
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);
	GstRTSPServer *server = gst_rtsp_server_new();
	GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new();
	GstRTSPMountPoints *mounts = gst_rtsp_server_get_mount_points(server);

	gst_rtsp_server_set_address(server, "127.0.0.1");
	gst_rtsp_server_set_service(server, port);
	gst_rtsp_media_factory_set_launch(factory,
		"( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,"
		"framerate=25/1 ! jpegenc ! rtpjpegpay name=pay0 pt=26 )");
	gst_rtsp_media_factory_set_shared(factory, TRUE);
	gst_rtsp_mount_points_add_factory(mounts, "/camera", factory);
	if (gst_rtsp_server_attach(server, NULL) == 0)
		return 1;
	if (write(STDOUT_FILENO, "!", 1) != 1)
		return 1;
	g_main_loop_run(loop);
	return 0;
}

/* Runs this program again as the camera: a server must not be forked from a test that has threads. */
static void start_camera(void)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	camera = fork();
	if (camera == 0) {
		dup2(ready[1], STDOUT_FILENO);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/proc/self/exe", "camera", port, NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static void kill_camera(void)
{
	kill(camera, SIGKILL);
	waitpid(camera, NULL, 0);
	camera = 0;
}

static int choose_port(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -1;
	close(fd);
	snprintf(port, sizeof(port), "%d", ntohs(address.sin_port));
	return 0;
}

static int teardown(void **state)
{
	if (camera > 0)
		kill_camera();
	run_free(&run);
	return 0;
}

static void wait_for_state(const char *source, const char *to)
{
	while (strcmp(text_of(run_next(&run, "state", source, 30), "to"), to) != 0)
		;
}

static void a_camera_that_comes_back_is_stale_once_and_live_again(void **state)
{
	char source[64];
	json_t *summary;

	start_camera();
	snprintf(source, sizeof(source), "rtsp://127.0.0.1:%s/camera", port);
	run_begin(&run, "--source", source);
	wait_for_state(source, "live");
	for (int i = 0; i < 30; i++)
		run_next(&run, "motion", NULL, 30);
	kill_camera();
	wait_for_state(source, "stale");
	run_read(&run, 1);
	start_camera();
	wait_for_state(source, "live");
	for (int i = 0; i < 30; i++)
		run_next(&run, "motion", NULL, 30);
	run_kill(&run, SIGINT);
	summary = run_end(&run, 60);
	assert_true(run.end_s < PROMPT_S);
	assert_int_equal(exit_code(&run), 0);
	assert_int_equal(run_transitions(&run, source, "stale"), 1);
	assert_int_equal(run_transitions(&run, source, "live"), 2);
	assert_int_equal((int)number_of(analyzer_in(summary, "motion"), "restarts"), 0);
	assert_int_equal((int)number_of(analyzer_in(summary, "brightness"), "restarts"), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_camera_that_comes_back_is_stale_once_and_live_again, teardown),
	};

	if (argc == 2) {
		gst_init(NULL, NULL);
		snprintf(port, sizeof(port), "%s", argv[1]);
		return serve();
	}
	return cmocka_run_group_tests_name("camera", tests, choose_port, NULL);
}
