/* SPDX-License-Identifier: MIT */
#include "fds.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int fds_send(int socket, const void *data, size_t size, const int *fds, size_t count)
{
	struct iovec part = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control;
	ssize_t sent;

	if (count > FDS_MAX)
		return -EINVAL;
	if (count > 0) {
		struct cmsghdr *header;

		memset(&control, 0, sizeof(control));
		packet.msg_control = control.bytes;
		packet.msg_controllen = CMSG_SPACE(count * sizeof(int));
		header = CMSG_FIRSTHDR(&packet);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	}
	do
		sent = sendmsg(socket, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Takes what fits, closes the rest. Returns how many came in all. */
static size_t take_fds(struct msghdr *packet, int *fds, size_t room)
{
	size_t came = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(packet); header != NULL; header = CMSG_NXTHDR(packet, header)) {
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (came < room)
				fds[came] = fd;
			else
				close(fd);
			came++;
		}
	}
	return came;
}

int fds_receive(int socket, void *data, size_t size, int *fds, size_t *count)
{
	struct iovec part = { .iov_base = data, .iov_len = size };
	union control control;
	struct msghdr packet = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;
	size_t came;

	do
		got = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	came = take_fds(&packet, fds, *count);
	if ((packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || came > *count) {
		for (size_t i = 0; i < came && i < *count; i++)
			close(fds[i]);
		return -EPROTO;
	}
	if (got == 0)
		return -EPIPE;
	*count = came;
	return (int)got;
}

void fds_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* For kernels and containers without close_range(). */
static void close_listed_from(int first)
{
	DIR *fds = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (fds == NULL)
		return;
	while ((entry = readdir(fds)) != NULL) {
		int fd = atoi(entry->d_name);

		if (fd >= first && fd != dirfd(fds))
			close(fd);
	}
	closedir(fds);
}

void fds_close_from(int first)
{
	if (close_range((unsigned int)first, ~0u, 0) < 0)
		close_listed_from(first);
}
