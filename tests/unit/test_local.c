/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weir/backend.h>

#include "clock.h"

/* A backend that is run in this process: an upside-down use of the ring's both ends. */

struct state {
	int frames, ticks, formats, ends, commands, left;
	uint64_t last;
	struct weir_writer *writer;
	uint32_t keep; /* so many */
	struct weir_frame kept[4];
	uint32_t keeps;
};

static struct state *seen; /* of the backend that runs */
static int enter_status, command_status, frame_status;
static uint32_t sunk_type, sunk_count, sunk_size;
static int sunk_status;

static int enter(struct weir_back *back, void *state, const char *args)
{
	seen = state;
	assert_string_equal(args, "args");
	assert_string_equal(weir_back_name(back), "local");
	weir_back_event(back, 300, "x", 1);
	return enter_status;
}

static int command(struct weir_back *back, void *state, const struct weir_message *message)
{
	seen->commands++;
	if (message->type == WEIR_COMMAND_FORMAT) {
		seen->formats++;
		assert_int_equal(message->status, 1); /* the input */
		assert_int_equal(((const struct weir_format *)message->data)->width, 64);
	}
	if (message->type == WEIR_COMMAND_END)
		seen->ends++;
	if (message->type == WEIR_COMMAND_WRITER)
		assert_int_equal(weir_back_take_writer(back, &seen->writer), 0);
	if (message->type == 400)
		return weir_back_reply(back, message, -7, NULL, 0);
	if (message->type == 401)
		weir_back_exit(back, 0);
	return message->type < 256 || message->type == 402 ? command_status : -ENOSYS;
}

static int frame(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame)
{
	assert_int_equal(input, 1);
	assert_int_equal(frame->sequence, seen->last + 1);
	seen->last = frame->sequence;
	seen->frames++;
	if (seen->keeps < seen->keep) {
		seen->kept[seen->keeps++] = *frame;
		assert_int_equal(weir_back_release(back, input, frame), -EINVAL);
		assert_int_equal(weir_back_keep(back, input, frame), 0);
		assert_int_equal(weir_back_keep(back, input, frame), -EINVAL);
	}
	return frame_status;
}

static int tick(struct weir_back *back, void *state, int64_t now_ns)
{
	seen->ticks++;
	return 0;
}

static int leaves;

static void leave(struct weir_back *back, void *state, int reason)
{
	leaves++;
	weir_writer_free(&((struct state *)state)->writer);
}

static const struct weir_backend local = {
	.abi = WEIR_BACKEND_ABI,
	.name = "local",
	.state_bytes = sizeof(struct state),
	.enter = enter,
	.command = command,
	.frame = frame,
	.tick = tick,
	.leave = leave,
};

static void sink(void *data, const struct weir_message *message)
{
	assert_ptr_equal(data, &sunk_count);
	sunk_type = message->type;
	sunk_size = message->size;
	sunk_status = message->status;
	sunk_count++;
}

static int setup(void **state)
{
	enter_status = command_status = frame_status = 0;
	sunk_count = 0;
	leaves = 0;
	return weir_back_create_local((struct weir_back **)state, &local, "args", sink, &sunk_count);
}

static int teardown(void **state)
{
	weir_back_local_free((struct weir_back **)state);
	weir_back_local_free((struct weir_back **)state);
	return 0;
}

static struct weir_ring *make_ring(struct weir_writer **writer)
{
	static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS, .max_held = 3 };
	struct weir_ring_config config = { .slot_count = 16 };
	struct weir_ring_fds fds;
	struct weir_ring *ring;
	uint32_t end;

	assert_int_equal(weir_format_video(&config.format, WEIR_PIXEL_GRAY8, 64, 4), 0);
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	assert_int_equal(weir_ring_attach(ring, &lossless, &end), 0);
	assert_int_equal(weir_ring_writer_fds(ring, &fds), 0);
	assert_int_equal(weir_writer_open(writer, &fds), 0);
	return ring;
}

static void give_reader(struct weir_back *back, struct weir_ring *ring)
{
	struct weir_ring_fds fds;

	assert_int_equal(weir_ring_reader_fds(ring, 0, &fds), 0);
	assert_int_equal(weir_back_local_ring(back, 1, &fds), 0);
}

static void publish(struct weir_writer *writer, int count)
{
	struct weir_frame frame;
	uint8_t *payload;

	for (int i = 0; i < count; i++) {
		assert_int_equal(weir_writer_claim(writer, &frame, &payload), 0);
		assert_int_equal(weir_writer_publish(writer, &frame, false), 0);
	}
}

static void run_until_idle(struct weir_back *back)
{
	int64_t end_ns = clock_ns() + CLOCK_S / 5;

	while (clock_ns() < end_ns)
		assert_int_equal(weir_back_local_run(back, end_ns), 0);
}

static void ring_is_read_to_its_end(void **state)
{
	struct weir_writer *writer;
	struct weir_ring *ring = make_ring(&writer);

	assert_null(weir_back_input_format(*state, 1));
	give_reader(*state, ring);
	assert_int_equal(weir_back_input_format(*state, 1)->width, 64);
	publish(writer, 10);
	weir_writer_end(writer);
	run_until_idle(*state);
	assert_int_equal(seen->formats, 1);
	assert_int_equal(seen->frames, 10);
	assert_int_equal(seen->ends, 1);
	assert_true(seen->ticks > 0);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

static void next_ring_is_begun_when_the_first_is_drained(void **state)
{
	struct weir_writer *writer[2];
	struct weir_ring *ring[2] = { make_ring(&writer[0]), make_ring(&writer[1]) };

	give_reader(*state, ring[0]);
	give_reader(*state, ring[1]);
	assert_int_equal(seen->formats, 1);
	publish(writer[0], 3);
	publish(writer[1], 5);
	weir_writer_end(writer[0]);
	for (int i = 0; i < 20 && seen->formats < 2; i++) {
		if (seen->frames == 3)
			seen->last = 0; /* the next generation counts anew */
		assert_int_equal(weir_back_local_run(*state, clock_ns() + CLOCK_S), 0);
	}
	seen->last = 0;
	run_until_idle(*state);
	assert_int_equal(seen->formats, 2);
	assert_int_equal(seen->frames, 8);
	assert_int_equal(seen->ends, 0);
	for (int i = 0; i < 2; i++) {
		weir_writer_free(&writer[i]);
		weir_ring_free(&ring[i]);
	}
}

static void as_many_frames_as_can_be_held_can_be_kept(void **state)
{
	struct weir_writer *writer;
	struct weir_ring *ring = make_ring(&writer);
	struct weir_end_stats stats;

	seen->keep = 3;
	give_reader(*state, ring);
	publish(writer, 6);
	weir_writer_end(writer);
	run_until_idle(*state);
	assert_int_equal(seen->frames, 3);
	assert_int_equal(seen->ends, 0);
	assert_int_equal(weir_ring_end_stats(ring, 0, &stats), 0);
	assert_int_equal(stats.held, 3);

	assert_int_equal(weir_back_release(*state, 1, &seen->kept[1]), 0);
	assert_int_equal(weir_back_release(*state, 1, &seen->kept[1]), -EINVAL);
	run_until_idle(*state);
	assert_int_equal(seen->frames, 6);
	assert_int_equal(seen->ends, 0); /* two are still kept */
	assert_int_equal(weir_back_release(*state, 1, &seen->kept[0]), 0);
	assert_int_equal(weir_back_release(*state, 1, &seen->kept[2]), 0);
	run_until_idle(*state);
	assert_int_equal(seen->ends, 1);
	assert_int_equal(weir_back_release(*state, 1, &seen->kept[2]), -EINVAL);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

static void waiting_for_kept_frames_costs_no_time(void **state)
{
	struct timespec before, after;
	struct weir_writer *writer;
	struct weir_ring *ring = make_ring(&writer);

	seen->keep = 3;
	give_reader(*state, ring);
	publish(writer, 5);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	run_until_idle(*state);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec < 100000000);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

static void third_ring_for_one_input_is_a_violation(void **state)
{
	struct weir_ring_fds fds;
	struct weir_writer *writer;
	struct weir_ring *ring = make_ring(&writer);

	give_reader(*state, ring);
	give_reader(*state, ring);
	assert_int_equal(weir_ring_reader_fds(ring, 0, &fds), 0);
	assert_int_equal(weir_back_local_ring(*state, 1, &fds), -EPROTO);
	assert_int_equal(weir_back_local_run(*state, clock_ns()), -EPROTO);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

static void writer_is_handed_over(void **state)
{
	struct weir_ring_config config = { .slot_count = 4 };
	struct weir_ring_fds fds;
	struct weir_ring *ring;

	assert_int_equal(weir_format_video(&config.format, WEIR_PIXEL_GRAY8, 64, 4), 0);
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	assert_int_equal(weir_ring_writer_fds(ring, &fds), 0);
	assert_int_equal(weir_back_local_ring(*state, 0, &fds), 0);
	assert_non_null(seen->writer);
	publish(seen->writer, 2);
	weir_ring_free(&ring);
}

static void commands_and_events_reach_the_other_side(void **state)
{
	assert_int_equal(sunk_count, 1); /* from enter() */
	assert_int_equal(sunk_type, 300);
	assert_int_equal(weir_back_local_command(*state, 400, NULL, 0), 0);
	assert_int_equal(sunk_count, 2);
	assert_int_equal(sunk_status, -7);
	assert_int_equal(weir_back_local_command(*state, 999, NULL, 0), 0);
	assert_int_equal(sunk_status, -ENOSYS);
	assert_int_equal(weir_back_want_ring(*state, &(struct weir_ring_config){ .slot_count = 5 }), 0);
	assert_int_equal(sunk_type, WEIR_EVENT_WANT_RING);
	assert_int_equal(sunk_size, sizeof(struct weir_ring_config));
}

static void exit_and_errors_end_the_run(void **state)
{
	struct weir_writer *writer;
	struct weir_ring *ring = make_ring(&writer);

	frame_status = -EILSEQ;
	give_reader(*state, ring);
	publish(writer, 1);
	assert_int_equal(weir_back_local_run(*state, clock_ns() + CLOCK_S), -EILSEQ);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
	teardown(state);
	assert_int_equal(leaves, 1);
	assert_int_equal(setup(state), 0);
	assert_int_equal(weir_back_local_command(*state, 401, NULL, 0), 0);
	assert_int_equal(weir_back_local_run(*state, clock_ns()), 1);
}

static void failed_enter_creates_nothing(void **state)
{
	struct weir_back *back = NULL;

	enter_status = -EACCES;
	assert_int_equal(weir_back_create_local(&back, &local, "args", sink, &sunk_count), -EACCES);
	assert_null(back);
	assert_int_equal(leaves, 0);
}

static void format_that_the_backend_refuses_ends_it(void **state)
{
	struct weir_ring_fds fds;
	struct weir_writer *writer;
	struct weir_ring *ring = make_ring(&writer);

	command_status = -ENOTSUP;
	assert_int_equal(weir_ring_reader_fds(ring, 0, &fds), 0);
	assert_int_equal(weir_back_local_ring(*state, 1, &fds), -ENOTSUP);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

static bool is_readable(int fd, int ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, ms) == 1;
}

/* Turns while there is something to do. */
static void turn_until_idle(struct weir_back *back)
{
	for (int i = 0; i < 20 && is_readable(weir_back_fd(back), 0); i++)
		assert_int_equal(weir_back_turn(back, 0), 0);
	assert_false(is_readable(weir_back_fd(back), 0));
}

static int watched;

static void on_watched(struct weir_back *back, void *state, int fd)
{
	uint64_t count;

	watched += read(fd, &count, sizeof(count)) == sizeof(count);
}

static void one_descriptor_stands_for_all_that_wakes_a_backend(void **state)
{
	int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), turns;
	struct weir_writer *writer;
	struct weir_ring *ring = make_ring(&writer);

	watched = 0;
	assert_true(is_readable(weir_back_fd(*state), 0)); /* the first turn */
	turn_until_idle(*state);
	give_reader(*state, ring);
	while (is_readable(weir_back_fd(*state), 0) || seen->ticks < 2)
		assert_int_equal(weir_back_turn(*state, 0), 0);
	publish(writer, 3);
	assert_true(is_readable(weir_back_fd(*state), 50));
	turn_until_idle(*state);
	assert_int_equal(seen->frames, 3);
	assert_int_equal(weir_back_watch(*state, event_fd, on_watched), 0);
	turn_until_idle(*state);
	assert_int_equal(eventfd_write(event_fd, 1), 0);
	assert_true(is_readable(weir_back_fd(*state), 50));
	turn_until_idle(*state);
	assert_int_equal(watched, 1);
	weir_writer_end(writer);
	for (turns = 0; seen->ends == 0 && turns < 10; turns++) {
		assert_true(is_readable(weir_back_fd(*state), 1000));
		assert_int_equal(weir_back_turn(*state, 0), 0);
	}
	assert_int_equal(seen->ends, 1);
	/* Left to itself it has a tick now and then, and no more. */
	for (turns = 0; turns < 3; turns++) {
		turn_until_idle(*state);
		assert_true(is_readable(weir_back_fd(*state), 1000));
	}
	weir_back_exit(*state, 0);
	assert_true(is_readable(weir_back_fd(*state), 0));
	assert_int_equal(weir_back_turn(*state, 0), 1);
	close(event_fd);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
}

#define LOCAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOCAL(ring_is_read_to_its_end),
		LOCAL(next_ring_is_begun_when_the_first_is_drained),
		LOCAL(as_many_frames_as_can_be_held_can_be_kept),
		LOCAL(waiting_for_kept_frames_costs_no_time),
		LOCAL(third_ring_for_one_input_is_a_violation),
		LOCAL(writer_is_handed_over),
		LOCAL(commands_and_events_reach_the_other_side),
		LOCAL(exit_and_errors_end_the_run),
		LOCAL(failed_enter_creates_nothing),
		LOCAL(format_that_the_backend_refuses_ends_it),
		LOCAL(one_descriptor_stands_for_all_that_wakes_a_backend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
