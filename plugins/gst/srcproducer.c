/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/stat.h>

#include "srcobject.h"

#define GST_CAT_DEFAULT weirsrc_debug

#define RETRY_NS (100 * GST_MSECOND)

static void tell(WeirSrc *self, const char *what)
{
	gst_element_post_message(GST_ELEMENT_CAST(self),
		gst_message_new_element(GST_OBJECT_CAST(self),
			gst_structure_new(what, "socket-path", G_TYPE_STRING, self->run.socket_path, NULL)));
}

static GstFlowReturn explain(WeirSrc *self, int r)
{
	const char *path = self->run.socket_path;

	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -ETIMEDOUT:
	case -EPIPE:
		GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND,
			("Nobody serves %s: start a weirsink with this socket-path, or set reconnect=true to wait",
				path),
			("%s", g_strerror(-r)));
		break;
	case -EBUSY:
		GST_ELEMENT_ERROR(self, RESOURCE, BUSY,
			("%s has as many readers as it takes: give its weirsink a higher max-readers", path), (NULL));
		break;
	case -ENOSPC:
		GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT,
			("The ring of %s has too few slots for one more reader: it needs %u and has %u: give its "
			 "weirsink more slots, or this weirsrc fewer max-buffers or max-held",
				path, self->feed.refusal.slots_needed, self->feed.refusal.slots_had),
			(NULL));
		break;
	case -EACCES:
	case -EPERM:
		GST_ELEMENT_ERROR(self, RESOURCE, NOT_AUTHORIZED,
			("Not allowed to read %s: its weirsink takes other users with perms=0666 any-user=true", path),
			("%s", g_strerror(-r)));
		break;
	case -ENOTSOCK:
	case -EPROTOTYPE:
		GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ,
			("%s is something else than the socket of a weirsink: give that one's socket-path", path),
			("%s", g_strerror(-r)));
		break;
	case -EPROTO:
		GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ,
			("What serves %s does not answer as a weirsink would, or this process may open too few files "
			 "(ulimit -n)",
				path),
			("%s", g_strerror(-r)));
		break;
	case -ENAMETOOLONG:
		GST_ELEMENT_ERROR(
			self, RESOURCE, SETTINGS, ("%s is longer than the 107 bytes of a socket's name", path), (NULL));
		break;
	default: GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("Cannot read %s: %s", path, g_strerror(-r)), (NULL));
	}
	return GST_FLOW_ERROR;
}

/* What is no socket refuses connections, too, and will not become one. */
static bool is_no_socket(const char *path)
{
	struct stat status;

	return path[0] != '@' && stat(path, &status) == 0 && !S_ISSOCK(status.st_mode);
}

static bool may_come(WeirSrc *self, int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ETIMEDOUT || r == -EPIPE ||
	       (self->was_connected && (r == -EBUSY || r == -ENOSPC));
}

void srcproducer_note_silence(WeirSrc *self)
{
	int64_t now_ns = epoch_monotonic_ns();

	if (self->silent_since_ns == 0) {
		self->silent_since_ns = now_ns - WEIR_WAIT_BOUND_NS;
		self->silence_told = false;
	}
	if (self->run.timeout_ns == 0 || self->silence_told ||
		now_ns - self->silent_since_ns < (int64_t)self->run.timeout_ns)
		return;
	self->silence_told = true;
	tell(self, "weirsrc-timeout");
}

GstFlowReturn srcproducer_connect(WeirSrc *self)
{
	struct weir_policy policy = srcsettings_policy(&self->run);
	int64_t now_ns = epoch_monotonic_ns();
	int r = feed_connect(&self->feed, self->run.socket_path, &policy);

	if (r == 0) {
		GST_INFO_OBJECT(self, "connected to process %d", weir_client_server_pid(self->feed.client));
		srcstream_new_producer(&self->stream);
		self->connected = self->was_connected = true;
		tell(self, "weirsrc-connected");
		return GST_FLOW_OK;
	}
	if (r == -ECONNREFUSED && is_no_socket(self->run.socket_path))
		r = -ENOTSOCK;
	if (!self->run.reconnect || !may_come(self, r) ||
		(self->run.connection_timeout_ns != 0 &&
			now_ns - self->waiting_since_ns >= (int64_t)self->run.connection_timeout_ns))
		return explain(self, r);
	GST_LOG_OBJECT(self, "nobody serves %s yet: %s", self->run.socket_path, g_strerror(-r));
	feed_pause(&self->feed, RETRY_NS);
	srcproducer_note_silence(self);
	return GST_FLOW_OK;
}

GstFlowReturn srcproducer_lose(WeirSrc *self)
{
	GST_INFO_OBJECT(self, "the producer is gone");
	feed_disconnect(&self->feed);
	self->connected = false;
	self->waiting_since_ns = epoch_monotonic_ns();
	tell(self, "weirsrc-disconnected");
	if (self->run.reconnect)
		return GST_FLOW_OK;
	GST_ELEMENT_ERROR(self, RESOURCE, READ,
		("The producer of %s is gone; set reconnect=true to wait for the next one", self->run.socket_path),
		(NULL));
	return GST_FLOW_ERROR;
}
