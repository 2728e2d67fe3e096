/* SPDX-License-Identifier: MIT */
/* Messages as a peer could make them that does not keep to the rules. */
#include "unit.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../holdings.h"
#include "handover.h"

static int side[2];

static int setup(void **state)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, side);
}

static int teardown(void **state)
{
	close(side[0]), close(side[1]);
	return 0;
}

static struct handover valid(void)
{
	return (struct handover){ .magic = HANDOVER_MAGIC, .version = HANDOVER_VERSION, .type = HANDOVER_RING };
}

/* Sends these bytes with so many descriptors. */
static void send_raw(const void *bytes, size_t length, size_t fds)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, length };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr first;
	} buffer = { .bytes = { 0 } };
	int list[253], fd = eventfd(0, EFD_CLOEXEC);

	assert_true(fd >= 0 && fds <= 253);
	for (size_t i = 0; i < fds; i++)
		list[i] = fd;
	if (fds != 0) {
		header.msg_control = buffer.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
		buffer.first.cmsg_level = SOL_SOCKET;
		buffer.first.cmsg_type = SCM_RIGHTS;
		buffer.first.cmsg_len = CMSG_LEN(sizeof(int) * fds);
		memcpy(CMSG_DATA(&buffer.first), list, sizeof(int) * fds);
	}
	assert_int_equal(sendmsg(side[0], &header, 0), length);
	close(fd);
}

/* Refused, with nothing left and nothing touched. */
static void assert_refused(const void *bytes, size_t length, size_t fds, bool fds_expected)
{
	struct handover got = { .type = 77 };
	struct weir_ring_fds taken = { .count = 77 };
	unsigned before = count_fds();

	send_raw(bytes, length, fds);
	assert_int_equal(handover_receive(side[1], &got, fds_expected ? &taken : NULL), -EPROTO);
	assert_int_equal(count_fds(), before);
	assert_int_equal(got.type, 77);
	assert_int_equal(taken.count, 77);
	assert_int_equal(handover_receive(side[1], &got, NULL), -EAGAIN);
}

static void whole_messages_arrive_with_their_descriptors_in_place(void **state)
{
	struct weir_ring_fds fds = { .role = 2, .end = 3, .count = WEIR_RING_FDS_MAX }, taken;
	struct handover message = { .type = HANDOVER_RING }, got;
	int fd = eventfd(7, EFD_CLOEXEC);
	uint64_t value;

	for (uint32_t i = 0; i < fds.count; i++)
		fds.fd[i] = i % 3 == 1 ? -1 : fd;
	assert_int_equal(handover_send(side[0], &message, &fds), 0);
	assert_int_equal(handover_receive(side[1], &got, &taken), 0);
	assert_int_equal(taken.count, fds.count);
	assert_int_equal(taken.role, 2);
	assert_int_equal(taken.end, 3);
	for (uint32_t i = 0; i < fds.count; i++) {
		assert_int_equal(taken.fd[i] < 0, i % 3 == 1);
		if (taken.fd[i] >= 0)
			assert_int_equal(fcntl(taken.fd[i], F_GETFD), FD_CLOEXEC);
	}
	assert_int_equal(read(taken.fd[0], &value, sizeof(value)), sizeof(value));
	assert_int_equal(value, 7);
	weir_ring_fds_close(&taken);
	close(fd);
}

static void what_is_no_whole_message_of_ours_is_refused_and_closed(void **state)
{
	struct handover message = valid();
	char longer[sizeof(message) + 1] = { 0 };

	memcpy(longer, &message, sizeof(message));
	for (size_t fds = 0; fds < 4; fds += 3) {
		assert_refused(&message, sizeof(message) - 1, fds, true);
		assert_refused(&message, 1, fds, true);
		assert_refused(longer, sizeof(longer), fds, true);
	}
	assert_refused(&message, 0, 1, true);
	message.magic++;
	assert_refused(&message, sizeof(message), 0, true);
	message = valid(), message.version++;
	assert_refused(&message, sizeof(message), 0, true);
}

static void descriptors_that_the_message_does_not_account_for_are_refused_and_closed(void **state)
{
	struct handover message = valid();

	assert_refused(&message, sizeof(message), 1, false); /* none are expected */
	assert_refused(&message, sizeof(message), 1, true);
	message.count = 5, message.present[0] = 0x1f;
	assert_refused(&message, sizeof(message), 4, true);
	assert_refused(&message, sizeof(message), 6, true);
	message.present[0] = 0x2f; /* one beyond count */
	assert_refused(&message, sizeof(message), 5, true);
	message.count = UINT32_MAX, message.present[0] = 0x1f;
	assert_refused(&message, sizeof(message), 5, true);
	memset(message.present, 0xff, sizeof(message.present));
	message.count = WEIR_RING_FDS_MAX;
	assert_refused(&message, sizeof(message), 253, true); /* more than there is room for */
}

static void a_hang_up_is_told_whether_or_not_everything_was_read(void **state)
{
	struct handover message = valid(), got;

	for (int unread = 0; unread < 2; unread++) {
		if (unread != 0) /* it closes with something of ours in its queue: ECONNRESET */
			assert_int_equal(send(side[1], &message, sizeof(message), 0), sizeof(message));
		close(side[0]);
		assert_int_equal(handover_receive(side[1], &got, NULL), -EPIPE);
		assert_int_equal(handover_send(side[1], &message, NULL), -EPIPE);
		teardown(state);
		assert_int_equal(setup(state), 0);
	}
	assert_int_equal(handover_receive(-1, &got, NULL), -EPIPE);
	assert_int_equal(send(side[0], "", 0, 0), 0); /* looks like one */
	assert_int_equal(handover_receive(side[1], &got, NULL), -EPIPE);
}

static void paths_are_checked(void **state)
{
	struct sockaddr_un address;
	char path[sizeof(address.sun_path) + 1];
	socklen_t length;

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(handover_address(&address, &length, path), -ENAMETOOLONG);
	path[sizeof(path) - 2] = '\0';
	assert_int_equal(handover_address(&address, &length, path), 0);
	assert_int_equal(length, sizeof(address));
	assert_int_equal(handover_address(&address, &length, NULL), -EINVAL);
	assert_int_equal(handover_address(&address, &length, "@"), -EINVAL);
	assert_int_equal(handover_address(&address, &length, "@a"), 0);
	assert_int_equal(address.sun_path[0], '\0');
	assert_int_equal(length, offsetof(struct sockaddr_un, sun_path) + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole_messages_arrive_with_their_descriptors_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_no_whole_message_of_ours_is_refused_and_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			descriptors_that_the_message_does_not_account_for_are_refused_and_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hang_up_is_told_whether_or_not_everything_was_read, setup, teardown),
		cmocka_unit_test(paths_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
