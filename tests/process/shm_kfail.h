/* SPDX-License-Identifier: MIT */
#ifndef SHM_KFAIL_H
#define SHM_KFAIL_H

/* The calls for resources that the linker hands to us: the k-th one fails. */

#include <stdbool.h>

extern long calls, fails_at; /* fails_at 0: never */
extern const char *failed;   /* the call that did */
extern int failed_errno;

bool must_fail(const char *name, int error);

#define WRAP(type, name, failure, error, parameters, arguments)                                                        \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		return must_fail(#name, error) ? (failure) : __real_##name arguments;                                  \
	}

#endif
