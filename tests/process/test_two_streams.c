/* SPDX-License-Identifier: MIT */
/* One child writes two streams: a decoder, its pictures and the packets that they come from. */
#include "process.h"

#define PICTURES 90
#define PACKETS	 30

enum { ORDER_COUNT = 256 };

struct twin {
	struct weir_writer *writer[2];
	uint32_t done[2], renewed;
};

static const uint32_t goal[2] = { PICTURES, PACKETS };

static int want_back(struct weir_back *back, uint32_t output)
{
	struct weir_ring_config config = { .slot_count = 8 };

	assert_int_equal(weir_format_video(&config.format, WEIR_PIXEL_GRAY8, 64, 4 + output), 0);
	return weir_back_want_output(back, output, &config);
}

static int enter_twin_back(struct weir_back *back, void *state, const char *args)
{
	int r = weir_back_want_output(back, 2, &(struct weir_ring_config){ 0 });

	if (r != -EINVAL)
		return -EPROTO;
	r = want_back(back, 1);
	return r == 0 ? want_back(back, 0) : r;
}

static int command_twin_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct twin *twin = state;
	uint32_t output;

	if ((message->type != WEIR_COMMAND_WRITER && message->type != WEIR_COMMAND_RENEW) ||
		message->size != sizeof(output))
		return -ENOSYS;
	memcpy(&output, message->data, sizeof(output));
	if (message->type == WEIR_COMMAND_RENEW)
		return -EPROTO;
	return weir_back_take_writer(back, &twin->writer[output]);
}

static int tick_twin_back(struct weir_back *back, void *state, int64_t now_ns)
{
	struct weir_source_status status = { .state = WEIR_SOURCE_ENDED, .text = "both are out" };
	struct twin *twin = state;
	struct weir_frame frame;
	uint8_t *payload;

	if (twin->writer[0] == NULL || twin->writer[1] == NULL)
		return 0;
	for (int i = 0; i < 2; i++) {
		weir_writer_attend(twin->writer[i]);
		while (twin->done[i] < goal[i] && weir_writer_claim(twin->writer[i], &frame, &payload) == 0) {
			payload[0] = (uint8_t)i;
			frame.size_bytes = 64;
			weir_writer_publish(twin->writer[i], &frame, false);
			if (++twin->done[i] == goal[i])
				weir_writer_end(twin->writer[i]);
		}
	}
	if (twin->done[0] + twin->done[1] == PICTURES + PACKETS) {
		twin->done[0]++;
		return weir_back_event(back, WEIR_EVENT_SOURCE, &status, sizeof(status));
	}
	return 0;
}

static void leave_twin_back(struct weir_back *back, void *state, int reason)
{
	weir_writer_free(&((struct twin *)state)->writer[0]);
	weir_writer_free(&((struct twin *)state)->writer[1]);
}

static const struct weir_backend twin = {
	.abi = WEIR_BACKEND_ABI,
	.name = "twin",
	.state_bytes = sizeof(struct twin),
	.enter = enter_twin_back,
	.command = command_twin_back,
	.tick = tick_twin_back,
	.leave = leave_twin_back,
};

/* Counts frames, those of the wrong stream, and ends. */
struct counts {
	uint32_t frames, strange, ends;
};

static int enter_counter_back(struct weir_back *back, void *state, const char *args)
{
	return 0;
}

static int frame_counter_back(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame)
{
	struct counts *counts = state;

	counts->frames++;
	counts->strange += frame->data[0] + 4u != weir_back_input_format(back, input)->height;
	return 0;
}

static int command_counter_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct counts *counts = state;

	counts->ends += message->type == WEIR_COMMAND_END;
	if (message->type == ORDER_COUNT)
		return weir_back_reply(back, message, 0, counts, sizeof(*counts));
	return message->type < WEIR_MESSAGE_USER ? 0 : -ENOSYS;
}

static const struct weir_backend counter = {
	.abi = WEIR_BACKEND_ABI,
	.name = "counter",
	.state_bytes = sizeof(struct counts),
	.enter = enter_counter_back,
	.command = command_counter_back,
	.frame = frame_counter_back,
};

static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS };

static void child_writes_two_streams_to_their_own_readers(void **state)
{
	struct fixture *fixture = *state;
	struct weir_child *writer = fixture_add(fixture, (struct weir_child_config){ .backend = "twin" }), *reader[2];
	struct weir_stream *stream[2], *third;
	uint32_t input;

	for (uint32_t i = 0; i < 2; i++) {
		struct weir_stream_config config = { .name = "twin", .writer = writer, .output = i };

		assert_int_equal(weir_stream_create(fixture->frontend, &stream[i], &config), 0);
		assert_int_equal(weir_stream_create(fixture->frontend, &third, &config), -EINVAL);
		reader[i] = fixture_add(fixture,
			(struct weir_child_config){ .name = i == 0 ? "pictures" : "packets", .backend = "counter" });
		assert_int_equal(weir_stream_add_reader(stream[i], reader[i], &lossless, &input), 0);
	}
	assert_int_equal(weir_stream_create(fixture->frontend, &third,
				 &(struct weir_stream_config){ .name = "x", .writer = writer, .output = 2 }),
		-EINVAL);
	UNTIL(fixture, weir_stream_finished(stream[0]) && weir_stream_finished(stream[1]));
	for (uint32_t i = 0; i < 2; i++) {
		struct counts counts;
		size_t size = sizeof(counts);

		assert_int_equal(weir_stream_state(stream[i]), WEIR_STREAM_ENDED);
		assert_int_equal(
			weir_child_call(reader[i], ORDER_COUNT, NULL, 0, &counts, &size, now_ns() + SECOND), 0);
		assert_int_equal(counts.frames, goal[i]);
		assert_int_equal(counts.strange, 0);
		assert_int_equal(counts.ends, 1);
	}
}

int main(void)
{
	static const struct weir_backend *const backends[] = { &twin, &counter, NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			child_writes_two_streams_to_their_own_readers, fixture_setup, fixture_teardown),
	};

	if (weir_init(&(struct weir_init_config){ .backends = backends }) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
