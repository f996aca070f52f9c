/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_PREFLIGHT_H
#define KV_SUPERVISOR_PREFLIGHT_H

#include "conf/conf.h"

/* What `kvd -n` can see without touching anything: the store's folder, if it
 * is there, is ours alone; shm_dir is there; a cookie_file that somebody chose
 * can be read. */
KV_CHECKED int preflight_check(const struct conf *c, struct conf_error *e);

/* The same, and the store's folder is made when it is missing. */
KV_CHECKED int preflight_make(const struct conf *c, struct conf_error *e);

#endif
