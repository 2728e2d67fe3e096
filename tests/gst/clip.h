/* SPDX-License-Identifier: MIT */
#ifndef CLIP_H
#define CLIP_H

/* Clips whose frames carry their number as 4 by 4 large black and white blocks, so that it survives any codec. */

#include <stdint.h>

#include <gst/gst.h>

#define CLIP_WIDTH  320
#define CLIP_HEIGHT 240
#define CLIP_RATE   25

/* Encodes frames 0…count-1. encoder is a description such as "openh264enc ! h264parse ! mp4mux". Fails the test. */
void clip_make(const char *path, const char *encoder, unsigned count);

/* Reads the number in a picture whose luma (or gray) plane is at luma. */
unsigned clip_number(const uint8_t *luma, uint32_t stride_bytes);

/* A directory for clips that lives until clip_remove_dir(). */
const char *clip_dir(void);
const char *clip_path(const char *name);
void clip_remove_dir(void);

/* Setup and teardown of a group of tests that play h264.mp4 and jpeg.avi, 60 frames each. */
int clip_setup(void **state);
int clip_teardown(void **state);

#endif
