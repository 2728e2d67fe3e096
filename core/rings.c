/* SPDX-License-Identifier: MIT */
#include "rings.h"

#include <errno.h>
#include <string.h>

#include "fds.h"

struct packet {
	uint32_t role, end, count, input;
	uint8_t present[WEIR_RING_FDS_MAX]; /* 0: the ring has no such object, and no descriptor travels for it */
};

int rings_send(int socket, struct weir_ring_fds *fds, uint32_t input)
{
	struct packet packet = { .role = fds->role, .end = fds->end, .count = fds->count, .input = input };
	int list[WEIR_RING_FDS_MAX], r;
	size_t count = 0;

	for (uint32_t i = 0; i < fds->count; i++) {
		packet.present[i] = fds->fd[i] >= 0;
		if (packet.present[i])
			list[count++] = fds->fd[i];
	}
	r = fds_send(socket, &packet, sizeof(packet), list, count);
	if (r == 0)
		weir_ring_fds_close(fds);
	return r;
}

int rings_receive(int socket, struct weir_ring_fds *fds, uint32_t *input)
{
	struct weir_ring_fds made = { 0 };
	struct packet packet;
	int list[WEIR_RING_FDS_MAX];
	size_t count = WEIR_RING_FDS_MAX, taken = 0;
	int r = fds_receive(socket, &packet, sizeof(packet), list, &count);

	if (r < 0)
		return r;
	made.role = packet.role;
	made.end = packet.end;
	if (r == (int)sizeof(packet) && packet.count <= WEIR_RING_FDS_MAX)
		made.count = packet.count;
	for (uint32_t i = 0; i < made.count; i++)
		made.fd[i] = packet.present[i] && taken < count ? list[taken++] : -1;
	if (taken < count || made.count == 0) {
		weir_ring_fds_close(&made);
		while (taken < count)
			fds_close(&list[taken++]);
		return -EPROTO;
	}
	*fds = made;
	*input = packet.input;
	return 0;
}
