/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_VALUE_H
#define KV_CONF_VALUE_H

/* Values of options: text in, checked and normalised text and a number out.
 * Pure, but that a relative path is completed with the current folder. */

#include <stdbool.h>

#include "base/buf.h"
#include "conf/options.h"
#include "kv_types.h"

#define VALUE_TEXT_MAX 24     /* a formatted number with its unit */
#define VALUE_LENGTH_MAX 8192 /* of any value */
#define VALUE_PATH_MAX 3900   /* leaves room for what we put below it */
#define VALUE_SECRET_MAX 127  /* a hash of crypto_pwhash_str */
#define VALUE_PORTS_MAX KV_BUILD_MAX_PROCESSES

/* Check text for the option.  text is what --print-config shows and children
 * are told, number what conf_u64 gives.  KV_EINVAL when it does not fit. */
KV_CHECKED int value_parse(const struct conf_option *option, const char *text,
    struct buf *normal, uint64_t *number);

/* A number as text in the largest unit that fits: 64m, 7d.  Only for
 * OPTION_NUMBER, OPTION_SIZE and OPTION_TIME. */
void value_format(enum option_type type, uint64_t number,
    char to[VALUE_TEXT_MAX]);

/* Ports of a list with ranges, in its order.  KV_EINVAL: not a list of ports,
 * or one twice (0 may repeat); KV_ETOOBIG: more than room. */
KV_CHECKED int value_ports(const char *text, uint16_t *to, size_t room,
    size_t *count);

/* An item of `nodes`: name@host[:port], name@[v6]:port, name@v6.  port is 0
 * when there is none.  False: it is no such thing. */
struct value_node {
	struct kv_slice name; /* before the @ */
	struct kv_slice host; /* without brackets */
	uint16_t port;
};
bool value_node(struct kv_slice item, struct value_node *out);

/* Take the next item off a list (commas or blanks); false at its end. */
bool value_next(struct kv_slice *rest, struct kv_slice *item);

#endif
