/* SPDX-License-Identifier: MIT */
/* A blocking subscriber of iceoryx is killed while it holds chunks; the daemon watches over its processes. */
#include "iceoryx.h"

#include <unistd.h>

#include "rig.h"
#include "roudi.h"

#define HELD	    4
#define DEADLINE_MS 20000
#define BLOCKED_MS  100 /* nothing was published for so long */

/* done: the reader holds its chunks; time_ns: the last publish. */
static void write_back(void)
{
	iox_pub_t publisher;

	iceoryx_join_back(ROUDI_WRITER);
	bench_pin_back(0);
	publisher = iceoryx_publish_back("frames");
	if (iceoryx_connect_back(publisher, NULL) < 0)
		_exit(1);
	while (true) {
		iox_pub_publish_chunk(publisher, iceoryx_loan_back(publisher, MESSAGE_BYTES));
		atomic_store(&page->time_ns, now_ns());
	}
}

static void read_back(void)
{
	iox_sub_t subscriber;

	iceoryx_join_back(ROUDI_READER);
	bench_pin_back(1);
	subscriber = iceoryx_subscribe_back("frames");
	for (uint32_t i = 0; i < HELD; i++)
		iceoryx_take_back(subscriber, NULL);
	atomic_store(&page->done, 1);
	while (true)
		pause();
}

static bool is_blocked(void)
{
	return atomic_load(&page->done) != 0 && now_ns() - atomic_load(&page->time_ns) > BLOCKED_MS * INT64_C(1000000);
}

static int kill_and_measure(double *figure, pid_t *reader)
{
	int64_t from_ns;

	for (int i = 0; i < DEADLINE_MS && !is_blocked(); i++)
		sleep_until_ns(now_ns() + 1000000);
	if (!is_blocked())
		return bench_fail("iceoryx: the publisher was not blocked");
	from_ns = now_ns();
	bench_end(*reader);
	*reader = -1;
	for (int i = 0; i < DEADLINE_MS && atomic_load(&page->time_ns) < from_ns; i++)
		sleep_until_ns(now_ns() + 1000000);
	if (atomic_load(&page->time_ns) < from_ns)
		return bench_fail("iceoryx: the publisher did not go on");
	*figure = (atomic_load(&page->time_ns) - from_ns) / 1e6;
	return 0;
}

int iceoryx_recovery(double *figure, uint32_t unused)
{
	struct roudi roudi;
	pid_t writer = -1, reader = -1;
	int r = roudi_start(&roudi, true);

	if (r < 0)
		return r;
	reader = bench_fork();
	if (reader == 0)
		read_back();
	writer = bench_fork();
	if (writer == 0)
		write_back();
	r = kill_and_measure(figure, &reader);
	bench_end(writer);
	bench_end(reader);
	roudi_stop(&roudi);
	return r;
}
