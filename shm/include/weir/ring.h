/* SPDX-License-Identifier: MIT */
#ifndef WEIR_RING_H
#define WEIR_RING_H

/* A ring as its supervisor sees it: one writer, up to WEIR_READERS_MAX readers, slots of one size, one format.
 *
 * The supervisor creates the memory, hands each process the descriptors of its own role, and says who is attached, who
 * is withdrawn and who is dead. It never waits for a peer and never calls sem_*() on memory that a peer can write. A
 * ring belongs to one writer process: when that dies the ring dies with it, and the next generation is a new ring.
 * Thread rule: one thread at a time for one ring. The general rules stand in weir/frame.h. */

#include <stdbool.h>
#include <weir/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_READERS_MAX   32
#define WEIR_SLOTS_MAX	   1024
#define WEIR_HELD_MAX	   16 /* frames that one reader may hold */
#define WEIR_DUE_MAX	   8
#define WEIR_RING_FDS_MAX  (4 + 3 * WEIR_READERS_MAX)
#define WEIR_WAIT_BOUND_NS 100000000 /* every sleeper looks again after this time at the latest */

struct weir_ring;

enum weir_backing {
	WEIR_BACKING_POSIX = 0,	 /* shm_open, unlinked at once: for processes that we forked and that drop the fds.
				  * Who keeps one can open it once more for writing: only for those that we trust */
	WEIR_BACKING_SEALED = 1, /* memfd: truncating, punching and writable remapping by a peer fail */
};

struct weir_ring_config {
	struct weir_format format;
	uint64_t generation; /* of the stream; default 1 */
	uint32_t backing;    /* enum weir_backing */
	uint32_t slot_count; /* default 8; at most WEIR_SLOTS_MAX */
	uint32_t slot_bytes; /* default format.payload_bytes; rounded up to a page */
	uint32_t ends;	     /* how many readers can be attached at a time; default 8. With untrusted: ever */
	uint32_t meta_bytes; /* room for metadata with each frame; default 256, at most 65536 */
	uint32_t loans;	     /* slots that the writer fills or keeps at a time; default 2 */
	bool untrusted; /* for readers that we did not fork: implies sealed and no_semaphores; they ring and are rung
			 * by socket messages, because whoever has an eventfd can make writing to it block */
	bool no_semaphores; /* no bells but eventfds: for readers that the writer does not trust */
};

enum weir_policy_mode {
	WEIR_POLICY_LATEST = 0,	     /* acquire gives the newest frame; what was overtaken is counted */
	WEIR_POLICY_DROP_OLDEST = 1, /* up to depth published frames of backlog */
	WEIR_POLICY_LOSSLESS = 2,    /* every frame; the writer waits for this reader, at most stall_ns */
};

enum weir_on_stall {
	WEIR_STALL_DEGRADE = 0, /* the reader goes on as drop-oldest with its depth; its next frame says so
				 * (WEIR_FRAME_DEGRADED), and what it lost */
	WEIR_STALL_EVICT = 1,	/* the reader's acquire returns -ESTALE from then on */
};

struct weir_policy {
	uint32_t mode;	     /* enum weir_policy_mode */
	uint32_t depth;	     /* frames of backlog kept for this reader; default 1, for lossless 2; with every_nth
			      * or max_fps the frames that it wants are counted, at most WEIR_DUE_MAX */
	uint32_t max_held;   /* frames held at a time; default 1, at most WEIR_HELD_MAX */
	uint32_t on_stall;   /* enum weir_on_stall */
	int64_t stall_ns;    /* lossless: how long the writer waits; default 2 s */
	uint32_t every_nth;  /* of all frames only the 1st, n+1st, 2n+1st…; default all */
	uint8_t async_io;    /* it reads slots by asynchronous I/O: when it dies its pins stand, see weir_ring_reap() */
	uint8_t reserved[3]; /* 0: a policy crosses to other processes as it is */
	double max_fps; /* no more frames a second than this, by capture time (or pts), from 1e-6 to 1e9; default all */
};

/* The descriptors of one role, for sending to the process that plays it (SCM_RIGHTS) or for opening in this one. */
struct weir_ring_fds {
	uint32_t role; /* 1 writer, 2 reader, 3 observer */
	uint32_t end;  /* reader: which end */
	uint32_t count;
	int fd[WEIR_RING_FDS_MAX]; /* -1 where the ring has no such object */
};

/* Creates a ring with its memory reserved. The caller owns *ring. Blocks while memory is reserved (about 1 ms for
 * 10 MB). -EINVAL: config; -ENOSPC: too little shared memory, see weir_ring_space(); -EMFILE, -ENOMEM. */
int weir_ring_create(struct weir_ring **ring, const struct weir_ring_config *config);

/* Unmaps and closes. Processes that opened the ring keep their mappings; nothing is left in the file system. */
void weir_ring_free(struct weir_ring **ring);

/* Bytes that this config takes, and bytes that its backing has left now (UINT64_MAX: no limit known).
 * -EINVAL: config. */
int weir_ring_space(const struct weir_ring_config *config, uint64_t *needed_bytes, uint64_t *available_bytes);

/* Slots that the ring needs for all attached readers and one more with this policy (NULL: none more). A ring with at
 * least so many never refuses a claim because of lossy readers. */
uint32_t weir_ring_slots_needed(const struct weir_ring *ring, const struct weir_policy *more);

/* The same before there is a ring: for readers with these policies and a writer with so many loans (0: the default).
 * Policies that no ring would grant count as none. */
uint32_t weir_policy_slots(const struct weir_policy *policies, uint32_t count, uint32_t loans);

/* The writer's descriptors. The caller owns them: weir_writer_open() or weir_ring_fds_close() ends them. -EMFILE. */
int weir_ring_writer_fds(struct weir_ring *ring, struct weir_ring_fds *fds);

/* Asks the writer to attach a reader with this policy; it does so at its next frame boundary. *end says which end the
 * reader gets. -EINVAL: policy; -ENOSPC: too few slots, see weir_ring_slots_needed(); -EBUSY: no end is free;
 * -EPIPE: the writer is gone. */
int weir_ring_attach(struct weir_ring *ring, const struct weir_policy *policy, uint32_t *end);

/* The descriptors of an attached reader. The caller owns them, as above. -EINVAL: the end is not attached; -EAGAIN: a
 * sealed ring that its writer has not opened yet; -EMFILE. */
int weir_ring_reader_fds(struct weir_ring *ring, uint32_t end, struct weir_ring_fds *fds);

/* Evicts a reader: the writer does not wait for it any more, its acquire returns -ESTALE; its pins count on. -EINVAL:
 * not attached. */
int weir_ring_withdraw(struct weir_ring *ring, uint32_t end);

/* Takes only the waiting from a lossless reader: it goes on as WEIR_STALL_DEGRADE says. To others it does nothing.
 * -EINVAL: not attached. */
int weir_ring_degrade(struct weir_ring *ring, uint32_t end);

/* Says that a reader is dead and reaped (or left and closed everything): its pins count no more. Never call it for a
 * process that may still run. The end is reused after the writer has acknowledged it. Returns 1 if the reader did
 * asynchronous I/O (policy.async_io) and held frames: the kernel may still read or write their slots, so its pins
 * stand for ever; begin the next generation. -EINVAL: not attached. */
int weir_ring_reap(struct weir_ring *ring, uint32_t end);

/* Says that the writer is dead and reaped: readers drain the backlog, then get -EPIPE. Rings all eventfds. */
void weir_ring_writer_gone(struct weir_ring *ring);

void weir_ring_fds_close(struct weir_ring_fds *fds);

/* Descriptors for a third process that only looks at the counters. The caller owns them. -EMFILE. A posix ring's
 * observer is trusted: it could open them once more for writing, by /proc/self/fd. That of a sealed ring gets copies of
 * what the readers count, as they were at the last weir_ring_show(), and nothing that can be written. */
int weir_ring_observer_fds(struct weir_ring *ring, struct weir_ring_fds *fds);

/* Brings the copies up to date: call it now and then while there are observers. Does not block. */
void weir_ring_show(struct weir_ring *ring);

/* Opens a ring for looking: of all functions here only free, format, generation, stats and end_stats may be called on
 * it. Takes over the descriptors. -EINVAL: not an observer's; -EPROTO: not a ring of this version; -ENOMEM. */
int weir_ring_observe(struct weir_ring **ring, struct weir_ring_fds *fds);

const struct weir_format *weir_ring_format(const struct weir_ring *ring);
uint64_t weir_ring_generation(const struct weir_ring *ring);

struct weir_ring_stats {
	uint64_t published;		       /* frames so far = last sequence */
	uint64_t source_lost;		       /* frames that the writer says were lost before it */
	uint64_t copied;		       /* frames that the writer had to copy into a slot */
	uint64_t claim_waits;		       /* times that the writer found no free slot */
	uint64_t rung_eventfd, rung_semaphore; /* wake-ups sent, by kind */
	uint64_t rings_saved;		       /* times that a reader was awake and needed none */
	uint64_t stalled;		       /* lossless readers degraded or evicted */
	uint32_t slot_count, free_low_water;   /* the fewest free slots seen */
	bool ended;			       /* end of stream was published */
};

struct weir_end_stats {
	bool attached;				 /* the writer has granted it */
	bool left;				 /* the reader said that it left */
	bool stalled;				 /* degraded or evicted by the writer */
	uint64_t start;				 /* the first sequence that it may get */
	uint64_t last;				 /* the last sequence that it acquired; 0 none */
	uint64_t delivered;			 /* frames acquired */
	uint64_t overtaken;			 /* frames published for it, but overwritten before it came */
	uint64_t skipped;			 /* frames that its policy passed over */
	uint64_t woken_eventfd, woken_semaphore; /* times that it slept and was woken, by kind */
	uint32_t held;
	uint64_t cursor; /* the next sequence that it will look at; UINT64_MAX: it left */
	struct weir_policy policy;
	/* From capture to acquire, of frames with a capture time; a quantile is right within a factor of 1.5. */
	int64_t latency_p50_ns, latency_p99_ns, latency_max_ns;
};

/* Counters as they stand now; written by the peers, so plausible but not trustworthy. Neither blocks. -EINVAL: end. */
void weir_ring_stats(const struct weir_ring *ring, struct weir_ring_stats *stats);
int weir_ring_end_stats(const struct weir_ring *ring, uint32_t end, struct weir_end_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
