/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>

#include <gst/video/video.h>

#include "sinkobject.h"

#define GST_CAT_DEFAULT weirsink_debug

enum { SIGNAL_CONNECTED, SIGNAL_DISCONNECTED, SIGNALS };
static guint signals[SIGNALS];

/* --- readers ---------------------------------------------------------------------------------------------------- */

static void attend(void *data)
{
	weirsink_attend(data);
}

static void ask_for_key_unit(WeirSink *self, bool all_headers)
{
	GST_DEBUG_OBJECT(self, "asking for a key unit");
	gst_pad_push_event(GST_BASE_SINK_PAD(self),
		gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, all_headers, 0));
}

static void take_notes(void *data, uint32_t notes)
{
	if ((notes & WEIRSINK_NOTE_KEY_UNIT) != 0)
		ask_for_key_unit(data, (notes & WEIRSINK_NOTE_HEADERS) != 0);
}

static void reader_stalled(void *data, const struct weir_server_reader *reader)
{
	GST_WARNING_OBJECT(data,
		"reader %" PRIu64 ", process %d, wanted every buffer and took none for longer than stall-timeout: it "
		"loses buffers from now on",
		reader->number, reader->pid);
}

static void readers_changed(void *data, const struct weir_server_reader *reader, bool connected)
{
	WeirSink *self = data;
	uint32_t kind;

	GST_INFO_OBJECT(self, "reader %" PRIu64 ", process %d, %s", reader->number, reader->pid,
		connected ? "connected" : "gone");
	g_signal_emit(
		self, signals[connected ? SIGNAL_CONNECTED : SIGNAL_DISCONNECTED], 0, reader->number, reader->pid);
	g_object_notify(G_OBJECT(self), "num-clients");
	/* Who joins an encoded stream, or one of packets that hold it, can show nothing before its next key frame. */
	kind = sinkring_kind(&self->stream.ring);
	if (connected && (kind == WEIR_KIND_ENCODED || kind == WEIR_KIND_OTHER))
		ask_for_key_unit(self, true);
}

/* --- start ---------------------------------------------------------------------------------------------------------
 */

int sinkserving_want(void *data, const struct weir_format *format, uint32_t slot_bytes, uint32_t loans)
{
	WeirSink *self = data;
	struct weir_writer *writer;
	int r = serve_begin(self->serve, format, slot_bytes, loans, self->stream.meta_room, &writer);

	if (r == 0)
		weirsink_set_writer(self, writer, 0);
	return r;
}

static void explain(WeirSink *self, int r, int owner_pid)
{
	const char *path = self->settings.socket_path;

	switch (r) {
	case -EADDRINUSE:
		if (owner_pid != 0)
			GST_ELEMENT_ERROR(self, RESOURCE, BUSY,
				("%s is served by process %d: stop that, or choose another socket-path", path,
					owner_pid),
				(NULL));
		else
			GST_ELEMENT_ERROR(self, RESOURCE, BUSY,
				("%s is there already, and no stale socket: remove it, or choose another socket-path",
					path),
				(NULL));
		break;
	case -ENOENT:
		GST_ELEMENT_ERROR(
			self, RESOURCE, OPEN_WRITE, ("The folder of %s is missing: make it first", path), (NULL));
		break;
	case -EACCES:
		GST_ELEMENT_ERROR(self, RESOURCE, NOT_AUTHORIZED,
			("Not allowed to make %s: choose a folder that you may write to", path), (NULL));
		break;
	case -ENAMETOOLONG:
		GST_ELEMENT_ERROR(
			self, RESOURCE, SETTINGS, ("%s is longer than the 107 bytes of a socket's name", path), (NULL));
		break;
	default: GST_ELEMENT_ERROR(self, RESOURCE, OPEN_WRITE, ("Cannot serve %s: %s", path, g_strerror(-r)), (NULL));
	}
}

int sinkserving_start(WeirSink *self)
{
	struct serve_config config = {
		.path = self->settings.socket_path,
		.perms = self->settings.perms,
		.any_user = self->settings.any_user,
		.max_readers = self->settings.max_readers,
		.slots = self->settings.slots,
		.shm_bytes = self->settings.shm_bytes,
		.stall_max_ns = (int64_t)self->settings.stall_ns,
		.attend = attend,
		.changed = readers_changed,
		.stalled = reader_stalled,
		.note = take_notes,
		.data = self,
	};
	int owner_pid = 0, r;

	if (config.path == NULL || config.path[0] == '\0') {
		GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS,
			("No socket-path is set: give one under which readers connect, like /tmp/cam0"), (NULL));
		return -EINVAL;
	}
	r = serve_create(&self->serve, &config, &owner_pid);
	if (r < 0)
		explain(self, r, owner_pid);
	return r;
}

void sinkserving_install(WeirSinkClass *class)
{
	/**
	 * WeirSink::reader-connected:
	 * @number: 1, 2, 3… in the order in which readers came
	 * @pid: its process
	 *
	 * Emitted in a thread of the element.
	 */
	signals[SIGNAL_CONNECTED] = g_signal_new("reader-connected", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0,
		NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT64, G_TYPE_INT);
	signals[SIGNAL_DISCONNECTED] = g_signal_new("reader-disconnected", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST,
		0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT64, G_TYPE_INT);
}
