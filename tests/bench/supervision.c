/* SPDX-License-Identifier: MIT */
/* What a frontend does for its children, beside what the kernel takes for the same: ./tests/bench/supervision. */
#include "bench.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/frontend.h>
#include <weir/stream.h>

#define SECOND_NS   INT64_C(1000000000)
#define PATIENCE_NS (20 * SECOND_NS)
#define HANG_NS	    (SECOND_NS / 4)
#define TIMES	    20 /* in a round */
#define CALLS	    1000

/* --- a backend --------------------------------------------------------------------------------------------------- */

enum { ORDER_NOTHING = 256, ORDER_BLOCK, ORDER_FLOOD };

struct drill {
	bool floods;
};

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static void spin_without_signals_back(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (volatile int i = 0;; i = i + 1)
		;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct drill *drill = state;

	if (message->type == ORDER_BLOCK)
		spin_without_signals_back();
	drill->floods |= message->type == ORDER_FLOOD;
	return 0;
}

static int tick_back(struct weir_back *back, void *state, int64_t unused)
{
	const struct drill *drill = state;

	for (int i = 0; drill->floods && i < 20000; i++)
		weir_back_event(back, 300, &i, sizeof(i));
	return 0;
}

static const struct weir_backend drill = {
	.abi = WEIR_BACKEND_ABI,
	.name = "drill",
	.state_bytes = sizeof(struct drill),
	.enter = enter_back,
	.command = command_back,
	.tick = tick_back,
};

/* --- a frontend -------------------------------------------------------------------------------------------------- */

static struct weir_frontend *frontend;
static int64_t state_ns[WEIR_CHILD_FAILED + 1]; /* when the last child went into each */

static void on_event(void *data, const struct weir_event *event)
{
	if (event->type == WEIR_EVENT_CHILD_STATE)
		state_ns[event->to] = now_ns();
}

/* Until the child has died; it may have been started again by now. */
static int await_death(int64_t since_ns)
{
	int64_t end_ns = since_ns + PATIENCE_NS;

	while (state_ns[WEIR_CHILD_BACKOFF] < since_ns) {
		if (now_ns() > end_ns)
			return bench_fail("a child does not die");
		weir_frontend_dispatch(frontend, end_ns);
	}
	return 0;
}

static int await(struct weir_child *child, enum weir_child_state state)
{
	int64_t end_ns = now_ns() + PATIENCE_NS;

	while (weir_child_state(child) != state) {
		if (now_ns() > end_ns)
			return bench_fail("a child does not come to be %s", weir_child_state_name(state));
		weir_frontend_dispatch(frontend, end_ns);
	}
	return 0;
}

static int open_frontend(void)
{
	return weir_frontend_create(&frontend, &(struct weir_frontend_config){ .event = on_event });
}

static int add_spawned(struct weir_child **child, const char *name, int64_t hang_ns, enum weir_spawn spawn)
{
	int r = weir_child_add(frontend, child,
		&(struct weir_child_config){ .name = name,
			.backend = "drill",
			.spawn = spawn,
			.hang_ns = hang_ns,
			.intensity = 64,
			.period_ns = 1 });

	return r < 0 ? r : await(*child, WEIR_CHILD_RUNNING);
}

static int add(struct weir_child **child, const char *name, int64_t hang_ns)
{
	return add_spawned(child, name, hang_ns, WEIR_SPAWN_FORK);
}

/* Out of the back-off. */
static int begin_anew(struct weir_child *child)
{
	int r = await(child, WEIR_CHILD_RUNNING);

	weir_child_stop(child);
	if (r == 0)
		r = await(child, WEIR_CHILD_DONE);
	if (r == 0)
		r = weir_child_start(child);
	return r == 0 ? await(child, WEIR_CHILD_RUNNING) : r;
}

/* --- deaths ------------------------------------------------------------------------------------------------------ */

/* Until the frontend has told of it; with bare until a poll() of the pidfd returns. */
static int64_t time_a_death(struct weir_child *child, bool bare)
{
	struct pollfd pollfd = { .fd = pidfd_open(weir_child_pid(child), 0), .events = POLLIN };
	int64_t begin_ns = now_ns(), ns;

	kill(weir_child_pid(child), SIGKILL);
	if (bare)
		poll(&pollfd, 1, 10000);
	ns = now_ns() - begin_ns;
	close(pollfd.fd);
	if (await_death(begin_ns) < 0)
		return 0;
	return bare ? ns : state_ns[WEIR_CHILD_BACKOFF] - begin_ns;
}

static int death(double *figure, uint32_t bare)
{
	uint32_t times = bench_count(TIMES, 3);
	struct weir_child *child;
	double us[TIMES];
	int r = open_frontend();

	if (r == 0)
		r = add(&child, "victim", 0);
	for (uint32_t i = 0; r == 0 && i < times; i++) {
		us[i] = (double)time_a_death(child, bare != 0) / 1e3;
		r = begin_anew(child);
	}
	weir_frontend_free(&frontend);
	*figure = r == 0 ? spread_of(us, times).median : 0;
	return r;
}

static const struct contender deaths[] = {
	{ "Weir", death, 0 },
	{ "poll() of a pidfd", death, 1 },
};
static const struct row death_rows[] = { { "SIGKILL of a child: its frontend tells of it after", 0, 1,
	.bar_ratio = 2 } };
static const struct group death_group = { "death", "us", 20, 1, deaths, COUNT_OF(deaths), death_rows,
	COUNT_OF(death_rows) };

/* --- spawns ------------------------------------------------------------------------------------------------------ */

enum spawn { SPAWN_FORK, SPAWN_GIB, SPAWN_EXEC };

static int spawn(double *figure, uint32_t what)
{
	uint32_t times = bench_count(TIMES, 3);
	size_t bytes = what == SPAWN_GIB ? (size_t)1 << 30 : 0;
	char *ballast =
		bytes > 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : NULL;
	struct weir_child *child;
	double us[TIMES];
	int r;

	if (ballast == MAP_FAILED)
		return bench_fail("no memory for 1 GiB");
	if (ballast != NULL) {
		madvise(ballast, bytes, MADV_NOHUGEPAGE);
		memset(ballast, 1, bytes);
	}
	r = open_frontend();
	if (r == 0)
		r = add_spawned(&child, "child", 0, what == SPAWN_EXEC ? WEIR_SPAWN_EXEC : WEIR_SPAWN_FORK);
	for (uint32_t i = 0; r == 0 && i < times; i++) {
		int64_t begin_ns;

		weir_child_stop(child);
		r = await(child, WEIR_CHILD_DONE);
		begin_ns = now_ns();
		if (r == 0)
			r = weir_child_start(child);
		if (r == 0)
			r = await(child, WEIR_CHILD_RUNNING);
		us[i] = (double)(now_ns() - begin_ns) / 1e3;
	}
	weir_frontend_free(&frontend);
	if (ballast != NULL)
		munmap(ballast, bytes);
	*figure = r == 0 ? spread_of(us, times).median : 0;
	return r;
}

static const struct contender spawns[] = { { "Weir, 0 GiB", spawn, SPAWN_FORK }, { "Weir, 1 GiB", spawn, SPAWN_GIB },
	{ "Weir, by exec", spawn, SPAWN_EXEC } };
static const struct row spawn_rows[] = {
	{ "start of a child until it is ready", 0, NO_PEER },
	{ "the same from a frontend of 1 GiB", 1, 0, .bar_ratio = 1.3 },
	{ "the same by exec of the program", 2, 0 },
};
static const struct group spawn_group = { "spawn", "us", 20, 1, spawns, COUNT_OF(spawns), spawn_rows,
	COUNT_OF(spawn_rows) };

/* --- hangs ------------------------------------------------------------------------------------------------------- */

enum hang { HANG_DETECTED, HANG_GONE };

/* The worst kind: it blocks all signals, and takes SIGKILL. */
static int hang(double *figure, uint32_t which)
{
	struct weir_child *child;
	int64_t begin_ns = 0;
	int r = open_frontend();

	if (r == 0)
		r = add(&child, "hung", HANG_NS);
	if (r == 0) {
		begin_ns = now_ns();
		r = weir_child_send(child, ORDER_BLOCK, NULL, 0);
	}
	if (r == 0)
		r = await_death(begin_ns);
	*figure = which == HANG_DETECTED
			  ? (double)(state_ns[WEIR_CHILD_TERMINATING] - begin_ns) / (double)HANG_NS
			  : (double)(state_ns[WEIR_CHILD_BACKOFF] - state_ns[WEIR_CHILD_TERMINATING]) / 1e6;
	weir_frontend_free(&frontend);
	return r;
}

static const struct contender detections[] = { { "Weir", hang, HANG_DETECTED } };
static const struct row detection_rows[] = { { "child that hangs: found out after", 0, NO_PEER, .bar = 1.25 } };
static const struct group detection_group = { "hang detected", "of its limit", 20, 1, detections, COUNT_OF(detections),
	detection_rows, COUNT_OF(detection_rows) };
static const struct contender ends[] = { { "Weir", hang, HANG_GONE } };
static const struct row end_rows[] = { { "which blocks all signals: gone after another", 0, NO_PEER, .bar = 510 } };
static const struct group end_group = { "hang ended", "ms", 10, 1, ends, COUNT_OF(ends), end_rows, COUNT_OF(end_rows) };

/* --- a flood ----------------------------------------------------------------------------------------------------- */

static int flood(double *figure, uint32_t floods)
{
	struct weir_child *child, *other;
	uint32_t calls = bench_count(CALLS, 50);
	static double us[CALLS];
	int r = open_frontend();

	if (r == 0)
		r = add(&child, "child", 0);
	if (r == 0)
		r = add(&other, "other", 0);
	if (r == 0 && floods != 0)
		r = weir_child_send(other, ORDER_FLOOD, NULL, 0);
	for (uint32_t i = 0; r == 0 && i < calls; i++) {
		int64_t begin_ns = now_ns();

		r = weir_child_call(child, ORDER_NOTHING, NULL, 0, NULL, NULL, begin_ns + PATIENCE_NS);
		us[i] = (double)(now_ns() - begin_ns) / 1e3;
		weir_frontend_dispatch(
			frontend, now_ns() + SECOND_NS / 2000); /* a call now and then, not all the time */
	}
	weir_frontend_free(&frontend);
	if (r == 0) {
		spread_of(us, calls); /* sorts */
		*figure = us[calls * 99 / 100];
	}
	return r;
}

static const struct contender floods[] = { { "a quiet one", flood, 0 }, { "Weir", flood, 1 } };
static const struct row flood_rows[] = { { "p99 of calls beside a child that floods with events", 1, 0,
	.bar_ratio = 2 } };
static const struct group flood_group = { "flood", "us", 10, 1, floods, COUNT_OF(floods), flood_rows,
	COUNT_OF(flood_rows) };

/* --- a decoder --------------------------------------------------------------------------------------------------- */

static char clip[] = "/tmp/weir-bench-XXXXXX.mp4";

static void remove_clip(void)
{
	unlink(clip);
}

static int make_clip(void)
{
	static bool made;
	char command[256];
	int fd = made ? -1 : mkstemps(clip, 4);

	if (made)
		return 0;
	if (fd < 0)
		return -errno;
	close(fd);
	atexit(remove_clip);
	snprintf(command, sizeof(command),
		"gst-launch-1.0 -q videotestsrc num-buffers=250 ! video/x-raw,width=640,height=360,framerate=25/1 ! "
		"openh264enc ! h264parse ! mp4mux ! filesink location=%s >/dev/null 2>&1",
		clip);
	if (system(command) != 0)
		return bench_fail("gst-launch-1.0 cannot make a clip");
	made = true;
	return 0;
}

/* Until the ring of the next process has a frame. */
static int await_frame(const struct weir_stream *stream, uint64_t generations)
{
	int64_t end_ns = now_ns() + PATIENCE_NS;
	uint64_t published = 0;
	struct weir_stream_stats stats;

	do {
		weir_frontend_dispatch(frontend, now_ns() + SECOND_NS / 2000); /* the decoder needs the CPUs */
		weir_stream_stats(stream, &stats);
		if (stats.generations == generations)
			published = stats.published;
	} while (stats.published == published && now_ns() < end_ns);
	return now_ns() < end_ns ? 0 : bench_fail("no frame");
}

static int decode(double *figure, uint32_t spawn_kind)
{
	struct weir_stream_config config = { .name = "clip" };
	struct weir_stream_stats stats;
	struct weir_stream *stream;
	char args[128];
	int64_t begin_ns;
	int r = make_clip();

	snprintf(args, sizeof(args), "{\"source\":\"%s\"}", clip);
	if (r == 0)
		r = open_frontend();
	if (r == 0)
		r = weir_child_add(frontend, &config.writer,
			&(struct weir_child_config){
				.name = "decoder", .backend = "gst/decoder", .args = args, .spawn = spawn_kind });
	if (r == 0)
		r = weir_stream_create(frontend, &stream, &config);
	if (r == 0)
		r = await_frame(stream, 0);
	if (r == 0) {
		sleep_until_ns(now_ns() + SECOND_NS / 10); /* in the middle of it */
		weir_stream_stats(stream, &stats);
		begin_ns = now_ns();
		kill(weir_child_pid(config.writer), SIGKILL);
		r = await_frame(stream, stats.generations);
		*figure = (double)(now_ns() - begin_ns) / 1e6;
	}
	weir_frontend_free(&frontend);
	return r;
}

static const struct contender decoders[] = { { "Weir", decode, WEIR_SPAWN_FORK },
	{ "by exec", decode, WEIR_SPAWN_EXEC } };
static const struct row decoder_rows[] = {
	{ "decoder of H.264 killed: the next one's first frame", 0, NO_PEER, .bar = 25 },
	{ "the same by exec of the program", 1, 0 },
};
static const struct group decoder_group = { "decoder", "ms", 20, 1, decoders, COUNT_OF(decoders), decoder_rows,
	COUNT_OF(decoder_rows) };

const struct group *const bench_groups[] = { &death_group, &spawn_group, &detection_group, &end_group, &flood_group,
	&decoder_group, NULL };

int bench_begin(void)
{
	static const struct weir_backend *const backends[] = { &drill, NULL };
	static const char *const preload[] = { "gst/decoder", NULL };
	int r = weir_init(&(struct weir_init_config){ .backends = backends, .preload = preload });

	if (r < 0)
		fprintf(stderr, "bench: %s\n", weir_init_error());
	return r;
}
