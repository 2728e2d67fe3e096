/* SPDX-License-Identifier: MIT */
#ifndef ENCRYPT_H
#define ENCRYPT_H

#include <weir/backend.h>

/* "encrypt": args is the path of the key file; a job is "FROM\nTO", two paths. */
extern const struct weir_backend encrypt_backend;

#endif
