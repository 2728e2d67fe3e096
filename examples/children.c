/* SPDX-License-Identifier: MIT */
#include "children.h"

#include <stdbool.h>
#include <stddef.h>

void children_stop(struct weir_frontend *frontend, struct weir_child *const *child, int count, int64_t deadline_ns)
{
	bool all_done = false;

	for (int i = 0; i < count; i++)
		if (child[i] != NULL)
			weir_child_stop(child[i]);
	while (!all_done && weir_frontend_dispatch(frontend, deadline_ns) == 0) {
		all_done = true;
		for (int i = 0; i < count; i++)
			all_done &= child[i] == NULL || weir_child_state(child[i]) >= WEIR_CHILD_DONE;
	}
}
