/* SPDX-License-Identifier: MIT */
#ifndef FIXTURE_H
#define FIXTURE_H

/* The rig of a program's tests: each has it to itself, with a directory of its own. */

#include "rig.h"

/* WEIR_LONG=1: the thousand. */
#define ROUND_TRIP (getenv("WEIR_LONG") != NULL ? 1000 : 40)

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 20 * SECOND };

static struct rig rig;

static inline int setup(void **state)
{
	rig_init(&rig);
	return 0;
}

static inline int teardown(void **state)
{
	rig_close(&rig);
	return 0;
}

/* How often a text has this part. */
static inline int count(const char *text, const char *part)
{
	int n = 0;

	while ((text = strstr(text, part)) != NULL) {
		text += strlen(part);
		n++;
	}
	return n;
}

#endif
