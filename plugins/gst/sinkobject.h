/* SPDX-License-Identifier: MIT */
#ifndef SINKOBJECT_H
#define SINKOBJECT_H

/* weirsink's insides, for its own files. */

#include "serve.h"
#include "sinksettings.h"
#include "sinkstream.h"
#include "weirsink.h"

struct _WeirSink {
	GstBaseSink parent;
	struct sinksettings settings;	   /* guarded by the object lock */
	bool sync_is_set;		   /* by the application */
	struct weirsink_provider provider; /* of rings: the one that made the element, or ourselves */
	bool is_provided;
	struct serve *serve; /* between start and stop, if we serve */
	struct sinkstream stream;
};

/* Signals about readers. */
void sinkserving_install(WeirSinkClass *class);

/* Serves rings under the socket path from now on: sets self->serve. -errno: an error message was posted. */
int sinkserving_start(WeirSink *self);

/* As struct weirsink_provider says. */
int sinkserving_want(void *self, const struct weir_format *format, uint32_t slot_bytes, uint32_t loans);

#endif
