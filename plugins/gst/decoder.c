/* SPDX-License-Identifier: MIT */
/* The decoder backend: a GStreamer pipeline that ends in weirsink, and the policy around it. GStreamer runs in threads
 * of its own; everything here is called from the main thread, but want_ring(). */
#include "decoder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "explain.h"
#include "pipeline.h"
#include "preload.h"
#include "progress.h"

#define CONNECT_NS   (12 * DECODER_SECOND_NS) /* to the first frame: of a camera UDP is tried first, then TCP */
#define SILENCE_NS   (5 * DECODER_SECOND_NS)  /* a camera that sends nothing for so long is lost */
#define DRAIN_NS     (30 * DECODER_SECOND_NS) /* after the end, for lossless readers */
#define PACKET_SLOTS 32
#define STOP_NS	     (DECODER_SECOND_NS * 9 / 10)
#define RETRY_MIN    (DECODER_SECOND_NS / 4)
#define RETRY_MAX    (5 * DECODER_SECOND_NS)

static int64_t now_ns(void)
{
	return g_get_monotonic_time() * 1000;
}

uint64_t decoder_frames(struct decoder *decoder)
{
	struct weirsink_stats stats;

	weirsink_stats(WEIR_SINK(decoder->sink), &stats);
	return stats.frames;
}

static void tell_back(struct weir_back *back, enum weir_source_state state, const char *text)
{
	struct weir_source_status status = { .state = state };

	g_strlcpy(status.text, text, sizeof(status.text));
	weir_back_event(back, WEIR_EVENT_SOURCE, &status, sizeof(status));
}

/* --- rings ----------------------------------------------------------------------------------------------------- */

static WeirSink *sink_of(struct decoder *decoder, uint32_t output)
{
	return WEIR_SINK(output == 0 ? decoder->sink : decoder->packets);
}

static uint32_t outputs(const struct decoder *decoder)
{
	return decoder->packets != NULL ? 2 : 1;
}

/* Runs in the streaming thread, which then waits in the sink. */
static int want_ring(void *data, const struct weir_format *format, uint32_t slot_bytes, uint32_t loans)
{
	struct decoder_output *output = data;
	struct decoder *decoder = output->decoder;

	g_mutex_lock(&decoder->lock);
	output->want = (struct weir_ring_config){
		.format = *format,
		.slot_bytes = slot_bytes,
		.slot_count = output == decoder->output ? decoder->options.slots : PACKET_SLOTS,
		.loans = loans,
	};
	output->wanted = true;
	g_mutex_unlock(&decoder->lock);
	return eventfd_write(decoder->want_fd, 1) < 0 ? -errno : 0;
}

static void on_want_back(struct weir_back *back, void *state, int fd)
{
	struct decoder *decoder = state;
	eventfd_t count;

	if (eventfd_read(fd, &count) < 0)
		return;
	for (uint32_t i = 0; i < outputs(decoder); i++) {
		struct decoder_output *output = &decoder->output[i];
		struct weir_ring_config want;
		bool wanted;
		int r;

		g_mutex_lock(&decoder->lock);
		want = output->want;
		wanted = output->wanted;
		output->wanted = false;
		g_mutex_unlock(&decoder->lock);
		r = wanted ? weir_back_want_output(back, i, &want) : 0;
		if (r < 0)
			weirsink_set_writer(sink_of(decoder, i), NULL, r);
	}
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct decoder *decoder = state;
	struct weir_writer *writer = NULL;
	uint32_t output = 0;
	int r = message->status;

	if (message->type != WEIR_COMMAND_WRITER && message->type != WEIR_COMMAND_RENEW)
		return -ENOSYS;
	if (message->size == sizeof(output))
		memcpy(&output, message->data, sizeof(output));
	if (output >= outputs(decoder))
		return -EPROTO;
	if (message->type == WEIR_COMMAND_RENEW) {
		weirsink_renew(sink_of(decoder, output));
		return 0;
	}
	if (r == 0)
		r = weir_back_take_writer(back, &writer);
	if (output == 0)
		decoder->ring_status = r;
	weirsink_set_writer(sink_of(decoder, output), writer, r);
	return 0;
}

/* --- pipelines come and go ------------------------------------------------------------------------------------- */

void decoder_fail_back(struct weir_back *back, struct decoder *decoder, const char *text, int status)
{
	decoder->phase = PHASE_OVER;
	tell_back(back, WEIR_SOURCE_FAILED, text);
	weir_back_exit(back, status);
}

static int stop_pipeline_back(struct weir_back *back, struct decoder *decoder)
{
	int r;

	if (decoder->pipeline == NULL)
		return 0;
	weir_back_watch(back, decoder->bus_fd, NULL);
	gst_clear_object(&decoder->bus);
	r = pipeline_stop(decoder->pipeline, decoder->sink, decoder->packets, STOP_NS);
	decoder->pipeline = NULL;
	weir_back_work(back, false);
	bus_forget(decoder);
	return r;
}

static int start_pipeline_back(struct weir_back *back, struct decoder *decoder)
{
	GPollFD poll_fd;
	char *error;
	int r;

	decoder->pipeline = pipeline_build(&decoder->options, decoder->sink, decoder->packets, &error);
	if (decoder->pipeline == NULL) {
		decoder_fail_back(back, decoder, error, -EINVAL);
		g_free(error);
		return -EINVAL;
	}
	bus_listen(decoder);
	decoder->bus = gst_element_get_bus(decoder->pipeline);
	gst_bus_get_pollfd(decoder->bus, &poll_fd);
	decoder->bus_fd = poll_fd.fd;
	r = weir_back_watch(back, decoder->bus_fd, bus_on_messages_back);
	if (r < 0)
		return r;
	decoder->phase = PHASE_CONNECTING;
	decoder->since_ns = now_ns();
	decoder->frames_before = decoder_frames(decoder);
	/* A failure shows as a message on the bus. */
	gst_element_set_state(decoder->pipeline, GST_STATE_PLAYING);
	return 0;
}

void decoder_lose_back(struct weir_back *back, struct decoder *decoder, const char *text)
{
	int64_t pause_ns = RETRY_MAX;

	/* Once for each loss, however many attempts fail. */
	if (decoder->failures == 0)
		tell_back(back, WEIR_SOURCE_LOST, text);
	if (stop_pipeline_back(back, decoder) < 0) {
		decoder_fail_back(back, decoder,
			"the pipeline of the lost source does not stop; start the decoder again", -ETIMEDOUT);
		return;
	}
	if (decoder->failures < 5)
		pause_ns = MIN(RETRY_MIN << decoder->failures, RETRY_MAX);
	decoder->failures++;
	decoder->phase = PHASE_WAITING;
	/* Jitter, so that a hundred decoders do not come back to their server in one instant. */
	decoder->next_ns = now_ns() + (int64_t)((double)pause_ns * g_random_double_range(0.75, 1.25));
}

void decoder_end_back(struct weir_back *back, struct decoder *decoder, const char *text)
{
	if (stop_pipeline_back(back, decoder) < 0) {
		decoder_fail_back(back, decoder, "the pipeline does not stop at its end", -ETIMEDOUT);
		return;
	}
	for (uint32_t i = 0; i < outputs(decoder); i++)
		weirsink_end(sink_of(decoder, i));
	tell_back(back, strstr(text, "cut short") != NULL ? WEIR_SOURCE_CUT : WEIR_SOURCE_ENDED, text);
	decoder->phase = PHASE_DRAINING;
	decoder->next_ns = now_ns() + DRAIN_NS;
}

void decoder_notice_frames_back(struct weir_back *back, struct decoder *decoder)
{
	if (decoder->phase != PHASE_CONNECTING || decoder_frames(decoder) == decoder->frames_before)
		return;
	if (decoder->packets != NULL && GST_OBJECT_PARENT(decoder->packets) == NULL) {
		decoder_fail_back(back, decoder,
			"the source is not encoded, or in an unknown way: it has no packets to record; record its raw "
			"pictures instead",
			-ENOTSUP);
		return;
	}
	decoder->phase = PHASE_LIVE;
	decoder->worked = true;
	decoder->failures = 0;
	tell_back(back, WEIR_SOURCE_LIVE, decoder->options.label);
}

/* --- time passes ----------------------------------------------------------------------------------------------- */

/* A camera that falls silent, or any source with an address that has nothing to show. */
static void watch_silence_back(struct weir_back *back, struct decoder *decoder, int64_t now)
{
	bool camera = options_is_camera(&decoder->options), connecting = decoder->phase == PHASE_CONNECTING;
	int64_t patience_ns = connecting ? CONNECT_NS : SILENCE_NS;
	struct weirsink_stats stats;
	char text[160];

	if (decoder->phase > PHASE_LIVE || (!camera && !(connecting && options_is_file(&decoder->options))))
		return;
	weirsink_stats(WEIR_SINK(decoder->sink), &stats);
	if (now - MAX(stats.active_ns, decoder->since_ns) < patience_ns)
		return;
	snprintf(text, sizeof(text), "%.100s: no picture for %d s", decoder->options.label,
		(int)(patience_ns / DECODER_SECOND_NS));
	if (camera && decoder->worked)
		decoder_lose_back(back, decoder, text);
	else
		decoder_fail_back(back, decoder, text, -ETIMEDOUT);
}

static int tick_back(struct weir_back *back, void *state, int64_t unused)
{
	struct decoder *decoder = state;
	int64_t now = now_ns();
	bool drained = true;

	for (uint32_t i = 0; i < outputs(decoder); i++) {
		weirsink_attend(sink_of(decoder, i));
		drained &= weirsink_drained(sink_of(decoder, i));
	}
	switch (decoder->phase) {
	case PHASE_CONNECTING:
	case PHASE_LIVE:
		decoder_notice_frames_back(back, decoder);
		bus_check_hushed_back(back, decoder, now);
		watch_silence_back(back, decoder, now);
		break;
	case PHASE_WAITING:
		if (now >= decoder->next_ns)
			return start_pipeline_back(back, decoder);
		break;
	case PHASE_DRAINING:
		if (now >= decoder->next_ns || drained) {
			/* Readers that are slow can take the rest still; a failure would begin the film again. */
			weir_back_exit(back, 0);
			decoder->phase = PHASE_OVER;
		}
		break;
	case PHASE_OVER: break;
	}
	return 0;
}

static void leave_back(struct weir_back *back, void *state, int reason)
{
	struct decoder *decoder = state;

	stop_pipeline_back(back, decoder);
	if (decoder->want_fd >= 0) {
		weir_back_watch(back, decoder->want_fd, NULL);
		close(decoder->want_fd);
	}
	gst_clear_object(&decoder->sink);
	gst_clear_object(&decoder->packets);
	options_finish(&decoder->options);
	g_mutex_clear(&decoder->lock);
}

static GstElement *make_sink(struct decoder *decoder, uint32_t output)
{
	struct weirsink_provider provider = { .want = want_ring,
		.data = &decoder->output[output],
		.packets = output != 0 || decoder->options.only_packets };

	decoder->output[output].decoder = decoder;
	return gst_object_ref_sink(weirsink_new(&provider));
}

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	struct decoder *decoder = state;
	char text[256] = "";
	int r;

	preload_init();
	g_mutex_init(&decoder->lock);
	decoder->sink = make_sink(decoder, 0);
	decoder->want_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = decoder->want_fd < 0 ? -errno : weir_back_watch(back, decoder->want_fd, on_want_back);
	if (r < 0)
		goto fail;
	r = options_parse(&decoder->options, args, text, sizeof(text));
	if (r == 0)
		r = explain_file(&decoder->options, text, sizeof(text));
	if (r < 0) {
		/* Not a failure of enter(): then nobody would learn why. */
		decoder_fail_back(back, decoder, text, r);
		return 0;
	}
	if (decoder->options.only_packets) {
		gst_clear_object(&decoder->sink);
		decoder->sink = make_sink(decoder, 0);
		g_object_set(decoder->sink, "async", FALSE, NULL);
	}
	/* Live sources set the pace themselves, and waiting for the clock would add their latency to each frame's age;
	 * what could run faster runs in real time if nobody asks for every frame. */
	g_object_set(decoder->sink, "lossless", decoder->options.lossless, "sync",
		!decoder->options.lossless && !options_is_camera(&decoder->options) &&
			decoder->options.kind != SOURCE_TEST,
		NULL);
	if (decoder->options.packets) {
		decoder->packets = make_sink(decoder, 1);
		/* It comes into the pipeline late, and nothing waits for it. */
		g_object_set(decoder->packets, "async", FALSE, "lossless", decoder->options.lossless, NULL);
	}
	if (options_is_file(&decoder->options))
		progress_watch(back, decoder->sink);
	tell_back(back, WEIR_SOURCE_CONNECTING, decoder->options.label);
	start_pipeline_back(back, decoder);
	return 0;
fail:
	leave_back(back, decoder, WEIR_LEAVE_ERROR);
	return r;
}

__attribute__((visibility("default"))) extern const struct weir_backend weir_backend;
const struct weir_backend weir_backend = {
	.abi = WEIR_BACKEND_ABI,
	.name = "decoder",
	.state_bytes = sizeof(struct decoder),
	.preload = preload_decoder,
	.enter = enter_back,
	.command = command_back,
	.tick = tick_back,
	.leave = leave_back,
};
