/* SPDX-License-Identifier: MIT */
/* The reader with a planted bug: it looks at frames without a pin on them. */
#include <weir/reader.h>

int acquire_with_pin(struct weir_reader *reader, struct weir_frame *frame);

#define weir_reader_acquire acquire_with_pin
#include "reader.c"
#undef weir_reader_acquire

int weir_reader_acquire(struct weir_reader *reader, struct weir_frame *frame)
{
	int r = acquire_with_pin(reader, frame);

	if (r == 0)
		atomic_store(&reader->end->pin[frame->pin], 0);
	return r;
}
