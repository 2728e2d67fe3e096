/* SPDX-License-Identifier: MIT */
#ifndef RING_FIXTURE_H
#define RING_FIXTURE_H

/* A ring with its writer and readers, all in one process: what the unit tests of shm begin with. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <weir/reader.h>
#include <weir/writer.h>

#define LATEST	      ((struct weir_policy){ .mode = WEIR_POLICY_LATEST })
#define DROP_OLDEST_3 ((struct weir_policy){ .mode = WEIR_POLICY_DROP_OLDEST, .depth = 3 })
#define LOSSLESS      ((struct weir_policy){ .mode = WEIR_POLICY_LOSSLESS })

struct fixture {
	struct weir_ring *ring;
	struct weir_writer *writer;
	struct weir_reader *reader[WEIR_READERS_MAX];
	uint32_t end[WEIR_READERS_MAX];
	uint32_t readers;
};

static inline int64_t fixture_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline struct weir_ring_config fixture_config(uint32_t slots)
{
	struct weir_ring_config config = { .slot_count = slots };

	assert_int_equal(weir_format_video(&config.format, WEIR_PIXEL_GRAY8, 64, 4), 0);
	return config;
}

/* Of as many slots. */
static struct weir_ring_config config_8, config_16;

static inline int fixture_setup(void **state)
{
	config_8 = fixture_config(8);
	config_16 = fixture_config(16);
	return 0;
}

static inline void fixture_open(struct fixture *fixture, const struct weir_ring_config *config)
{
	struct weir_ring_fds fds;

	memset(fixture, 0, sizeof(*fixture));
	assert_int_equal(weir_ring_create(&fixture->ring, config), 0);
	assert_int_equal(weir_ring_writer_fds(fixture->ring, &fds), 0);
	assert_int_equal(weir_writer_open(&fixture->writer, &fds), 0);
}

/* Attaches and opens one more reader; returns its index. */
static inline uint32_t fixture_join(struct fixture *fixture, struct weir_policy policy)
{
	uint32_t i = fixture->readers++;
	struct weir_ring_fds fds;

	assert_int_equal(weir_ring_attach(fixture->ring, &policy, &fixture->end[i]), 0);
	weir_writer_attend(fixture->writer);
	assert_int_equal(weir_ring_reader_fds(fixture->ring, fixture->end[i], &fds), 0);
	assert_int_equal(weir_reader_open(&fixture->reader[i], &fds), 0);
	return i;
}

static inline void fixture_close(struct fixture *fixture)
{
	for (uint32_t i = 0; i < fixture->readers; i++)
		weir_reader_free(&fixture->reader[i]);
	weir_writer_free(&fixture->writer);
	weir_ring_free(&fixture->ring);
}

/* Claims, fills every byte with the low byte of the coming sequence, publishes. 0 or claim's error. */
static inline int fixture_publish(struct fixture *fixture)
{
	struct weir_frame frame;
	struct weir_ring_stats stats;
	uint8_t *payload;
	int r = weir_writer_claim(fixture->writer, &frame, &payload);

	if (r < 0)
		return r;
	weir_ring_stats(fixture->ring, &stats);
	frame.size_bytes = 256;
	memset(payload, (int)(stats.published + 1), frame.size_bytes);
	frame.pts_ns = (int64_t)(stats.published + 1) * 40;
	assert_int_equal(weir_writer_publish(fixture->writer, &frame, false), 0);
	return 0;
}

static inline void fixture_publish_many(struct fixture *fixture, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(fixture_publish(fixture), 0);
}

/* One frame of this time. */
static inline void fixture_publish_at(struct fixture *fixture, int64_t capture_ns)
{
	struct weir_frame frame;
	uint8_t *payload;

	assert_int_equal(weir_writer_claim(fixture->writer, &frame, &payload), 0);
	frame.capture_ns = capture_ns;
	assert_int_equal(weir_writer_publish(fixture->writer, &frame, false), 0);
}

/* Fails unless every byte is what fixture_publish() wrote for this sequence. */
static inline void fixture_check(const struct weir_frame *frame)
{
	assert_int_equal(frame->size_bytes, 256);
	assert_int_equal(frame->pts_ns, frame->sequence * 40);
	for (uint32_t i = 0; i < frame->size_bytes; i++)
		assert_int_equal(frame->data[i], (uint8_t)frame->sequence);
}

/* Acquires, expects this sequence, checks the bytes. */
static inline struct weir_frame fixture_acquire(struct fixture *fixture, uint32_t reader, uint64_t sequence)
{
	struct weir_frame frame;

	assert_int_equal(weir_reader_acquire(fixture->reader[reader], &frame), 0);
	assert_int_equal(frame.sequence, sequence);
	fixture_check(&frame);
	return frame;
}

static inline void fixture_take(struct fixture *fixture, uint32_t reader, uint64_t sequence)
{
	struct weir_frame frame = fixture_acquire(fixture, reader, sequence);

	assert_int_equal(weir_reader_release(fixture->reader[reader], &frame), 0);
}

static inline int fixture_try(struct fixture *fixture, uint32_t reader)
{
	struct weir_frame frame;

	return weir_reader_acquire(fixture->reader[reader], &frame);
}

static inline struct weir_end_stats fixture_stats(struct fixture *fixture, uint32_t reader)
{
	struct weir_end_stats stats;

	assert_int_equal(weir_ring_end_stats(fixture->ring, fixture->end[reader], &stats), 0);
	return stats;
}

#endif
