/* SPDX-License-Identifier: MIT */
#ifndef SHM_KFAIL_H
#define SHM_KFAIL_H

/* The calls for resources that the linker hands to us: the k-th one fails. */

extern long calls, fails_at; /* fails_at 0: never */
extern const char *failed;   /* the call that did */
extern int failed_errno;

#endif
