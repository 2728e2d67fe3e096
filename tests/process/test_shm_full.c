/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <sched.h>
#include <sys/mount.h>

#include "stream_backends.h"

static void full_shared_memory_says_what_would_mend_it(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *source = fixture_add(
		fixture, (struct weir_child_config){
				 .backend = "source", .args = "0 1000 0 1000000", .restart = WEIR_RESTART_TEMPORARY });
	struct weir_stream *stream;
	const char *reason;
	unsigned long long needed = 0, available = 0;

	assert_int_equal(weir_stream_create(fixture->frontend, &stream,
				 &(struct weir_stream_config){ .name = "s", .writer = source }),
		0);
	UNTIL(fixture, weir_stream_finished(stream));
	assert_int_equal(weir_stream_state(stream), WEIR_STREAM_FAILED);
	reason = fixture_reason(fixture, stream, WEIR_STREAM_FAILED);
	ASSERT_HAS(reason, "too little shared memory");
	ASSERT_HAS(reason, "mount -o remount,size=16M /dev/shm");
	ASSERT_HAS(reason, "--shm-size=16m");
	assert_int_equal(
		sscanf(strstr(reason, "needs"), "needs %llu bytes, /dev/shm has %llu", &needed, &available), 2);
	assert_true(needed > 5000000);
	assert_true(available <= 1048576 && available > 0);
	/* The writer has been told, too. */
	fixture_await(fixture, source, WEIR_CHILD_FAILED);
	assert_string_equal(fixture_reason(fixture, source, WEIR_CHILD_FAILED), "gave up: No space left on device");
}

int main(void)
{
	static const struct weir_init_config init = { .backends = stream_backends };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			full_shared_memory_says_what_would_mend_it, fixture_setup, fixture_teardown),
	};

	/* A mount of our own, that nobody else sees. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1M") < 0) {
		perror("a private /dev/shm needs root");
		return 1;
	}
	if (weir_init(&init) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
