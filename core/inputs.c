/* SPDX-License-Identifier: MIT */
#include "back.h"

#include <errno.h>
#include <string.h>

/* A reader keeps at most two rings for an input: it drains the old one before it opens frames of the next. */

static void begin(struct weir_back *back, uint32_t i, struct weir_reader *reader)
{
	struct back_input *input = &back->input[i];

	input->reader = reader;
	input->format = *weir_reader_format(reader);
	input->generation = weir_reader_generation(reader);
	back_command(back, WEIR_COMMAND_FORMAT, (int)i, &input->format, sizeof(input->format));
}

static void tell_end(struct weir_back *back, uint32_t i)
{
	struct back_input *input = &back->input[i];
	struct message_input end = { .input = i, .generation = input->end_generation };

	if (!input->end_wanted || input->reader != NULL || input->generation < input->end_generation)
		return;
	input->end_wanted = false;
	back_command(back, WEIR_COMMAND_END, (int)i, NULL, 0);
	if (!back_is_local(back))
		back_send(back, MESSAGE_END_TAKEN, 0, 0, &end, sizeof(end));
}

static void close_ring(struct weir_back *back, uint32_t i, int status)
{
	struct back_input *input = &back->input[i];
	struct message_input drained = { .input = i, .generation = input->generation };
	struct weir_reader *next = input->next;

	weir_reader_free(&input->reader);
	input->next = NULL;
	if (!back_is_local(back))
		back_send(back, MESSAGE_DRAINED, 0, 0, &drained, sizeof(drained));
	else if (status == -ENODATA && next == NULL)
		input->end_wanted = true, input->end_generation = input->generation;
	if (next != NULL)
		begin(back, i, next);
	tell_end(back, i);
}

static void take_reader(struct weir_back *back, struct weir_ring_fds *fds, uint32_t i)
{
	struct weir_reader *reader;
	int r = weir_reader_open(&reader, fds);

	if (r < 0) {
		back_fail(back, "cannot open the ring", r);
		return;
	}
	if (back->input[i].reader == NULL) {
		begin(back, i, reader);
	} else if (back->input[i].next == NULL) {
		back->input[i].next = reader;
	} else {
		weir_reader_free(&reader);
		back_fail(back, "a third ring for one input", -EPROTO);
	}
}

void back_take_ring(struct weir_back *back, struct weir_ring_fds *fds, uint32_t input)
{
	struct weir_writer *writer;
	int r;

	if (fds->role == 2 && input < BACK_INPUTS_MAX) {
		take_reader(back, fds, input);
		return;
	}
	r = weir_writer_open(&writer, fds);
	if (r < 0) {
		back_fail(back, "cannot open the ring", r);
		return;
	}
	weir_writer_free(&back->writer); /* one that the backend never took */
	back->writer = writer;
	back_command(back, WEIR_COMMAND_WRITER, 0, &input, sizeof(input)); /* of a writer it is the output */
}

bool back_step_input(struct weir_back *back, uint32_t i)
{
	struct back_input *input = &back->input[i];
	struct weir_frame frame;
	int r;

	if (input->reader == NULL || input->blocked)
		return false;
	r = weir_reader_acquire(input->reader, &frame);
	if (r == 0) {
		input->given = frame.sequence;
		if (back->backend->frame != NULL)
			r = back->backend->frame(back, back->state, i, &frame);
		if (input->given != 0)
			weir_reader_release(input->reader, &frame);
		input->given = 0;
		weir_back_beat(back);
		atomic_fetch_add_explicit(&back->page->frames, 1, memory_order_relaxed);
		if (r < 0)
			back_fail(back, "frame", r);
		return true;
	}
	input->blocked = input->kept > 0 && r != -EAGAIN;
	if (!input->blocked && (r == -EPIPE || r == -ENODATA || r == -ESTALE)) {
		close_ring(back, i, r);
		return true;
	}
	return false;
}

int weir_back_keep(struct weir_back *back, uint32_t i, const struct weir_frame *frame)
{
	if (i >= BACK_INPUTS_MAX || back->input[i].given == 0 || back->input[i].given != frame->sequence)
		return -EINVAL;
	back->input[i].given = 0;
	back->input[i].kept++;
	return 0;
}

int weir_back_release(struct weir_back *back, uint32_t i, const struct weir_frame *frame)
{
	int r = -EINVAL;

	if (i < BACK_INPUTS_MAX && back->input[i].kept > 0 && back->input[i].given != frame->sequence)
		r = weir_reader_release(back->input[i].reader, frame);
	if (r == 0) {
		back->input[i].kept--;
		back->input[i].blocked = false;
		back_outside_poke(back);
	}
	return r;
}

void back_end_input(struct weir_back *back, const struct message_input *end)
{
	if (end->input >= BACK_INPUTS_MAX)
		return;
	back->input[end->input].end_generation = end->generation;
	back->input[end->input].end_wanted = true;
	tell_end(back, end->input);
}

void back_finish_inputs(struct weir_back *back)
{
	for (int i = 0; i < BACK_INPUTS_MAX; i++) {
		weir_reader_free(&back->input[i].reader);
		weir_reader_free(&back->input[i].next);
	}
}
