/* SPDX-License-Identifier: MIT */
/* Readers that are stopped, slow, killed or hostile. */
#include "failures.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void a_stopped_reader_costs_nobody_a_frame_and_does_not_hold_up_the_end(void **state)
{
	struct runner producer, healthy, stopped;
	struct failures_window window;

	failures_start_two(&producer, &healthy, "");
	runner_start(&stopped, NULL, READER, failures_path);
	RUNNER_AWAIT(&stopped, c->buffers > 10);
	kill(stopped.pid, SIGSTOP);
	window = failures_open_window(&healthy, &producer);
	runner_sleep_ms(800);
	failures_close_window(&window);

	/* It goes on where the others are. */
	window = failures_open_window(&stopped, &producer);
	kill(stopped.pid, SIGCONT);
	RUNNER_AWAIT(&stopped, c->buffers > window.buffers + 10);

	kill(stopped.pid, SIGSTOP);
	runner_sleep_ms(100);
	runner_stop(&producer); /* within a second */
	failures_assert_nothing_is_left();
	runner_stop(&healthy);
	kill(stopped.pid, SIGCONT);
	runner_stop(&stopped);
}

static void a_stopped_reader_of_every_frame_is_waited_for_once_and_then_no_more(void **state)
{
	struct runner producer, healthy, stopped;
	struct failures_window window;
	uint64_t skipped;

	/* The camera's frames of 200 ms come at once afterwards. */
	runner_start(&producer, NULL, SOURCE " ! weirsink name=p socket-path=%s slots=36 stall-timeout=200000000",
		failures_path);
	runner_start(
		&healthy, NULL, "weirsrc socket-path=%s max-buffers=24 ! fakesink name=p sync=false", failures_path);
	RUNNER_AWAIT(&healthy, c->buffers > 0);
	runner_start(&stopped, NULL, EVERY, failures_path);
	RUNNER_AWAIT(&stopped, c->buffers > 10);
	skipped = healthy.counters->skipped;
	kill(stopped.pid, SIGSTOP);
	window = failures_open_window(&healthy, &producer);
	runner_sleep_ms(1500);
	failures_close_window(&window);
	assert_true(healthy.counters->skipped <= skipped + 2);
	kill(stopped.pid, SIGCONT);
	window = failures_open_window(&stopped, &producer);
	RUNNER_AWAIT(&stopped, c->buffers > window.buffers + 10);
	assert_true(stopped.counters->skipped > 0);
	runner_stop(&producer);
	runner_stop(&healthy);
	runner_stop(&stopped);
	failures_assert_nothing_is_left();
}

static void a_killed_reader_costs_nobody_a_frame(void **state)
{
	struct runner producer, healthy, killed;
	struct failures_window window;

	failures_start_two(&producer, &healthy, "");
	window = failures_open_window(&healthy, &producer);
	for (int i = 0; i < 4; i++) {
		runner_start(&killed, NULL, i % 2 == 0 ? READER : EVERY, failures_path);
		RUNNER_AWAIT(&killed, c->buffers > 5);
		runner_kill(&killed);
	}
	failures_close_window(&window);
	runner_stop(&healthy);
	runner_stop(&producer);
	failures_assert_nothing_is_left();
}

/* With upstream's own pool: this is where shmsink stands still for ever. */
static void a_slow_reader_costs_nobody_a_frame_and_later_readers_are_served(void **state)
{
	struct runner producer, healthy, slow, later;
	struct failures_window window;

	failures_start_two(&producer, &healthy, "");
	runner_start(&slow, NULL, "weirsrc socket-path=%s ! identity sleep-time=200000 ! fakesink name=p sync=false",
		failures_path);
	RUNNER_AWAIT(&slow, c->buffers > 1);
	window = failures_open_window(&healthy, &producer);
	runner_sleep_ms(800);
	failures_close_window(&window);
	assert_true(slow.counters->skipped > 10);
	runner_kill(&slow);
	runner_start(&later, NULL, HEALTHY, failures_path);
	RUNNER_AWAIT(&later, c->buffers > 0);
	window = failures_open_window(&later, &producer);
	runner_sleep_ms(500);
	failures_close_window(&window);
	runner_stop(&healthy);
	runner_stop(&later);
	runner_stop(&producer);
	failures_assert_nothing_is_left();
}

static int connect_raw(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, failures_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void a_hostile_reader_costs_nobody_a_frame(void **state)
{
	struct runner producer, healthy;
	struct failures_window window;
	char garbage[4096];
	int fd[8];

	failures_start_two(&producer, &healthy, "");
	window = failures_open_window(&healthy, &producer);
	for (int i = 0; i < 8; i++) {
		fd[i] = connect_raw();
		memset(garbage, i, sizeof(garbage));
		memcpy(garbage, "WEIR", 4);
		/* Half a message, none, a wrong one many times over; nobody reads what is answered. */
		for (int k = 0; k < (i % 3) * 1000; k++)
			send(fd[i], garbage, i == 2 ? 3 : sizeof(garbage), MSG_NOSIGNAL);
	}
	runner_sleep_ms(800);
	failures_close_window(&window);
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	runner_stop(&healthy);
	runner_stop(&producer);
	failures_assert_nothing_is_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			a_stopped_reader_costs_nobody_a_frame_and_does_not_hold_up_the_end, failures_clean_up),
		cmocka_unit_test_teardown(
			a_stopped_reader_of_every_frame_is_waited_for_once_and_then_no_more, failures_clean_up),
		cmocka_unit_test_teardown(a_killed_reader_costs_nobody_a_frame, failures_clean_up),
		cmocka_unit_test_teardown(
			a_slow_reader_costs_nobody_a_frame_and_later_readers_are_served, failures_clean_up),
		cmocka_unit_test_teardown(a_hostile_reader_costs_nobody_a_frame, failures_clean_up),
	};

	return cmocka_run_group_tests(tests, failures_setup, failures_teardown);
}
