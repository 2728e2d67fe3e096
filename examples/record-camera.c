/* SPDX-License-Identifier: MIT */
/* Records what a camera sends (an rtsp:// address, a file; packets as they come) until Ctrl-C:
 *
 *	record-camera SOURCE DIRECTORY */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/record.h>
#include <weir/result.h>
#include <weir/stream.h>

static struct weir_child *recorder;
static struct weir_stream *stream; /* of packets */
static bool over, failed;

static void on_event(void *data, const struct weir_event *event)
{
	struct weir_record_status status;

	if (event->type == WEIR_EVENT_OUTPUT)
		fprintf(stderr, "%s: %s\n", weir_child_name(event->child), event->text);
	failed |= event->type == WEIR_EVENT_CHILD_STATE && event->to == WEIR_CHILD_FAILED;
	if (event->type == WEIR_EVENT_STREAM_STATE && event->to == WEIR_STREAM_FAILED)
		failed = fprintf(stderr, "%s\n", event->reason) > 0;
	over |= failed || event->type == WEIR_EVENT_SIGNAL;
	if (event->type == WEIR_EVENT_MESSAGE && event->message->type == WEIR_EVENT_RECORD &&
		event->message->size == sizeof(status)) {
		memcpy(&status, event->message->data, sizeof(status));
		printf("%" PRIu64 " files, %" PRIu64 " packets, %" PRIu64 " lost %.160s\n", status.files,
			status.committed, status.overtaken + status.refused + status.failed, status.text);
	}
}

static int start(struct weir_frontend *frontend, const char *source, const char *directory)
{
	char text[4096], camera_args[4352], recorder_args[4352];
	struct weir_child_config camera = { .name = "camera", .backend = "gst/decoder", .args = camera_args };
	struct weir_child_config config = { .name = "recorder", .backend = "record/recorder", .args = recorder_args };
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS, .depth = 16, .max_held = 8, .async_io = 1 };
	struct weir_stream_config packets = { .name = "packets" };
	uint32_t input;
	int r;

	if ((r = weir_json_string(source, text, sizeof(text))) < 0)
		return r;
	snprintf(camera_args, sizeof(camera_args), "{\"source\":%s,\"pictures\":false}", text);
	if ((r = weir_json_string(directory, text, sizeof(text))) < 0)
		return r;
	snprintf(recorder_args, sizeof(recorder_args), "{\"directory\":%s}", text);
	camera.restart = WEIR_RESTART_TRANSIENT; /* not after the end of a film */
	config.stop_ns = INT64_C(10000000000);
	if ((r = weir_child_add(frontend, &packets.writer, &camera)) < 0 ||
		(r = weir_child_add(frontend, &recorder, &config)) < 0 ||
		(r = weir_stream_create(frontend, &stream, &packets)) < 0)
		return r;
	return weir_stream_add_reader(stream, recorder, &policy, &input);
}

int main(int argc, char **argv)
{
	struct weir_frontend_config config = { .event = on_event };
	struct weir_frontend *frontend = NULL;
	int r = weir_init(&(struct weir_init_config){ 0 });

	if (argc != 3)
		return fprintf(stderr, "Usage: record-camera SOURCE DIRECTORY\n") > 0 ? 2 : 1;
	r = r == 0 ? weir_frontend_create(&frontend, &config) : r;
	r = r == 0 ? start(frontend, argv[1], argv[2]) : r;
	while (r == 0 && weir_child_state(recorder) < WEIR_CHILD_DONE) {
		weir_frontend_dispatch(frontend, INT64_MAX);
		if (over || weir_stream_finished(stream))
			weir_child_stop(recorder); /* it completes its file */
	}
	weir_frontend_free(&frontend);
	if (r < 0)
		fprintf(stderr, "record-camera: %s\n", strerror(-r));
	return r < 0 || failed;
}
