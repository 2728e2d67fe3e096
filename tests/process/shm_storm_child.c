/* SPDX-License-Identifier: MIT */
#include "shm_storm.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FDS_OF_A_READER 7

const struct storm_reader storm_readers[STORM_READERS] = {
	{ .name = "latest, eventfd", .policy = { .mode = WEIR_POLICY_LATEST } },
	{ .name = "lossless, eventfd",
		.policy = { .mode = WEIR_POLICY_LOSSLESS, .depth = 3, .max_held = 2, .stall_ns = STORM_STALL_NS } },
	{ .name = "drop-oldest, semaphore",
		.by_semaphore = true,
		.policy = { .mode = WEIR_POLICY_DROP_OLDEST, .depth = 3 } },
	/* A lossless reader on a semaphore would do as well, but sleep up to 100 ms after its writer's death, and so
	 * keep the next writer, and all others, waiting for the backlog that it does not fetch. */
	{ .name = "lossless or evicted, eventfd",
		.policy = { .mode = WEIR_POLICY_LOSSLESS,
			.max_held = 2,
			.stall_ns = STORM_STALL_NS,
			.on_stall = WEIR_STALL_EVICT } },
};

struct letter {
	uint32_t attachment, end, has; /* has: bit i: fd[i] is one */
};

bool storm_send(int socket, uint32_t attachment, struct weir_ring_fds *fds)
{
	struct letter letter = { .attachment = attachment, .end = fds->end };
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(FDS_OF_A_READER * sizeof(int))] = { 0 };
	struct iovec iov = { &letter, sizeof(letter) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room };
	int fd[FDS_OF_A_READER], count = 0;
	struct cmsghdr *header;

	for (uint32_t i = 0; i < fds->count && i < FDS_OF_A_READER; i++)
		if (fds->fd[i] >= 0) {
			letter.has |= 1u << i;
			fd[count++] = fds->fd[i];
		}
	message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	memcpy(CMSG_DATA(header), fd, (size_t)count * sizeof(int));
	return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(letter);
}

static bool receive_back(int socket, uint32_t *attachment, struct weir_ring_fds *fds)
{
	struct letter letter;
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(FDS_OF_A_READER * sizeof(int))];
	struct iovec iov = { &letter, sizeof(letter) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
	};
	struct pollfd pollfd = { .fd = socket, .events = POLLIN };
	struct cmsghdr *header;
	int fd[FDS_OF_A_READER] = { 0 }, taken = 0;

	if (poll(&pollfd, 1, 100) <= 0 ||
		recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != (ssize_t)sizeof(letter) ||
		(header = CMSG_FIRSTHDR(&message)) == NULL)
		return false;
	memcpy(fd, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	*fds = (struct weir_ring_fds){ .role = 2, .end = letter.end, .count = FDS_OF_A_READER };
	for (int i = 0; i < FDS_OF_A_READER; i++)
		fds->fd[i] = (letter.has & 1u << i) != 0 ? fd[taken++] : -1;
	*attachment = letter.attachment;
	return true;
}

/* Publishes for ever. */
void storm_writer_back(struct weir_ring_fds *fds)
{
	struct weir_writer *writer = NULL;
	int64_t next_ns = harness_now_ns();
	uint64_t sequence = 1;

	if (weir_writer_open(&writer, fds) < 0)
		_exit(2);
	for (;;) {
		int r = harness_publish(writer, sequence, false);

		if (r == 0) {
			sequence++;
			next_ns += STORM_PERIOD_NS;
			if (next_ns < harness_now_ns())
				next_ns = harness_now_ns();
			harness_sleep_ns(next_ns - harness_now_ns());
		} else if (r == -EAGAIN) {
			weir_writer_wait(writer, harness_now_ns() + 1000000000);
		} else {
			_exit(3);
		}
	}
}

struct storm_view {
	struct storm_board *board;
	struct weir_reader *reader;
	struct weir_frame held[WEIR_HELD_MAX];
	uint64_t last;
	uint32_t which, attachment, count; /* count: of held */
	bool has_first;
};

static void note_bad_back(struct storm_view *view)
{
	memcpy(view->board->reader[view->which].why, harness_why, sizeof(harness_why));
	atomic_fetch_add(&view->board->reader[view->which].bad, 1);
}

static void note_frame_back(struct storm_view *view, const struct weir_frame *frame)
{
	__typeof__(&view->board->reader[0]) own = &view->board->reader[view->which];
	int64_t now_ns = harness_now_ns(), last_ns = atomic_load(&own->last_ns);
	uint32_t at;

	if (!harness_frame_is_whole(frame, weir_reader_generation(view->reader)) ||
		!EXPECT(frame->sequence > view->last) ||
		!EXPECT(!view->has_first || frame->dropped_before == frame->sequence - view->last - 1))
		note_bad_back(view);
	if (storm_readers[view->which].policy.mode == WEIR_POLICY_LOSSLESS && frame->dropped_before != 0) {
		at = atomic_load(&own->lost);
		own->lost_by[at % STORM_LOG] = view->attachment;
		atomic_store(&own->lost, at + 1);
	}
	if (!view->has_first) {
		at = atomic_load(&own->firsts);
		own->first[at % STORM_LOG].attachment = view->attachment;
		own->first[at % STORM_LOG].at_ns = now_ns;
		atomic_store(&own->firsts, at + 1);
	}
	if (last_ns != 0 && now_ns - last_ns > STORM_GAP_NS) {
		at = atomic_load(&own->gaps);
		own->gap[at % STORM_LOG].from_ns = last_ns;
		own->gap[at % STORM_LOG].to_ns = now_ns;
		atomic_store(&own->gaps, at + 1);
	}
	atomic_store(&own->last_ns, now_ns);
	atomic_fetch_add(&own->frames, 1);
	view->last = frame->sequence;
	view->has_first = true;
}

/* Holds as many frames as it may; each is looked at again when it goes. */
static void release_oldest_back(struct storm_view *view)
{
	if (!harness_frame_is_whole(&view->held[0], weir_reader_generation(view->reader)) ||
		!EXPECT(weir_reader_release(view->reader, &view->held[0]) == 0))
		note_bad_back(view);
	memmove(view->held, view->held + 1, --view->count * sizeof(view->held[0]));
}

static void sleep_back(struct storm_view *view)
{
	struct pollfd pollfd = { .fd = weir_reader_fd(view->reader), .events = POLLIN };

	if (storm_readers[view->which].by_semaphore) {
		weir_reader_wait(view->reader, harness_now_ns() + 1000000000);
		return;
	}
	if (weir_reader_arm(view->reader) == 0)
		poll(&pollfd, 1, 100);
	weir_reader_disarm(view->reader);
}

static void join_back(struct storm_view *view, int socket)
{
	struct weir_ring_fds fds;

	if (!receive_back(socket, &view->attachment, &fds))
		return;
	if (weir_reader_open(&view->reader, &fds) < 0)
		_exit(4);
	view->last = view->count = 0;
	view->has_first = false;
}

void storm_reader_back(struct storm_board *board, uint32_t which, int socket)
{
	struct storm_view view = { .board = board, .which = which };
	uint32_t max_held = storm_readers[which].policy.max_held;

	for (;;) {
		struct weir_frame frame;
		int r;

		if (view.reader == NULL) {
			join_back(&view, socket);
			continue;
		}
		r = weir_reader_acquire(view.reader, &frame);
		if (r == 0) {
			note_frame_back(&view, &frame);
			view.held[view.count++] = frame;
			if (view.count >= max_held)
				release_oldest_back(&view);
		} else if (r == -EAGAIN) {
			sleep_back(&view);
		} else if (r == -EPIPE || r == -ESTALE) {
			if (r == -ESTALE)
				atomic_fetch_add(&board->reader[which].evictions, 1);
			while (view.count > 0)
				release_oldest_back(&view);
			weir_reader_free(&view.reader);
		} else {
			_exit(5);
		}
	}
}
