/* SPDX-License-Identifier: MIT */
#ifndef PAGE_H
#define PAGE_H

/* A page for each life of a child: the child writes it, the frontend reads it. Nothing that it says can do more than
 * have the child itself ended. */

#include <stdatomic.h>
#include <stdint.h>

/* Its memory's name, as /proc shows it, is this with the frontend's pid, and the number of the life. */
#define PAGE_MARK "weir-page-%d-"

struct page {
	_Atomic uint64_t turns;	   /* counts what the main loop has finished; 0: nothing of ours runs in it yet */
	_Atomic uint64_t work;	   /* of other threads: counts up by 2; the lowest bit is set while they are busy */
	_Atomic uint64_t frames;   /* read from inputs */
	_Atomic uint64_t position; /* in its input; 0: unknown */
};

/* Makes one: *fd is for the child, *page may be read only. Both are the caller's. 0 or -errno. */
int page_create(const struct page **page, int *fd, int frontend, uint32_t life);
void page_free(const struct page **page);

/* In the child. The descriptor stays the caller's. 0 or -errno. */
int page_map_back(struct page **page, int fd);

/* It makes progress. */
void page_beat_back(struct page *page);

#endif
