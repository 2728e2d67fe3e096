/* SPDX-License-Identifier: MIT */
#include "srcobject.h"

static GstURIType uri_type(GType type)
{
	return GST_URI_SRC;
}

static const gchar *const *uri_protocols(GType type)
{
	static const gchar *const protocols[] = { "weir", NULL };

	return protocols;
}

static gchar *get_uri(GstURIHandler *handler)
{
	WeirSrc *self = WEIR_SRC(handler);
	gchar *uri;

	GST_OBJECT_LOCK(self);
	uri = srcsettings_uri(&self->settings);
	GST_OBJECT_UNLOCK(self);
	return uri;
}

static gboolean set_uri(GstURIHandler *handler, const gchar *uri, GError **error)
{
	return srcsettings_take_uri(G_OBJECT(handler), uri, error);
}

void srcuri_handler_init(gpointer interface, gpointer data)
{
	GstURIHandlerInterface *handler = interface;

	handler->get_type = uri_type;
	handler->get_protocols = uri_protocols;
	handler->get_uri = get_uri;
	handler->set_uri = set_uri;
}
