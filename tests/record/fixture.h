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

/* Plays, and expects to be told this; the rig can play again. */
static inline void assert_play_fails(const char *source, const char *more, const char *text)
{
	rig_play(&rig, source, more);
	RIG_UNTIL(&rig, rig.ended < 0);
	assert_int_equal(rig.source.state, WEIR_SOURCE_FAILED);
	if (strstr(rig.source.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, rig.source.text);
	weir_back_local_free(&rig.back);
}

#endif
