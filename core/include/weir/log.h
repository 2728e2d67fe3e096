/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

/* The one log facade of libweir. Default: one line on stderr, "level module: text". In a child the lines travel through
 * its output pipe to the frontend, which tags them with the child's name. Any thread; does not block on anything but
 * the sink; errno is preserved. */

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_log_level { WEIR_LOG_ERROR = 0, WEIR_LOG_WARNING, WEIR_LOG_INFO, WEIR_LOG_DEBUG };

/* text holds no newline and is valid during the call only. */
typedef void (*weir_log_fn)(void *data, int level, const char *module, const char *text);

/* Sets the sink (NULL: the default one) and the most verbose level that is passed on (default WEIR_LOG_INFO). */
void weir_log_set(weir_log_fn fn, void *data, int level);

void weir_log(int level, const char *module, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
