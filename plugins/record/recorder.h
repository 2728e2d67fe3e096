/* SPDX-License-Identifier: MIT */
#ifndef RECORDER_H
#define RECORDER_H

/* Between recorder.c (the backend), queue.c (frames that wait) and files.c (the files that they go to). */

#include <weir/backend.h>
#include <weir/record.h>

#include "engine.h"
#include "options.h"
#include "store.h"

struct recorder;

struct file {
	struct file *next;
	struct recorder *recorder;
	struct segment *segment;
	uint64_t reserved; /* of the store */
	uint64_t dropped;  /* frames of any kind, while it was written */
};

struct list {
	struct item *first, **end;
	uint64_t count, bytes;
};

struct recorder {
	struct weir_back *back;
	struct recorder_options options;
	struct engine *engine;
	struct store *store;
	struct weir_format format; /* kind 0: none yet */
	struct codec codec;
	struct list queue;  /* for the file */
	struct list memory; /* what was before an event that may come */
	struct file *file;  /* that takes frames now, or NULL */
	struct file *files; /* all, oldest first */
	uint32_t kept;	    /* frames of the ring */
	bool recording;	    /* of events: one is going on */
	bool leaving;
	bool ending;		/* the stream is over: its file is, when the queue is empty */
	bool is_new_generation; /* of packets like those before: the next key frame begins a file */
	int64_t event_end_ns, retry_ns;
	struct weir_record_status status;
	uint64_t committed_before; /* in files that are no more */
	uint64_t file_dropped;	   /* for the file's line in the index */
	char told[160];		   /* the last error that was told */
};

int64_t recorder_now_ns(void);
void recorder_drop(struct recorder *recorder, uint64_t *counter, uint64_t count);
/* Says once why frames are not written. */
void recorder_block(struct recorder *recorder, int status, const char *what);
void recorder_tell_back(struct recorder *recorder);

/* --- queue.c --- */
void list_init(struct list *list);
void list_append(struct list *list, struct item *item);
struct item *list_take(struct list *list);
/* Back to where it was taken from. */
void list_return(struct list *list, struct item *item);
/* An item for a frame that frame() has: copied, or else kept. NULL: no memory. */
struct item *item_new_back(struct recorder *recorder, const struct weir_frame *frame, bool copied);
void item_free_back(struct recorder *recorder, struct item *item);
bool item_is_key(const struct recorder *recorder, const struct item *item);
/* Forgets what is older than the options say, whole groups of pictures at a time. */
void memory_trim_back(struct recorder *recorder);

/* --- files.c --- */
/* The directory; once more where it has vanished since. A line for people in error. */
int files_open_store(struct recorder *recorder, char *error, size_t size);
/* Hands over what waits, as far as files take it. */
void files_pump_back(struct recorder *recorder);
void files_finish(struct recorder *recorder);
/* Sees off files that are complete. */
void files_sweep_back(struct recorder *recorder);

#endif
