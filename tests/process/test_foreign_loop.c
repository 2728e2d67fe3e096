/* SPDX-License-Identifier: MIT */
#include "obedient.h"

#include <poll.h>
#include <sys/timerfd.h>

#include "stream_backends.h"

/* Both sides inside of loops that are not Weir's: all that these tests wait with is a poll() of their own. */

/* --- a backend with a loop of its own ---------------------------------------------------------------------------- */

enum { ORDER_COUNTS = 512, ORDER_QUIT };

struct counts {
	uint32_t turns, timers, frames, ends;
};

struct guest {
	struct counts counts;
	int timer_fd;
	bool quit;
};

static int enter_guest_back(struct weir_back *back, void *state, const char *args)
{
	struct guest *guest = state;
	struct itimerspec often = { .it_value = { .tv_nsec = 1 }, .it_interval = { .tv_nsec = 5000000 } };

	guest->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return timerfd_settime(guest->timer_fd, 0, &often, NULL);
}

static int command_guest_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct guest *guest = state;

	switch (message->type) {
	case WEIR_COMMAND_FORMAT: return 0;
	case WEIR_COMMAND_END: guest->counts.ends++; return 0;
	case ORDER_COUNTS: return weir_back_reply(back, message, 0, &guest->counts, sizeof(guest->counts));
	case ORDER_QUIT: guest->quit = true; return 0;
	default: return -ENOSYS;
	}
}

static int frame_guest_back(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame)
{
	((struct guest *)state)->counts.frames++;
	return 0;
}

static int loop_guest_back(struct weir_back *back, void *state)
{
	struct guest *guest = state;
	struct pollfd fds[] = { { .fd = weir_back_fd(back), .events = POLLIN },
		{ .fd = guest->timer_fd, .events = POLLIN } };
	uint64_t count;
	int r = 0;

	while (r == 0 && !guest->quit) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents != 0)
			guest->counts.timers += read(guest->timer_fd, &count, sizeof(count)) > 0;
		if (fds[0].revents == 0)
			continue;
		guest->counts.turns++;
		r = weir_back_turn(back, 0);
	}
	return r < 0 ? r : 0;
}

static void leave_guest_back(struct weir_back *back, void *state, int reason)
{
	weir_back_event(back, EVENT_LEFT, &reason, sizeof(reason));
}

static const struct weir_backend guest = {
	.abi = WEIR_BACKEND_ABI,
	.name = "guest",
	.state_bytes = sizeof(struct guest),
	.enter = enter_guest_back,
	.command = command_guest_back,
	.frame = frame_guest_back,
	.leave = leave_guest_back,
	.loop = loop_guest_back,
};

/* --- a frontend that is driven from outside ---------------------------------------------------------------------- */

/* True if there was something to do within so many milliseconds. */
static bool turn(struct fixture *fixture, int ms)
{
	struct pollfd pollfd = { .fd = weir_frontend_fd(fixture->frontend), .events = POLLIN };

	if (poll(&pollfd, 1, ms) <= 0)
		return false;
	weir_frontend_dispatch(fixture->frontend, 0);
	return true;
}

#define TURN_UNTIL(fixture, condition)                                                                                 \
	do {                                                                                                           \
		while (!(condition))                                                                                   \
			if (!turn(fixture, PATIENCE_S * 1000))                                                         \
				fail_msg("in vain: %s", #condition);                                                   \
	} while (0)

static struct counts ask(struct weir_child *child)
{
	struct counts counts = { 0 };
	size_t size = sizeof(counts);

	assert_int_equal(
		weir_child_call(child, ORDER_COUNTS, NULL, 0, &counts, &size, now_ns() + PATIENCE_S * SECOND), 0);
	return counts;
}

static void frontend_is_driven_by_its_descriptor_alone(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child;
	int turns = 0;

	child = fixture_add(fixture, (struct weir_child_config){ .backend = "obedient" });
	TURN_UNTIL(fixture, weir_child_state(child) == WEIR_CHILD_RUNNING);
	/* Nothing to do, and it does not say so, but now and then. */
	for (int64_t end_ns = now_ns() + SECOND / 2; now_ns() < end_ns;)
		turns += turn(fixture, 50);
	assert_in_range(turns, 0, 30);
	/* Deaths, and from the second one on a timer for the pause. */
	for (uint32_t i = 0; i < 4; i++) {
		kill(weir_child_pid(child), SIGKILL);
		TURN_UNTIL(
			fixture, weir_child_restarts(child) == i + 1 && weir_child_state(child) == WEIR_CHILD_RUNNING);
	}
	/* A call dispatches by itself. */
	assert_int_equal(weir_child_call(child, ORDER_STATUS, NULL, 0, NULL, NULL, now_ns() + PATIENCE_S * SECOND), 0);
	/* The way from the stop message to SIGKILL is timers. */
	assert_int_equal(weir_child_send(child, ORDER_DEAF, NULL, 0), 0);
	weir_child_stop(child);
	TURN_UNTIL(fixture, weir_child_state(child) == WEIR_CHILD_DONE);
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_KILLING), 1);
}

static void backend_runs_in_a_loop_of_its_own(void **state)
{
	static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS };
	struct fixture *fixture = *state;
	struct weir_child *source = fixture_add(
		fixture, (struct weir_child_config){
				 .backend = "source", .args = "300 1000 0 0", .restart = WEIR_RESTART_TRANSIENT });
	struct weir_child *reader = fixture_add(fixture, (struct weir_child_config){ .backend = "guest" });
	struct counts counts, later;
	struct weir_stream *stream;
	uint32_t input;

	assert_int_equal(weir_stream_create(fixture->frontend, &stream,
				 &(struct weir_stream_config){ .name = "s", .writer = source }),
		0);
	assert_int_equal(weir_stream_add_reader(stream, reader, &lossless, &input), 0);
	UNTIL(fixture, weir_stream_finished(stream));
	counts = ask(reader);
	assert_int_equal(counts.frames, 300);
	assert_int_equal(counts.ends, 1);
	assert_true(counts.timers > 0);
	fixture_run(fixture, SECOND / 2);
	later = ask(reader);
	assert_true(later.timers > counts.timers);
	assert_in_range(later.turns - counts.turns, 1, 50); /* it sleeps in between */
	weir_child_stop(reader);
	fixture_await(fixture, reader, WEIR_CHILD_DONE);
	assert_string_equal(fixture_reason(fixture, reader, WEIR_CHILD_DONE), "stopped");
	assert_int_equal(fixture->message_type[fixture->messages - 1], EVENT_LEFT);
}

static void loop_that_returns_ends_the_process(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = fixture_add(
		fixture, (struct weir_child_config){ .backend = "guest", .restart = WEIR_RESTART_TRANSIENT });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	assert_int_equal(weir_child_send(child, ORDER_QUIT, NULL, 0), 0);
	fixture_await(fixture, child, WEIR_CHILD_DONE);
	assert_int_equal(fixture->message_type[fixture->messages - 1], EVENT_LEFT);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(frontend_is_driven_by_its_descriptor_alone),
		WITH_FRONTEND(backend_runs_in_a_loop_of_its_own),
		WITH_FRONTEND(loop_that_returns_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	static const struct weir_backend *more[8] = { &guest };

	add_backends(more, stream_backends);
	return run_obedient(run, more);
}
