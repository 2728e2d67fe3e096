/* SPDX-License-Identifier: MIT */
#ifndef OBEDIENT_H
#define OBEDIENT_H

/* Children that run "obedient", and orders for them. */

#include "process.h"
#include "test_backends.h"

static inline struct weir_child *add_running(struct fixture *fixture, const char *name)
{
	struct weir_child *child =
		fixture_add(fixture, (struct weir_child_config){ .name = name, .backend = "obedient" });

	fixture_await(fixture, child, WEIR_CHILD_RUNNING);
	return child;
}

static inline int call(struct weir_child *child, uint32_t order, int value)
{
	return weir_child_call(child, order, &value, sizeof(value), NULL, NULL, now_ns() + PATIENCE_S * SECOND);
}

static inline void send_order(struct weir_child *child, uint32_t order, int value)
{
	assert_int_equal(weir_child_send(child, order, &value, sizeof(value)), 0);
}

/* Adds these to a list of backends, for which it has room. */
static inline void add_backends(const struct weir_backend **list, const struct weir_backend *const *more)
{
	while (*list != NULL)
		list++;
	while (*more != NULL)
		*list++ = *more++;
}

/* run_with() with the backends of test_backends.h, and more (or NULL). */
static inline int run_obedient(int (*run)(void), const struct weir_backend *const *more)
{
	static const struct weir_backend *backends[16];

	add_backends(backends, test_backends);
	if (more != NULL)
		add_backends(backends, more);
	return run_with(run, backends);
}

#endif
