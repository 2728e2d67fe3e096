/* SPDX-License-Identifier: MIT */
#ifndef CHILDREN_H
#define CHILDREN_H

#include <weir/frontend.h>

/* Asks processes to leave, and sees them off until then: what they still tell is heard. NULL entries are none. */
void children_stop(struct weir_frontend *frontend, struct weir_child *const *child, int count, int64_t deadline_ns);

#endif
