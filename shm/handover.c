/* SPDX-License-Identifier: MIT */
#include "handover.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

int handover_address(struct sockaddr_un *address, socklen_t *length, const char *path)
{
	size_t bytes = path != NULL ? strlen(path) : 0;

	if (bytes < 2)
		return -EINVAL;
	if (bytes >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, bytes);
	*length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + 1);
	if (path[0] == '@') {
		address->sun_path[0] = '\0';
		*length -= 1;
	}
	return 0;
}

union fd_buffer {
	char bytes[CMSG_SPACE(sizeof(int) * WEIR_RING_FDS_MAX)];
	struct cmsghdr first;
};

int handover_send(int socket, struct handover *message, const struct weir_ring_fds *fds)
{
	struct iovec iov = { message, sizeof(*message) };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	int list[WEIR_RING_FDS_MAX];
	union fd_buffer buffer;
	size_t count = 0;

	message->magic = HANDOVER_MAGIC;
	message->version = HANDOVER_VERSION;
	memset(message->present, 0, sizeof(message->present));
	if (fds != NULL) {
		message->role = fds->role;
		message->end = fds->end;
		message->count = fds->count;
		for (uint32_t i = 0; i < fds->count; i++)
			if (fds->fd[i] >= 0) {
				message->present[i / 32] |= 1u << i % 32;
				list[count++] = fds->fd[i];
			}
	}
	if (count != 0) {
		struct cmsghdr *control = &buffer.first;

		memset(&buffer, 0, sizeof(buffer));
		header.msg_control = buffer.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		control->cmsg_level = SOL_SOCKET;
		control->cmsg_type = SCM_RIGHTS;
		control->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(control), list, sizeof(int) * count);
	}
	return sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Collects all descriptors that came, whatever the message says. The kernel puts them into one SCM_RIGHTS, no more of
 * them than the buffer has room for; we have asked it for nothing else. */
static size_t take_fds(struct msghdr *header, int list[WEIR_RING_FDS_MAX])
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(header);
	size_t bytes = control != NULL ? control->cmsg_len - CMSG_LEN(0) : 0;

	if (bytes != 0)
		memcpy(list, CMSG_DATA(control), bytes);
	return bytes / sizeof(int);
}

/* Puts the descriptors where the message says. False: the numbers do not agree. */
static bool place_fds(struct weir_ring_fds *fds, const struct handover *message, const int *list, size_t count)
{
	size_t used = 0;

	if (message->count > WEIR_RING_FDS_MAX)
		return false;
	fds->role = message->role;
	fds->end = message->end;
	fds->count = message->count;
	for (uint32_t i = 0; i < WEIR_RING_FDS_MAX; i++) {
		bool present = (message->present[i / 32] >> i % 32 & 1) != 0;

		if (present && (i >= message->count || used == count))
			return false;
		fds->fd[i] = present ? list[used++] : -1;
	}
	return used == count;
}

int handover_receive(int socket, struct handover *message, struct weir_ring_fds *fds)
{
	struct handover got;
	struct weir_ring_fds placed = { 0 };
	struct iovec iov = { &got, sizeof(got) };
	union fd_buffer buffer;
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = buffer.bytes, .msg_controllen = sizeof(buffer.bytes)
	};
	int list[WEIR_RING_FDS_MAX];
	ssize_t bytes = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	size_t count;

	/* It hung up without reading all that we said; what it said before comes after the error. */
	if (bytes < 0 && errno == ECONNRESET)
		bytes = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (bytes < 0)
		return errno == EAGAIN ? -EAGAIN : -EPIPE;
	count = take_fds(&header, list);
	if (bytes == 0 && count == 0)
		return -EPIPE;
	if (bytes == sizeof(got) && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && got.magic == HANDOVER_MAGIC &&
		got.version == HANDOVER_VERSION && (fds != NULL || count == 0) &&
		place_fds(&placed, &got, list, count)) {
		*message = got;
		if (fds != NULL)
			*fds = placed;
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		close(list[i]);
	return -EPROTO;
}
