/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SOCKET_H
#define WEIR_SOCKET_H

/* Handing rings to processes that we did not fork: a server offers a ring under a path, a client connects to it, and
 * the descriptors cross a Unix socket. The next generation is announced on the same socket. Neither side trusts the
 * other: serve rings made with config.untrusted. Thread rule: one thread at a time for one handle. Rules: weir/frame.h.
 */

#include <weir/reader.h>
#include <weir/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_server;

struct weir_server_config {
	const char *path;     /* required; "/run/cam0", or "@cam0" for an abstract name (no file, no permissions) */
	uint32_t mode;	      /* permissions of the socket file; default 0600 */
	bool any_user;	      /* accept peers of any user that the permissions let through; default: ours and root */
	bool async_io;	      /* accept policies with async_io; default: -EPERM, because they can cost a generation */
	uint32_t max_readers; /* default: as many as the ring has ends. Places for those that do not read (silent,
			       * waiting, looking) are few: in a crowd the silent go first, then those of whose
			       * user and process there are most */
	int64_t hello_ns;     /* a peer that has not said what it wants by then is dropped; default 1 s */
	int64_t stall_max_ns; /* lossless readers are waited for no longer than this; default: as long as they ask */
	/* Called by dispatch for every weir_client_note(), may be NULL. A peer that sends many is dropped. */
	void (*note)(void *data, uint32_t note);
	void *data;
};

/* Listens. A stale socket file is taken over. -EADDRINUSE: somebody serves this path: *owner_pid says who (0: unknown);
 * -EACCES, -ENOENT: the path's folder; -ETIMEDOUT: somebody else holds a lock (flock) on it; -ENAMETOOLONG; -EINVAL:
 * config. owner_pid may be NULL. Blocks for 1 s at most, while another server is starting in the same folder. */
int weir_server_create(struct weir_server **server, const struct weir_server_config *config, int *owner_pid);

/* Drops all peers as if they had hung up (the dead are reaped), and removes the socket file if it is still ours. The
 * ring stays the caller's. Peers read on, but what they hold stays held even after their death, because nobody hears of
 * it: give another server a new ring. */
void weir_server_free(struct weir_server **server);

/* Serves this ring from now on: new peers are attached to it, present ones are told. Its writer must have opened it.
 * The ring stays the caller's and must outlive the server, or the next call of this function. NULL: none for now; new
 * peers wait. */
void weir_server_set_ring(struct weir_server *server, struct weir_ring *ring);

/* The same, but the ring before it is kept: its readers' deaths and hang-ups are told to it, so that a writer that has
 * ended it may wait for weir_writer_drained(). It must outlive the server, or weir_server_drop_ring(), which ends that,
 * or the next ring: no more than one is kept. */
void weir_server_next_ring(struct weir_server *server, struct weir_ring *ring);
void weir_server_drop_ring(struct weir_server *server);

/* Poll the fd for POLLIN, then dispatch, which does not block. It reaps the ends of peers that died, waits no
 * longer for those that hung up (weir_ring_degrade()), drops those that break the rules, and shows observers the
 * readers' counters (weir_ring_show()). The fd is the server's. */
int weir_server_fd(const struct weir_server *server);
void weir_server_dispatch(struct weir_server *server);

struct weir_server_stats {
	uint32_t readers;	    /* attached now */
	uint64_t accepted, refused; /* peers so far: attached; dropped or refused for whatever reason */
	/* Begin the next generation: a reader with async_io died holding frames of this ring; or readers that left,
	 * whose processes live on, use up its ends, and a peer waits for one. */
	bool retire;
};
void weir_server_stats(const struct weir_server *server, struct weir_server_stats *stats);

struct weir_server_reader {
	uint64_t number; /* 1, 2, 3… in the order in which peers came */
	int pid;	 /* as the kernel says; in a container's own numbering 0 for those outside it */
	uint32_t end;	 /* for weir_ring_end_stats() */
};

/* The readers that are attached now; returns how many. readers has room for WEIR_READERS_MAX. */
uint32_t weir_server_readers(const struct weir_server *server, struct weir_server_reader *readers);

struct weir_client;

/* Of a refusal with -ENOSPC: how many slots the ring needs to take this reader, too, and how many it has. */
struct weir_refusal {
	uint32_t slots_needed, slots_had;
};

struct weir_client_config {
	const char *path; /* as above */
	bool observe;	  /* look at the counters only: weir_client_take_observer(). The readers' are copies, which the
			   * server brings up to date every WEIR_WAIT_BOUND_NS */
	struct weir_policy policy;
	struct weir_refusal *refusal; /* set when connect or dispatch returns -ENOSPC; the caller's, as long as the
				       * client lives; may be NULL */
};

/* Connects and waits for the first ring, until the deadline. -ENOENT, -ECONNREFUSED: nobody serves this path; -EACCES;
 * also: it does not let us in; -ENOSPC: its ring has too few slots for the policy; -EBUSY: too many readers, or peers
 * that do not read; -EINVAL: policy; -EPERM: it allows no async_io; -EIO: it refuses for a reason of its own;
 * -ETIMEDOUT: also if we were too slow for it; -EPIPE: it hung up; -EPROTO: it breaks the rules; -ENAMETOOLONG;
 * -EMFILE, -ENOMEM: ours. */
int weir_client_connect(struct weir_client **client, const struct weir_client_config *config, int64_t deadline_ns);

/* Closes. Readers that were taken stay open, but nobody waits for them any more. */
void weir_client_free(struct weir_client **client);

/* Poll the fd for POLLIN, then dispatch, which does not block: 0, or -EPIPE: the server is gone: drain the reader, then
 * connect again; or why it refuses us the next generation, as weir_client_connect() says. The fd is the client's. */
int weir_client_fd(const struct weir_client *client);
int weir_client_dispatch(struct weir_client *client);

/* Takes over the newest ring that was announced: the first one, then the next generations. Drain the old reader first
 * (until -EPIPE or -ENODATA), then free it. -EAGAIN: there is none that was not taken yet. */
int weir_client_take_reader(struct weir_client *client, struct weir_reader **reader);
int weir_client_take_observer(struct weir_client *client, struct weir_ring **ring);

/* Says something to whoever runs the server: what a note means is between the two of you. Does not block. -EAGAIN: it
 * does not listen now; -EPIPE: it is gone. */
int weir_client_note(struct weir_client *client, uint32_t note);

/* The server's process, as the kernel says. */
int weir_client_server_pid(const struct weir_client *client);

#ifdef __cplusplus
}
#endif
#endif
