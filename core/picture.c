/* SPDX-License-Identifier: MIT */
#include <weir/analyzer.h>

#include <errno.h>

int weir_picture_init(struct weir_picture *picture, const struct weir_format *format, const struct weir_frame *frame)
{
	struct weir_picture made = {
		.pixel = format->pixel,
		.width = format->width,
		.height = format->height,
		.frame = frame,
	};

	if (format->kind != WEIR_KIND_VIDEO || weir_format_check(format) < 0 ||
		frame->size_bytes < format->payload_bytes)
		return -EPROTO;
	for (uint32_t i = 0; i < format->plane_count; i++) {
		made.plane[i] = frame->data + format->plane[i].offset_bytes;
		made.stride_bytes[i] = format->plane[i].stride_bytes;
	}
	*picture = made;
	return 0;
}
