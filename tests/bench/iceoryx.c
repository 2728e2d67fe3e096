/* SPDX-License-Identifier: MIT */
#include "iceoryx.h"

#include <fcntl.h>
#include <unistd.h>

#include "roudi.h"

#define QUEUE	   16
#define CONNECT_MS 10000

static struct {
	iox_pub_storage_t publisher;
	iox_sub_storage_t subscriber;
	iox_ws_storage_t wait_set;
} storage;

/* Its messages go nowhere; ours stand in the page. */
void iceoryx_join_back(const char *name)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null_fd, 1);
	dup2(null_fd, 2);
	snprintf(page->why, sizeof(page->why), "iceoryx: iox-roudi does not answer");
	iox_runtime_init(name);
	page->why[0] = '\0';
}

iox_pub_t iceoryx_publish_back(const char *service)
{
	iox_pub_options_t options;

	iox_pub_options_init(&options);
	options.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
	return iox_pub_init(&storage.publisher, "weir", "bench", service, &options);
}

iox_sub_t iceoryx_subscribe_back(const char *service)
{
	iox_sub_options_t options;

	iox_sub_options_init(&options);
	options.queueCapacity = QUEUE;
	options.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
	return iox_sub_init(&storage.subscriber, "weir", "bench", service, &options);
}

int iceoryx_connect_back(iox_pub_t publisher, iox_sub_t subscriber)
{
	for (int i = 0; i < CONNECT_MS; i++) {
		if ((publisher == NULL || iox_pub_has_subscribers(publisher)) &&
			(subscriber == NULL || iox_sub_get_subscription_state(subscriber) == SubscribeState_SUBSCRIBED))
			return 0;
		sleep_until_ns(now_ns() + 1000000);
	}
	return bench_fail("iceoryx: publisher and subscriber do not find each other");
}

void *iceoryx_loan_back(iox_pub_t publisher, uint32_t bytes)
{
	uint32_t turns = 0;
	void *chunk;

	while (iox_pub_loan_chunk(publisher, &chunk, bytes) != AllocationResult_SUCCESS)
		spin_once(&turns);
	return chunk;
}

/* wait_set NULL: busy. */
const void *iceoryx_take_back(iox_sub_t subscriber, iox_ws_t wait_set)
{
	const struct timespec second = { .tv_sec = 1 };
	iox_notification_info_t info[1];
	uint64_t missed;
	uint32_t turns = 0;
	const void *chunk;

	if (wait_set != NULL)
		iox_ws_timed_wait(wait_set, second, info, 1, &missed);
	while (iox_sub_take_chunk(subscriber, &chunk) != ChunkReceiveResult_SUCCESS) {
		if (wait_set != NULL)
			iox_ws_timed_wait(wait_set, second, info, 1, &missed);
		else
			spin_once(&turns);
	}
	return chunk;
}

iox_ws_t iceoryx_wait_on_back(iox_sub_t subscriber)
{
	iox_ws_t wait_set = iox_ws_init(&storage.wait_set);

	iox_ws_attach_subscriber_state(wait_set, subscriber, SubscriberState_HAS_DATA, 0, NULL);
	return wait_set;
}

int iceoryx_run(
	double *figure, int (*writer_back)(void *, uint32_t), int (*reader_back)(void *, uint32_t), void *context)
{
	struct roudi roudi;
	int r = roudi_start(&roudi, false);

	if (r < 0)
		return r;
	r = bench_pair(figure, writer_back, reader_back, context);
	roudi_stop(&roudi);
	return r;
}
