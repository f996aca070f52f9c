/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_LIMITS_H
#define KV_SUPERVISOR_LIMITS_H

#include "conf/conf.h"

/* For us and our children: private files, as many descriptors as we may have,
 * no cores (they would hold other people's values) unless KV_CORE=1. */
void limits_set(void);

/* Lower max_clients to what the limit on open files leaves. */
KV_CHECKED int limits_clients(struct conf *c, struct conf_error *e);

#endif
