/* SPDX-License-Identifier: MIT */
#include "feed.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONNECT_NS INT64_C(300000000)

int feed_init(struct feed *feed)
{
	*feed = (struct feed){ .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	return feed->wake_fd < 0 ? -errno : 0;
}

void feed_finish(struct feed *feed)
{
	feed_disconnect(feed);
	if (feed->wake_fd >= 0)
		close(feed->wake_fd);
	feed->wake_fd = -1;
}

void feed_disconnect(struct feed *feed)
{
	/* In this order, so that a reader of which nobody holds memory has left before the server sees the hang-up. */
	gst_clear_object(&feed->frames);
	weir_client_free(&feed->client);
}

int feed_connect(struct feed *feed, const char *path, const struct weir_policy *policy)
{
	struct weir_client_config config = { .path = path, .policy = *policy, .refusal = &feed->refusal };
	int r;

	feed_disconnect(feed);
	r = weir_client_connect(&feed->client, &config, g_get_monotonic_time() * 1000 + CONNECT_NS);
	if (r < 0)
		return r;
	feed->max_held = policy->max_held;
	feed->hung_up = false;
	return 0;
}

/* True if there was a newer ring. */
static bool take_newest(struct feed *feed)
{
	struct weir_reader *reader;

	if (weir_client_take_reader(feed->client, &reader) < 0)
		return false;
	gst_clear_object(&feed->frames);
	feed->frames = frameallocator_new(reader, feed->max_held);
	return true;
}

static void look_at_client(struct feed *feed)
{
	if (!feed->hung_up && weir_client_dispatch(feed->client) < 0)
		feed->hung_up = true;
}

/* Sleeps until there may be something to look at: a frame, unless the ring is drained for good, or word from the
 * server. False: the bound has passed, or somebody wants attention. */
static bool sleep_for_frame(struct feed *feed, bool drained)
{
	FrameAllocator *frames = drained ? NULL : feed->frames;
	struct pollfd fds[] = {
		{ .fd = feed->wake_fd, .events = POLLIN },
		{ .fd = weir_client_fd(feed->client), .events = POLLIN },
		{ .fd = frames != NULL ? frameallocator_fd(frames) : -1, .events = POLLIN },
	};
	eventfd_t count;
	int r = 1;

	if (frames == NULL || frameallocator_arm(frames) == 0)
		r = poll(fds, G_N_ELEMENTS(fds), WEIR_WAIT_BOUND_NS / 1000000);
	if (fds[0].revents != 0 && !feed->unlocked)
		eventfd_read(feed->wake_fd, &count);
	if (r == 0 || fds[1].revents != 0)
		look_at_client(feed);
	return r != 0 && fds[0].revents == 0;
}

int feed_next(struct feed *feed, struct weir_frame *frame)
{
	bool slept = true;

	while (!feed->unlocked) {
		bool hung_up = feed->hung_up;
		int r = feed->frames != NULL ? frameallocator_acquire(feed->frames, frame) : -EPIPE;

		if (r != -EAGAIN && r != -EPIPE && r != -ENODATA)
			return r;
		/* A writer may end one ring and begin the next. */
		if (r != -EAGAIN) {
			look_at_client(feed);
			if (take_newest(feed))
				return FEED_NEW;
		}
		if (r == -ENODATA)
			return r;
		if (hung_up)
			return -EPIPE; /* and drained since */
		if (!slept)
			return -EAGAIN;
		if (!feed->hung_up)
			slept = sleep_for_frame(feed, r == -EPIPE);
	}
	return -EINTR;
}

int feed_pause(struct feed *feed, int64_t ns)
{
	struct pollfd wake = { .fd = feed->wake_fd, .events = POLLIN };

	poll(&wake, 1, (int)(ns / 1000000));
	return feed->unlocked ? -EINTR : 0;
}

void feed_wake(struct feed *feed)
{
	eventfd_write(feed->wake_fd, 1);
}

void feed_unlock(struct feed *feed)
{
	feed->unlocked = true;
	feed_wake(feed);
}

void feed_unlock_stop(struct feed *feed)
{
	eventfd_t count;

	feed->unlocked = false;
	eventfd_read(feed->wake_fd, &count);
}
