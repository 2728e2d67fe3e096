/* SPDX-License-Identifier: MIT */
#ifndef ZYGOTE_H
#define ZYGOTE_H

/* The zygote: a process with one thread from which all children are forked, so that the program itself may have
 * threads. It parses nothing but our own orders, touches no frame, and keeps no secrets. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/frontend.h>

#include "cgroup.h"

#define ZYGOTE_ENV	  "WEIR_ZYGOTE" /* in the environment of a zygote made by exec: the number of its socket */
#define ZYGOTE_CHILD_ENV  "WEIR_CHILD"	/* in that of a child: the frontend's pid, a point, the number of the life */
#define ZYGOTE_ORDER_ENV  "WEIR_ORDER"	/* in that of a child made by exec, until weir_init() */
#define ZYGOTE_TEXT_BYTES 512
#define ZYGOTE_NAME_BYTES 64
#define ZYGOTE_PATH_BYTES 4096
#define ZYGOTE_ARGS_BYTES 32769

#define ZYGOTE_POISON_MAX 16

/* What a child is given, in this order: commands to read, events to write, the socket for rings, its output, its page
 * (page.h). */
enum zygote_fd {
	ZYGOTE_FD_COMMANDS,
	ZYGOTE_FD_EVENTS,
	ZYGOTE_FD_RINGS,
	ZYGOTE_FD_OUTPUT,
	ZYGOTE_FD_PAGE,
	ZYGOTE_FDS,
};
#define ZYGOTE_FDS_MAX (ZYGOTE_FDS + CGROUP_FDS_MAX) /* and the control groups that it is to enter */

struct zygote_order {
	uint32_t id;	  /* never 0 */
	uint32_t cgroups; /* that come with it */
	uint32_t poisons; /* in poison: positions to be skipped */
	uint64_t poison[ZYGOTE_POISON_MAX];
	struct weir_limits limits;
	uint32_t is_worker; /* of a pool */
	uint32_t spawn;	    /* enum weir_spawn */
	char name[ZYGOTE_NAME_BYTES];
	char backend[ZYGOTE_PATH_BYTES];
	char args[ZYGOTE_ARGS_BYTES]; /* only its used part travels */
};

struct zygote_answer {
	uint32_t id;		      /* of the order; 0: ready, preloaded */
	int32_t status;		      /* 0 or -errno */
	int32_t pid;		      /* of the child: by now a child of the frontend */
	char text[ZYGOTE_TEXT_BYTES]; /* why not; threads that are in the way */
};

/* --- the zygote's own side (zygote.c) --- */

/* Never returns. */
_Noreturn void zygote_run_back(int socket, int frontend_pid, const struct weir_init_config *config);

/* --- the frontend's side (init.c); one zygote for each process --- */

bool zygote_is_initialised(void);
int zygote_socket(void); /* -1 while there is none */
int zygote_pidfd(void);	 /* -1: none tells of its death */
int zygote_pid(void);	 /* of the present or last one */
bool zygote_is_ready(void);

/* Reads an answer: 1; or 0: there is none. id 0: it is ready now; text: what is wrong with its preloading, or "".
 * -EPROTO, -EPIPE: it says something else, or nothing any more, and is killed. */
int zygote_attend(struct zygote_answer *answer);

/* True when it is dead, and when it died so often that there will be no other for a while. */
bool zygote_is_dead(void);
bool zygote_is_given_up(void);

/* Makes a new one if the old one has died, by exec of the program itself. 0, or -errno: it dies again and again. */
int zygote_revive(void);
void zygote_kill(void);

/* --- the program, executed again (exec.c) --- */

#define ZYGOTE_PROGRAM "/proc/self/exe"

/* Starts it as a zygote. 0, with our end of its socket; or -errno. */
int zygote_exec(int *socket, pid_t *pid);

/* Becomes it, as a child that finds its order behind this descriptor. Only returns -errno. */
int zygote_exec_child_back(int order_fd, int frontend);

/* In the program that was executed: the descriptor that this variable names, or -1: it is not there. *frontend: who has
 * started us, if that is still our parent. Takes the variable out of the environment. */
int zygote_inherited(const char *variable, int *frontend);

/* A number for an order, and for the life that begins with it; never the same again: an answer may come late. */
uint32_t zygote_next_id(void);

/* Orders a child; the answer comes through the socket. 0, -EAGAIN (it has enough to do), -EPIPE or -ENOTCONN (it is
 * dead), -errno. The descriptors stay the caller's. Does not block. */
int zygote_send(const struct zygote_order *order, const int *fds, size_t count);

#endif
