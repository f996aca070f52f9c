/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_ALLOW_H
#define KV_SYNCD_ALLOW_H

/* The option remote_commands: what other nodes may have run here.
 * Whoever knows the cookie may call, so this list is the limit of what
 * he can do beside reading and writing. */

#include "kv_types.h"

struct allow;

enum allow_answer { ALLOW_YES, ALLOW_NO, ALLOW_UNKNOWN };

/* The list as the configuration has it; unknown names are logged. */
KV_CHECKED int allow_new(const char *list, struct allow **out);
void allow_free(struct allow *a);

/* May this command be run?  ALLOW_UNKNOWN: there is none of that name. */
enum allow_answer allow_look(const struct allow *a, const struct kv_slice *argv,
    size_t argc);

#endif
