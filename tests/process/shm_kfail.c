/* SPDX-License-Identifier: MIT */
/* Every call for a resource fails once: the k-th of an operation, for all k. The linker hands the calls of shm to us.
 * Each time there must be a clean error, nothing may be left, and the operation must succeed the next time. */
#include "shm_kfail.h"
#include "shm_harness.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <weir/socket.h>

#include "handover.h"

/* --- the operations ------------------------------------------------------------------------------------------------
 */

enum kind { POSIX, SEALED, UNTRUSTED, KINDS };

static const char *const kind_names[] = { "posix", "sealed", "untrusted" };
static char folder[] = "/tmp/weir-kfail-XXXXXX", path[64];
static struct weir_ring *ring;

static struct weir_ring_config config_of(enum kind kind)
{
	struct weir_ring_config config = harness_config(16, kind == POSIX ? WEIR_BACKING_POSIX : WEIR_BACKING_SEALED);

	config.untrusted = kind == UNTRUSTED;
	config.ends = kind == UNTRUSTED ? WEIR_READERS_MAX : 8; /* each is granted once */
	return config;
}

static int do_create(enum kind kind)
{
	struct weir_ring_config config = config_of(kind);
	struct weir_ring *made = NULL;
	int r = weir_ring_create(&made, &config);

	assert_true(r == 0 || made == NULL);
	weir_ring_free(&made);
	return r;
}

/* Opening a writer seals a ring, so each time it is a new one; its creation is not meant here. */
static int do_writer(enum kind kind)
{
	struct weir_ring_config config = config_of(kind);
	struct weir_writer *writer = NULL;
	struct weir_ring *made = NULL;
	struct weir_ring_fds fds = { 0 };
	long at = fails_at;
	int r;

	fails_at = 0;
	assert_int_equal(weir_ring_create(&made, &config), 0);
	fails_at = at;
	r = weir_ring_writer_fds(made, &fds);
	if (r == 0)
		r = weir_writer_open(&writer, &fds);
	assert_true(r == 0 || writer == NULL);
	assert_int_equal(fds.count, 0);
	weir_writer_free(&writer);
	weir_ring_free(&made);
	return r;
}

static int do_reader(enum kind kind)
{
	struct weir_reader *reader = NULL;
	struct weir_ring_fds fds = { 0 };
	int r = weir_ring_reader_fds(ring, 0, &fds);

	if (r == 0)
		r = weir_reader_open(&reader, &fds);
	assert_true(r == 0 || reader == NULL);
	assert_int_equal(fds.count, 0);
	weir_reader_free(&reader);
	return r;
}

static int do_observer(enum kind kind)
{
	struct weir_ring *seen = NULL;
	struct weir_ring_fds fds = { 0 };
	int r = weir_ring_observer_fds(ring, &fds);

	if (r == 0)
		r = weir_ring_observe(&seen, &fds);
	assert_true(r == 0 || seen == NULL);
	assert_int_equal(fds.count, 0);
	weir_ring_free(&seen);
	return r;
}

static int do_server(enum kind kind)
{
	struct weir_server_config config = { .path = path };
	struct weir_server *server = NULL;
	struct stat st;
	int r = weir_server_create(&server, &config, NULL);

	assert_true(r == 0 || server == NULL);
	weir_server_free(&server);
	if (r < 0 && lstat(path, &st) == 0) {
		print_message("# %s fails: the socket file stays\n", failed);
		unlink(path);
		return 1;
	}
	return r;
}

static int do_abstract_server(enum kind kind)
{
	struct weir_server_config config = { .path = "@weir-kfail" };
	struct weir_server *server = NULL;
	int r = weir_server_create(&server, &config, NULL);

	assert_true(r == 0 || server == NULL);
	weir_server_free(&server);
	return r;
}

/* A peer that its server cannot take: what the peer is told. The server goes on. */
static int do_accept(enum kind kind)
{
	struct weir_server_config config = { .path = "@weir-kfail" };
	struct weir_server *server = NULL;
	struct handover message;
	struct sockaddr_un address;
	socklen_t length;
	long at = fails_at;
	int fd, r;

	fails_at = 0;
	assert_int_equal(weir_server_create(&server, &config, NULL), 0);
	assert_int_equal(handover_address(&address, &length, config.path), 0);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
	fails_at = at;
	weir_server_dispatch(server);
	fails_at = 0;
	r = handover_receive(fd, &message, NULL);
	if (r == 0)
		r = message.status;
	else if (at != 0 && failed != NULL && r == -EAGAIN) /* it stays in the queue */
		r = -failed_errno;
	else if (r == -EAGAIN) /* it was taken */
		r = 0;
	weir_server_dispatch(server);
	close(fd);
	weir_server_free(&server);
	return r;
}

static int do_client(enum kind kind)
{
	struct weir_client_config config = { .path = path, .policy = { .mode = WEIR_POLICY_LATEST } };
	int64_t deadline_ns = harness_now_ns() + INT64_C(5000000000);
	struct weir_client *client = NULL;
	struct weir_reader *reader = NULL;
	int r = weir_client_connect(&client, &config, deadline_ns);

	/* The ends of the clients before us are free again once the server has seen that they are dead. */
	while (failed == NULL && (r == -EBUSY || r == -ENOSPC || r == -ECONNREFUSED) &&
		harness_now_ns() < deadline_ns) {
		harness_sleep_ns(1000000);
		calls = 0;
		r = weir_client_connect(&client, &config, deadline_ns);
	}

	if (r == 0)
		r = weir_client_take_reader(client, &reader);
	assert_true(r == 0 || reader == NULL);
	weir_reader_free(&reader);
	weir_client_free(&client);
	return r;
}

/* --- the loop ------------------------------------------------------------------------------------------------------
 */

/* Lets call k fail. False, and harness_why says what: something was wrong. */
static bool fail_call(int (*operation)(enum kind kind), enum kind kind, long k)
{
	struct harness_holdings before = harness_holdings(), after;
	int r;

	calls = 0;
	fails_at = k;
	failed = NULL;
	r = operation(kind);
	fails_at = 0;
	after = harness_holdings();
	if (after.fds != before.fds || after.maps != before.maps)
		return harness_fail("call %ld, %s, fails: %d descriptors and %d mappings are left", k, failed,
			(int)(after.fds - before.fds), (int)(after.maps - before.maps));
	if (failed == NULL)
		return r == 0 || harness_fail("nothing fails, but the result is %d", r);
	if (r != -failed_errno && r != -EPROTO && r != -ENOMEM)
		return harness_fail(
			"call %ld, %s, fails by %s: the result is %d", k, failed, strerror(failed_errno), r);
	r = operation(kind);
	return r == 0 || harness_fail("call %ld, %s, failed: the next time the result is %d", k, failed, r);
}

static void fail_every_call(const char *name, int (*operation)(enum kind kind), enum kind kind)
{
	long k = 0;

	do {
		k++;
		if (!fail_call(operation, kind, k))
			fail_msg("%s, %s: %s", name, kind_names[kind], harness_why);
	} while (failed != NULL);
	print_message("# %s, %s: %ld calls\n", name, kind_names[kind], k - 1);
}

static void open_ring(enum kind kind, struct weir_writer **writer)
{
	struct weir_ring_config config = config_of(kind);
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	uint32_t end;

	assert_int_equal(weir_ring_create(&ring, &config), 0);
	assert_int_equal(weir_ring_attach(ring, &policy, &end), 0);
	assert_true(harness_open_writer(ring, writer));
}

static void a_ring_that_cannot_be_made_leaves_nothing(void **state)
{
	for (enum kind kind = POSIX; kind < KINDS; kind++)
		fail_every_call("create", do_create, kind);
	assert_int_equal(harness_count_names(), 0);
}

static void a_writer_that_cannot_be_opened_leaves_nothing(void **state)
{
	for (enum kind kind = POSIX; kind < KINDS; kind++)
		fail_every_call("writer", do_writer, kind);
}

static void a_reader_that_cannot_be_opened_leaves_nothing(void **state)
{
	for (enum kind kind = POSIX; kind < KINDS; kind++) {
		struct weir_writer *writer = NULL;

		open_ring(kind, &writer);
		fail_every_call("reader", do_reader, kind);
		fail_every_call("observer", do_observer, kind);
		weir_writer_free(&writer);
		weir_ring_free(&ring);
	}
}

static void a_server_that_cannot_listen_leaves_nothing(void **state)
{
	fail_every_call("server", do_server, UNTRUSTED);
	fail_every_call("abstract server", do_abstract_server, UNTRUSTED);
}

static void a_peer_that_cannot_be_taken_is_told_and_leaves_nothing(void **state)
{
	fail_every_call("accept", do_accept, UNTRUSTED);
}

static void serve_back(void)
{
	struct weir_server_config config = { .path = path };
	struct weir_writer *writer = NULL;
	struct weir_server *server = NULL;

	open_ring(UNTRUSTED, &writer);
	if (weir_server_create(&server, &config, NULL) < 0)
		_exit(2);
	weir_server_set_ring(server, ring);
	for (;;) {
		struct pollfd pollfd = { .fd = weir_server_fd(server), .events = POLLIN };

		poll(&pollfd, 1, 20);
		weir_server_dispatch(server);
		weir_writer_attend(writer);
	}
}

/* Each in a process of its own: its death frees what the server keeps for it. */
static void a_client_that_cannot_connect_leaves_nothing(void **state)
{
	char *why = harness_shared(sizeof(harness_why));
	pid_t server = harness_fork();
	int status = 0;
	struct stat st;

	if (server == 0)
		serve_back();
	while (lstat(path, &st) < 0)
		harness_sleep_ns(1000000);
	for (long k = 1; status == 0; k++) {
		pid_t pid = harness_fork();

		if (pid == 0) {
			bool ok = fail_call(do_client, UNTRUSTED, k);

			memcpy(why, harness_why, sizeof(harness_why));
			_exit(ok ? failed == NULL : 2);
		}
		status = harness_wait(pid);
		if (status != 0)
			print_message("# client: %ld calls\n", k - 1);
	}
	harness_kill(server);
	unlink(path);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
		fail_msg("client: status %x: %s", status, why);
}

static int set_up(void **state)
{
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/ring", folder);
	return 0;
}

static int tear_down(void **state)
{
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_that_cannot_be_made_leaves_nothing),
		cmocka_unit_test(a_writer_that_cannot_be_opened_leaves_nothing),
		cmocka_unit_test(a_reader_that_cannot_be_opened_leaves_nothing),
		cmocka_unit_test(a_server_that_cannot_listen_leaves_nothing),
		cmocka_unit_test(a_peer_that_cannot_be_taken_is_told_and_leaves_nothing),
		cmocka_unit_test(a_client_that_cannot_connect_leaves_nothing),
	};

	harness_bound(60);
	return cmocka_run_group_tests_name("shm_kfail", tests, set_up, tear_down);
}
