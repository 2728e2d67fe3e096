/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_H
#define FUZZ_H

/* What the fuzz targets share. A target is one file fuzz_NAME.c, one name in meson.build and a folder corpus/NAME. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The input is read as a program: when it is used up, everything is 0. */
struct fuzz_input {
	const uint8_t *at, *end;
};

static inline uint64_t fuzz_take(struct fuzz_input *input, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes && input->at < input->end; i++)
		value |= (uint64_t)*input->at++ << 8 * i;
	return value;
}

/* What must hold whatever a peer does. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : abort())

/* To be called after each input: what leaks one descriptor at a time has used up this many soon. */
static inline void fuzz_check_descriptors(void)
{
	int fd = dup(2);

	FUZZ_CHECK(fd >= 0 && fd < 100);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif
