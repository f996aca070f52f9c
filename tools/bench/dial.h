/* SPDX-License-Identifier: ISC */
#ifndef KV_DIAL_H
#define KV_DIAL_H

#include "load.h"

/* A connected, non-blocking socket; -1 with errno. */
int dial(const struct target *t);

#endif
