/* SPDX-License-Identifier: MIT */
#include "advertise.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX "weir-ring:"

static int bind_name(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t bytes = strlen(PREFIX) + strlen(path);
	int fd;

	if (1 + bytes > sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path + 1, PREFIX, strlen(PREFIX));
	memcpy(address.sun_path + 1 + strlen(PREFIX), path, strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + bytes)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int advertise_path(const char *path)
{
	/* Who reads it stands in another folder. */
	gchar *whole = path[0] == '@' ? g_strdup(path) : g_canonicalize_filename(path, NULL);
	int fd = bind_name(whole);

	g_free(whole);
	return fd;
}

/* Lines like "0000000000000000: 00000002 00000000 00000000 0002 01 12345 @weir-ring:/tmp/cam0". Anybody may bind such a
 * name: whoever connects finds out. */
GSList *advertise_list(void)
{
	FILE *file = fopen("/proc/net/unix", "re");
	GSList *paths = NULL;
	char *line = NULL;
	size_t room = 0;

	while (file != NULL && getline(&line, &room, file) > 0) {
		char *name = strstr(line, " @" PREFIX);

		if (name == NULL)
			continue;
		name += strlen(" @" PREFIX);
		name[strcspn(name, "\n")] = '\0';
		if (name[0] != '\0' && g_utf8_validate(name, -1, NULL))
			paths = g_slist_prepend(paths, g_strdup(name));
	}
	free(line);
	if (file != NULL)
		fclose(file);
	return g_slist_reverse(paths);
}
