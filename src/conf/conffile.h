/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_CONFFILE_H
#define KV_CONF_CONFFILE_H

/* The configuration file: `name = value` lines in the syntax of inih
 * (https://github.com/benhoyt/inih), with or without one section [kvd].
 * Indented lines go on with a list; '#' and ';' begin a comment. */

#include "conf/conf.h"

/* The longest line; inih as Debian builds it has a buffer of 200. */
#define CONFFILE_LINE_MAX 197

/* Take the options of a file.  The first error of the file is told. */
KV_CHECKED int conffile_load(struct conf *c, const char *path,
    struct conf_error *e);

/* The same from memory; name is what errors say before ":LINE". */
KV_CHECKED int conffile_parse(struct conf *c, struct kv_slice text,
    const char *name, struct conf_error *e);

#endif
