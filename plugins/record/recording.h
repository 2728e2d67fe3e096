/* SPDX-License-Identifier: MIT */
#ifndef RECORDING_H
#define RECORDING_H

/* A file of a recording that is there, complete or cut: what is committed in it. */

#include "parse.h"

#define RECORDING_CLUSTER_BYTES_MAX (256u << 20) /* of packets: they are read whole */

struct recording_cluster {
	uint64_t offset, bytes;
	uint32_t head_bytes;
	uint32_t frames; /* of raw video; else 0: not known yet */
	int64_t time_ms;
};

struct recording {
	int fd;	       /* through the page cache, without read-ahead; -1: not open */
	int direct_fd; /* past it; the same where that is not possible */
	struct weir_format format;
	uint64_t file_bytes, end; /* end: of the last committed cluster */
	bool complete;		  /* nothing can be missing behind it */
	int64_t duration_ns;	  /* as the head tells it, or 0 */
	uint64_t frame_bytes;	  /* of raw video: what each frame takes in the file */
	struct recording_cluster *cluster;
	size_t count;
};

/* Blocks: a read of some bytes for each cluster. -EPROTO: it is no recording of ours; -ENOENT, -EACCES…. A cluster that
 * is cut or broken is the end. */
int recording_open(struct recording *recording, int directory_fd, const char *name);
void recording_close(struct recording *recording);

/* The time of a raw picture, relative to the file's first one. */
int recording_frame_ms(const struct recording *recording, size_t cluster, uint32_t frame, int64_t *time_ms);

/* Reads a cluster of packets whole. The caller frees *bytes. -EPROTO; -ENOMEM. */
int recording_read_packets(
	const struct recording *recording, size_t cluster, struct parse_packets *packets, uint8_t **bytes);

#endif
