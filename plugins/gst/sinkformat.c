/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "sinkstream.h"
#include "slotpool.h"

#define GST_CAT_DEFAULT weirsink_debug

#define PACKET_MIN 65536u
#define PACKET_MAX (1u << 30)

static const char *describe(const struct weir_format *format, char *text, size_t bytes)
{
	if (format->kind == WEIR_KIND_VIDEO)
		g_snprintf(
			text, bytes, "%ux%u %s frames", format->width, format->height, weir_pixel_name(format->pixel));
	else
		g_snprintf(text, bytes, "buffers of %u bytes", format->payload_bytes);
	return text;
}

static void post_no_ring(struct sinkstream *stream, int r)
{
	uint64_t needed = 0, available = 0;
	char text[80];

	describe(&stream->format, text, sizeof(text));
	if (r == -ENOSPC && stream->serve != NULL) {
		serve_space(stream->serve, &needed, &available);
		GST_ELEMENT_ERROR(stream->sink, RESOURCE, NO_SPACE_LEFT,
			("No ring for %s: it takes %" PRIu64 " MiB of shared memory and %" PRIu64
			 " MiB are left; give fewer slots",
				text, needed >> 20, available >> 20),
			(NULL));
	} else if (r == -ENOMEM || r == -EINVAL) {
		GST_ELEMENT_ERROR(stream->sink, RESOURCE, NO_SPACE_LEFT,
			("No ring for %s: %s; look at slots and shm-size", text, g_strerror(-r)), (NULL));
	} else {
		GST_ELEMENT_ERROR(stream->sink, RESOURCE, OPEN_WRITE,
			("No ring for %s: %s", text, r == -ETIMEDOUT ? "nobody made one in time" : g_strerror(-r)),
			(NULL));
	}
}

/* Begins the next ring for stream->format. 0 or -errno; a message was posted, but for -EINTR. */
static int begin_ring(struct sinkstream *stream)
{
	int r;

	if (stream->wire != NULL) {
		stream->meta_room = wire_out_room(stream->wire);
		wire_out_new_ring(stream->wire);
	}
	r = sinkring_replace(
		&stream->ring, stream->provider, &stream->format, stream->lossless, GST_BASE_SINK_PAD(stream->sink));
	if (r < 0 && r != -EINTR)
		post_no_ring(stream, r);
	return r;
}

/* A first guess at how large packets get; a larger one costs a generation. */
static uint32_t packet_bytes(const GstCaps *caps)
{
	const GstStructure *structure = gst_caps_get_structure(caps, 0);
	gint width, height;

	if (!gst_structure_get_int(structure, "width", &width) ||
		!gst_structure_get_int(structure, "height", &height) || width <= 0 || height <= 0)
		return PACKET_MIN;
	return (uint32_t)CLAMP((gint64)width * height / 4, PACKET_MIN, PACKET_MAX);
}

bool sinkstream_set_caps(struct sinkstream *stream, GstCaps *caps)
{
	SlotAllocator *allocator;
	struct weir_format format;
	bool same = false;
	GstCaps *crossing = streamcaps_to_cross(caps);
	bool is_whole = crossing != NULL;
	int r = streamcaps_to_format(&format, &stream->info, is_whole ? crossing : caps, packet_bytes(caps));

	gst_clear_caps(&crossing);
	if (r == 0 && stream->serve == NULL &&
		format.kind != (stream->provider->packets ? WEIR_KIND_ENCODED : WEIR_KIND_VIDEO))
		r = -EINVAL;
	/* Neither says the ring's head enough, nor has metadata room for the rest. */
	if (r == 0 && stream->serve != NULL && !is_whole && format.kind != WEIR_KIND_VIDEO && format.caps[0] == '\0') {
		GST_ELEMENT_ERROR(stream->sink, STREAM, FORMAT,
			("Caps of more than %u bytes cannot be published: put an element before weirsink that "
			 "shortens them, like capssetter",
				WIRE_CAPS_MAX - 1),
			("caps: %s", gst_structure_get_name(gst_caps_get_structure(caps, 0))));
		return false;
	}
	if (r < 0) {
		GST_ELEMENT_ERROR(stream->sink, STREAM, FORMAT,
			(r == -ENOTSUP ? "Only system memory can be published: put an element before weirsink that "
					 "downloads, like videoconvert or glcolorconvert ! gldownload"
				       : "Buffers of this format cannot be published"),
			("caps: %s", gst_structure_get_name(gst_caps_get_structure(caps, 0))));
		return false;
	}
	stream->is_planar = planar_info(&stream->planar, caps);
	stream->source_known = false;
	allocator = sinkring_ref(&stream->ring);
	if (allocator != NULL) {
		const struct weir_format *present = slotallocator_format(allocator);

		/* A ring for packets may have grown. */
		if (format.kind != WEIR_KIND_VIDEO && stream->info.size == 0)
			format.payload_bytes = MAX(format.payload_bytes, present->payload_bytes);
		same = memcmp(present, &format, sizeof(format)) == 0 && format.caps[0] != '\0';
		gst_object_unref(allocator);
	}
	if (same)
		return true;
	stream->format = format;
	return begin_ring(stream) == 0;
}

void sinkstream_add_pool(struct sinkstream *stream, GstQuery *query, SlotAllocator *allocator, GstCaps *caps)
{
	GstBufferPool *pool = slotpool_new();
	GstStructure *config = gst_buffer_pool_get_config(pool);

	gst_buffer_pool_config_set_params(config, caps, stream->info.size, 0, 0);
	gst_buffer_pool_config_set_allocator(config, GST_ALLOCATOR_CAST(allocator), NULL);
	if (gst_buffer_pool_set_config(pool, config))
		gst_query_add_allocation_pool(query, pool, stream->info.size, 0, 0);
	gst_object_unref(pool);
}

int sinkstream_grow(struct sinkstream *stream, gsize bytes)
{
	int r;

	if (bytes > PACKET_MAX)
		return -EFBIG;
	if (stream->format.kind == 0) {
		stream->format.kind = WEIR_KIND_OTHER; /* a stream without caps */
		stream->format.payload_bytes = PACKET_MIN;
	}
	if (stream->info.size == 0 && bytes > stream->format.payload_bytes)
		stream->format.payload_bytes = (uint32_t)(MIN(bytes + bytes / 2, PACKET_MAX) + 4095) & ~4095u;
	GST_INFO_OBJECT(stream->sink, "beginning another ring, of %u bytes a slot", stream->format.payload_bytes);
	r = begin_ring(stream);
	/* Upstream is to use its slots, or everything would be copied from now on. */
	if (r == 0)
		gst_pad_push_event(GST_BASE_SINK_PAD(stream->sink), gst_event_new_reconfigure());
	return r;
}
