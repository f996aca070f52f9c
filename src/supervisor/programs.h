/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_PROGRAMS_H
#define KV_SUPERVISOR_PROGRAMS_H

/* Where the programs of the children are. */

#include <limits.h>
#include <stdbool.h>

#include "kv_types.h"

/* The folder of our own program. */
KV_CHECKED int programs_folder(char to[PATH_MAX]);

/* Beside our own program, as in a build folder; in the tree of which it is a
 * part, wherever that was put; or where this build was to be installed.  False,
 * logged: in none of them. */
bool programs_find(const char *folder, const char *name, char to[PATH_MAX]);

#endif
