/* SPDX-License-Identifier: MIT */
/* Single lies of a peer that is not trusted, each made as effective as it can be. */
#include "shm_harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include <weir/socket.h>

#include "layout.h"
#include "ring.h"
#include "segment.h"

#define SLOTS 12

struct stage {
	struct weir_ring *ring;
	struct weir_writer *writer;
	struct weir_reader *reader;
	struct request *request;
	struct head *head; /* writable, as its writer has it */
	struct end *own;   /* writable, as its reader has it */
};

static void set_up(struct stage *stage, struct weir_policy policy)
{
	struct weir_ring_config config = harness_config(SLOTS, WEIR_BACKING_SEALED);
	struct weir_ring_fds writer_fds, reader_fds;
	uint32_t end;

	*stage = (struct stage){ 0 };
	config.untrusted = true;
	assert_int_equal(weir_ring_create(&stage->ring, &config), 0);
	assert_int_equal(weir_ring_attach(stage->ring, &policy, &end), 0);
	assert_int_equal(weir_ring_writer_fds(stage->ring, &writer_fds), 0);
	assert_int_equal(
		segment_map((void **)&stage->request, writer_fds.fd[RING_FD_REQUEST], layout_request_bytes(), false),
		0);
	assert_int_equal(segment_map((void **)&stage->head, writer_fds.fd[RING_FD_HEAD],
				 layout_head_bytes(&stage->request->geometry), true),
		0);
	assert_int_equal(weir_writer_open(&stage->writer, &writer_fds), 0);
	assert_int_equal(weir_ring_reader_fds(stage->ring, end, &reader_fds), 0);
	assert_int_equal(
		segment_map((void **)&stage->own, reader_fds.fd[RING_FD_ENDS + RING_END_FD_END], LAYOUT_PAGE, true), 0);
	assert_int_equal(weir_reader_open(&stage->reader, &reader_fds), 0);
}

static void tear_down(struct stage *stage)
{
	segment_unmap(stage->head, layout_head_bytes(&stage->request->geometry));
	segment_unmap(stage->request, layout_request_bytes());
	segment_unmap(stage->own, LAYOUT_PAGE);
	weir_reader_free(&stage->reader);
	weir_writer_free(&stage->writer);
	weir_ring_free(&stage->ring);
}

static void assert_ends(struct stage *stage)
{
	int64_t deadline_ns = harness_now_ns() + 2000000000;
	struct weir_frame frame;
	int r;

	while ((r = weir_reader_acquire(stage->reader, &frame)) != -EPIPE && r != -ENODATA) {
		assert_true(harness_now_ns() < deadline_ns);
		if (r == 0)
			weir_reader_release(stage->reader, &frame);
		else
			weir_reader_wait(stage->reader, deadline_ns);
	}
}

static void a_reader_learns_of_its_writers_death_whatever_it_said_to_have_published(void **state)
{
	static const struct weir_policy policies[] = { { .mode = WEIR_POLICY_LATEST },
		{ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 2 }, { .mode = WEIR_POLICY_LOSSLESS },
		{ .mode = WEIR_POLICY_LOSSLESS, .every_nth = 2 }, { .mode = WEIR_POLICY_LATEST, .every_nth = 2 } };

	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct stage stage;

		set_up(&stage, policies[i]);
		for (uint64_t sequence = 1; sequence <= 3; sequence++)
			assert_int_equal(harness_publish(stage.writer, sequence, false), 0);
		stage.head->published += 1000;
		stage.head->grant[0].due[0].word = UINT64_C(500) << ORDER_SLOT_BITS | SLOTS;
		weir_ring_writer_gone(stage.ring);
		assert_ends(&stage);
		tear_down(&stage);
	}
}

static void a_cursor_that_goes_back_and_forth_holds_the_writer_up_no_longer_than_a_stall(void **state)
{
	struct weir_policy policy = {
		.mode = WEIR_POLICY_LOSSLESS, .on_stall = WEIR_STALL_EVICT, .stall_ns = 50000000
	};
	int64_t end_ns = harness_now_ns() + 3000000000;
	uint64_t published = 0;
	struct stage stage;

	set_up(&stage, policy);
	while (published < 10 * SLOTS && harness_now_ns() < end_ns) {
		int r = harness_publish(stage.writer, published + 1, false);

		published += r == 0;
		stage.own->cursor = stage.own->cursor == 1 ? 2 : 1;
	}
	assert_int_equal(published, 10 * SLOTS);
	tear_down(&stage);
}

static void hostile_writer_back(struct weir_ring_fds *fds)
{
	_exit(ftruncate(fds->fd[RING_FD_HEAD], 0) < 0 && ftruncate(fds->fd[RING_FD_DATA], 0) < 0 ? 0 : 1);
}

/* The supervisor looks at the head of a ring from its creation on. */
static void a_writer_cannot_take_the_head_away_from_its_supervisor(void **state)
{
	struct weir_ring_config config = harness_config(SLOTS, WEIR_BACKING_SEALED);
	struct weir_ring *ring = NULL;
	struct weir_ring_stats stats;
	struct weir_ring_fds fds;
	int status;
	pid_t pid;

	config.untrusted = true;
	assert_int_equal(weir_ring_create(&ring, &config), 0);
	assert_int_equal(weir_ring_writer_fds(ring, &fds), 0);
	pid = harness_fork();
	if (pid == 0)
		hostile_writer_back(&fds);
	weir_ring_fds_close(&fds);
	status = harness_wait(pid);
	pid = harness_fork();
	if (pid == 0) { /* a supervisor, too */
		weir_ring_stats(ring, &stats);
		_exit(0);
	}
	assert_int_equal(harness_wait(pid), 0);
	assert_int_equal(status, 0);
	weir_ring_free(&ring);
}

/* --- sockets -------------------------------------------------------------------------------------------------------
 */

static void a_file_that_can_shrink_does_not_count_as_sealed(void **state)
{
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, LAYOUT_PAGE), 0);
	assert_false(segment_is_sealed(fd, SEGMENT_SEALS_FIXED));
	close(fd);
}

struct service {
	struct weir_ring *ring;
	struct weir_writer *writer;
	struct weir_server *server;
	uint64_t sequence;
};

static char path[64];

static void serve_with(struct service *service, bool untrusted, bool async_io)
{
	struct weir_ring_config config = harness_config(16, WEIR_BACKING_SEALED);
	struct weir_server_config server_config = { .path = path, .async_io = async_io };

	*service = (struct service){ 0 };
	snprintf(path, sizeof(path), "@weir-liars-%d-%d", getpid(), untrusted);
	config.untrusted = untrusted;
	assert_int_equal(weir_ring_create(&service->ring, &config), 0);
	assert_true(harness_open_writer(service->ring, &service->writer));
	assert_int_equal(weir_server_create(&service->server, &server_config, NULL), 0);
	weir_server_set_ring(service->server, service->ring);
}

static void serve(struct service *service, bool untrusted)
{
	serve_with(service, untrusted, false);
}

static void end_service(struct service *service)
{
	weir_server_free(&service->server);
	weir_writer_free(&service->writer);
	weir_ring_free(&service->ring);
}

/* Serves until the child ends; returns its status. */
static int serve_until(struct service *service, pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		weir_server_dispatch(service->server);
		harness_publish(service->writer, service->sequence + 1, false);
		service->sequence++;
		harness_sleep_ns(1000000);
	}
	for (int i = 0; i < 20; i++) {
		weir_server_dispatch(service->server);
		weir_writer_attend(service->writer);
		harness_sleep_ns(1000000);
	}
	return status;
}

static void client_back(bool async_io)
{
	struct weir_client_config config = { .path = path, .policy = { .async_io = async_io } };
	struct weir_client *client;
	struct weir_reader *reader;
	struct weir_frame frame;
	int r = weir_client_connect(&client, &config, harness_now_ns() + 3000000000);

	if (r < 0 || weir_client_take_reader(client, &reader) < 0)
		_exit(r < 0 ? -r : 1);
	while (weir_reader_acquire(reader, &frame) != 0)
		weir_reader_wait(reader, harness_now_ns() + 1000000000);
	_exit(0);
}

/* A server could forge a semaphore, or make writing to an eventfd block. */
static void a_client_refuses_a_ring_that_is_not_made_for_strangers(void **state)
{
	struct service service;
	pid_t pid;

	serve(&service, false);
	pid = harness_fork();
	if (pid == 0)
		client_back(false);
	assert_int_equal(WEXITSTATUS(serve_until(&service, pid)), EPROTO);
	end_service(&service);
}

/* A client's word alone must not take slots away for ever: a server has to allow that, and is told. */
static void a_client_with_asynchronous_reads_costs_a_generation_only_where_it_is_allowed(void **state)
{
	struct service service;
	struct weir_server_stats stats;
	pid_t pid;

	for (int allowed = 0; allowed < 2; allowed++) {
		serve_with(&service, true, allowed != 0);
		pid = harness_fork();
		if (pid == 0)
			client_back(true);
		assert_int_equal(WEXITSTATUS(serve_until(&service, pid)), allowed != 0 ? 0 : EPERM);
		for (int i = 0; i < 2000; i++) {
			weir_server_stats(service.server, &stats);
			if (stats.readers == 0)
				break;
			weir_server_dispatch(service.server);
			harness_sleep_ns(1000000);
		}
		assert_int_equal(stats.retire, allowed);
		end_service(&service);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_learns_of_its_writers_death_whatever_it_said_to_have_published),
		cmocka_unit_test(a_cursor_that_goes_back_and_forth_holds_the_writer_up_no_longer_than_a_stall),
		cmocka_unit_test(a_writer_cannot_take_the_head_away_from_its_supervisor),
		cmocka_unit_test(a_file_that_can_shrink_does_not_count_as_sealed),
		cmocka_unit_test(a_client_refuses_a_ring_that_is_not_made_for_strangers),
		cmocka_unit_test(a_client_with_asynchronous_reads_costs_a_generation_only_where_it_is_allowed),
	};

	harness_bound(60);
	return cmocka_run_group_tests_name("shm_liars", tests, NULL, NULL);
}
