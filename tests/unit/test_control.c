/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "frontend.h"

/* A child that is nothing but its pipe. */

static struct weir_frontend frontend;

static uint32_t taken;

static int take_reply(struct weir_child *child, const struct weir_message *message)
{
	taken = message->id;
	return 0;
}

/* Has it answer a call with this number; returns which answer was taken, or 0. */
static uint32_t answer(uint32_t id, uint32_t last_call)
{
	static const struct child_owner owner = { .reply = take_reply };
	struct weir_child child = { .frontend = &frontend, .owner = &owner, .last_call = last_call, .commands = -1 };
	int events[2];

	assert_int_equal(pipe2(events, O_CLOEXEC | O_NONBLOCK), 0);
	child.events = events[0];
	message_parser_init(&child.parser);
	taken = 0;
	assert_int_equal(message_send(events[1], &(struct weir_message){ .type = MESSAGE_REPLY, .id = id }), 0);
	control_readable(&child);
	close(events[0]);
	close(events[1]);
	assert_int_equal(child.guilty, taken == 0);
	return taken;
}

static void answers_to_what_was_asked_are_taken(void **state)
{
	assert_int_equal(answer(1, 1), 1);
	assert_int_equal(answer(1, 16), 1);
	assert_int_equal(answer(17, 16), 0);
	assert_int_equal(answer(0, 16), 0);
}

static void numbers_of_calls_may_begin_anew(void **state)
{
	struct weir_child child = { .last_call = UINT32_MAX - 1 };

	assert_int_equal(control_next_id(&child), UINT32_MAX);
	assert_int_equal(control_next_id(&child), 1);
	assert_int_equal(answer(UINT32_MAX, 3), UINT32_MAX);
	assert_int_equal(answer(2, UINT32_MAX), 0);
}

/* The frontend reads it, and would die of SIGBUS. */
static void a_childs_page_cannot_be_cut(void **state)
{
	const struct page *page = NULL;
	int fd;

	assert_int_equal(page_create(&page, &fd, getpid(), 1), 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	page_free(&page);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_to_what_was_asked_are_taken),
		cmocka_unit_test(numbers_of_calls_may_begin_anew),
		cmocka_unit_test(a_childs_page_cannot_be_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
