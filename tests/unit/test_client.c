/* SPDX-License-Identifier: MIT */
/* Servers that do not keep to the rules, as their clients see them. */
#include "socket_fixture.h"

#include <sys/mman.h>

#include "handover.h"
#include "ring.h"

static void connecting_to_nobody_says_so(void **state)
{
	struct weir_client_config config = { .path = path };
	struct weir_client *client;

	assert_int_equal(weir_client_connect(&client, &config, in_ms(1000)), -ENOENT);
	config.path = NULL;
	assert_int_equal(weir_client_connect(&client, &config, in_ms(1000)), -EINVAL);
}

static void a_ring_that_its_server_could_shrink_is_refused(void **state)
{
	struct weir_ring_config config = config_16;
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server;
	struct fixture f;
	pid_t pid;

	config.untrusted = false;
	config.backing = WEIR_BACKING_POSIX;
	fixture_open(&f, &config);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	weir_server_set_ring(server, f.ring);
	pid = start_connect((struct weir_policy){ .mode = WEIR_POLICY_LATEST }, false);
	SERVE_UNTIL(server, stats_of(server).accepted == 1);
	assert_int_equal(result_of(pid), -EPROTO);
	weir_server_free(&server);
	fixture_close(&f);
}

static int start_listening(int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void stop_listening(int fd)
{
	close(fd);
	assert_int_equal(unlink(path), 0);
}

/* What a client makes of this message. Takes over the descriptors. */
static int result_of_message(uint32_t type, int status, struct weir_ring_fds *fds, bool observe)
{
	struct handover message = { .type = type, .status = status };
	int listener = start_listening(4), fd;
	pid_t pid = start_connect(LATEST, observe);

	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(handover_send(fd, &message, fds), 0);
	if (fds != NULL)
		weir_ring_fds_close(fds);
	close(fd);
	stop_listening(listener);
	return result_of(pid);
}

static void what_is_no_answer_is_a_breach_of_the_rules(void **state)
{
	struct weir_ring_fds none = { .role = RING_ROLE_READER, .count = RING_FD_ENDS };
	int listener = start_listening(4);
	pid_t pid = start_connect(LATEST, false);

	close(accept4(listener, NULL, NULL, SOCK_CLOEXEC)); /* hung up at once */
	stop_listening(listener);
	assert_int_equal(result_of(pid), -EPIPE);
	for (uint32_t i = 0; i < none.count; i++)
		none.fd[i] = -1;
	assert_int_equal(result_of_message(HANDOVER_REFUSE, -ENOSPC, NULL, false), -ENOSPC);
	assert_int_equal(result_of_message(HANDOVER_REFUSE, 0, NULL, false), -EPROTO);
	assert_int_equal(result_of_message(HANDOVER_REFUSE, 5, NULL, false), -EPROTO);
	assert_int_equal(result_of_message(HANDOVER_REFUSE, -EAGAIN, NULL, false), -EIO);
	assert_int_equal(result_of_message(HANDOVER_HELLO, 0, NULL, false), -EPROTO);
	assert_int_equal(result_of_message(HANDOVER_RING, 0, NULL, false), -EPROTO);
	assert_int_equal(result_of_message(HANDOVER_RING, 0, &none, false), -EPROTO);
}

static struct weir_ring_fds reader_fds(struct fixture *f)
{
	struct weir_ring_fds fds;

	assert_int_equal(weir_ring_reader_fds(f->ring, f->end[0], &fds), 0);
	return fds;
}

static void a_ring_that_could_harm_its_client_is_refused(void **state)
{
	const uint32_t sealed[] = { RING_FD_DATA, RING_FD_HEAD, RING_FD_REQUEST, RING_FD_ENDS + RING_END_FD_END };
	struct weir_ring_config config = config_16;
	struct weir_ring_fds fds;
	struct fixture f;

	fixture_open(&f, &config_16);
	fixture_join(&f, LATEST);
	fds = reader_fds(&f);
	assert_int_equal(result_of_message(HANDOVER_RING, 0, &fds, false), 0);
	fds = reader_fds(&f);
	assert_int_equal(result_of_message(HANDOVER_RING, 0, &fds, true), -EPROTO);
	assert_int_equal(weir_ring_observer_fds(f.ring, &fds), 0);
	assert_int_equal(result_of_message(HANDOVER_RING, 0, &fds, false), -EPROTO);
	for (size_t i = 0; i < sizeof(sealed) / sizeof(sealed[0]); i++) {
		int fd = memfd_create("weir", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		fds = reader_fds(&f);
		assert_int_equal(ftruncate(fd, 1 << 20), 0);
		assert_int_equal(dup3(fd, fds.fd[sealed[i]], O_CLOEXEC), fds.fd[sealed[i]]);
		close(fd);
		assert_int_equal(result_of_message(HANDOVER_RING, 0, &fds, false), -EPROTO);
	}
	fixture_close(&f);

	config.untrusted = false; /* it has semaphores, and an eventfd that all share */
	config.backing = WEIR_BACKING_SEALED;
	fixture_open(&f, &config);
	fixture_join(&f, LATEST);
	fds = reader_fds(&f);
	assert_int_equal(result_of_message(HANDOVER_RING, 0, &fds, false), -EPROTO);
	fds = reader_fds(&f);
	close(fds.fd[RING_FD_SPACE]);
	fds.fd[RING_FD_SPACE] = -1;
	assert_int_equal(result_of_message(HANDOVER_RING, 0, &fds, false), -EPROTO);
	fixture_close(&f);
}

static void a_server_without_time_is_waited_for_until_the_deadline(void **state)
{
	struct weir_client_config config = { .path = path };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct weir_client *client = NULL;
	int listener = start_listening(0), fd[8];

	assert_int_equal(weir_client_connect(&client, &config, in_ms(50)), -ETIMEDOUT); /* it says nothing */
	strcpy(address.sun_path, path);
	for (int i = 0; i < 8; i++) {
		fd[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fd[i], (struct sockaddr *)&address, sizeof(address)) < 0)
			assert_int_equal(errno, EAGAIN);
	}
	assert_int_equal(weir_client_connect(&client, &config, in_ms(50)), -ETIMEDOUT); /* its backlog is full */
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	assert_null(client);
	stop_listening(listener);
}

static void announce_back(int listener, struct weir_ring *ring, int told)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	for (int i = 0; i < 60; i++) {
		struct handover message = { .type = HANDOVER_RING };
		struct weir_ring_fds fds;

		if (weir_ring_observer_fds(ring, &fds) < 0 || handover_send(fd, &message, &fds) < 0)
			_exit(1);
		weir_ring_fds_close(&fds);
	}
	if (write(told, "t", 1) < 0)
		_exit(1);
	for (;;)
		pause();
}

static void a_flood_of_announcements_holds_nobody_up(void **state)
{
	struct weir_client_config config = { .path = path, .observe = true };
	int listener = start_listening(4), told[2];
	struct weir_ring *observer = NULL;
	struct weir_client *client;
	struct fixture f;
	char byte;
	pid_t pid;

	fixture_open(&f, &config_16);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		announce_back(listener, f.ring, told[1]);
	}
	assert_int_equal(weir_client_connect(&client, &config, in_ms(5000)), 0);
	assert_int_equal(weir_client_server_pid(client), getpid()); /* who made the listener */
	assert_int_equal(read(told[0], &byte, 1), 1);
	assert_int_equal(weir_client_dispatch(client), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = weir_client_fd(client), .events = POLLIN }, 1, 0), 1);
	assert_int_equal(weir_client_take_observer(client, &observer), 0);
	weir_ring_free(&observer);
	assert_int_equal(weir_client_take_observer(client, &observer), -EAGAIN);
	end_peer(pid, told);
	weir_client_free(&client);
	stop_listening(listener);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connecting_to_nobody_says_so),
		cmocka_unit_test(a_ring_that_its_server_could_shrink_is_refused),
		cmocka_unit_test(what_is_no_answer_is_a_breach_of_the_rules),
		cmocka_unit_test(a_ring_that_could_harm_its_client_is_refused),
		cmocka_unit_test(a_server_without_time_is_waited_for_until_the_deadline),
		cmocka_unit_test(a_flood_of_announcements_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
