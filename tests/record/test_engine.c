/* SPDX-License-Identifier: MIT */
/* The engine where io_uring is forbidden, as containers and old kernels do it; and what it does with odd transfers. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "../seccomp.h"
#include "engine.h"

static int refuse_io_uring(int answer)
{
	struct sock_filter filter[] = { FILTER_CALL, FILTER_ANSWER(io_uring_setup, answer), FILTER_ALLOW };

	return FILTER(filter);
}

/* In a process of its own, from which the filter cannot be taken again. */
static void round_trip_back(int answer)
{
	struct weir_format format = rig_raw(WEIR_PIXEL_NV12, 640, 480);
	char files[2][SEGMENT_NAME_BYTES];
	struct engine *engine;
	struct weir_frame frame;

	if (refuse_io_uring(answer) != 0)
		_exit(2);
	if (engine_create(&engine, &(struct engine_config){ 0 }) != 0 || engine_refused(engine) != -answer ||
		strcmp(engine_name(engine), "plain") != 0)
		_exit(3);
	engine_free(&engine);
	rig_init(&rig);
	rig_record(&rig, &format, lossless, "");
	rig_publish(&rig, 30);
	weir_writer_end(rig.writer);
	RIG_UNTIL(&rig, rig_ask(&rig)->files == 1);
	rig_stop(&rig);
	if (rig.status.is_uring != 0 || rig_files(&rig, files, 2) != 1 ||
		rig_check_file(&rig, files[0], NULL, NULL) != 30)
		_exit(4);
	rig_play(&rig, rig.directory, ",\"lossless\":true");
	rig_give_ring(&rig);
	for (int i = 0; i < 30; i++) {
		if (rig_take(&rig, &frame) != 0)
			_exit(5);
		rig_check_frame(&format, &frame, frame.data);
		weir_reader_release(rig.reader, &frame);
	}
	rig_close(&rig);
	_exit(0);
}

static void assert_same_bytes_after(int answer)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		round_trip_back(answer);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void same_bytes_where_containers_forbid_io_uring(void **state)
{
	assert_same_bytes_after(EPERM);
}

static void same_bytes_where_the_kernel_has_no_io_uring(void **state)
{
	assert_same_bytes_after(ENOSYS);
}

/* --- */

struct outcome {
	int status, calls;
};

static void take_outcome(struct engine_op *op, int status)
{
	struct outcome *outcome = op->data;

	outcome->status = status;
	outcome->calls++;
}

static struct outcome transfer(struct engine *engine, struct engine_op op)
{
	struct outcome outcome = { 0 };

	op.done = take_outcome;
	op.data = &outcome;
	engine_submit(engine, &op);
	assert_int_equal(engine_in_flight(engine), 1);
	assert_int_equal(engine_wait(engine, rig_now_ns() + 10 * SECOND), 0);
	assert_int_equal(outcome.calls, 1);
	return outcome;
}

static void both_engines_do_the_same(void **state)
{
	uint8_t bytes[3000], back[3000];

	for (int plain = 0; plain < 2; plain++) {
		char path[] = "engine-XXXXXX";
		int fd = mkstemp(path);
		struct engine *engine;
		struct engine_op op = { .kind = ENGINE_WRITE,
			.fd = fd,
			.offset = 500,
			.iov = { { bytes, 1000 }, { bytes + 1000, 1500 }, { bytes + 2500, 500 } },
			.iovs = 3 };

		unlink(path);
		rig_fill(bytes, sizeof(bytes), 5);
		assert_int_equal(engine_create(&engine, &(struct engine_config){ .plain = plain != 0 }), 0);
		assert_string_equal(engine_name(engine), plain ? "plain" : "io_uring");
		assert_int_equal(transfer(engine, op).status, 0);
		assert_int_equal(transfer(engine, (struct engine_op){ .kind = ENGINE_SYNC, .fd = fd }).status, 0);
		op.kind = ENGINE_READ;
		for (int i = 0; i < 3; i++)
			op.iov[i].iov_base = back + ((uint8_t *)op.iov[i].iov_base - bytes);
		assert_int_equal(transfer(engine, op).status, 0);
		assert_memory_equal(back, bytes, sizeof(bytes));
		/* The file ends in the middle of it. */
		op.offset = 2000;
		assert_int_equal(transfer(engine, op).status, -ENODATA);
		op.fd = -1;
		assert_int_equal(transfer(engine, op).status, -EBADF);
		engine_free(&engine);
		close(fd);
	}
}

static void nothing_is_waited_for_longer_than_the_deadline(void **state)
{
	int pipes[2];
	struct outcome outcome = { 0 };
	char byte;
	struct engine *engine;
	struct engine_op op = { .kind = ENGINE_READ, .offset = (uint64_t)-1, .iovs = 1, .done = take_outcome };

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(engine_create(&engine, &(struct engine_config){ 0 }), 0);
	op.fd = pipes[0];
	op.iov[0] = (struct iovec){ &byte, 1 };
	op.data = &outcome;
	engine_submit(engine, &op);
	assert_int_equal(engine_wait(engine, rig_now_ns() + SECOND / 10), -ETIMEDOUT);
	assert_int_equal(outcome.calls, 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(engine_wait(engine, rig_now_ns() + 10 * SECOND), 0);
	assert_int_equal(outcome.calls, 1);
	engine_free(&engine);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_bytes_where_containers_forbid_io_uring),
		cmocka_unit_test(same_bytes_where_the_kernel_has_no_io_uring),
		cmocka_unit_test(both_engines_do_the_same),
		cmocka_unit_test(nothing_is_waited_for_longer_than_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
