/* SPDX-License-Identifier: MIT */
#ifndef WIREMETA_H
#define WIREMETA_H

/* GstMetas as records: regions of interest with their parameters, reference timestamps, crop rectangles, and metas that
 * programs registered themselves (gst_meta_register_custom). Others are about the memory (GstVideoMeta) and do not
 * travel. */

#include "wireformat.h"

/* Returns the bytes used; a meta that does not fit is left out and counted. *needed is what all of them take. */
uint32_t wiremeta_write(uint8_t *area, uint32_t room, GstBuffer *buffer, uint32_t *lost, uint32_t *needed);

/* Adds what can be read. The section is private memory. False: there is text that an honest writer would not send. */
bool wiremeta_read(const uint8_t *section, uint32_t bytes, GstBuffer *buffer);

#endif
