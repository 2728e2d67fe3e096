/* SPDX-License-Identifier: MIT */
/* The writer with a planted bug: `published` is raised before the descriptor stands. */
#include <weir/writer.h>

int publish_in_order(struct weir_writer *writer, struct weir_frame *frame, bool keep);

#define weir_writer_publish publish_in_order
#include "writer.c"
#undef weir_writer_publish

int weir_writer_publish(struct weir_writer *writer, struct weir_frame *frame, bool keep)
{
	uint64_t sequence = writer->published + 1;

	atomic_store_explicit(&writer->order[sequence & (writer->geometry.order_count - 1)],
		sequence << ORDER_SLOT_BITS | frame->slot, memory_order_relaxed);
	atomic_store_explicit(&writer->head->published, sequence, memory_order_release);
	return publish_in_order(writer, frame, keep);
}
