/* SPDX-License-Identifier: MIT */
#include "srcsettings.h"

#include <string.h>

#define MAX_BUFFERS	 4
#define MAX_HELD	 3
#define DEADLINE_DEFAULT (20 * GST_MSECOND)

enum {
	PROP_SOCKET_PATH = 1,
	PROP_LEAKY_TYPE,
	PROP_MAX_BUFFERS,
	PROP_MAX_HELD,
	PROP_NUM_BUFFERS,
	PROP_RECONNECT,
	PROP_CONNECTION_TIMEOUT,
	PROP_TIMEOUT,
	PROP_TIMESTAMP_MODE,
	PROP_DO_TIMESTAMP,
	PROP_IS_LIVE,
	PROP_PROCESSING_DEADLINE,
};

/* The values of GstAppLeakyType. A ring cannot keep the oldest frames and refuse the newest: 1, upstream, is not here.
 */
enum { LEAKY_NONE = 0, LEAKY_DOWNSTREAM = 2 };

static GType leaky_type_get_type(void)
{
	static const GEnumValue values[] = {
		{ LEAKY_NONE, "Every buffer: the producer waits", "none" },
		{ LEAKY_DOWNSTREAM, "The oldest buffers are lost", "downstream" },
		{ 0, NULL, NULL },
	};
	static gsize type;

	if (g_once_init_enter(&type))
		g_once_init_leave(&type, g_enum_register_static("WeirSrcLeakyType", values));
	return type;
}

static GType timestamp_mode_get_type(void)
{
	static const GEnumValue values[] = {
		{ TIMESTAMP_PRODUCER, "The producer's, on this pipeline's clock", "producer" },
		{ TIMESTAMP_ARRIVAL, "Running time at arrival", "arrival" },
		{ TIMESTAMP_NONE, "The producer's, left as they are", "none" },
		{ 0, NULL, NULL },
	};
	static gsize type;

	if (g_once_init_enter(&type))
		g_once_init_leave(&type, g_enum_register_static("WeirSrcTimestampMode", values));
	return type;
}

static void install_what(GObjectClass *class, GParamFlags flags)
{
	g_object_class_install_property(class, PROP_SOCKET_PATH,
		g_param_spec_string("socket-path", "Socket path",
			"Where the producer serves: a path, or @ and an abstract name", NULL, flags));
	g_object_class_install_property(class, PROP_RECONNECT,
		g_param_spec_boolean("reconnect", "Reconnect",
			"Wait for a producer that is not there yet, or not any more", TRUE, flags));
	g_object_class_install_property(class, PROP_CONNECTION_TIMEOUT,
		g_param_spec_uint64("connection-timeout", "Connection timeout",
			"Nanoseconds to wait for a producer before it is an error; 0: for ever", 0, G_MAXINT64, 0,
			flags));
	g_object_class_install_property(class, PROP_TIMEOUT,
		g_param_spec_uint64("timeout", "Timeout",
			"Nanoseconds without a buffer until the message weirsrc-timeout is posted, once for each "
			"silence; 0: never",
			0, G_MAXINT64, 0, flags));
	g_object_class_install_property(class, PROP_NUM_BUFFERS,
		g_param_spec_int("num-buffers", "Number of buffers",
			"Buffers to put out before the end of the stream; -1: no limit", -1, G_MAXINT, -1, flags));
}

void srcsettings_install(GObjectClass *class)
{
	GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

	install_what(class, flags);
	g_object_class_install_property(class, PROP_LEAKY_TYPE,
		g_param_spec_enum("leaky-type", "Leaky type",
			"What happens when this reader is more than max-buffers behind (a ring cannot keep the "
			"oldest: there is no upstream)",
			leaky_type_get_type(), LEAKY_DOWNSTREAM, flags));
	g_object_class_install_property(class, PROP_MAX_BUFFERS,
		g_param_spec_uint("max-buffers", "Maximum buffers",
			"Buffers that wait for this reader; 1 and leaky: always the newest", 1, WEIR_SLOTS_MAX,
			MAX_BUFFERS, flags));
	g_object_class_install_property(class, PROP_MAX_HELD,
		g_param_spec_uint("max-held", "Maximum held",
			"Slots that elements downstream may hold at a time; one fewer is handed out without a copy", 1,
			WEIR_HELD_MAX, MAX_HELD, flags));
	g_object_class_install_property(class, PROP_TIMESTAMP_MODE,
		g_param_spec_enum("timestamp-mode", "Timestamp mode", "Which timestamps buffers get",
			timestamp_mode_get_type(), TIMESTAMP_PRODUCER, flags));
	g_object_class_install_property(class, PROP_DO_TIMESTAMP,
		g_param_spec_boolean("do-timestamp", "Do timestamp",
			"The same as timestamp-mode=arrival, under the name that other sources have for it", FALSE,
			flags));
	g_object_class_install_property(class, PROP_IS_LIVE,
		g_param_spec_boolean("is-live", "Is live",
			"A live source: buffers flow only while playing, on this pipeline's clock", TRUE, flags));
	g_object_class_install_property(class, PROP_PROCESSING_DEADLINE,
		g_param_spec_uint64("processing-deadline", "Processing deadline",
			"Nanoseconds that the way here may take, beside the producer's own latency", 0, G_MAXINT64,
			DEADLINE_DEFAULT, flags));
	gst_type_mark_as_plugin_api(leaky_type_get_type(), 0);
	gst_type_mark_as_plugin_api(timestamp_mode_get_type(), 0);
}

bool srcsettings_set(struct srcsettings *settings, guint id, const GValue *value)
{
	switch (id) {
	case PROP_SOCKET_PATH:
		g_free(settings->socket_path);
		settings->socket_path = g_value_dup_string(value);
		return true;
	case PROP_LEAKY_TYPE: settings->leaky_type = g_value_get_enum(value); return true;
	case PROP_MAX_BUFFERS: settings->max_buffers = g_value_get_uint(value); return true;
	case PROP_MAX_HELD: settings->max_held = g_value_get_uint(value); return true;
	case PROP_NUM_BUFFERS: settings->num_buffers = g_value_get_int(value); return true;
	case PROP_RECONNECT: settings->reconnect = g_value_get_boolean(value); return true;
	case PROP_CONNECTION_TIMEOUT: settings->connection_timeout_ns = g_value_get_uint64(value); return true;
	case PROP_TIMEOUT: settings->timeout_ns = g_value_get_uint64(value); return true;
	case PROP_TIMESTAMP_MODE: settings->timestamp_mode = g_value_get_enum(value); return true;
	case PROP_DO_TIMESTAMP:
		if (g_value_get_boolean(value))
			settings->timestamp_mode = TIMESTAMP_ARRIVAL;
		else if (settings->timestamp_mode == TIMESTAMP_ARRIVAL)
			settings->timestamp_mode = TIMESTAMP_PRODUCER;
		return true;
	case PROP_IS_LIVE: settings->is_live = g_value_get_boolean(value); return true;
	case PROP_PROCESSING_DEADLINE: settings->processing_deadline_ns = g_value_get_uint64(value); return true;
	default: return false;
	}
}

bool srcsettings_get(const struct srcsettings *settings, guint id, GValue *value)
{
	switch (id) {
	case PROP_SOCKET_PATH: g_value_set_string(value, settings->socket_path); return true;
	case PROP_LEAKY_TYPE: g_value_set_enum(value, settings->leaky_type); return true;
	case PROP_MAX_BUFFERS: g_value_set_uint(value, settings->max_buffers); return true;
	case PROP_MAX_HELD: g_value_set_uint(value, settings->max_held); return true;
	case PROP_NUM_BUFFERS: g_value_set_int(value, settings->num_buffers); return true;
	case PROP_RECONNECT: g_value_set_boolean(value, settings->reconnect); return true;
	case PROP_CONNECTION_TIMEOUT: g_value_set_uint64(value, settings->connection_timeout_ns); return true;
	case PROP_TIMEOUT: g_value_set_uint64(value, settings->timeout_ns); return true;
	case PROP_TIMESTAMP_MODE: g_value_set_enum(value, settings->timestamp_mode); return true;
	case PROP_DO_TIMESTAMP: g_value_set_boolean(value, settings->timestamp_mode == TIMESTAMP_ARRIVAL); return true;
	case PROP_IS_LIVE: g_value_set_boolean(value, settings->is_live); return true;
	case PROP_PROCESSING_DEADLINE: g_value_set_uint64(value, settings->processing_deadline_ns); return true;
	default: return false;
	}
}

struct weir_policy srcsettings_policy(const struct srcsettings *settings)
{
	struct weir_policy policy = { .max_held = settings->max_held, .depth = settings->max_buffers };

	if (settings->leaky_type == LEAKY_NONE)
		policy.mode = WEIR_POLICY_LOSSLESS;
	else
		policy.mode = settings->max_buffers == 1 ? WEIR_POLICY_LATEST : WEIR_POLICY_DROP_OLDEST;
	return policy;
}

/* --- URIs ------------------------------------------------------------------------------------------------------- */

static bool take_options(GObject *element, GstUri *uri, GError **error)
{
	GHashTable *options = gst_uri_get_query_table(uri);
	GHashTableIter iter;
	gpointer key, value;
	bool known = true;

	if (options == NULL)
		return true;
	g_hash_table_iter_init(&iter, options);
	while (known && g_hash_table_iter_next(&iter, &key, &value)) {
		GParamSpec *spec = g_object_class_find_property(G_OBJECT_GET_CLASS(element), key);

		known = spec != NULL && spec->owner_type == G_OBJECT_TYPE(element) &&
			(spec->flags & G_PARAM_WRITABLE) != 0 && value != NULL;
		if (known)
			gst_util_set_object_arg(element, key, value);
		else
			g_set_error(error, GST_URI_ERROR, GST_URI_ERROR_BAD_REFERENCE,
				"weirsrc has no property '%s' to be set by a URI", (const char *)key);
	}
	g_hash_table_unref(options);
	return known;
}

bool srcsettings_take_uri(GObject *element, const gchar *text, GError **error)
{
	GstUri *uri = gst_uri_from_string(text);
	gchar *path = uri != NULL ? gst_uri_get_path(uri) : NULL;
	bool taken = false;

	if (path == NULL || path[0] != '/' || path[1] == '\0' || gst_uri_get_host(uri) != NULL)
		g_set_error(error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI,
			"'%s' is no weir URI: write weir:///tmp/cam0, or weir:///@cam0 for an abstract name", text);
	else if (take_options(element, uri, error)) {
		g_object_set(element, "socket-path", path[1] == '@' ? path + 1 : path, NULL);
		taken = true;
	}
	g_free(path);
	if (uri != NULL)
		gst_uri_unref(uri);
	return taken;
}

gchar *srcsettings_uri(const struct srcsettings *settings)
{
	gchar *path, *uri;

	if (settings->socket_path == NULL)
		return NULL;
	path = g_uri_escape_string(settings->socket_path, "/@", FALSE);
	uri = g_strdup_printf("weir://%s%s", path[0] == '/' ? "" : "/", path);
	g_free(path);
	return uri;
}

void srcsettings_init(struct srcsettings *settings)
{
	*settings = (struct srcsettings){
		.leaky_type = LEAKY_DOWNSTREAM,
		.max_buffers = MAX_BUFFERS,
		.max_held = MAX_HELD,
		.num_buffers = -1,
		.reconnect = TRUE,
		.is_live = TRUE,
		.processing_deadline_ns = DEADLINE_DEFAULT,
	};
}

void srcsettings_finish(struct srcsettings *settings)
{
	g_free(settings->socket_path);
}

void srcsettings_copy(struct srcsettings *to, const struct srcsettings *from)
{
	g_free(to->socket_path);
	*to = *from;
	to->socket_path = g_strdup(from->socket_path);
}
