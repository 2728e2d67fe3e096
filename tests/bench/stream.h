/* SPDX-License-Identifier: MIT */
#ifndef STREAM_H
#define STREAM_H

/* Copying pictures past the caches (non-temporal stores), and reading them. */

#include <stddef.h>

/* By the widest stores that this CPU has: AVX-512, AVX2, or memcpy() where there is none. dst on a page, bytes a
 * multiple of 64. The stores are ordered when it returns (sfence): publish may follow. */
void stream_copy(void *dst, const void *src, size_t bytes);

/* Reads a word of every cache line. */
unsigned long stream_read(const void *src, size_t bytes);

#endif
