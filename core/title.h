/* SPDX-License-Identifier: MIT */
#ifndef TITLE_H
#define TITLE_H

/* The names of a process: comm (15 bytes: ps, top) and command line (ps aux). */

/* Makes room for long titles by moving the environment elsewhere. Once, before anything keeps pointers into it. */
void title_init_back(void);

/* "<program>: <name>". Not to be used before title_init_back(). */
void title_set_back(const char *name);

#endif
