/* SPDX-License-Identifier: MIT */
#ifndef WEIR_RECORD_H
#define WEIR_RECORD_H

/* The recorder and the player, two backends: arguments (JSON objects, for weir_child_config.args), commands, events.
 *
 * "record/recorder" reads a stream and writes Matroska files, raw pictures straight from the ring's slots:
 *
 *	"directory"    where to; made if it is not there; required
 *	"name"         files are NAME-YYYYMMDDTHHMMSS.uuuuuuZ.mkv (UTC, of the first frame), NAME.jsonl tells of
 *	               the complete ones; default "stream". One recorder of a name at a time in a directory
 *	"segment_s"    a new file begins when one is so long; default 60. One of packets begins with a key frame
 *	"segment_mb"   or so big; default 1024, and a quarter of the quota at most
 *	"quota_mb"     of all files of this name: the oldest are deleted for it; default none
 *	"floor_mb"     stays free on the disk, the same way; default 256
 *	"sync"         what outlives a power failure. "file": what the index tells of, the default; "cluster": what is
 *	               committed, all but the last two seconds; "never": what the kernel has written by itself.
 *	               A recorder that is killed loses what is not committed, whichever it is
 *	"lossless"     true: when the disk is full, gone or slow, hold on to frames, so that the ring slows the
 *	               source as far as the policy lets it; default: drop frames, and count them
 *	"engine"       "auto": io_uring, or plain writes where that is forbidden; "plain". Default "auto"
 *	"before_s"     record events only: from so long before WEIR_COMMAND_RECORD_EVENT
 *	"after_s"      until so long after the last one
 *	"memory_mb"    what was before is kept in memory of at most this size; default 256
 *
 * Its policy: lossless or drop-oldest, with async_io, and max_held 8 or more: so many frames are on their way to the
 * disk at a time. Give it time to complete its file: stop_ns 10 s.
 *
 * What it can hold: raw pictures; those that enum weir_pixel has no name for are copied on their way, as is all below;
 * H.264, H.265, VP8, VP9, AV1, JPEG, MPEG-1, 2 and 4; samples (U8, S16, S24, S32, F32LE, F64LE, interleaved), Opus,
 * bare AAC, MP3. Another stream ends the recorder, and its log says why.
 *
 * A recording can be told from other Matroska files by the text WEIRFMT1 in its first 8 KiB, which is followed by its
 * kind (enum weir_kind, 4 bytes, little endian).
 *
 * "record/player" reads such files, or one with nothing but raw frames, and writes a stream:
 *
 *	"source"       a file, or a directory of one recorder: all its files in the order of its index, as one stream;
 *	               required. A file that was cut is played up to its last committed cluster, and the log says so
 *	"lossless"     true: every frame, as fast as the readers take them
 *	"pace"         how many times as fast as it was, 0.001 to 1e6; default 1, with lossless 0: as fast as possible
 *	"loop"         true: from the beginning again when it has ended
 *	"start_s"      where to begin; default 0
 *	"raw"          {"format":"NV12","width":…,"height":…,"fps":…}: the file holds such frames and nothing else
 *	"slots"        of the ring; default as many as are needed
 *	"engine"       as above */

#include <weir/message.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_record_message {
	/* to the recorder */
	WEIR_COMMAND_RECORD_EVENT = 0x5200,  /* something has happened: no data */
	WEIR_COMMAND_RECORD_STATUS = 0x5201, /* a call: the answer is struct weir_record_status */
	/* from the recorder: struct weir_record_status, when a file is complete, when the state changes, at the end */
	WEIR_EVENT_RECORD = 0x5210,
	/* to the player */
	WEIR_COMMAND_REPLAY_SEEK = 0x5220, /* data: int64_t, ns from the beginning, as its files last, without what is
					    * missing between them; goes on at the key frame before it.
					    * -EAGAIN: there is no ring yet, or the end has come */
};

enum weir_record_state {
	WEIR_RECORD_IDLE = 0, /* no frame yet, or no event */
	WEIR_RECORD_ACTIVE,
	WEIR_RECORD_BLOCKED, /* the disk does not take frames: text says why; it is tried again every second */
};

/* Counters of one life of a recorder. frames = committed + lost + what is on its way; with events, also + what no
 * event asked for. */
struct weir_record_status {
	uint32_t state;	       /* enum weir_record_state */
	uint32_t is_uring;     /* 1: io_uring; 0: plain writes */
	uint64_t frames;       /* that came */
	uint64_t committed;    /* of them, those that are in files */
	uint64_t overtaken;    /* that the ring did not deliver, or the source lost: dropped_before */
	uint64_t refused;      /* that no file took: disk full, none open */
	uint64_t failed;       /* that were in a file that failed */
	uint64_t before_key;   /* that came before the first key frame, or were no whole pictures */
	uint64_t files, bytes; /* complete ones */
	uint64_t deleted;      /* files, for the quota or for free space */
	uint64_t recovered;    /* files of a recorder that died, found at the start */
	char text[160];	       /* of the last error, for people; "" none */
};

#ifdef __cplusplus
}
#endif
#endif
