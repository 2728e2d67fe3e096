/* SPDX-License-Identifier: MIT */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <stddef.h>

#include <weir/backend.h>

/* The backends of this program: NULL terminated, or NULL. Kept, not copied. */
void plugin_set_table(const struct weir_backend *const *backends);

/* Finds a backend by name: in the table; as a path to a .so; or "directory/name" in $WEIR_PLUGIN_PATH, then where
 * libweir's own plugins are. A plugin stays loaded. -ENOENT, -EPROTO (not a plugin of this version): why says so. */
int plugin_find(const struct weir_backend **backend, const char *name, char *why, size_t size);

#endif
