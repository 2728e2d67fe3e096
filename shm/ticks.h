/* SPDX-License-Identifier: MIT */
#ifndef TICKS_H
#define TICKS_H

/* A clock cheap enough to look at for every frame (clock_gettime costs as much as the rest of claim and publish). Its
 * unit differs from machine to machine: good for "a few microseconds ago" only. */

#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
#define TICKS_10_US 25000
static inline uint64_t ticks_now(void)
{
	return __builtin_ia32_rdtsc();
}
#elif defined(__aarch64__)
#define TICKS_10_US 500
static inline uint64_t ticks_now(void)
{
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
}
#else
#include <time.h>
#define TICKS_10_US 10000
static inline uint64_t ticks_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

/* In a spin loop: leaves the core to its sibling for a moment. */
static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
