/* SPDX-License-Identifier: MIT */
#ifndef UNIT_H
#define UNIT_H

/* What cmocka wants to be included before it. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
