/* SPDX-License-Identifier: MIT */
#ifndef LISTEN_H
#define LISTEN_H

/* A listening socket under a path: stale files are taken over, live ones are not, and only our own is removed. */

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct listen {
	struct sockaddr_un address;
	dev_t device;
	ino_t inode; /* of our socket file; 0: abstract, or none yet */
	int fd;	     /* -1: none */
};

/* How long it waits for another server that is just starting in the same folder. */
#define LISTEN_WAIT_NS INT64_C(1000000000)

/* As weir_server_create() says. After a failure, too, listen_close() ends it. */
int listen_open(struct listen *listener, const char *path, uint32_t mode, int backlog, int *owner_pid);
void listen_close(struct listen *listener);

#endif
