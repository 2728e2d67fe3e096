/* SPDX-License-Identifier: MIT */
#include "../holdings.h"
#include "obedient.h"

#include <dlfcn.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Before the C library's: fails so often. */
static int spawns_to_fail;

typedef int (*spawn_fn)(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const env[]);

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const env[])
{
	spawn_fn real;

	if (spawns_to_fail > 0 && spawns_to_fail-- > 0)
		return EAGAIN;
	*(void **)&real = dlsym(RTLD_NEXT, "posix_spawn");
	return real(pid, path, actions, attributes, argv, env);
}

static void terminal_signals_do_not_reach_the_zygote(void **state)
{
	int zygote = 0;

	UNTIL((struct fixture *)*state, (zygote = find_zygote()) != 0);
	assert_int_equal(getpgid(zygote), zygote);
}

static void death_of_the_zygote_hurts_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "bystander");
	int pid = weir_child_pid(child);

	for (int i = 0; i < 3; i++) {
		int zygote = 0;

		UNTIL(fixture, (zygote = find_zygote()) != 0);
		kill(zygote, SIGKILL);
		UNTIL(fixture, is_gone(zygote));
		/* Asked for while there is none. */
		add_running(fixture, "successor");
		assert_int_equal(weir_child_pid(child), pid);
		assert_int_equal(call(child, ORDER_STATUS, 0), 0);
	}
	assert_int_equal(fixture_count(fixture, child, WEIR_CHILD_BACKOFF), 0);
}

static void stopped_zygote_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	int zygote = 0;

	UNTIL(fixture, (zygote = find_zygote()) != 0);
	kill(zygote, SIGSTOP);
	add_running(fixture, "late");
	assert_true(is_gone(zygote));
}

/* Row 7: as often as one likes, as long as each of them works. */
static void zygote_can_die_again_and_again(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *bystander = add_running(fixture, "bystander"), *child = add_running(fixture, "child");
	int pid = weir_child_pid(bystander), times = getenv("WEIR_LONG") != NULL ? 100 : 12;

	for (int i = 0; i < times; i++) {
		int zygote = 0;

		UNTIL(fixture, (zygote = find_zygote()) != 0);
		kill(zygote, SIGKILL);
		weir_child_stop(child);
		fixture_await(fixture, child, WEIR_CHILD_DONE);
		assert_int_equal(weir_child_start(child), 0);
		fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	}
	assert_int_equal(weir_child_pid(bystander), pid);
	assert_int_equal(call(bystander, ORDER_STATUS, 0), 0);
}

/* There was no memory for another one: what happens now and then must not be the end of all restarts. */
static void zygote_that_cannot_be_made_is_made_later(void **state)
{
	struct fixture *fixture = *state;
	int zygote = 0;

	UNTIL(fixture, (zygote = find_zygote()) != 0);
	spawns_to_fail = 2;
	kill(zygote, SIGKILL);
	UNTIL(fixture, spawns_to_fail < 2);
	add_running(fixture, "patient");
	assert_int_equal(spawns_to_fail, 0);
}

static void stopped_zygote_delays_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *child = add_running(fixture, "child"), *waiting;
	int64_t begin_ns;
	int zygote = 0;

	UNTIL(fixture, (zygote = find_zygote()) != 0);
	kill(zygote, SIGSTOP);
	begin_ns = now_ns();
	waiting = fixture_add(fixture, (struct weir_child_config){ .name = "waiting", .backend = "obedient" });
	fixture_run(fixture, SECOND / 20);
	assert_int_equal(weir_child_state(waiting), WEIR_CHILD_STARTING);
	kill(getpid(), SIGTERM);
	UNTIL(fixture, fixture->signal_number == SIGTERM);
	assert_int_equal(call(child, ORDER_STATUS, 0), 0);
	weir_child_stop(waiting);
	fixture_await(fixture, waiting, WEIR_CHILD_DONE);
	assert_true(now_ns() - begin_ns < SECOND);
	/* What it does when it goes on is of no use to anybody, and leaves nothing behind. */
	kill(zygote, SIGCONT);
	assert_int_equal(weir_child_start(waiting), 0);
	fixture_await(fixture, waiting, WEIR_CHILD_RUNNING);
	UNTIL(fixture, count_children() == 3);
}

/* It would run the whole program once more, with nobody to control it. */
static void zygote_whose_frontend_is_dead_becomes_no_frontend(void **state)
{
	int pair[2], status, pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pair[1], 3);
		setenv("WEIR_ZYGOTE", "3:1", 1); /* we are not process 1 */
		alarm(PATIENCE_S);
		execl("/proc/self/exe", "test_zygote", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(pair[0]);
	close(pair[1]);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONTEND(terminal_signals_do_not_reach_the_zygote),
		WITH_FRONTEND(death_of_the_zygote_hurts_nobody),
		WITH_FRONTEND(stopped_zygote_is_replaced),
		WITH_FRONTEND(zygote_can_die_again_and_again),
		WITH_FRONTEND(zygote_that_cannot_be_made_is_made_later),
		WITH_FRONTEND(stopped_zygote_delays_nobody),
		cmocka_unit_test(zygote_whose_frontend_is_dead_becomes_no_frontend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_obedient(run, NULL);
}
