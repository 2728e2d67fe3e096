/* SPDX-License-Identifier: MIT */
#include "shm_kfail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

long calls, fails_at;
const char *failed;
int failed_errno;

bool must_fail(const char *name, int error)
{
	if (fails_at == 0 || ++calls != fails_at)
		return false;
	failed = name;
	errno = failed_errno = error;
	return true;
}

WRAP(void *, calloc, NULL, ENOMEM, (size_t count, size_t bytes), (count, bytes))
WRAP(void *, mmap64, MAP_FAILED, ENOMEM, (void *at, size_t bytes, int protection, int flags, int fd, off_t offset),
	(at, bytes, protection, flags, fd, offset))
WRAP(int, posix_fallocate64, ENOSPC, ENOSPC, (int fd, off_t offset, off_t bytes), (fd, offset, bytes))
WRAP(int, memfd_create, -1, EMFILE, (const char *name, unsigned flags), (name, flags))
WRAP(int, eventfd, -1, EMFILE, (unsigned count, int flags), (count, flags))
WRAP(int, socketpair, -1, EMFILE, (int domain, int type, int protocol, int *fd), (domain, type, protocol, fd))
WRAP(int, epoll_create1, -1, EMFILE, (int flags), (flags))
WRAP(int, epoll_ctl, -1, ENOMEM, (int epoll, int operation, int fd, struct epoll_event *event),
	(epoll, operation, fd, event))
WRAP(int, timerfd_create, -1, EMFILE, (int clock, int flags), (clock, flags))
WRAP(int, fstat64, -1, ENOMEM, (int fd, struct stat *st), (fd, st))
WRAP(int, stat64, -1, ENOMEM, (const char *path, struct stat *st), (path, st))
WRAP(int, chmod, -1, EROFS, (const char *path, mode_t mode), (path, mode))
WRAP(int, socket, -1, EMFILE, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, accept4, -1, EMFILE, (int fd, struct sockaddr *address, socklen_t *bytes, int flags),
	(fd, address, bytes, flags))
WRAP(int, bind, -1, ENOMEM, (int fd, const struct sockaddr *address, socklen_t bytes), (fd, address, bytes))
WRAP(int, listen, -1, ENOMEM, (int fd, int backlog), (fd, backlog))
WRAP(int, connect, -1, ENOMEM, (int fd, const struct sockaddr *address, socklen_t bytes), (fd, address, bytes))
WRAP(ssize_t, sendmsg, -1, ENOBUFS, (int fd, const struct msghdr *message, int flags), (fd, message, flags))

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = va_arg(arguments, mode_t);
	va_end(arguments);
	return must_fail("open64", EMFILE) ? -1 : __real_open64(path, flags, mode);
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
	va_list arguments;
	long argument;

	va_start(arguments, command);
	argument = va_arg(arguments, long);
	va_end(arguments);
	/* Asking for seals needs no resource. */
	return command != F_GET_SEALS && must_fail("fcntl64", EMFILE) ? -1 : __real_fcntl64(fd, command, argument);
}
