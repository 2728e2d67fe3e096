/* SPDX-License-Identifier: MIT */
/* What an end may do, and what becomes of it after its reader. */
#include "ring_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "ring.h"

static void a_dead_readers_pins_hold_until_it_is_reaped(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	uint64_t before;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	fixture_publish_many(&f, 2);
	frame = fixture_acquire(&f, 0, 1);
	while (fixture_publish(&f) == 0)
		;
	assert_int_equal(weir_ring_withdraw(f.ring, f.end[0]), 0);
	fixture_publish_many(&f, 100);
	fixture_check(&frame);
	assert_int_equal(fixture_try(&f, 0), -ESTALE);
	before = fixture_stats(&f, 0).held;
	assert_int_equal(before, 1);
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
	fixture_join(&f, LOSSLESS); /* holds back, so that every free slot is used */
	while (fixture_publish(&f) == 0)
		;
	assert_int_not_equal(frame.data[0], (uint8_t)frame.sequence);
	fixture_close(&f);
}

static void an_end_is_reused_only_after_the_writer_acknowledged(void **state)
{
	struct weir_policy policy = LATEST;
	struct weir_ring_config config = config_8;
	struct fixture f;
	uint32_t end;

	config.ends = 1;
	fixture_open(&f, &config);
	fixture_join(&f, policy);
	fixture_publish_many(&f, 5);
	fixture_take(&f, 0, 5);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), -EBUSY);
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), -EBUSY);
	weir_writer_attend(f.writer);
	assert_false(fixture_stats(&f, 0).attached);
	weir_reader_free(&f.reader[0]);
	f.readers = 0;
	fixture_join(&f, policy);
	assert_int_equal(f.end[0], 0);
	assert_true(fixture_stats(&f, 0).attached);
	assert_int_equal(fixture_stats(&f, 0).delivered, 0);
	fixture_publish_many(&f, 1);
	fixture_take(&f, 0, 6);
	fixture_close(&f);
}

static void an_end_of_a_ring_for_strangers_is_given_once(void **state)
{
	struct weir_policy policy = LATEST;
	struct weir_ring_config config = config_8;
	struct fixture f;
	uint32_t end;

	config.ends = 2;
	config.untrusted = true;
	fixture_open(&f, &config);
	for (uint32_t i = 0; i < 2; i++) {
		fixture_join(&f, policy);
		assert_int_equal(f.end[i], i);
		assert_int_equal(weir_ring_reap(f.ring, i), 0);
		weir_writer_attend(f.writer);
	}
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), -EBUSY);
	fixture_close(&f);
}

static void what_a_dead_reader_left_in_its_semaphore_is_thrown_away(void **state)
{
	struct weir_ring_config config = config_8;
	struct fixture f;
	sem_t fresh;

	memset(&fresh, 0, sizeof(fresh));
	assert_int_equal(sem_init(&fresh, 1, 0), 0);
	config.ends = 1;
	fixture_open(&f, &config);
	fixture_join(&f, LATEST);
	memset(f.reader[0]->bell, 0x7f, sizeof(fresh));
	assert_int_equal(weir_ring_reap(f.ring, f.end[0]), 0);
	weir_writer_attend(f.writer);
	fixture_join(&f, LATEST);
	assert_memory_equal(f.reader[1]->bell, &fresh, sizeof(fresh));
	fixture_close(&f);
}

static void a_child_that_frees_its_parents_reader_gives_nothing_back(void **state)
{
	struct weir_frame frame;
	struct fixture f;
	int status;
	pid_t pid;

	fixture_open(&f, &config_8);
	fixture_join(&f, LATEST);
	fixture_publish_many(&f, 1);
	frame = fixture_acquire(&f, 0, 1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		weir_reader_free(&f.reader[0]);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(fixture_stats(&f, 0).held, 1);
	assert_false(fixture_stats(&f, 0).left);
	assert_int_equal(weir_reader_release(f.reader[0], &frame), 0);
	fixture_close(&f);
}

static void readers_get_no_writable_mapping(void **state)
{
	struct weir_policy policy = LATEST;
	struct weir_ring_fds fds;
	struct fixture f;
	uint32_t end;

	fixture_open(&f, &config_8);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), 0);
	assert_int_equal(weir_ring_reader_fds(f.ring, end, &fds), 0);
	for (int i = 0; i < 3; i++) { /* data, head, request */
		assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds.fd[i], 0), MAP_FAILED);
		assert_int_equal(errno, EACCES);
	}
	weir_ring_fds_close(&fds);
	assert_int_equal(weir_ring_writer_fds(f.ring, &fds), 0);
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds.fd[2], 0), MAP_FAILED); /* request */
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds.fd[4], 0), MAP_FAILED); /* end 0 */
	weir_ring_fds_close(&fds);
	fixture_close(&f);
}

static void a_sealed_ring_cannot_be_truncated_or_remapped_by_a_reader(void **state)
{
	struct weir_ring_config config = config_8;
	struct weir_policy policy = LATEST;
	struct weir_ring_fds fds;
	struct fixture f;
	char path[64];
	uint32_t end;
	int fd;

	config.backing = WEIR_BACKING_SEALED;
	assert_int_equal(weir_ring_create(&f.ring, &config), 0);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), 0);
	assert_int_equal(weir_ring_reader_fds(f.ring, end, &fds), -EAGAIN); /* the writer has not mapped it yet */
	weir_ring_free(&f.ring);

	fixture_open(&f, &config);
	assert_int_equal(weir_ring_attach(f.ring, &policy, &end), 0);
	assert_int_equal(weir_ring_reader_fds(f.ring, end, &fds), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds.fd[i]);
		fd = open(path, O_RDWR);
		assert_true(fd >= 0); /* a descriptor alone gains nothing */
		assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
		assert_int_equal(pwrite(fd, "x", 1, 0), -1);
		close(fd);
	}
	assert_int_equal(weir_reader_open(&f.reader[0], &fds), 0);
	f.readers = 1, f.end[0] = end;
	fixture_publish_many(&f, 4);
	fixture_take(&f, 0, 4);
	fixture_close(&f);
}

static void a_request_of_an_old_attachment_changes_nothing(void **state)
{
	struct fixture f;

	fixture_open(&f, &config_8);
	fixture_join(&f, LOSSLESS);
	fixture_publish_many(&f, 2);
	assert_int_equal(weir_ring_withdraw(f.ring, f.end[0]), 0);
	weir_writer_attend(f.writer);
	/* The supervisor says once more what it said before: its page is all that the writer has. */
	f.ring->request->end[0].word = f.ring->end[0].id << VERB_BITS | VERB_ATTACH;
	f.ring->request->changed++;
	weir_writer_attend(f.writer);
	assert_int_equal(fixture_stats(&f, 0).start, 1);
	fixture_take(&f, 0, 1);
	fixture_close(&f);
}

static void descriptors_of_the_wrong_role_are_refused_and_closed(void **state)
{
	struct weir_writer *writer = NULL;
	struct weir_reader *reader = NULL;
	struct weir_ring_fds fds;
	struct fixture f;
	int fd;

	fixture_open(&f, &config_8);
	assert_int_equal(weir_ring_writer_fds(f.ring, &fds), 0);
	fd = fds.fd[0];
	assert_int_equal(weir_reader_open(&reader, &fds), -EINVAL);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(fds.count, 0);
	fixture_join(&f, LATEST);
	assert_int_equal(weir_ring_reader_fds(f.ring, f.end[0], &fds), 0);
	assert_int_equal(weir_writer_open(&writer, &fds), -EINVAL);
	assert_int_equal(weir_ring_reader_fds(f.ring, f.end[0], &fds), 0);
	assert_int_equal(dup2(fds.fd[3], fds.fd[2]), fds.fd[2]); /* an eventfd instead of the request */
	assert_int_equal(weir_reader_open(&reader, &fds), -EPROTO);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_readers_pins_hold_until_it_is_reaped),
		cmocka_unit_test(an_end_is_reused_only_after_the_writer_acknowledged),
		cmocka_unit_test(an_end_of_a_ring_for_strangers_is_given_once),
		cmocka_unit_test(what_a_dead_reader_left_in_its_semaphore_is_thrown_away),
		cmocka_unit_test(a_child_that_frees_its_parents_reader_gives_nothing_back),
		cmocka_unit_test(readers_get_no_writable_mapping),
		cmocka_unit_test(a_sealed_ring_cannot_be_truncated_or_remapped_by_a_reader),
		cmocka_unit_test(a_request_of_an_old_attachment_changes_nothing),
		cmocka_unit_test(descriptors_of_the_wrong_role_are_refused_and_closed),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
