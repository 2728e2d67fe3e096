/* SPDX-License-Identifier: MIT */
/* Messages and descriptors that a server gets from its peers, and a client from its server. */
#include "fuzz.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* Its object is not pulled from the library then; a client begins with a socket here, not with a path. */
#include "../../shm/client.c"

#include <weir/writer.h>

#include "listen.h"

#define MESSAGES_AT_MOST 40
#define PEERS		 4
#define FDS_AT_MOST	 8

static struct weir_ring *ring;
static struct weir_writer *writer;
static struct weir_server *server;
static struct sockaddr_un address;
static socklen_t address_bytes;
static uint32_t end;

/* Descriptors that a message may carry: those that belong there, and others. */
static int palette[16];

static void take_note(void *data, uint32_t note)
{
	(void)data, (void)note;
}

static void set_up(void)
{
	struct weir_ring_config config = { .slot_count = 64, .ends = 8, .untrusted = true };
	struct weir_policy policy = { .mode = WEIR_POLICY_LATEST };
	struct weir_server_config server_config = { .note = take_note };
	struct weir_ring_fds fds;
	char path[40];

	FUZZ_CHECK(weir_format_video(&config.format, WEIR_PIXEL_GRAY8, 64, 64) == 0);
	FUZZ_CHECK(weir_ring_create(&ring, &config) == 0);
	FUZZ_CHECK(weir_ring_writer_fds(ring, &fds) == 0 && weir_writer_open(&writer, &fds) == 0);
	FUZZ_CHECK(weir_ring_attach(ring, &policy, &end) == 0);
	FUZZ_CHECK(weir_ring_reader_fds(ring, end, &fds) == 0);
	for (uint32_t i = 0; i < fds.count; i++)
		palette[i] = fds.fd[i];
	palette[7] = eventfd(0, EFD_CLOEXEC);
	palette[8] = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	palette[9] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	FUZZ_CHECK(ftruncate(palette[9], 4096) == 0 &&
		   segment_seal(WEIR_BACKING_SEALED, palette[9], SEGMENT_SEALS_OURS) == 0);
	snprintf(path, sizeof(path), "@weir-fuzz-%d", getpid());
	server_config.path = path;
	FUZZ_CHECK(weir_server_create(&server, &server_config, NULL) == 0);
	weir_server_set_ring(server, ring);
	FUZZ_CHECK(handover_address(&address, &address_bytes, path) == 0);
}

/* A valid message with some bytes changed, of another length perhaps, with any descriptors. */
static void send_message(int fd, struct handover message, struct weir_ring_fds *valid, struct fuzz_input *input)
{
	static const size_t fields[] = { offsetof(struct handover, type), offsetof(struct handover, observe),
		offsetof(struct handover, role), offsetof(struct handover, end), offsetof(struct handover, count),
		offsetof(struct handover, count) + 1, offsetof(struct handover, present),
		offsetof(struct handover, present) + 1, offsetof(struct handover, policy.mode),
		offsetof(struct handover, policy.depth), offsetof(struct handover, policy.max_held),
		offsetof(struct handover, policy.every_nth), offsetof(struct handover, policy.async_io) };
	uint8_t bytes[sizeof(message) + 16] = { 0 };
	uint64_t patches = fuzz_take(input, 1) % 8, shape = fuzz_take(input, 1);
	struct iovec iov = { bytes, sizeof(message) };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		char bytes[CMSG_SPACE(sizeof(int) * (FDS_AT_MOST + WEIR_RING_FDS_MAX))];
		struct cmsghdr first;
	} buffer = { .bytes = { 0 } };
	int list[FDS_AT_MOST + WEIR_RING_FDS_MAX];
	size_t count = 0;

	message.magic = HANDOVER_MAGIC;
	message.version = HANDOVER_VERSION;
	if (valid != NULL) {
		message.role = valid->role;
		message.end = valid->end;
		message.count = valid->count;
		for (uint32_t i = 0; i < valid->count; i++)
			if (valid->fd[i] >= 0) {
				message.present[i / 32] |= 1u << i % 32;
				list[count++] = valid->fd[i];
			}
	}
	memcpy(bytes, &message, sizeof(message));
	for (uint64_t i = 0; i < patches; i++) {
		uint64_t place = fuzz_take(input, 1);

		if (place % 2 == 0)
			place = fields[place / 2 % (sizeof(fields) / sizeof(fields[0]))];
		bytes[place % sizeof(message)] = (uint8_t)fuzz_take(input, 1);
	}
	if (shape % 8 == 7)
		iov.iov_len = fuzz_take(input, 1) % sizeof(bytes);
	if (shape / 8 % 4 == 3 && count > 0)
		list[fuzz_take(input, 1) % count] = palette[fuzz_take(input, 1) % 10];
	for (uint64_t more = shape / 32 % FDS_AT_MOST; more > 0; more--)
		if (fuzz_take(input, 1) % 2 != 0)
			list[count++] = palette[fuzz_take(input, 1) % 10];
		else if (count > 0)
			count--;
	/* An end without a bell has no descriptor there: what is not open is not sent. */
	for (size_t i = 0; i < count; i++)
		if (list[i] < 0)
			list[i] = palette[7];
	if (count > 0) {
		header.msg_control = buffer.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		buffer.first.cmsg_level = SOL_SOCKET;
		buffer.first.cmsg_type = SCM_RIGHTS;
		buffer.first.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&buffer.first), list, sizeof(int) * count);
	}
	sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_to_server(struct fuzz_input *input)
{
	int peer[PEERS] = { -1, -1, -1, -1 };
	struct weir_server_stats stats;

	for (int n = 0; n < MESSAGES_AT_MOST && input->at < input->end; n++) {
		uint64_t what = fuzz_take(input, 1);
		int *fd = &peer[what / 8 % PEERS];

		if (*fd < 0) {
			*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			if (connect(*fd, (struct sockaddr *)&address, address_bytes) < 0) {
				FUZZ_CHECK(errno == EAGAIN); /* too many at a time */
				segment_close(fd);
				weir_server_dispatch(server);
				continue;
			}
		}
		if (what % 8 < 5)
			send_message(*fd,
				(struct handover){ .type = what % 8 == 4 ? HANDOVER_NOTE : HANDOVER_HELLO,
					.observe = what % 8 == 3 },
				NULL, input);
		else if (what % 8 == 5)
			segment_close(fd);
		else
			weir_server_dispatch(server);
	}
	for (int i = 0; i < PEERS; i++)
		segment_close(&peer[i]);
	while (poll(&(struct pollfd){ .fd = weir_server_fd(server), .events = POLLIN }, 1, 0) == 1)
		weir_server_dispatch(server);
	weir_server_stats(server, &stats);
	FUZZ_CHECK(stats.readers <= 8);
	/* As for a new ring: we do not die, so what we attached would stay so for ever. */
	weir_server_set_ring(server, ring);
	for (uint32_t i = 0; i < 8; i++)
		if (i != end)
			weir_ring_reap(ring, i);
	weir_writer_attend(writer);
}

static void read_through(struct weir_client *client)
{
	struct weir_reader *reader = NULL;
	struct weir_ring *observer = NULL;
	struct weir_ring_stats stats;
	struct weir_frame frame;

	if (client->observe && weir_client_take_observer(client, &observer) == 0) {
		weir_ring_stats(observer, &stats);
		weir_ring_free(&observer);
	} else if (!client->observe && weir_client_take_reader(client, &reader) == 0) {
		if (weir_reader_acquire(reader, &frame) == 0)
			weir_reader_release(reader, &frame);
		weir_reader_wait(reader, clock_now_ns());
		weir_reader_arm(reader);
		weir_reader_disarm(reader);
		weir_reader_free(&reader);
	}
}

static void send_to_client(struct fuzz_input *input)
{
	struct weir_client *client = calloc(1, sizeof(*client));
	int fd[2];

	FUZZ_CHECK(client != NULL);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
	client->socket = fd[0];
	client->observe = fuzz_take(input, 1) % 2 != 0;
	for (int n = 0; n < MESSAGES_AT_MOST && input->at < input->end; n++) {
		uint64_t what = fuzz_take(input, 1);
		struct weir_ring_fds fds = { 0 };

		if (what % 4 == 0) {
			read_through(client);
			continue;
		}
		if (client->observe)
			FUZZ_CHECK(weir_ring_observer_fds(ring, &fds) == 0);
		else
			FUZZ_CHECK(weir_ring_reader_fds(ring, end, &fds) == 0);
		send_message(fd[1],
			(struct handover){ .type = what % 4 == 3 ? HANDOVER_REFUSE : HANDOVER_RING, .status = -ENOSPC },
			what % 8 < 6 ? &fds : NULL, input);
		weir_ring_fds_close(&fds);
		weir_client_dispatch(client);
	}
	read_through(client);
	close(fd[1]);
	weir_client_free(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, data + bytes };

	if (ring == NULL)
		set_up();
	if (fuzz_take(&input, 1) % 2 == 0)
		send_to_server(&input);
	else
		send_to_client(&input);
	fuzz_check_descriptors();
	return 0;
}
