/* SPDX-License-Identifier: MIT */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handover.h"
#include "segment.h"

/* -EADDRINUSE if somebody listens there; 0 if nobody does. */
static int probe(const struct sockaddr_un *address, socklen_t length, int *owner_pid)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;
	struct ucred credentials = { 0 };
	socklen_t bytes = sizeof(credentials);

	if (fd < 0)
		return -errno;
	/* EAGAIN: its backlog is full, but it lives. Another kind of socket (EPROTOTYPE) is somebody's, too. */
	if (connect(fd, (const struct sockaddr *)address, length) == 0 || errno == EAGAIN || errno == EPROTOTYPE) {
		r = -EADDRINUSE;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) == 0 && owner_pid != NULL)
			*owner_pid = credentials.pid;
	} else if (errno != ECONNREFUSED && errno != ENOENT) {
		r = -errno; /* we do not know: it may live */
	}
	close(fd);
	return r;
}

/* Two that take over the same stale file would each remove the other's: one at a time, by a lock on the folder. */
static int lock_folder(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	flock(fd, LOCK_EX);
	return fd;
}

static int bind_file(struct listen *listener, socklen_t length, uint32_t mode, int backlog, int *owner_pid)
{
	const char *path = listener->address.sun_path;
	struct stat st;
	int folder = lock_folder(path), r;

	if (folder < 0)
		return folder;
	r = probe(&listener->address, length, owner_pid);
	if (r == 0 && lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			r = -EADDRINUSE;
		else if (unlink(path) < 0)
			r = -errno;
	}
	if (r == 0 && bind(listener->fd, (struct sockaddr *)&listener->address, length) < 0)
		r = -errno;
	else if (r == 0 && (chmod(path, mode) < 0 || stat(path, &st) < 0 || listen(listener->fd, backlog) < 0)) {
		r = -errno;
		unlink(path); /* nobody else can have put one there: we hold the lock */
	}
	if (r == 0) {
		listener->device = st.st_dev;
		listener->inode = st.st_ino;
	}
	close(folder);
	return r;
}

static int bind_abstract(struct listen *listener, socklen_t length, int backlog, int *owner_pid)
{
	if (bind(listener->fd, (struct sockaddr *)&listener->address, length) < 0) {
		int r = -errno;

		if (r == -EADDRINUSE)
			probe(&listener->address, length, owner_pid);
		return r;
	}
	return listen(listener->fd, backlog) < 0 ? -errno : 0;
}

int listen_open(struct listen *listener, const char *path, uint32_t mode, int backlog, int *owner_pid)
{
	socklen_t length;
	int r = handover_address(&listener->address, &length, path);

	if (r < 0)
		return r;
	listener->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return -errno;
	return path[0] == '@' ? bind_abstract(listener, length, backlog, owner_pid)
			      : bind_file(listener, length, mode, backlog, owner_pid);
}

void listen_close(struct listen *listener)
{
	struct stat st;

	if (listener->inode != 0 && lstat(listener->address.sun_path, &st) == 0 && st.st_dev == listener->device &&
		st.st_ino == listener->inode)
		unlink(listener->address.sun_path);
	segment_close(&listener->fd);
}
