/* SPDX-License-Identifier: ISC */
#ifndef KV_EMBEDDED_H
#define KV_EMBEDDED_H

#include "options.h"

/* Read random keys of a store through libkv, as kv-bench's set left them in
 * database 0, for o->seconds, in turns of o->depth reads.  0 or -1. */
int embedded_run(const struct options *o, struct outcome *out);

#endif
