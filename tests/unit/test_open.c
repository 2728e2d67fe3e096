/* SPDX-License-Identifier: MIT */
/* Opening what another process says is a ring. */
#include "ring_fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "ring.h"

static struct fixture fixture;
static struct geometry good;

static int setup(void **state)
{
	struct weir_ring_config config = fixture_config(8);

	fixture_open(&fixture, &config);
	fixture_join(&fixture, DROP_OLDEST_3);
	good = fixture.ring->request->geometry;
	return 0;
}

static int teardown(void **state)
{
	fixture_close(&fixture);
	return 0;
}

static int open_reader(void)
{
	struct weir_reader *reader = NULL;
	struct weir_ring_fds fds;
	int r;

	assert_int_equal(weir_ring_reader_fds(fixture.ring, fixture.end[0], &fds), 0);
	r = weir_reader_open(&reader, &fds);
	assert_int_equal(fds.count, 0);
	assert_true((r == 0) == (reader != NULL));
	weir_reader_free(&reader);
	return r;
}

static int open_writer(void)
{
	struct weir_writer *writer = NULL;
	struct weir_ring_fds fds;
	int r;

	assert_int_equal(weir_ring_writer_fds(fixture.ring, &fds), 0);
	r = weir_writer_open(&writer, &fds);
	assert_int_equal(fds.count, 0);
	assert_true((r == 0) == (writer != NULL));
	weir_writer_free(&writer);
	return r;
}

static int open_observer(void)
{
	struct weir_ring *observer = NULL;
	struct weir_ring_fds fds;
	int r;

	assert_int_equal(weir_ring_observer_fds(fixture.ring, &fds), 0);
	r = weir_ring_observe(&observer, &fds);
	assert_int_equal(fds.count, 0);
	assert_true((r == 0) == (observer != NULL));
	weir_ring_free(&observer);
	return r;
}

static void nobody_opens_a_ring_of_an_impossible_geometry(void **state)
{
	struct geometry *page = &fixture.ring->request->geometry, bad;
	const struct {
		uint32_t *field, value;
	} lies[] = {
		{ &bad.magic, 0 },
		{ &bad.version, LAYOUT_VERSION + 1 },
		{ &bad.slot_count, 0 },
		{ &bad.slot_count, 1 },
		{ &bad.slot_count, WEIR_SLOTS_MAX + 1 },
		{ &bad.slot_count, UINT32_MAX },
		{ &bad.order_count, 0 },
		{ &bad.order_count, 8 },
		{ &bad.order_count, 17 },
		{ &bad.end_count, 0 },
		{ &bad.end_count, WEIR_READERS_MAX + 1 },
		{ &bad.end_count, good.end_count + 1 }, /* other than the descriptors that came */
		{ &bad.slot_bytes, 0 },
		{ &bad.slot_bytes, LAYOUT_PAGE + 1 },
		{ &bad.slot_bytes, UINT32_MAX - LAYOUT_PAGE + 1 }, /* more than the object has */
		{ &bad.loans, good.slot_count },
		{ &bad.meta_bytes, META_MAX + 8 },
		{ &bad.meta_bytes, 4 },
		{ &bad.format.payload_bytes, LAYOUT_PAGE + 1 },
		{ &bad.format.kind, 99 },
		{ &bad.format.width, 0 },
		{ &bad.format.plane_count, 9 },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		bad = good;
		*lies[i].field = lies[i].value;
		*page = bad;
		assert_int_equal(open_writer(), -EPROTO);
		if (lies[i].field != &bad.end_count || lies[i].value != good.end_count + 1)
			assert_int_equal(open_reader(), -EPROTO);
		if (lies[i].field != &bad.slot_bytes || lies[i].value < WEIR_SLOTS_MAX * LAYOUT_PAGE)
			assert_int_equal(open_observer(), -EPROTO); /* it maps no slots */
		*page = good;
	}
	assert_int_equal(open_writer(), 0);
	assert_int_equal(open_reader(), 0);
	assert_int_equal(open_observer(), 0);
}

static void a_reader_does_not_believe_an_impossible_policy(void **state)
{
	struct request_end *asked = &fixture.ring->request->end[fixture.end[0]];
	const struct weir_policy policy = asked->policy;
	const uint64_t word = asked->word;
	const struct weir_policy lies[] = {
		{ .depth = 1, .max_held = 0 },
		{ .depth = 1, .max_held = WEIR_HELD_MAX + 1 },
		{ .depth = 0, .max_held = 1 },
		{ .depth = WEIR_DUE_MAX + 1, .max_held = 1, .every_nth = 2 },
		{ .depth = WEIR_DUE_MAX + 1, .max_held = 1, .max_fps = 1 },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		asked->policy = lies[i];
		assert_int_equal(open_reader(), -EPROTO);
	}
	asked->policy = (struct weir_policy){ .depth = WEIR_DUE_MAX, .max_held = 1, .every_nth = 2 };
	assert_int_equal(open_reader(), 0);
	asked->policy = policy;
	asked->word = 0; /* nobody is attached there */
	assert_int_equal(open_reader(), -EPROTO);
	asked->word = word;
}

static void descriptors_that_are_none_or_too_many_are_refused(void **state)
{
	struct weir_reader *reader = NULL;
	struct weir_writer *writer = NULL;
	struct weir_ring *observer = NULL;
	struct weir_ring_fds fds;

	for (uint32_t i = 0; i < RING_FD_ENDS + RING_END_FDS; i++) {
		bool optional = i == RING_FD_SPACE || i >= RING_FD_ENDS + RING_END_FD_BELL;
		int r;

		assert_int_equal(weir_ring_reader_fds(fixture.ring, fixture.end[0], &fds), 0);
		close(fds.fd[i]);
		fds.fd[i] = -1;
		r = weir_reader_open(&reader, &fds);
		assert_int_equal(r, optional ? 0 : -EPROTO);
		weir_reader_free(&reader);
	}
	for (uint32_t count = 0; count < 3; count++) {
		memset(&fds, 0xff, sizeof(fds));
		fds.role = RING_ROLE_WRITER, fds.count = count < 2 ? count : WEIR_RING_FDS_MAX + 1;
		assert_int_equal(weir_writer_open(&writer, &fds), -EINVAL);
		fds.role = RING_ROLE_READER, fds.count = count < 2 ? count : WEIR_RING_FDS_MAX + 1;
		assert_int_equal(weir_reader_open(&reader, &fds), -EINVAL);
		fds.role = RING_ROLE_OBSERVER, fds.count = count < 2 ? count : WEIR_RING_FDS_MAX + 1;
		assert_int_equal(weir_ring_observe(&observer, &fds), -EINVAL);
	}
	assert_int_equal(weir_ring_reader_fds(fixture.ring, fixture.end[0], &fds), 0);
	fds.end = good.end_count;
	assert_int_equal(weir_reader_open(&reader, &fds), -EPROTO);
}

static void ends_that_are_not_attached_have_no_descriptors_and_no_statistics(void **state)
{
	const uint32_t ends[] = { 1, good.end_count, WEIR_READERS_MAX, UINT32_MAX };
	struct weir_end_stats stats;
	struct weir_ring_fds fds;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		assert_int_equal(weir_ring_reader_fds(fixture.ring, ends[i], &fds), -EINVAL);
		assert_int_equal(weir_ring_end_stats(fixture.ring, ends[i], &stats), -EINVAL);
		assert_int_equal(weir_ring_withdraw(fixture.ring, ends[i]), -EINVAL);
		assert_int_equal(weir_ring_reap(fixture.ring, ends[i]), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_opens_a_ring_of_an_impossible_geometry, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_does_not_believe_an_impossible_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_that_are_none_or_too_many_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			ends_that_are_not_attached_have_no_descriptors_and_no_statistics, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
