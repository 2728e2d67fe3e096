/* SPDX-License-Identifier: MIT */
#ifndef PRELOAD_H
#define PRELOAD_H

/* Initialises GStreamer, once. Starts no process; starts threads only where no registry could be written. */
void preload_init(void);

/* For the zygote: initialises GStreamer and loads the plugins that decoders use most. 0; -EBUSY: it started a thread.
 */
int preload_decoder(void);

#endif
