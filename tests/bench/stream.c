/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static void copy_avx512(void *dst, const void *src, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		_mm512_stream_si512(
			(void *)((char *)dst + i), _mm512_loadu_si512((const void *)((const char *)src + i)));
	_mm_sfence();
}

__attribute__((target("avx2"))) static void copy_avx2(void *dst, const void *src, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 32)
		_mm256_stream_si256(
			(void *)((char *)dst + i), _mm256_loadu_si256((const void *)((const char *)src + i)));
	_mm_sfence();
}

void stream_copy(void *dst, const void *src, size_t bytes)
{
	if (__builtin_cpu_supports("avx512f"))
		copy_avx512(dst, src, bytes);
	else if (__builtin_cpu_supports("avx2"))
		copy_avx2(dst, src, bytes);
	else
		memcpy(dst, src, bytes);
}
#else
void stream_copy(void *dst, const void *src, size_t bytes)
{
	memcpy(dst, src, bytes);
}
#endif

unsigned long stream_read(const void *src, size_t bytes)
{
	const volatile unsigned long *word = src;
	unsigned long sum = 0;

	for (size_t i = 0; i < bytes / sizeof(*word); i += 64 / sizeof(*word))
		sum += word[i];
	return sum;
}
