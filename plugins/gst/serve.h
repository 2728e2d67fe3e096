/* SPDX-License-Identifier: MIT */
#ifndef SERVE_H
#define SERVE_H

/* A sink's rings under a socket path: a thread of its own answers peers, however long the streaming thread is idle or
 * waits. Its callbacks run in that thread, without a lock. */

#include <gst/gst.h>
#include <stdbool.h>
#include <weir/socket.h>
#include <weir/writer.h>

struct serve_config {
	const char *path;
	uint32_t perms;
	bool any_user;
	uint32_t max_readers;
	uint32_t slots;	    /* 0: as many as fit into shm_bytes */
	uint64_t shm_bytes; /* a wish: there are never fewer slots than a few readers need */
	int64_t stall_max_ns;

	void (*attend)(void *data); /* after every change, and every WEIR_WAIT_BOUND_NS */
	void (*changed)(void *data, const struct weir_server_reader *reader, bool connected);
	void (*stalled)(void *data, const struct weir_server_reader *reader); /* once; it is waited for no more */
	void (*note)(void *data, uint32_t notes);
	void *data;
};

struct serve;

/* As weir_server_create(). */
int serve_create(struct serve **serve, const struct serve_config *config, int *owner_pid);

/* Readers drain what they have, and learn that the producer is gone. */
void serve_free(struct serve **serve);

/* Makes the next generation, and has readers follow to it. As weir_ring_create(). */
int serve_begin(struct serve *serve, const struct weir_format *format, uint32_t slot_bytes, uint32_t loans,
	uint32_t meta_bytes, struct weir_writer **writer);

/* The next generation is due, for the sake of readers that wait. */
bool serve_is_used_up(struct serve *serve);

uint32_t serve_count(struct serve *serve);

/* Waits for the first reader: 0, or -EINTR after serve_unlock(), or -ESTALE: readers wait for the next generation. */
int serve_wait(struct serve *serve);
void serve_unlock(struct serve *serve);
void serve_unlock_stop(struct serve *serve);

/* Adds counters of the present ring, and an array "readers". */
void serve_describe(struct serve *serve, GstStructure *stats);

/* What the last serve_begin() that failed with -ENOSPC needed and had. */
void serve_space(struct serve *serve, uint64_t *needed_bytes, uint64_t *available_bytes);

#endif
