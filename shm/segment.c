/* SPDX-License-Identifier: MIT */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <weir/ring.h>

/* shm_open() is open() in /dev/shm. O_TMPFILE is the same object without the moment in which a SIGKILL between open and
 * unlink would leave a name behind; where it is missing, the name is random, exclusive, and gone at once. */
static int open_posix(void)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0 || errno == ENOSPC || errno == EMFILE || errno == ENFILE)
		return fd >= 0 ? fd : -errno;
	for (int i = 0; i < 100; i++) {
		uint64_t random;
		char name[32];

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -EIO;
		snprintf(name, sizeof(name), "/weir-%016llx", (unsigned long long)random);
		fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0) {
			shm_unlink(name);
			return fd;
		}
		if (errno != EEXIST)
			break;
	}
	return -errno;
}

int segment_create(uint32_t backing, uint64_t bytes)
{
	int fd, r;

	if (backing == WEIR_BACKING_SEALED) {
		fd = memfd_create("weir", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd < 0)
			fd = -errno;
	} else {
		fd = open_posix();
	}
	if (fd < 0)
		return fd;
	do
		r = posix_fallocate(fd, 0, (off_t)bytes);
	while (r == EINTR);
	if (r != 0) {
		close(fd);
		return -r;
	}
	return fd;
}

static int seal_bits(int seals)
{
	int fixed = F_SEAL_GROW | F_SEAL_SHRINK;

	return seals == SEGMENT_SEALS_OURS ? fixed | F_SEAL_FUTURE_WRITE : fixed;
}

int segment_seal(uint32_t backing, int fd, int seals)
{
	if (backing != WEIR_BACKING_SEALED)
		return 0;
	return fcntl(fd, F_ADD_SEALS, seal_bits(seals) | F_SEAL_SEAL) < 0 ? -errno : 0;
}

int segment_fix_size(uint32_t backing, int fd)
{
	if (backing != WEIR_BACKING_SEALED)
		return 0;
	return fcntl(fd, F_ADD_SEALS, seal_bits(SEGMENT_SEALS_FIXED)) < 0 ? -errno : 0;
}

bool segment_is_sealed(int fd, int seals)
{
	int have = fcntl(fd, F_GET_SEALS);

	return have >= 0 && (have & seal_bits(seals)) == seal_bits(seals);
}

int segment_reopen_readonly(int fd)
{
	char path[32];
	int copy;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, O_RDONLY | O_CLOEXEC);
	return copy < 0 ? -errno : copy;
}

int segment_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

int segment_map(void **map, int fd, uint64_t bytes, bool writable)
{
	struct stat st;
	void *made;

	/* Not only large enough, but there: else it is our touching it that makes its pages, on our account. */
	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size < bytes || (uint64_t)st.st_blocks < bytes / 512)
		return -EPROTO;
	made = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (made == MAP_FAILED)
		return -errno;
	*map = made;
	return 0;
}

void segment_unmap(void *map, uint64_t bytes)
{
	if (map != NULL)
		munmap(map, bytes);
}

void segment_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int wake_create_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int wake_create_sockets(int fd[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0 ? -errno : 0;
}

void wake_ring(int fd, bool socket)
{
	int saved = errno;

	if (socket)
		send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		eventfd_write(fd, 1);
	errno = saved;
}

/* Only we read it, so after poll() says readable a plain read cannot block; for kernels without preadv2. */
static bool clear_polled(int fd)
{
	uint64_t count;

	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 1 &&
	       read(fd, &count, sizeof(count)) == sizeof(count);
}

/* One message: a reader is rung once for each sleep. What is left of a peer that rings without need ends as many sleeps
 * early. Also after half a stop (SHUT_WR there): recv() gives 0 for ever. */
static int clear_socket(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);

	return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : got > 0 ? 1 : -EPIPE;
}

void wake_silence(int fd)
{
	int saved = errno, unbound = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (unbound >= 0)
		dup3(unbound, fd, O_CLOEXEC);
	segment_close(&unbound);
	errno = saved;
}

int wake_clear(int fd, bool socket)
{
	uint64_t count;
	int saved = errno, rung;

	if (!socket) {
		rung = preadv2(fd, &(struct iovec){ &count, sizeof(count) }, 1, -1, RWF_NOWAIT) == sizeof(count);
		if (!rung && (errno == ENOSYS || errno == EOPNOTSUPP))
			rung = clear_polled(fd);
	} else {
		rung = clear_socket(fd);
	}
	errno = saved;
	return rung;
}

int wake_wait(int fd, int64_t deadline_ns)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int64_t now_ns = clock_now_ns();
	struct timespec timeout = { .tv_nsec = WEIR_WAIT_BOUND_NS };

	if (deadline_ns <= now_ns)
		return -ETIMEDOUT;
	if (deadline_ns - now_ns < WEIR_WAIT_BOUND_NS)
		timeout.tv_nsec = deadline_ns - now_ns;
	ppoll(&pollfd, 1, &timeout, NULL);
	return 0;
}
