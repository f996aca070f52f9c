/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_PRINT_H
#define KV_CONF_PRINT_H

/* The configuration and its options for people, appended to a buffer. */

#include "conf/conf.h"

/* `name = value ; origin`, itself a valid file. */
KV_CHECKED int print_config(const struct conf *c, struct buf *out);

/* {"name":{"value":"...","origin":"..."},...} */
KV_CHECKED int print_config_json(const struct conf *c, struct buf *out);

/* The options as a part of --help, and as mdoc for kvd.conf(5). */
KV_CHECKED int print_help(struct buf *out);
KV_CHECKED int print_mdoc(struct buf *out);

#endif
