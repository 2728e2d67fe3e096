/* SPDX-License-Identifier: MIT */
/* What breaks shmsink, shmsrc, unixfdsink and unixfdsrc, done to weirsink and weirsrc in processes of their own: one
 * producer, a healthy reader that has to keep its frames, and one that misbehaves. */
#include "runner.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RATE   60
#define SOURCE "videotestsrc is-live=true pattern=black ! video/x-raw,format=NV12,width=640,height=360,framerate=60/1"
#define READER "weirsrc socket-path=%s ! fakesink name=p sync=false"
/* It must not lose frames because the machine is busy with other tests: a quarter of a second of patience. */
#define HEALTHY "weirsrc socket-path=%s max-buffers=16 ! fakesink name=p sync=false"
#define EVERY	"weirsrc socket-path=%s leaky-type=none max-buffers=8 ! fakesink name=p sync=false"

static char folder[] = "/tmp/weir-failures-XXXXXX";
static char path[64];

static int setup(void **state)
{
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/cam0", folder);
	return 0;
}

static int teardown(void **state)
{
	return rmdir(folder);
}

static int clean_up(void **state)
{
	runner_clean_up(state);
	unlink(path);
	return 0;
}

static int count_shm(void)
{
	DIR *directory = opendir("/dev/shm");
	struct dirent *entry;
	int count = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL)
		count += strstr(entry->d_name, "weir") != NULL;
	if (directory != NULL)
		closedir(directory);
	return count;
}

static void assert_nothing_is_left(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(count_shm(), 0);
}

/* A window in which the healthy reader must get at least 99 of 100 frames, of a producer that is not held up. */
struct window {
	const struct runner_counters *reader, *producer;
	uint64_t buffers, skipped, produced;
	int64_t start_ns;
};

static struct window open_window(const struct runner *reader, const struct runner *producer)
{
	return (struct window){
		.reader = reader->counters,
		.producer = producer->counters,
		.buffers = reader->counters->buffers,
		.skipped = reader->counters->skipped,
		.produced = producer->counters->buffers,
		.start_ns = runner_now_ns(),
	};
}

static void close_window(const struct window *window)
{
	double seconds = (double)(runner_now_ns() - window->start_ns) / 1e9;
	uint64_t buffers = window->reader->buffers - window->buffers;
	uint64_t skipped = window->reader->skipped - window->skipped;
	uint64_t produced = window->producer->buffers - window->produced;

	if (getenv("RUNNER_VERBOSE") != NULL)
		fprintf(stderr, "# %.2f s: %u produced, %u read, %u skipped\n", seconds, (unsigned)produced,
			(unsigned)buffers, (unsigned)skipped);
	/* A busy machine may be late, but a producer that somebody blocks stands still. */
	assert_true((double)produced >= seconds * RATE * 0.7);
	assert_true((double)buffers >= 0.99 * (double)(buffers + skipped));
	assert_true(buffers + 5 >= produced * 99 / 100);
}

static void start_two(struct runner *producer, struct runner *healthy, const char *sink_properties)
{
	runner_start(producer, NULL, SOURCE " ! weirsink name=p socket-path=%s %s", path, sink_properties);
	RUNNER_AWAIT(producer, c->buffers > 0);
	runner_start(healthy, NULL, HEALTHY, path);
	RUNNER_AWAIT(healthy, c->buffers > 0);
}

/* --- readers ---------------------------------------------------------------------------------------------------- */

static void a_stopped_reader_costs_nobody_a_frame_and_does_not_hold_up_the_end(void **state)
{
	struct runner producer, healthy, stopped;
	struct window window;

	start_two(&producer, &healthy, "");
	runner_start(&stopped, NULL, READER, path);
	RUNNER_AWAIT(&stopped, c->buffers > 10);
	kill(stopped.pid, SIGSTOP);
	window = open_window(&healthy, &producer);
	runner_sleep_ms(800);
	close_window(&window);

	/* It goes on where the others are. */
	window = open_window(&stopped, &producer);
	kill(stopped.pid, SIGCONT);
	RUNNER_AWAIT(&stopped, c->buffers > window.buffers + 10);

	kill(stopped.pid, SIGSTOP);
	runner_sleep_ms(100);
	runner_stop(&producer); /* within a second */
	assert_nothing_is_left();
	runner_stop(&healthy);
	kill(stopped.pid, SIGCONT);
	runner_stop(&stopped);
}

static void a_stopped_reader_of_every_frame_is_waited_for_once_and_then_no_more(void **state)
{
	struct runner producer, healthy, stopped;
	struct window window;
	uint64_t skipped;

	/* The camera's frames of 200 ms come at once afterwards. */
	runner_start(
		&producer, NULL, SOURCE " ! weirsink name=p socket-path=%s slots=36 stall-timeout=200000000", path);
	runner_start(&healthy, NULL, "weirsrc socket-path=%s max-buffers=24 ! fakesink name=p sync=false", path);
	RUNNER_AWAIT(&healthy, c->buffers > 0);
	runner_start(&stopped, NULL, EVERY, path);
	RUNNER_AWAIT(&stopped, c->buffers > 10);
	skipped = healthy.counters->skipped;
	kill(stopped.pid, SIGSTOP);
	window = open_window(&healthy, &producer);
	runner_sleep_ms(1500);
	close_window(&window);
	assert_true(healthy.counters->skipped <= skipped + 2);
	kill(stopped.pid, SIGCONT);
	window = open_window(&stopped, &producer);
	RUNNER_AWAIT(&stopped, c->buffers > window.buffers + 10);
	assert_true(stopped.counters->skipped > 0);
	runner_stop(&producer);
	runner_stop(&healthy);
	runner_stop(&stopped);
	assert_nothing_is_left();
}

static void a_killed_reader_costs_nobody_a_frame(void **state)
{
	struct runner producer, healthy, killed;
	struct window window;

	start_two(&producer, &healthy, "");
	window = open_window(&healthy, &producer);
	for (int i = 0; i < 4; i++) {
		runner_start(&killed, NULL, i % 2 == 0 ? READER : EVERY, path);
		RUNNER_AWAIT(&killed, c->buffers > 5);
		runner_kill(&killed);
	}
	close_window(&window);
	runner_stop(&healthy);
	runner_stop(&producer);
	assert_nothing_is_left();
}

/* With upstream's own pool: this is where shmsink stands still for ever. */
static void a_slow_reader_costs_nobody_a_frame_and_later_readers_are_served(void **state)
{
	struct runner producer, healthy, slow, later;
	struct window window;

	start_two(&producer, &healthy, "");
	runner_start(
		&slow, NULL, "weirsrc socket-path=%s ! identity sleep-time=200000 ! fakesink name=p sync=false", path);
	RUNNER_AWAIT(&slow, c->buffers > 1);
	window = open_window(&healthy, &producer);
	runner_sleep_ms(800);
	close_window(&window);
	assert_true(slow.counters->skipped > 10);
	runner_kill(&slow);
	runner_start(&later, NULL, HEALTHY, path);
	RUNNER_AWAIT(&later, c->buffers > 0);
	window = open_window(&later, &producer);
	runner_sleep_ms(500);
	close_window(&window);
	runner_stop(&healthy);
	runner_stop(&later);
	runner_stop(&producer);
	assert_nothing_is_left();
}

static int connect_raw(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void a_hostile_reader_costs_nobody_a_frame(void **state)
{
	struct runner producer, healthy;
	struct window window;
	char garbage[4096];
	int fd[8];

	start_two(&producer, &healthy, "");
	window = open_window(&healthy, &producer);
	for (int i = 0; i < 8; i++) {
		fd[i] = connect_raw();
		memset(garbage, i, sizeof(garbage));
		memcpy(garbage, "WEIR", 4);
		/* Half a message, none, a wrong one many times over; nobody reads what is answered. */
		for (int k = 0; k < (i % 3) * 1000; k++)
			send(fd[i], garbage, i == 2 ? 3 : sizeof(garbage), MSG_NOSIGNAL);
	}
	runner_sleep_ms(800);
	close_window(&window);
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	runner_stop(&healthy);
	runner_stop(&producer);
	assert_nothing_is_left();
}

/* --- producers -------------------------------------------------------------------------------------------------- */

static void a_killed_producer_comes_back_under_its_path_and_its_readers_go_on(void **state)
{
	struct runner producer, healthy;
	struct window window;
	uint64_t disconts;

	start_two(&producer, &healthy, "");
	for (int i = 0; i < 3; i++) {
		runner_kill(&producer);
		assert_int_equal(count_shm(), 0);
		disconts = healthy.counters->disconts;
		runner_start(&producer, NULL, SOURCE " ! weirsink name=p socket-path=%s", path);
		RUNNER_AWAIT(&healthy, c->disconts > disconts);
	}
	RUNNER_AWAIT(&producer, c->buffers > 10);
	window = open_window(&healthy, &producer);
	runner_sleep_ms(500);
	close_window(&window);
	/* Still on this pipeline's clock. */
	assert_true(healthy.counters->lag_ns > -1000000000 && healthy.counters->lag_ns < 1000000000);
	assert_int_equal(healthy.counters->failed, 0);
	runner_stop(&healthy);
	runner_stop(&producer);
	assert_nothing_is_left();
}

static void a_second_producer_under_a_live_path_is_told_whose_it_is(void **state)
{
	struct runner producer, healthy, second;
	char expected[64];

	start_two(&producer, &healthy, "");
	runner_start(&second, NULL, SOURCE " ! weirsink name=p socket-path=%s", path);
	RUNNER_AWAIT(&second, c->failed);
	snprintf(expected, sizeof(expected), "served by process %d", (int)producer.pid);
	assert_non_null(strstr(second.counters->error, expected));
	runner_kill(&second);
	runner_stop(&healthy);
	runner_stop(&producer);
	assert_nothing_is_left();
}

static void readers_wait_for_a_producer_that_is_not_there_yet(void **state)
{
	struct runner producer, early, impatient;

	runner_start(&early, NULL, READER, path);
	runner_start(&impatient, NULL, "weirsrc socket-path=%s reconnect=false ! fakesink", path);
	RUNNER_AWAIT(&impatient, c->failed);
	assert_non_null(strstr(impatient.counters->error, "start a weirsink"));
	runner_kill(&impatient);
	runner_start(&producer, NULL, SOURCE " ! weirsink name=p socket-path=%s", path);
	RUNNER_AWAIT(&early, c->buffers > 10);
	runner_stop(&producer);
	runner_stop(&early); /* while it waits again */
	assert_nothing_is_left();
}

/* shmsink locks itself up here, and never gets to NULL. */
static void a_change_of_caps_passes(void **state)
{
	struct runner producer, reader;

	runner_start(&reader, NULL,
		"weirsrc socket-path=%s leaky-type=none is-live=false ! videoconvert ! fakesink name=p sync=false",
		path);
	runner_start(&producer, NULL,
		"videotestsrc num-buffers=30 ! video/x-raw,width=640,height=360 ! concat name=c videotestsrc "
		"num-buffers=30 ! video/x-raw,width=320,height=180 ! c. c. ! weirsink name=p socket-path=%s "
		"sync=false wait-for-connection=true enable-last-sample=true",
		path);
	RUNNER_AWAIT(&reader, c->eos);
	assert_int_equal(reader.counters->buffers, 60);
	assert_int_equal(reader.counters->caps, 2);
	runner_join(&reader);
	runner_join(&producer);
	assert_nothing_is_left();
}

/* shmsink and shmsrc lock each other up here within a second. */
static void many_small_buffers_pass_to_two_readers(void **state)
{
	struct runner producer, reader[2];

	for (int i = 0; i < 2; i++)
		runner_start(&reader[i], NULL,
			"weirsrc socket-path=%s leaky-type=none max-buffers=16 ! fakesink name=p sync=false", path);
	runner_start(&producer, NULL,
		"fakesrc sizetype=fixed sizemax=1024 filltype=nothing ! weirsink name=p socket-path=%s sync=false",
		path);
	for (int i = 0; i < 2; i++) {
		RUNNER_AWAIT(&reader[i], c->buffers > 50000);
		assert_int_equal(reader[i].counters->disconts, 1);
		runner_stop(&reader[i]);
	}
	runner_stop(&producer);
	assert_nothing_is_left();
}

/* The reader's sink keeps the last buffer; shmsink waits for it for ever. */
static void the_end_of_the_stream_crosses_and_the_producer_ends(void **state)
{
	struct runner producer, reader;

	runner_start(&reader, NULL,
		"weirsrc socket-path=%s leaky-type=none ! fakesink name=p sync=false enable-last-sample=true", path);
	runner_start(&producer, NULL,
		"videotestsrc num-buffers=50 ! weirsink name=p socket-path=%s sync=false wait-for-connection=true",
		path);
	RUNNER_AWAIT(&producer, c->eos);
	RUNNER_AWAIT(&reader, c->eos);
	assert_int_equal(reader.counters->buffers, 50);
	runner_join(&producer);
	runner_join(&reader);
	assert_nothing_is_left();
}

static void a_small_shared_memory_file_system_is_no_matter(void **state)
{
	struct runner producer, reader;

	runner_start(&producer, "exec unshare -m sh -c 'mount -t tmpfs -o size=1M tmpfs /dev/shm && exec \"$@\"' sh",
		"videotestsrc is-live=true ! video/x-raw,format=NV12,width=1920,height=1080,framerate=20/1 ! "
		"weirsink name=p socket-path=%s",
		path);
	runner_start(&reader, NULL, READER, path);
	RUNNER_AWAIT(&reader, c->buffers > 20);
	runner_stop(&reader);
	runner_stop(&producer);
	assert_nothing_is_left();
}

static void caps_and_times_need_no_typing(void **state)
{
	struct runner producer, reader;

	runner_start(&producer, NULL, SOURCE " ! weirsink name=p socket-path=%s", path);
	RUNNER_AWAIT(&producer, c->buffers > 60);
	runner_start(&reader, NULL,
		"weirsrc socket-path=%s ! videoconvert ! video/x-raw,format=RGB ! fakesink name=p "
		"sync=true",
		path);
	RUNNER_AWAIT(&reader, c->buffers > 60);
	/* Played in time by a pipeline that began a second later. */
	assert_true(reader.counters->lag_ns > -1000000000 && reader.counters->lag_ns < 1000000000);
	assert_int_equal(reader.counters->bytes, reader.counters->buffers * 640 * 360 * 3);
	runner_stop(&reader);
	runner_stop(&producer);
	assert_nothing_is_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_stopped_reader_costs_nobody_a_frame_and_does_not_hold_up_the_end, clean_up),
		cmocka_unit_test_teardown(
			a_stopped_reader_of_every_frame_is_waited_for_once_and_then_no_more, clean_up),
		cmocka_unit_test_teardown(a_killed_reader_costs_nobody_a_frame, clean_up),
		cmocka_unit_test_teardown(a_slow_reader_costs_nobody_a_frame_and_later_readers_are_served, clean_up),
		cmocka_unit_test_teardown(a_hostile_reader_costs_nobody_a_frame, clean_up),
		cmocka_unit_test_teardown(a_killed_producer_comes_back_under_its_path_and_its_readers_go_on, clean_up),
		cmocka_unit_test_teardown(a_second_producer_under_a_live_path_is_told_whose_it_is, clean_up),
		cmocka_unit_test_teardown(readers_wait_for_a_producer_that_is_not_there_yet, clean_up),
		cmocka_unit_test_teardown(a_change_of_caps_passes, clean_up),
		cmocka_unit_test_teardown(many_small_buffers_pass_to_two_readers, clean_up),
		cmocka_unit_test_teardown(the_end_of_the_stream_crosses_and_the_producer_ends, clean_up),
		cmocka_unit_test_teardown(a_small_shared_memory_file_system_is_no_matter, clean_up),
		cmocka_unit_test_teardown(caps_and_times_need_no_typing, clean_up),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
