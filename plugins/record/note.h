/* SPDX-License-Identifier: MIT */
#ifndef NOTE_H
#define NOTE_H

/* What a ring knows of its format and frames, and Matroska has no place for (sequence, exact times, losses, metadata,
 * strides), kept where players do not look: inside of Void elements. Little endian. */

#include <weir/frame.h>

#define NOTE_MAGIC_BYTES     8
#define NOTE_FRAME_BYTES     84 /* and metadata behind it */
#define NOTE_FORMAT_BYTES    (NOTE_MAGIC_BYTES + 4 * (8 + 2 * WEIR_PLANES_MAX) + WEIR_CAPS_BYTES)
#define NOTE_FRAME_BYTES_MAX (NOTE_FRAME_BYTES + 4096)

/* Write the note; the second with as much metadata as fits the room, which is NOTE_FRAME_BYTES at the least: all of it
 * or nothing. Returns its size. */
size_t note_put_format(uint8_t note[NOTE_FORMAT_BYTES], const struct weir_format *format);
size_t note_put_frame(uint8_t *note, size_t room, const struct weir_frame *frame);

/* Read what anybody may have written. -EPROTO: it is no such note, or makes no sense. The frame's meta points into the
 * note; slot, pin and data are not set. */
int note_get_format(struct weir_format *format, const uint8_t *note, size_t size);
int note_get_frame(struct weir_frame *frame, const uint8_t *note, size_t size);

#endif
