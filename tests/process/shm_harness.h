/* SPDX-License-Identifier: MIT */
#ifndef SHM_HARNESS_H
#define SHM_HARNESS_H

/* What the fault harnesses of shm share: children that cannot outlive their test, frames whose bytes say which frame
 * they are, and counts of what could leak. A check that fails says why in harness_why and returns false: a sweep counts
 * failures, and a planted bug must make it count some. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/reader.h>
#include <weir/writer.h>

#if defined(__SANITIZE_ADDRESS__)
#define HARNESS_SANITIZED 1
#else
#define HARNESS_SANITIZED 0
#endif

extern char harness_why[256];

/* Notes why and returns false. */
bool harness_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define EXPECT(condition) ((condition) || harness_fail("%s:%d: %s", __func__, __LINE__, #condition))

/* The long forms: WEIR_LONG=1, or --NAME VALUE on the command line. */
bool harness_is_long(void);
uint64_t harness_option(int argc, char **argv, const char *name, uint64_t otherwise);

int64_t harness_now_ns(void);
void harness_sleep_ns(int64_t ns);
uint64_t harness_random(uint64_t *state);

/* Ends this process by SIGALRM after so many seconds: no harness hangs. Children have the same bound. */
void harness_bound(unsigned seconds);

/* fork(); the child dies with its parent, and at the bound. */
pid_t harness_fork(void);

/* Waits for a child; returns its wait status. */
int harness_wait(pid_t pid);
int harness_kill(pid_t pid);

/* Memory that children write and the parent reads: zeroed, shared by fork. Never fails. */
void *harness_shared(size_t bytes);

struct weir_ring_config harness_config(uint32_t slots, uint32_t backing);

/* Opens the ring's writer, or attaches and opens a reader, in this process. */
bool harness_open_writer(struct weir_ring *ring, struct weir_writer **writer);
bool harness_open_reader(struct weir_ring *ring, uint32_t end, struct weir_reader **reader);

/* Every 8 bytes of a payload tell generation, sequence and place. */
void harness_fill(uint8_t *payload, uint32_t bytes, uint64_t generation, uint64_t sequence);
bool harness_is_whole(const uint8_t *payload, uint32_t bytes, uint64_t generation, uint64_t sequence);

/* Claims, fills, publishes; payload of HARNESS_BYTES. 0 or claim's error. */
#define HARNESS_BYTES 64u
int harness_publish(struct weir_writer *writer, uint64_t sequence, bool keep);

/* True if the frame carries what harness_publish() gave it. */
bool harness_frame_is_whole(const struct weir_frame *frame, uint64_t generation);

/* What this process holds of rings: descriptors of any kind, and mappings of memory objects. */
struct harness_holdings {
	unsigned fds, maps;
};
struct harness_holdings harness_holdings(void);

/* Names in /dev/shm that are ours. */
unsigned harness_count_names(void);

#endif
