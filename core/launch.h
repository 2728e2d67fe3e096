/* SPDX-License-Identifier: MIT */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <weir/backend.h>

/* A backend that turns into another program: args are its command line, as "length:text" for each argument. */
#define LAUNCH_EXEC_NAME "weir/exec"
extern const struct weir_backend launch_exec;

#endif
