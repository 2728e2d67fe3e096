/* SPDX-License-Identifier: MIT */
#include "sinksettings.h"

#include <weir/ring.h>

#define PERMS_DEFAULT	0600
#define READERS_DEFAULT 8
#define SHM_DEFAULT	(64 << 20)
#define STALL_DEFAULT	(2 * GST_SECOND)

enum {
	PROP_SOCKET_PATH = 1,
	PROP_PERMS,
	PROP_ANY_USER,
	PROP_WAIT_FOR_CONNECTION,
	PROP_MAX_READERS,
	PROP_SLOTS,
	PROP_SHM_SIZE,
	PROP_STALL_TIMEOUT,
	PROP_LOSSLESS,
};

static void install_socket(GObjectClass *class, GParamFlags flags)
{
	g_object_class_install_property(class, PROP_SOCKET_PATH,
		g_param_spec_string("socket-path", "Socket path",
			"Where readers connect: a path, or @ and an abstract name", NULL, flags));
	g_object_class_install_property(class, PROP_PERMS,
		g_param_spec_uint("perms", "Permissions",
			"Permissions of the socket: who can write to it can connect (readers get the memory read-only)",
			0, 0777, PERMS_DEFAULT, flags));
	g_object_class_install_property(class, PROP_ANY_USER,
		g_param_spec_boolean("any-user", "Any user",
			"Hand the memory to any user whom the socket lets in, not only to this one and root", FALSE,
			flags));
	g_object_class_install_property(class, PROP_WAIT_FOR_CONNECTION,
		g_param_spec_boolean("wait-for-connection", "Wait for a connection",
			"Block until a reader is connected", FALSE, flags));
	g_object_class_install_property(class, PROP_MAX_READERS,
		g_param_spec_uint("max-readers", "Maximum readers", "How many readers may be connected at a time", 1,
			WEIR_READERS_MAX, READERS_DEFAULT, flags));
}

void sinksettings_install(GObjectClass *class)
{
	GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

	install_socket(class, flags);
	g_object_class_install_property(class, PROP_SLOTS,
		g_param_spec_uint("slots", "Slots",
			"Buffers in the ring; 0: as many as fit into shm-size, 24 to 64. Each reader takes as many as "
			"it "
			"may hold, and the one that lags the most its max-buffers",
			0, WEIR_SLOTS_MAX, 0, flags));
	g_object_class_install_property(class, PROP_SHM_SIZE,
		g_param_spec_uint64("shm-size", "Size of the shared memory",
			"Bytes of shared memory to use if slots is 0; 24 slots are more if they have to be", 1,
			G_MAXINT64, SHM_DEFAULT, flags));
	g_object_class_install_property(class, PROP_LOSSLESS,
		g_param_spec_boolean("lossless", "Lossless",
			"Wait for slow readers that want every buffer; otherwise they lose buffers, too", TRUE, flags));
	g_object_class_install_property(class, PROP_STALL_TIMEOUT,
		g_param_spec_uint64("stall-timeout", "Stall timeout",
			"Nanoseconds to wait for a reader that wants every buffer and takes none; then it loses "
			"buffers",
			1, G_MAXINT64, STALL_DEFAULT, flags));
}

bool sinksettings_set(struct sinksettings *settings, guint id, const GValue *value)
{
	switch (id) {
	case PROP_SOCKET_PATH:
		g_free(settings->socket_path);
		settings->socket_path = g_value_dup_string(value);
		return true;
	case PROP_PERMS: settings->perms = g_value_get_uint(value); return true;
	case PROP_ANY_USER: settings->any_user = g_value_get_boolean(value); return true;
	case PROP_WAIT_FOR_CONNECTION: settings->wait_for_connection = g_value_get_boolean(value); return true;
	case PROP_MAX_READERS: settings->max_readers = g_value_get_uint(value); return true;
	case PROP_SLOTS: settings->slots = g_value_get_uint(value); return true;
	case PROP_SHM_SIZE: settings->shm_bytes = g_value_get_uint64(value); return true;
	case PROP_STALL_TIMEOUT: settings->stall_ns = g_value_get_uint64(value); return true;
	case PROP_LOSSLESS: settings->lossless = g_value_get_boolean(value); return true;
	default: return false;
	}
}

bool sinksettings_get(const struct sinksettings *settings, guint id, GValue *value)
{
	switch (id) {
	case PROP_SOCKET_PATH: g_value_set_string(value, settings->socket_path); return true;
	case PROP_PERMS: g_value_set_uint(value, settings->perms); return true;
	case PROP_ANY_USER: g_value_set_boolean(value, settings->any_user); return true;
	case PROP_WAIT_FOR_CONNECTION: g_value_set_boolean(value, settings->wait_for_connection); return true;
	case PROP_MAX_READERS: g_value_set_uint(value, settings->max_readers); return true;
	case PROP_SLOTS: g_value_set_uint(value, settings->slots); return true;
	case PROP_SHM_SIZE: g_value_set_uint64(value, settings->shm_bytes); return true;
	case PROP_STALL_TIMEOUT: g_value_set_uint64(value, settings->stall_ns); return true;
	case PROP_LOSSLESS: g_value_set_boolean(value, settings->lossless); return true;
	default: return false;
	}
}

void sinksettings_init(struct sinksettings *settings)
{
	*settings = (struct sinksettings){
		.perms = PERMS_DEFAULT,
		.max_readers = READERS_DEFAULT,
		.shm_bytes = SHM_DEFAULT,
		.stall_ns = STALL_DEFAULT,
		.lossless = TRUE,
	};
}

void sinksettings_finish(struct sinksettings *settings)
{
	g_free(settings->socket_path);
}
