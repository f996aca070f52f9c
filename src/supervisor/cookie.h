/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_COOKIE_H
#define KV_SUPERVISOR_COOKIE_H

#include "conf/conf.h"

/* Would kv-syncd start with the cookie file as it is?  It is asked itself, so
 * that no secret comes into kvd.  *missing: there is none, and it would make
 * one.  e is empty where the reason was logged. */
KV_CHECKED int cookie_ask(const struct conf *c, bool *missing,
    struct conf_error *e);

#endif
