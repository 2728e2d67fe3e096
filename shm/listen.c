/* SPDX-License-Identifier: MIT */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handover.h"
#include "segment.h"

static int create_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* -EADDRINUSE if somebody listens there; 0 if nobody does. */
static int probe(const struct sockaddr_un *address, socklen_t length, int *owner_pid)
{
	int fd = create_socket(), r = 0;
	struct ucred credentials = { 0 };
	socklen_t bytes = sizeof(credentials);

	if (fd < 0)
		return fd;
	/* EAGAIN: its backlog is full, but it lives. Another kind of socket (EPROTOTYPE) is somebody's, too. */
	if (connect(fd, (const struct sockaddr *)address, length) == 0 || errno == EAGAIN || errno == EPROTOTYPE) {
		r = -EADDRINUSE;
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes);
		if (owner_pid != NULL)
			*owner_pid = credentials.pid;
	} else if (errno != ECONNREFUSED && errno != ENOENT) {
		r = -errno; /* we do not know: it may live */
	}
	close(fd);
	return r;
}

/* Two that take over the same stale file would each remove the other's: one at a time, by a lock on the folder. Who may
 * open the folder may hold the lock for ever: then we give up. */
static int lock_folder(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int64_t deadline_ns = clock_now_ns() + LISTEN_WAIT_NS;
	int fd;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (clock_now_ns() >= deadline_ns) {
			close(fd);
			return -ETIMEDOUT;
		}
		poll(NULL, 0, 5);
	}
	return fd;
}

static int remove_stale(const char *path, int *owner_pid)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		if (owner_pid != NULL)
			*owner_pid = 0;
		return -EADDRINUSE;
	}
	return unlink(path) < 0 ? -errno : 0;
}

static int bind_file(struct listen *listener, socklen_t length, uint32_t mode, int backlog)
{
	const char *path = listener->address.sun_path;
	struct stat st;
	int r;

	if (bind(listener->fd, (struct sockaddr *)&listener->address, length) < 0)
		return -errno;
	if (chmod(path, mode) < 0 || stat(path, &st) < 0 || listen(listener->fd, backlog) < 0) {
		r = -errno;
		unlink(path); /* nobody else can have put one there: we hold the lock */
		return r;
	}
	listener->device = st.st_dev;
	listener->inode = st.st_ino;
	return 0;
}

static int open_file(struct listen *listener, socklen_t length, uint32_t mode, int backlog, int *owner_pid)
{
	int folder = lock_folder(listener->address.sun_path), r;

	if (folder < 0)
		return folder;
	r = probe(&listener->address, length, owner_pid);
	if (r == 0)
		r = remove_stale(listener->address.sun_path, owner_pid);
	if (r == 0)
		r = bind_file(listener, length, mode, backlog);
	close(folder);
	return r;
}

static int open_abstract(struct listen *listener, socklen_t length, int backlog, int *owner_pid)
{
	if (bind(listener->fd, (struct sockaddr *)&listener->address, length) < 0) {
		int r = -errno;

		if (r == -EADDRINUSE && probe(&listener->address, length, owner_pid) == 0 && owner_pid != NULL)
			*owner_pid = 0; /* it is bound, but does not listen: the kernel does not say whose it is */
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
	r = listener->fd = create_socket();
	if (r < 0)
		return r;
	if (path[0] == '@')
		return open_abstract(listener, length, backlog, owner_pid);
	return open_file(listener, length, mode, backlog, owner_pid);
}

void listen_close(struct listen *listener)
{
	struct stat st;

	if (listener->inode != 0 && lstat(listener->address.sun_path, &st) == 0 && st.st_dev == listener->device &&
		st.st_ino == listener->inode)
		unlink(listener->address.sun_path);
	segment_close(&listener->fd);
	listener->inode = 0;
}
