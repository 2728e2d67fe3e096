/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BACKEND_H
#define WEIR_BACKEND_H

/* A backend is what runs on the other side of the fork: five functions and a piece of state. Weir calls them one at a
 * time from the main thread of the process, so a backend needs no locks of its own. It may start threads in enter();
 * the functions below may be called from the main thread only, unless they say otherwise.
 *
 * A plugin is a shared object that exports `const struct weir_backend weir_backend`. */

#include <weir/message.h>
#include <weir/reader.h>
#include <weir/writer.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_OUTPUTS_MAX 2 /* streams that one child writes */
#define WEIR_BACKEND_ABI 2

struct weir_back; /* the process, as its backend sees it */

enum weir_leave_reason {
	WEIR_LEAVE_STOP = 0,  /* asked to: flush, close */
	WEIR_LEAVE_ERROR = 1, /* one of the functions failed */
};

struct weir_backend {
	uint32_t abi;	    /* WEIR_BACKEND_ABI */
	const char *name;   /* for people; process names come from the frontend */
	size_t state_bytes; /* zeroed memory that is passed as state */

	/* Optional. Runs once in the zygote, where there may be one thread only and must stay so: load what is slow to
	 * load. 0 or -errno; a failure costs speed only. */
	int (*preload)(void);

	/* Opens resources, once per process; args as given to weir_child_add(), "" if none. 0, or -errno: the process
	 * ends with that as its reason; leave() is not called then. After 0 the child counts as ready. */
	int (*enter)(struct weir_back *back, void *state, const char *args);

	/* A message from the frontend, or one of Weir's own (enum weir_message_type). 0, or -errno; a call that it does
	 * not answer with weir_back_reply() before it returns is answered with this code. Unknown type: -ENOSYS.
	 * Another error than that for one of Weir's own ends the process. Optional. */
	int (*command)(struct weir_back *back, void *state, const struct weir_message *message);

	/* A frame from an input; released when it returns, unless weir_back_keep() was called. 0, or -errno: the
	 * process ends. Optional. */
	int (*frame)(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame);

	/* About every WEIR_WAIT_BOUND_NS (never more often than every 50 ms), frames or not. 0 or -errno. Optional. */
	int (*tick)(struct weir_back *back, void *state, int64_t now_ns);

	/* Flushes and closes: always runs once after an enter() that succeeded, but not after a kill. Optional. */
	void (*leave)(struct weir_back *back, void *state, int reason);

	/* Optional: a loop of the backend's own (GLib, asyncio, …) that runs in place of Weir's; see weir_back_fd().
	 * When it returns the process ends: 0 is a success, else -errno. */
	int (*loop)(struct weir_back *back, void *state);
};

/* The name that the frontend gave to this child; valid as long as the process. */
const char *weir_back_name(const struct weir_back *back);

/* Answers a call, at most once. -EINVAL: no answer is expected; -EMSGSIZE: size over WEIR_MESSAGE_BYTES_MAX; -EPIPE:
 * the frontend is gone. May block until the frontend reads, at most 1 s (-ETIMEDOUT). */
int weir_back_reply(struct weir_back *back, const struct weir_message *call, int status, const void *data, size_t size);

/* Sends an event to the frontend: of a type of yours, WEIR_EVENT_RESULT or WEIR_EVENT_SOURCE; else -EINVAL. Other
 * errors and blocking as weir_back_reply(). */
int weir_back_event(struct weir_back *back, uint32_t type, const void *data, size_t size);

/* How this process waits for frames. Default: poll() on eventfds. WEIR_WAIT_SEMAPHORE blocks in acquire instead, so
 * commands are seen up to WEIR_WAIT_BOUND_NS late; used only while there is exactly one input and nothing is watched.
 */
enum weir_wait { WEIR_WAIT_EVENTFD = 0, WEIR_WAIT_SEMAPHORE = 1 };
void weir_back_set_wait(struct weir_back *back, enum weir_wait wait);

/* Calls fn from the main loop whenever fd is readable; one fn for each fd; fn NULL ends it. -ENOSPC: more than 16. The
 * fd stays the caller's. */
typedef void (*weir_watch_fn)(struct weir_back *back, void *state, int fd);
int weir_back_watch(struct weir_back *back, int fd, weir_watch_fn fn);

/* Ends the process from within: status 0 is a success, else -errno. leave() runs. Returns at once. */
void weir_back_exit(struct weir_back *back, int status);

/* For a child with hang_ns. Weir counts as progress that one of the functions above returns, and that its loop goes
 * round. A function that takes longer calls weir_back_beat() on its way. Threads of the backend's own are seen only if
 * they call weir_back_work(): with true while there is something to do, at least every hang_ns; with false before they
 * wait for input. It says nothing about a thread that never calls it. Any thread; some nanoseconds. */
void weir_back_beat(struct weir_back *back);
void weir_back_work(struct weir_back *back, bool busy);

/* Where in its input the process is: a number of the backend's own, but not 0, told before the work on it begins. A
 * child that dies three times at one position is not started again; with skip_poison it is, and
 * weir_back_is_poison() is then true for that position. Any thread. */
void weir_back_set_position(struct weir_back *back, uint64_t position);
bool weir_back_is_poison(const struct weir_back *back, uint64_t position);

/* Inside of another loop. The descriptor is readable (POLLIN) when there is something to do, at least every
 * WEIR_WAIT_BOUND_NS; then call weir_back_turn() with deadline 0, which calls the functions above. It is Weir's, and
 * the same for the life of the process. -errno. A turn handles at most one frame of each input; it waits at most until
 * deadline_ns. 0; or what is to end the loop: 1 for a success, else -errno. */
int weir_back_fd(struct weir_back *back);
int weir_back_turn(struct weir_back *back, int64_t deadline_ns);

/* Asks the frontend for a ring to write to: format, slot_bytes, slot_count, loans and meta_bytes are wishes, the
 * stream's own settings win where it has some. The answer is WEIR_COMMAND_WRITER. Errors as weir_back_event(). */
int weir_back_want_ring(struct weir_back *back, const struct weir_ring_config *config);

/* The same for a backend that writes more than one stream: output is 0 for the first (as above) to WEIR_OUTPUTS_MAX
 * - 1. Its events about the source are about all of them. -EINVAL: output. */
int weir_back_want_output(struct weir_back *back, uint32_t output, const struct weir_ring_config *config);

/* Takes over the writer that WEIR_COMMAND_WRITER told about; the caller frees it. -ENOENT: there is none. */
int weir_back_take_writer(struct weir_back *back, struct weir_writer **writer);

/* From within frame(): the frame stays pinned when that returns, until weir_back_release(). While the policy's max_held
 * frames are kept, no other comes; while any is kept, the next generation does not begin and the end is not told.
 * -EINVAL: not the frame that frame() has. */
int weir_back_keep(struct weir_back *back, uint32_t input, const struct weir_frame *frame);
/* -EINVAL: it is not kept. */
int weir_back_release(struct weir_back *back, uint32_t input, const struct weir_frame *frame);

/* The format of an input's present generation. NULL if there is no such input. Valid until the next callback. */
const struct weir_format *weir_back_input_format(const struct weir_back *back, uint32_t input);

/* Runs a backend in this process, without a fork, for tests: create, then any of the functions, then free (which calls
 * leave). Events and replies go to fn. A ring is given by its descriptors, as a frontend would. */
typedef void (*weir_back_sink)(void *data, const struct weir_message *message);
int weir_back_create_local(
	struct weir_back **back, const struct weir_backend *backend, const char *args, weir_back_sink fn, void *data);
int weir_back_local_ring(struct weir_back *back, uint32_t input, struct weir_ring_fds *fds);
int weir_back_local_command(struct weir_back *back, uint32_t type, const void *data, size_t size);
/* As weir_back_turn(). A ring that ends without a successor is the end of its input. */
int weir_back_local_run(struct weir_back *back, int64_t deadline_ns);
void weir_back_local_free(struct weir_back **back);

#ifdef __cplusplus
}
#endif
#endif
