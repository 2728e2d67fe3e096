/* SPDX-License-Identifier: MIT */
/* A peer that scribbles at random over everything that it may write, in a ring made for peers that are not trusted. The
 * others must neither crash nor hang nor lose a frame. --seconds N --seed S: for each kind of peer. */
#include "shm_hostile.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

unsigned hostile_run_ms;
uint64_t hostile_seed;
struct hostile_board *hostile_board;

void hostile_note_bad_back(void)
{
	memcpy(hostile_board->why, harness_why, sizeof(harness_why));
	atomic_fetch_add(&hostile_board->bad, 1);
}

void hostile_note_pause_back(_Atomic int64_t *longest_ns, int64_t *last_ns)
{
	int64_t now_ns = harness_now_ns();

	if (*last_ns != 0 && now_ns - *last_ns > *longest_ns)
		*longest_ns = now_ns - *last_ns;
	*last_ns = now_ns;
}

struct weir_ring *hostile_make_ring(void)
{
	struct weir_ring_config config = harness_config(SLOTS, WEIR_BACKING_SEALED);
	struct weir_ring *ring = NULL;

	config.untrusted = true;
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	memset(hostile_board, 0, sizeof(*hostile_board));
	return ring;
}

uint64_t hostile_scribble(uint64_t *state, uint64_t near)
{
	uint64_t value = harness_random(state);

	switch (value >> 60) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return value & 7;
	case 3: return value & 0xffff;
	case 4:
	case 5:
	case 6:
	case 7: return near + (value & 31) - 16;
	case 8: return value | 1;
	default: return value;
	}
}

void hostile_assert_alive(pid_t pid)
{
	int status = 0;

	if (waitpid(pid, &status, WNOHANG) != 0)
		fail_msg("an honest process ended: status %x; %s", status, hostile_board->why);
}

void hostile_abuse_socket_back(int fd, uint64_t round)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	for (int i = 0; i < 1000 && send(fd, "hostile", 7, MSG_DONTWAIT | MSG_NOSIGNAL) > 0; i++)
		;
	if (round > 1000)
		shutdown(fd, round % 3 == 0 ? SHUT_WR : SHUT_RDWR);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_that_scribbles_harms_nobody),
		cmocka_unit_test(a_lossless_reader_that_scribbles_harms_nobody),
		cmocka_unit_test(a_filtering_reader_that_scribbles_harms_nobody),
		cmocka_unit_test(a_writer_that_scribbles_neither_crashes_nor_hangs_anybody),
	};

	hostile_run_ms = (unsigned)harness_option(argc, argv, "--seconds", harness_is_long() ? 20 : 0) * 1000;
	if (hostile_run_ms == 0)
		hostile_run_ms = 1000;
	hostile_seed = harness_option(argc, argv, "--seed", (uint64_t)time(NULL));
	print_message("# --seed %ju\n", (uintmax_t)hostile_seed);
	harness_bound(4 * hostile_run_ms / 1000 + 40);
	hostile_board = harness_shared(sizeof(*hostile_board));
	return cmocka_run_group_tests_name("shm_hostile", tests, NULL, NULL);
}
