/* SPDX-License-Identifier: MIT */
#include "plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"

static const struct weir_backend *const *table;

void plugin_set_table(const struct weir_backend *const *backends)
{
	table = backends;
}

static int check(const struct weir_backend *backend, const char *name, char *why, size_t size)
{
	if (backend->abi == WEIR_BACKEND_ABI && backend->enter != NULL)
		return 0;
	if (backend->abi == WEIR_BACKEND_ABI)
		snprintf(why, size, "backend %s has no enter function", name);
	else
		snprintf(why, size, "backend %s was built for version %u of weir/backend.h, this is version %u", name,
			backend->abi, WEIR_BACKEND_ABI);
	return -EPROTO;
}

static int load(const struct weir_backend **backend, const char *path, char *why, size_t size)
{
	const struct weir_backend *found;
	void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int r;

	if (object == NULL) {
		snprintf(why, size, "plugin %s: %s", path, dlerror());
		return access(path, F_OK) < 0 ? -ENOENT : -EPROTO;
	}
	found = dlsym(object, "weir_backend");
	if (found == NULL) {
		snprintf(why, size, "plugin %s exports no weir_backend", path);
		dlclose(object);
		return -EPROTO;
	}
	r = check(found, path, why, size);
	if (r < 0) {
		dlclose(object);
		return r;
	}
	*backend = found;
	return 0;
}

/* "<directory of libweir.so>/weir"; in the build tree that is a link to the plugins. */
static void own_directory(char *path, size_t size)
{
	Dl_info info;
	const char *slash;

	path[0] = '\0';
	if (dladdr((void *)(uintptr_t)weir_back_name, &info) == 0 || info.dli_fname == NULL)
		return;
	slash = strrchr(info.dli_fname, '/');
	snprintf(path, size, "%.*s/weir", slash != NULL ? (int)(slash - info.dli_fname) : 1,
		slash != NULL ? info.dli_fname : ".");
}

static bool exists(char *path, size_t size, const char *directory, size_t length, const char *name)
{
	return length > 0 && snprintf(path, size, "%.*s/%s.so", (int)length, directory, name) < (int)size &&
	       access(path, F_OK) == 0;
}

static int search(const struct weir_backend **backend, const char *name, char *why, size_t size)
{
	const char *list = getenv("WEIR_PLUGIN_PATH");
	char own[PATH_MAX], path[PATH_MAX];

	for (const char *at = list; at != NULL && *at != '\0';) {
		size_t length = strcspn(at, ":");

		if (exists(path, sizeof(path), at, length, name))
			return load(backend, path, why, size);
		at += length + (at[length] == ':');
	}
	own_directory(own, sizeof(own));
	if (exists(path, sizeof(path), own, strlen(own), name))
		return load(backend, path, why, size);
	snprintf(why, size, "no plugin %s.so in %s%s%s; set WEIR_PLUGIN_PATH to where it is", name,
		list != NULL ? list : "", list != NULL && list[0] != '\0' ? ":" : "", own);
	return -ENOENT;
}

int plugin_find(const struct weir_backend **backend, const char *name, char *why, size_t size)
{
	size_t length = strlen(name);

	if (strcmp(name, LAUNCH_EXEC_NAME) == 0) {
		*backend = &launch_exec;
		return 0;
	}
	for (const struct weir_backend *const *entry = table; entry != NULL && *entry != NULL; entry++) {
		if (strcmp((*entry)->name, name) == 0) {
			int r = check(*entry, name, why, size);

			if (r == 0)
				*backend = *entry;
			return r;
		}
	}
	if (strchr(name, '/') == NULL) {
		snprintf(why, size, "no backend %s in this program (plugins are named \"directory/name\")", name);
		return -ENOENT;
	}
	if (length > 3 && strcmp(name + length - 3, ".so") == 0)
		return load(backend, name, why, size);
	return search(backend, name, why, size);
}
