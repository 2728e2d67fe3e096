/* SPDX-License-Identifier: MIT */
#include "deviceprovider.h"

#include <weir/socket.h>

#include "advertise.h"
#include "epoch.h"
#include "streamcaps.h"

#define LOOK_NS INT64_C(200000000) /* to look at one ring */

/* --- a ring ------------------------------------------------------------------------------------------------------- */

G_DECLARE_FINAL_TYPE(WeirDevice, weirdevice, WEIR, DEVICE, GstDevice)

struct _WeirDevice {
	GstDevice parent;
	gchar *path;
};

G_DEFINE_TYPE(WeirDevice, weirdevice, GST_TYPE_DEVICE)

static GstElement *create_element(GstDevice *device, const gchar *name)
{
	GstElement *element = gst_element_factory_make("weirsrc", name);

	if (element != NULL)
		g_object_set(element, "socket-path", WEIR_DEVICE(device)->path, NULL);
	return element;
}

static gboolean reconfigure_element(GstDevice *device, GstElement *element)
{
	g_object_set(element, "socket-path", WEIR_DEVICE(device)->path, NULL);
	return TRUE;
}

static void weirdevice_finalize(GObject *object)
{
	g_free(WEIR_DEVICE(object)->path);
	G_OBJECT_CLASS(weirdevice_parent_class)->finalize(object);
}

static void weirdevice_class_init(WeirDeviceClass *class)
{
	GST_DEVICE_CLASS(class)->create_element = create_element;
	GST_DEVICE_CLASS(class)->reconfigure_element = reconfigure_element;
	G_OBJECT_CLASS(class)->finalize = weirdevice_finalize;
}

static void weirdevice_init(WeirDevice *self)
{
}

static const char *class_of(const GstCaps *caps)
{
	const char *name = gst_caps_is_any(caps) ? "" : gst_structure_get_name(gst_caps_get_structure(caps, 0));

	if (g_str_has_prefix(name, "video/") || g_str_has_prefix(name, "image/"))
		return "Video/Source";
	return g_str_has_prefix(name, "audio/") ? "Audio/Source" : "Source";
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

struct _WeirDeviceProvider {
	GstDeviceProvider parent;
};

G_DEFINE_TYPE(WeirDeviceProvider, weirdeviceprovider, GST_TYPE_DEVICE_PROVIDER)

/* Looks at a ring without being one of its readers. NULL: it is none, or not ours to read. */
static GstDevice *look(const gchar *path)
{
	struct weir_client_config config = { .path = path, .observe = true };
	struct weir_client *client;
	struct weir_ring *ring;
	GstStructure *properties;
	WeirDevice *device;
	gchar *name;
	GstCaps *caps;
	int r = weir_client_connect(&client, &config, epoch_monotonic_ns() + LOOK_NS);

	if (r < 0)
		return NULL;
	r = weir_client_take_observer(client, &ring);
	if (r < 0) {
		weir_client_free(&client);
		return NULL;
	}
	caps = streamcaps_of_format(weir_ring_format(ring));
	if (caps == NULL)
		caps = gst_caps_new_any();
	properties = gst_structure_new("weir-ring", "socket-path", G_TYPE_STRING, path, "pid", G_TYPE_INT,
		weir_client_server_pid(client), "generation", G_TYPE_UINT64, weir_ring_generation(ring), NULL);
	name = g_strdup_printf("Weir ring %s", path);
	device = g_object_new(weirdevice_get_type(), "display-name", name, "caps", caps, "device-class", class_of(caps),
		"properties", properties, NULL);
	device->path = g_strdup(path);
	g_free(name);
	gst_structure_free(properties);
	gst_caps_unref(caps);
	weir_ring_free(&ring);
	weir_client_free(&client);
	return GST_DEVICE_CAST(device);
}

static GList *probe(GstDeviceProvider *provider)
{
	GSList *paths = advertise_list();
	GList *devices = NULL;

	for (GSList *l = paths; l != NULL; l = l->next) {
		GstDevice *device = look(l->data);

		if (device != NULL)
			devices = g_list_prepend(devices, gst_object_ref_sink(device));
	}
	g_slist_free_full(paths, g_free);
	return g_list_reverse(devices);
}

static void weirdeviceprovider_class_init(WeirDeviceProviderClass *class)
{
	GstDeviceProviderClass *provider = GST_DEVICE_PROVIDER_CLASS(class);

	provider->probe = probe;
	gst_device_provider_class_set_static_metadata(provider, "Weir device provider", "Source/Video/Audio",
		"Lists the rings that weirsink elements serve on this machine", "The Weir authors");
}

static void weirdeviceprovider_init(WeirDeviceProvider *self)
{
}
