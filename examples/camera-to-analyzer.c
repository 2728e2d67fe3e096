/* SPDX-License-Identifier: MIT */
/* From a camera to analyzers: the main job of Weir, and the first program to read.
 *
 *	camera, file --> +---------+  ring in        +----------+
 *	                 | decoder | ========+=====> | analyzer |  motion
 *	                 +---------+  shared |       +----------+
 *	                      |       memory +=====> | analyzer |  brightness
 *	                      |                      +----------+
 *	                 +---------+   control pipes    |    |
 *	                 |  this   | <------------------+----+   results, states
 *	                 +---------+
 *
 * This process is the frontend: it never touches a picture. It says who runs and who reads what; restarts, new rings
 * and counting losses are Weir's business. See options.c for the command line, output.c and report.c for the lines. */
#include "children.h"
#include "options.h"
#include "output.h"
#include "record.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/result.h>
#include <weir/stream.h>

#define SECOND_NS INT64_C(1000000000)
#define HANG_NS	  (20 * SECOND_NS) /* a process without progress for so long is started again */
#define DRAIN_NS  (10 * SECOND_NS) /* after the end: an analyzer that is silent for longer hangs */

struct app {
	struct options options;
	struct output output;
	struct report report; /* with the stream and the analyzers */
	struct record record;
	struct weir_frontend *frontend;
	struct weir_child *decoder;
	bool has_run[ANALYZERS_MAX], cut; /* cut: the source ended too early */
	int given_up;			  /* analyzers that died too often */
	int64_t heard_ns;		  /* the last result, or the end of the stream */
	struct weir_child *blabbed;	  /* the process that printed something last: mostly why it fails */
	const char *end;		  /* why to end: "eos", "signal" or "failed"; NULL: go on */
};

static void finish(struct app *app, const char *why)
{
	app->end = app->end != NULL ? app->end : why;
}

/* Ends the program. Tells why, unless the process that failed has told it already. */
static void fail(struct app *app, const char *who, struct weir_child *child, const char *reason)
{
	if (app->end == NULL && (child == NULL || app->blabbed != child))
		output_say(&app->output, "camera-to-analyzer: %s: %s", who, reason);
	finish(app, "failed");
}

/* Which analyzer runs in this child; -1: none, it is the decoder. */
static int analyzer_of(const struct app *app, const struct weir_child *child)
{
	const bool *has_run = weir_child_data(child);
	return has_run != NULL ? (int)(has_run - app->has_run) : -1;
}

static void on_child_state(struct app *app, const struct weir_event *event)
{
	const char *name = weir_child_name(event->child);
	const int i = analyzer_of(app, event->child);

	if (i >= 0 && event->to == WEIR_CHILD_RUNNING)
		app->has_run[i] = true;
	/* An analyzer that has never come up will not do so the next time either; one that has is given up alone. */
	if (event->to == WEIR_CHILD_FAILED && i >= 0 && app->has_run[i] && ++app->given_up < app->report.count)
		output_say(&app->output, "%s: %s; it is given up, the others go on", name, event->reason);
	else if (event->to == WEIR_CHILD_FAILED || (event->to == WEIR_CHILD_BACKOFF && i >= 0 && !app->has_run[i]))
		fail(app, name, event->child, event->reason);
	else if (event->to == WEIR_CHILD_BACKOFF && app->end == NULL)
		output_say(&app->output, "%s: %s; it is started again", name, event->reason);
}

static void on_stream_state(struct app *app, const struct weir_event *event)
{
	app->heard_ns = output_now_ns();
	if (event->to == WEIR_STREAM_STALE && event->stream == app->report.stream) /* of a camera's streams: once */
		output_say(&app->output, "%s: %s", app->options.label, event->reason);
	if (event->to == WEIR_STREAM_FAILED)
		fail(app, app->options.label, NULL, event->reason);
}

static void on_result(struct app *app, int i, const struct weir_message *message)
{
	static char line[32768]; /* suffices for any result */
	const char *name = weir_child_name(app->report.analyzer[i]);
	struct weir_result result;
	int r = weir_result_read(&result, message->data, message->size);

	if (r == 0)
		r = weir_result_json(&result, app->options.label, name, line, sizeof(line));
	if (r < 0) {
		if (app->report.bad[i]++ == 0)
			output_say(
				&app->output, "%s: a result that is none (not a number?); all such are counted", name);
		return;
	}
	app->report.age_ns[i] = result.age_ns;
	app->heard_ns = output_now_ns();
	output_line(&app->output, line);
	record_result(&app->record, &result);
}

static void on_message(struct app *app, struct weir_child *child, const struct weir_message *message)
{
	const int i = analyzer_of(app, child);
	struct weir_source_status status;

	if (message->type == WEIR_EVENT_RESULT && i >= 0)
		on_result(app, i, message);
	record_message(&app->record, &app->output, child, message);
	if (message->type == WEIR_EVENT_SOURCE && message->size == sizeof(status)) {
		memcpy(&status, message->data, sizeof(status));
		status.text[sizeof(status.text) - 1] = '\0';
		if (status.state == WEIR_SOURCE_FAILED)
			fail(app, "source", NULL, status.text);
		else if (status.state == WEIR_SOURCE_LOST || (app->cut |= status.state == WEIR_SOURCE_CUT))
			output_say(&app->output, "%s: %s", app->options.label, status.text);
	}
}

static void on_event(void *data, const struct weir_event *event)
{
	struct app *app = data;

	if (event->type == WEIR_EVENT_CHILD_STATE || event->type == WEIR_EVENT_STREAM_STATE)
		report_state(&app->report, event);
	switch (event->type) {
	case WEIR_EVENT_CHILD_STATE: on_child_state(app, event); break;
	case WEIR_EVENT_STREAM_STATE: on_stream_state(app, event); break;
	case WEIR_EVENT_MESSAGE: on_message(app, event->child, event->message); break;
	case WEIR_EVENT_OUTPUT:
		if (app->end == NULL) /* the first line told what is wrong */
			output_say(&app->output, "%s: %s", weir_child_name(event->child), event->text);
		app->blabbed = event->child;
		break;
	case WEIR_EVENT_SIGNAL: finish(app, "signal"); break;
	case WEIR_EVENT_GROUP_STATE: break;
	case WEIR_EVENT_TICK: output_flush(&app->output, 0); break;
	}
}

static int start_decoder(struct app *app)
{
	char args[ARGS_BYTES];
	struct weir_child_config config = {
		.name = "decoder", .backend = options_source_backend(&app->options), .args = args
	};
	struct weir_stream_config stream = { .name = app->options.label, .slot_count = app->options.slots };
	int r = options_decoder_args(&app->options, args);

	config.restart = WEIR_RESTART_TRANSIENT; /* not after the end of a film */
	config.hang_ns = HANG_NS;
	if (r == 0)
		r = weir_child_add(app->frontend, &app->decoder, &config);
	stream.writer = app->decoder;
	return r == 0 ? weir_stream_create(app->frontend, &app->report.stream, &stream) : r;
}

static int start_analyzer(struct app *app, int i)
{
	char args[ARGS_BYTES];
	struct weir_child_config config = { .name = app->options.name[i], .backend = "analyzers/host", .args = args };
	struct weir_policy policy = { .mode = app->options.lossless ? WEIR_POLICY_LOSSLESS : WEIR_POLICY_LATEST };
	struct weir_child **child = &app->report.analyzer[i];
	uint32_t input;
	int r = options_analyzer_args(&app->options, i, args);

	config.data = &app->has_run[i];
	config.hang_ns = HANG_NS;
	if (r == 0)
		r = weir_child_add(app->frontend, child, &config);
	return r == 0 ? weir_stream_add_reader(app->report.stream, *child, &policy, &input) : r;
}

/* All of them before the first dispatch, so that no analyzer misses a frame. */
static int start(struct app *app)
{
	const char *name = "decoder", *why = "--slots is too small for so many analyzers: leave it out";
	int r = start_decoder(app);

	for (int i = 0; r == 0 && i < app->options.analyzers; i++) {
		name = app->options.name[i];
		r = start_analyzer(app, i);
	}
	if (r == 0)
		r = record_start(&app->record, app->frontend, app->decoder, app->report.stream, &app->options);
	if (r < 0)
		fail(app, app->record.child != NULL ? "recorder" : name, NULL, r == -ENOSPC ? why : strerror(-r));
	return r;
}

static void run(struct app *app)
{
	const int64_t stats_ns = (int64_t)(app->options.stats * SECOND_NS);
	const int64_t seconds_ns = (int64_t)(app->options.seconds * SECOND_NS);
	int64_t now = output_now_ns(), begin_ns = app->report.then_ns = now;

	while (app->end == NULL) {
		weir_frontend_dispatch(app->frontend, now + SECOND_NS / 20);
		now = output_now_ns();
		if (stats_ns > 0 && now - app->report.then_ns >= stats_ns)
			report_status(&app->report, now);
		if (app->output.error == -EPIPE)
			finish(app, "signal"); /* who read the results has seen enough */
		else if (app->output.error < 0)
			fail(app, app->options.json, NULL, strerror(-app->output.error));
		if (weir_stream_state(app->report.stream) == WEIR_STREAM_ENDED &&
			weir_stream_finished(app->report.stream) && record_finished(&app->record))
			finish(app, app->cut ? "failed" : "eos");
		else if (weir_stream_state(app->report.stream) == WEIR_STREAM_ENDED && now - app->heard_ns > DRAIN_NS)
			fail(app, app->options.label, NULL, "has ended, but an analyzer takes no more frames");
		if (seconds_ns > 0 && now - begin_ns >= seconds_ns)
			finish(app, "signal");
	}
}

static void stop(struct app *app)
{
	struct weir_child *child[ANALYZERS_MAX + 2] = { app->decoder, app->record.child };

	memcpy(child + 2, app->report.analyzer, sizeof(app->report.analyzer));
	children_stop(app->frontend, child, ANALYZERS_MAX + 2, output_now_ns() + SECOND_NS * 8 / 10);
}

int main(int argc, char **argv)
{
	static const char *const preload[] = { "gst/decoder", "analyzers/host", NULL };
	static struct app app;
	char **args = (output_begin(), options_hide(argc, argv));
	int r = weir_init(&(struct weir_init_config){ .preload = preload });

	if (r < 0 || args == NULL) {
		fprintf(stderr, "camera-to-analyzer: %s\n", r < 0 ? weir_init_error() : strerror(ENOMEM));
		return 1;
	}
	r = options_parse(&app.options, argc, args);
	if (r != 0)
		return r > 0 ? 0 : 2;
	report_init(&app.report, &app.output, &app.options);
	r = output_open(&app.output, app.options.json);
	if (r == 0)
		r = weir_frontend_create(&app.frontend,
			&(struct weir_frontend_config){ .event = on_event, .data = &app, .tick_ns = SECOND_NS / 20 });
	if (r < 0) {
		fprintf(stderr, "camera-to-analyzer: %s: %s\n", app.options.json, strerror(-r));
		return 1;
	}
	if (start(&app) == 0) {
		run(&app);
		stop(&app);
		report_summary(&app.report, app.end);
	}
	weir_frontend_free(&app.frontend);
	output_flush(&app.output, strcmp(app.end, "signal") == 0 ? 100 : INT64_MAX);
	output_close(&app.output);
	return strcmp(app.end, "failed") == 0;
}
