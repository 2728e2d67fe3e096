/* SPDX-License-Identifier: MIT */
#include "iceoryx.h"

#include <string.h>

#include "paced.h"
#include "rig.h"
#include "roudi.h"
#include "roundtrip.h"
#include "stream.h"

/* --- hand-over and copy ------------------------------------------------------------------------------------------- */

struct handover {
	uint32_t frames, warm_up;
	bool copies;
	uint8_t *source;
};

static int handover_write_back(void *context, uint32_t index)
{
	struct handover *handover = context;
	iox_pub_t publisher;

	iceoryx_join_back(ROUDI_WRITER);
	publisher = iceoryx_publish_back("frames");
	if (iceoryx_connect_back(publisher, NULL) < 0)
		return -EIO;
	bench_meet_back(2);
	for (uint64_t i = 1; i <= handover->frames; i++) {
		uint64_t *chunk = iceoryx_loan_back(publisher, PICTURE_BYTES);

		if (handover->copies)
			memcpy(chunk, handover->source, PICTURE_BYTES);
		*chunk = i;
		iox_pub_publish_chunk(publisher, chunk);
	}
	bench_meet_back(2);
	return 0;
}

static int handover_read_back(void *context, uint32_t index)
{
	struct handover *handover = context;
	iox_sub_t subscriber;
	int64_t from_ns = 0;

	iceoryx_join_back(ROUDI_READER);
	subscriber = iceoryx_subscribe_back("frames");
	if (iceoryx_connect_back(NULL, subscriber) < 0)
		return -EIO;
	bench_meet_back(2);
	for (uint64_t i = 1; i <= handover->frames; i++) {
		const uint64_t *chunk = iceoryx_take_back(subscriber, NULL);

		if (handover->copies)
			stream_read(chunk, PICTURE_BYTES);
		if (*chunk != i)
			return bench_fail("iceoryx: frame %u carries another stamp", (uint32_t)i);
		iox_sub_release_chunk(subscriber, chunk);
		if (i == handover->warm_up)
			from_ns = now_ns();
	}
	page->figure = (now_ns() - from_ns) / 1e3 / (handover->frames - handover->warm_up);
	bench_meet_back(2);
	return 0;
}

int iceoryx_handover(double *figure, uint32_t copies)
{
	static struct handover handover;

	handover.copies = copies;
	handover.frames = copies ? bench_count(400, 20) : bench_count(40000, 2000);
	handover.warm_up = handover.frames / 5;
	if (handover.source == NULL) {
		handover.source = bench_shared(PICTURE_BYTES);
		memset(handover.source, 0x55, PICTURE_BYTES);
	}
	return iceoryx_run(figure, handover_write_back, handover_read_back, &handover);
}

/* --- round trip --------------------------------------------------------------------------------------------------- */

static int trip_side_back(void *context, uint32_t side)
{
	const bool *busy = context;
	uint64_t message[MESSAGE_BYTES / 8] = { 0 };
	struct trip_times times;
	iox_pub_t publisher;
	iox_sub_t subscriber;
	iox_ws_t wait_set;

	iceoryx_join_back(side == 0 ? ROUDI_WRITER : ROUDI_READER);
	publisher = iceoryx_publish_back(side == 0 ? "there" : "back");
	subscriber = iceoryx_subscribe_back(side == 0 ? "back" : "there");
	wait_set = *busy ? NULL : iceoryx_wait_on_back(subscriber);
	if (iceoryx_connect_back(publisher, subscriber) < 0)
		return -EIO;
	trips_begin_back(&times);
	for (uint32_t i = 1; i <= times.count; i++) {
		for (uint32_t step = 0; step < 2; step++) {
			if (step == side) {
				void *chunk = iceoryx_loan_back(publisher, MESSAGE_BYTES);

				message[0] = i;
				memcpy(chunk, message, MESSAGE_BYTES);
				iox_pub_publish_chunk(publisher, chunk);
			} else {
				const void *chunk = iceoryx_take_back(subscriber, wait_set);

				memcpy(message, chunk, MESSAGE_BYTES);
				iox_sub_release_chunk(subscriber, chunk);
			}
		}
		trips_note_back(&times, i);
	}
	if (side == 0)
		trips_end_back(&times);
	bench_meet_back(2);
	return 0;
}

int iceoryx_roundtrip(double *figure, uint32_t busy)
{
	bool is_busy = busy;

	return iceoryx_run(figure, trip_side_back, trip_side_back, &is_busy);
}

/* --- paced -------------------------------------------------------------------------------------------------------- */

static int paced_write_back(void *context, uint32_t index)
{
	iox_pub_t publisher;
	struct pace pace;

	iceoryx_join_back(ROUDI_WRITER);
	publisher = iceoryx_publish_back("frames");
	if (iceoryx_connect_back(publisher, NULL) < 0)
		return -EIO;
	pace_begin_back(&pace);
	for (uint32_t i = 1; i <= pace.count; i++) {
		int64_t *chunk = iceoryx_loan_back(publisher, PICTURE_BYTES);

		*chunk = pace_next_back(&pace);
		iox_pub_publish_chunk(publisher, chunk);
	}
	bench_meet_back(2);
	return 0;
}

static int paced_read_back(void *context, uint32_t index)
{
	iox_sub_t subscriber;
	iox_ws_t wait_set;
	struct pace pace;

	iceoryx_join_back(ROUDI_READER);
	subscriber = iceoryx_subscribe_back("frames");
	wait_set = iceoryx_wait_on_back(subscriber);
	if (iceoryx_connect_back(NULL, subscriber) < 0)
		return -EIO;
	pace_begin_back(&pace);
	for (uint32_t i = 1; i <= pace.count; i++) {
		const int64_t *chunk = iceoryx_take_back(subscriber, wait_set);

		pace_note_back(&pace, i, *chunk);
		iox_sub_release_chunk(subscriber, chunk);
	}
	pace_end_back(&pace);
	bench_meet_back(2);
	return 0;
}

int iceoryx_paced(double *figure, uint32_t unused)
{
	return iceoryx_run(figure, paced_write_back, paced_read_back, NULL);
}
