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

#define WITH_FRONTEND(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

/* main() of a program that runs its tests with the backends of test_backends.h, and more (or NULL). */
static inline int run_with(int (*run)(void), const struct weir_backend *const *more)
{
	static const struct weir_backend *backends[16];
	static const struct weir_init_config init = { .backends = backends };
	size_t count = 0;

	for (size_t i = 0; test_backends[i] != NULL; i++)
		backends[count++] = test_backends[i];
	for (size_t i = 0; more != NULL && more[i] != NULL; i++)
		backends[count++] = more[i];
	if (weir_init(&init) < 0) {
		fprintf(stderr, "%s\n", weir_init_error());
		return 1;
	}
	return run();
}

#endif
