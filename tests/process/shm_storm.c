/* SPDX-License-Identifier: MIT */
/* A storm: a writer and four readers are killed and stopped at random while frames pass; the supervisor replaces the
 * dead. The schedule depends on the seed alone: --seconds N --seed S repeats it. */
#include "shm_storm.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define WRITER	   STORM_READERS /* its number among the processes */
#define PROCESSES  (STORM_READERS + 1)
#define RINGS_KEPT 32

/* A generation and who was attached to it by which attachment; 0: nobody. */
struct generation {
	struct weir_ring *ring;
	uint64_t number;
	uint32_t attachment[STORM_READERS];
};

struct process {
	pid_t pid;
	int pidfd, socket;
	int64_t killed_ns, continue_ns; /* 0: it is not (being killed | stopped) */
};

static struct generation now, spare, old[RINGS_KEPT];
static uint32_t attachment_count, writer_kills, reader_kills;
static struct process process[PROCESSES];
static uint32_t lossless_short;
static uint64_t seed, generations;
static unsigned seconds;

/* --- children ------------------------------------------------------------------------------------------------------
 */

static void start_reader(uint32_t which)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	process[which].pid = harness_fork();
	if (process[which].pid == 0)
		storm_reader_back(storm_board, which, pair[1]);
	close(pair[1]);
	process[which].socket = pair[0];
	process[which].pidfd = (int)syscall(SYS_pidfd_open, process[which].pid, 0);
	assert_true(process[which].pidfd >= 0);
}

static void start_writer(void)
{
	struct weir_ring_fds fds;

	assert_int_equal(weir_ring_writer_fds(now.ring, &fds), 0);
	process[WRITER].pid = harness_fork();
	if (process[WRITER].pid == 0)
		storm_writer_back(&fds);
	weir_ring_fds_close(&fds);
	process[WRITER].pidfd = (int)syscall(SYS_pidfd_open, process[WRITER].pid, 0);
	assert_true(process[WRITER].pidfd >= 0);
}

static void end_stop(uint32_t who)
{
	uint32_t i = storm_stop_count;

	process[who].continue_ns = 0;
	while (i > 0 && storm_stops[i - 1].who != who)
		i--;
	storm_stops[i - 1].to_ns = harness_now_ns();
}

static void reap_process(uint32_t who)
{
	int status = harness_wait(process[who].pid);

	if (process[who].killed_ns == 0)
		fail_msg("process %u ended by itself: status %x", who, status);
	close(process[who].pidfd);
	if (who != WRITER)
		close(process[who].socket);
	if (process[who].continue_ns != 0)
		end_stop(who);
	process[who] = (struct process){ .pidfd = -1 };
}

/* --- rings ---------------------------------------------------------------------------------------------------------
 */

static void prepare_spare(void)
{
	struct weir_ring_config config = harness_config(20, generations % 2);

	config.generation = spare.number = ++generations;
	assert_int_equal(weir_ring_create(&spare.ring, &config), 0);
}

/* Asks for a reader to be attached to the present ring. */
static void attach(uint32_t which, int64_t cause_ns)
{
	struct storm_attachment *made = &storm_attachments[attachment_count + 1];
	int r = weir_ring_attach(now.ring, &storm_readers[which].policy, &made->end);

	if (r == -EBUSY)
		return; /* every end waits for its acknowledgement: at the next turn */
	assert_int_equal(r, 0);
	assert_true(attachment_count + 2 < STORM_ATTACHMENTS_MAX);
	made->reader = which;
	made->cause_ns = cause_ns;
	now.attachment[which] = ++attachment_count;
}

/* Sends what a reader was attached to; a sealed ring can be handed out once its writer has sealed it. */
static void send_attachment(uint32_t which)
{
	struct storm_attachment *own = &storm_attachments[now.attachment[which]];
	struct weir_ring_fds fds;
	int r;

	if (now.attachment[which] == 0 || own->is_sent || process[which].pid == 0)
		return;
	r = weir_ring_reader_fds(now.ring, own->end, &fds);
	if (r == -EAGAIN)
		return;
	assert_int_equal(r, 0);
	own->is_sent = storm_send(process[which].socket, now.attachment[which], &fds);
	weir_ring_fds_close(&fds);
}

/* The last look at an attachment. A lossless reader that saw the writer's end must have had every frame. */
static void conclude(struct generation *generation, uint32_t which, bool drained)
{
	struct storm_attachment *own = &storm_attachments[generation->attachment[which]];
	struct weir_ring_stats stats;
	struct weir_end_stats end;

	generation->attachment[which] = 0;
	own->is_over = true;
	assert_int_equal(weir_ring_end_stats(generation->ring, own->end, &end), 0);
	own->is_stalled = end.stalled;
	weir_ring_stats(generation->ring, &stats);
	if (drained && end.attached && !end.stalled && stats.published >= end.start &&
		storm_readers[which].policy.mode == WEIR_POLICY_LOSSLESS &&
		(end.last != stats.published || end.overtaken != 0)) {
		print_message("# generation %ju, %s: had %ju of %ju frames\n", (uintmax_t)generation->number,
			storm_readers[which].name, (uintmax_t)end.last, (uintmax_t)stats.published);
		lossless_short++;
	}
	assert_int_equal(weir_ring_reap(generation->ring, own->end), 0);
}

static bool has_left(const struct generation *generation, uint32_t which)
{
	struct weir_end_stats end;

	return weir_ring_end_stats(generation->ring, storm_attachments[generation->attachment[which]].end, &end) == 0 &&
	       end.left;
}

static void retire_old(void)
{
	for (int i = 0; i < RINGS_KEPT; i++) {
		bool in_use = false;

		if (old[i].ring == NULL)
			continue;
		for (uint32_t k = 0; k < STORM_READERS; k++) {
			if (old[i].attachment[k] != 0 && has_left(&old[i], k))
				conclude(&old[i], k, true);
			in_use = in_use || old[i].attachment[k] != 0;
		}
		if (!in_use)
			weir_ring_free(&old[i].ring);
	}
}

static void next_generation(int64_t cause_ns)
{
	int i = 0;

	weir_ring_writer_gone(now.ring);
	while (i < RINGS_KEPT && old[i].ring != NULL)
		i++;
	assert_true(i < RINGS_KEPT);
	old[i] = now;
	for (uint32_t k = 0; k < STORM_READERS; k++)
		if (now.attachment[k] != 0 && !storm_attachments[now.attachment[k]].is_sent)
			conclude(&old[i], k, false);
	now = spare;
	for (uint32_t k = 0; k < STORM_READERS; k++)
		attach(k, cause_ns);
	start_writer();
	prepare_spare();
}

static void replace_reader(uint32_t which, int64_t cause_ns)
{
	for (int i = 0; i < RINGS_KEPT; i++)
		if (old[i].ring != NULL && old[i].attachment[which] != 0)
			conclude(&old[i], which, false);
	if (now.attachment[which] != 0)
		conclude(&now, which, false);
	start_reader(which);
	attach(which, cause_ns);
}

/* --- the storm -----------------------------------------------------------------------------------------------------
 */

struct event {
	int64_t at_ns, stop_ns; /* after the beginning; stop_ns 0: kill */
	uint32_t who;
};

static int64_t between(uint64_t *state, int64_t least_ms, int64_t most_ms)
{
	return (least_ms * 1000 + (int64_t)(harness_random(state) % (uint64_t)((most_ms - least_ms) * 1000))) * 1000;
}

static struct event next_event(uint64_t *state, int64_t last_ns)
{
	struct event event = { .at_ns = last_ns + between(state, 5, 45) };
	uint64_t dice = harness_random(state) % 100;

	event.who = dice % 4 == 0 ? WRITER : (uint32_t)(harness_random(state) % STORM_READERS);
	if (dice >= 60)
		event.stop_ns = dice >= 96 ? between(state, 100, 250) : between(state, 1, 40);
	return event;
}

static void strike(const struct event *event)
{
	struct process *victim = &process[event->who];
	int64_t now_ns = harness_now_ns();

	if (victim->pid == 0 || victim->killed_ns != 0)
		return;
	if (event->stop_ns == 0) {
		victim->killed_ns = now_ns;
		*(event->who == WRITER ? &writer_kills : &reader_kills) += 1;
		kill(victim->pid, SIGKILL);
	} else if (victim->continue_ns == 0 && storm_stop_count < STORM_STOPS_MAX) {
		victim->continue_ns = now_ns + event->stop_ns;
		storm_stops[storm_stop_count].from_ns = now_ns;
		storm_stops[storm_stop_count].to_ns = INT64_MAX;
		storm_stops[storm_stop_count++].who = event->who;
		kill(victim->pid, SIGSTOP);
	}
}

static void let_go_on(void)
{
	int64_t now_ns = harness_now_ns();

	for (uint32_t who = 0; who < PROCESSES; who++) {
		if (process[who].continue_ns == 0 || process[who].continue_ns > now_ns)
			continue;
		kill(process[who].pid, SIGCONT);
		end_stop(who);
	}
}

/* One turn of the supervisor: the dead first, then readers that left or wait for a ring. */
static void turn(int64_t until_ns)
{
	struct pollfd pollfd[PROCESSES];
	int64_t wait_ns = until_ns - harness_now_ns();

	for (uint32_t who = 0; who < PROCESSES; who++)
		pollfd[who] = (struct pollfd){ .fd = process[who].pidfd, .events = POLLIN };
	wait_ns = wait_ns < 0 ? 0 : wait_ns > 1000000 ? 1000000 : wait_ns;
	if (ppoll(pollfd, PROCESSES, &(struct timespec){ .tv_nsec = wait_ns }, NULL) > 0)
		for (uint32_t who = PROCESSES; who-- > 0;) {
			int64_t cause_ns = process[who].killed_ns;

			if ((pollfd[who].revents & POLLIN) == 0)
				continue;
			reap_process(who);
			if (who == WRITER)
				next_generation(cause_ns);
			else
				replace_reader(who, cause_ns);
		}
	for (uint32_t k = 0; k < STORM_READERS; k++) {
		if (now.attachment[k] != 0 && storm_attachments[now.attachment[k]].is_sent && has_left(&now, k))
			conclude(&now, k, false); /* evicted */
		if (now.attachment[k] == 0)
			attach(k, 0);
		send_attachment(k);
	}
	retire_old();
	let_go_on();
}

static void run_storm(void)
{
	int64_t began_ns = harness_now_ns(), end_ns = began_ns + (int64_t)seconds * 1000000000;
	uint64_t state = seed;
	struct event event = next_event(&state, 0);

	while (harness_now_ns() < end_ns) {
		turn(began_ns + event.at_ns);
		if (harness_now_ns() >= began_ns + event.at_ns) {
			strike(&event);
			event = next_event(&state, event.at_ns);
		}
	}
	/* Calm: who still stands must get frames again. */
	for (end_ns += 1000000000; harness_now_ns() < end_ns;)
		turn(end_ns);
}

static void a_storm_of_kills_and_stops_harms_no_frame(void **state)
{
	struct harness_holdings before = harness_holdings(), after;

	print_message("# --seconds %u --seed %ju\n", seconds, (uintmax_t)seed);
	prepare_spare();
	now = spare;
	for (uint32_t k = 0; k < STORM_READERS; k++) {
		start_reader(k);
		attach(k, 0);
	}
	start_writer();
	prepare_spare();
	run_storm();
	for (uint32_t k = 0; k < STORM_READERS; k++)
		if (now.attachment[k] != 0)
			conclude(&now, k, false);
	print_message("# killed: writer %u, readers %u; stopped: %u; attachments: %u\n", writer_kills, reader_kills,
		storm_stop_count, attachment_count);
	for (uint32_t k = 0; k < STORM_READERS; k++)
		storm_check_reader(k);
	assert_int_equal(lossless_short, 0);
	assert_true(writer_kills > 0 && reader_kills > 0 && storm_stop_count > 0);
	storm_report_next_frames(false);
	storm_report_next_frames(true);

	for (uint32_t who = 0; who < PROCESSES; who++) {
		process[who].killed_ns = 1;
		kill(process[who].pid, SIGKILL);
		reap_process(who);
	}
	for (int i = 0; i < RINGS_KEPT; i++)
		weir_ring_free(&old[i].ring);
	weir_ring_free(&now.ring);
	weir_ring_free(&spare.ring);
	after = harness_holdings();
	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.maps, before.maps);
	assert_int_equal(harness_count_names(), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_storm_of_kills_and_stops_harms_no_frame) };

	seconds = (unsigned)harness_option(argc, argv, "--seconds",
		harness_is_long()   ? 60
		: HARNESS_SANITIZED ? 5
				    : 10);
	seed = harness_option(argc, argv, "--seed", (uint64_t)time(NULL));
	harness_bound(seconds + 30);
	storm_board = harness_shared(sizeof(*storm_board));
	return cmocka_run_group_tests_name("shm_storm", tests, NULL, NULL);
}
