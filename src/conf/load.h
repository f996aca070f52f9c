/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_LOAD_H
#define KV_CONF_LOAD_H

/* All sources merged: flags > environment > file > default. */

#include "conf/conf.h"
#include "conf/flags.h"

/* flags may be NULL.  The environment is PORT, NODES and KV_<OPTION>.  The
 * file is the one of -c, else kv/kvd.conf in $XDG_CONFIG_HOME or ~/.config,
 * for root /etc/kv/kvd.conf, if there is one. */
KV_CHECKED int load_conf(const struct flags *flags, struct conf **out,
    struct conf_error *e);

#endif
