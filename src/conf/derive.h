/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_DERIVE_H
#define KV_CONF_DERIVE_H

/* Defaults that depend on other options, the host or the environment, and the
 * checks of options against each other. */

#include "conf/error.h"

#define DERIVE_NODE_MAX 128

struct buf;
struct conf;

/* The node's name. */
KV_CHECKED int derive_node(const struct conf *c, char to[DERIVE_NODE_MAX],
    struct conf_error *e);

/* port, dir, cookie_file, sync_bind, value_max, where nobody set them. */
KV_CHECKED int derive_defaults(struct conf *c, struct conf_error *e);

KV_CHECKED int derive_check(const struct conf *c, struct conf_error *e);

/* A path in the folder an XDG variable names, else in below in the home
 * folder, else (for root) in system; as a string with a NUL.
 * https://specifications.freedesktop.org/basedir-spec/ */
KV_CHECKED int derive_path(const char *variable, const char *below,
    const char *system, const char *name, struct buf *out);

/* ~/.kv.cookie, so that all of a user's nodes have one cookie; without a home,
 * or for root where there is one, /etc/kv/cookie.  A string with a NUL. */
KV_CHECKED int derive_cookie_path(struct buf *out);

#endif
