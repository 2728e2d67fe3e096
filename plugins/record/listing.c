/* SPDX-License-Identifier: MIT */
#include "listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

/* Names in a directory that end alike, sorted; what was taken of them is NULL. */
struct names {
	char **name;
	size_t count;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->name[i]);
	free(names->name);
}

/* Takes the name over. */
static int append(char ***all, size_t *count, char *name)
{
	char **more = name != NULL ? realloc(*all, (*count + 1) * sizeof(*more)) : NULL;

	if (more == NULL) {
		free(name);
		return -ENOMEM;
	}
	*all = more;
	more[(*count)++] = name;
	return 0;
}

static int find(struct names *names, DIR *directory, const char *end)
{
	const size_t end_bytes = strlen(end);
	struct dirent *entry;
	int r = 0;

	rewinddir(directory);
	while (r == 0 && (entry = readdir(directory)) != NULL) {
		const size_t length = strlen(entry->d_name);

		if (length > end_bytes && strcmp(entry->d_name + length - end_bytes, end) == 0)
			r = append(&names->name, &names->count, strdup(entry->d_name));
	}
	if (names->count > 0)
		qsort(names->name, names->count, sizeof(*names->name), by_name);
	return r;
}

static int take(struct listing *listing, const char *directory, const char *name)
{
	char *path;

	return append(&listing->path, &listing->count, asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path);
}

static int take_indexed(struct listing *listing, const char *path, DIR *directory, const char *index,
	const struct names *films, bool *taken)
{
	struct names indexed;
	int r = index_read(dirfd(directory), index, &indexed.name, &indexed.count);

	for (size_t i = 0; r == 0 && i < indexed.count; i++) {
		char **found = films->count == 0 ? NULL
						 : bsearch(&indexed.name[i], films->name, films->count,
							   sizeof(*films->name), by_name);

		if (found == NULL || taken[found - films->name])
			continue;
		taken[found - films->name] = true;
		r = take(listing, path, *found);
	}
	free_names(&indexed);
	return r;
}

static int list(struct listing *listing, const char *path, DIR *directory)
{
	struct names films = { 0 }, indexes = { 0 };
	bool *taken = NULL;
	int r = find(&films, directory, ".mkv");

	if (r == 0)
		r = find(&indexes, directory, ".jsonl");
	if (r == 0 && (taken = calloc(films.count + 1, sizeof(*taken))) == NULL)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < indexes.count; i++)
		r = take_indexed(listing, path, directory, indexes.name[i], &films, taken);
	for (size_t i = 0; r == 0 && i < films.count; i++)
		if (!taken[i])
			r = take(listing, path, films.name[i]);
	free(taken);
	free_names(&films);
	free_names(&indexes);
	return r;
}

int listing_read(struct listing *listing, const char *path)
{
	DIR *directory = opendir(path);
	int r;

	*listing = (struct listing){ .is_directory = directory != NULL };
	if (directory == NULL && errno != ENOTDIR)
		return -errno;
	if (directory == NULL)
		return append(&listing->path, &listing->count, strdup(path));
	r = list(listing, path, directory);
	closedir(directory);
	return r == 0 && listing->count == 0 ? -ENOENT : r;
}

void listing_finish(struct listing *listing)
{
	free_names(&(struct names){ .name = listing->path, .count = listing->count });
	*listing = (struct listing){ 0 };
}
