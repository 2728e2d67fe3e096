/* SPDX-License-Identifier: MIT */
#ifndef SERVER_H
#define SERVER_H

/* A server's own state: what its parts (each peer's life in peer.c, the loop in server.c) share. */

#include <weir/socket.h>

#include "handover.h"
#include "listen.h"

/* Readers, and as many that do not read: if there are more, one of those makes room. */
#define PEERS_MAX (2 * WEIR_READERS_MAX)

/* A peer's life: said hello? → attached (end valid) → hung up (socket -1) → dead. It is dead only when its pidfd says
 * so, or where there is none, when its pid is nobody's: a bare hang-up forfeits no more than the guarantee that it is
 * waited for. */
struct peer {
	uint64_t number; /* 0: unused. Events carry its lower half: its place may be another's by then */
	int socket, pidfd, pid;
	uint32_t uid;
	bool hello, attached, kept;
	int64_t deadline_ns; /* to say hello; without a pidfd, after it hung up: to look for it */
	struct handover want;
	uint32_t end, kept_end; /* of the ring, and of the one kept */
	int64_t notes_since_ns;
	uint32_t notes;
};

struct weir_server {
	struct weir_server_config config;
	struct listen listen;
	int epoll, timer;
	int64_t listen_ns; /* until then the listener is left out, because there is no descriptor for an accept; 0: no
			    */
	int64_t show_ns;   /* when observers are shown the counters again */
	struct weir_ring *ring, *kept; /* borrowed; kept: the one before, whose readers are still looked after */
	struct weir_server_stats stats;
	uint64_t peers; /* so far */
	struct peer peer[PEERS_MAX];
};

/* What an epoll event is about: a peer's number in the upper half, below it its index and which of its descriptors. */
enum { ABOUT_LISTENER = PEERS_MAX, ABOUT_TIMER };
#define ABOUT_PIDFD 0x10000u

int server_watch(struct weir_server *server, int fd, uint64_t about);

/* Takes a newcomer, or refuses it. */
void server_accept(struct weir_server *server);

/* Takes a message of a peer, or its hang-up. */
void server_receive(struct weir_server *server, struct peer *peer);

/* Attaches a peer that has said hello to the ring, and sends it the descriptors. */
void server_attach(struct weir_server *server, struct peer *peer);

void server_refuse(struct weir_server *server, struct peer *peer, int status);
void server_hung_up(struct weir_server *server, struct peer *peer);
void server_died(struct weir_server *server, struct peer *peer);
void server_forget(struct peer *peer);

/* It is attached, and has not freed its reader. */
bool server_is_reading(const struct weir_server *server, const struct peer *peer);

uint32_t server_count_readers(const struct weir_server *server);

#endif
