/* SPDX-License-Identifier: MIT */
#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fds.h"

#define PAGE_BYTES 4096

/* Its size is sealed: a child that cut it would have the frontend die of SIGBUS. */
int page_create(const struct page **page, int *fd, int frontend, uint32_t life)
{
	char name[64];
	void *mapped;
	int made, r;

	snprintf(name, sizeof(name), PAGE_MARK "%u", frontend, life);
	made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made < 0)
		return -errno;
	if (ftruncate(made, PAGE_BYTES) < 0 || fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	mapped = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, made, 0);
	if (mapped == MAP_FAILED)
		goto fail;
	*page = mapped;
	*fd = made;
	return 0;
fail:
	r = -errno;
	fds_close(&made);
	return r;
}

void page_free(const struct page **page)
{
	if (*page != NULL)
		munmap((void *)(uintptr_t)*page, PAGE_BYTES);
	*page = NULL;
}

int page_map_back(struct page **page, int fd)
{
	void *mapped = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapped == MAP_FAILED)
		return -errno;
	*page = mapped;
	return 0;
}

void page_beat_back(struct page *page)
{
	atomic_fetch_add_explicit(&page->turns, 1, memory_order_relaxed);
}
