/* SPDX-License-Identifier: MIT */
#ifndef PID1_H
#define PID1_H

/* If this is process 1, returns in a child of it; process 1 itself reaps, forwards signals, and ends as the child does.
 * 0 or -errno. */
int pid1_leave(void);

#endif
