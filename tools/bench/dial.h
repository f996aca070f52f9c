/* SPDX-License-Identifier: ISC */
#ifndef KV_DIAL_H
#define KV_DIAL_H

#include "load.h"

/* A connected, non-blocking socket that has said the password (secret.h);
 * lines: it is for the line protocol.  -1 with errno. */
int dial(const struct target *t, bool lines);

#endif
