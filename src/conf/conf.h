/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_CONF_H
#define KV_CONF_CONF_H

/* A configuration: a checked value for every option, and where it came from.
 *
 *	kvd		flags_parse, load_conf
 *	a child of kvd	conf_from_parent
 *	libkv		load_conf without flags
 */

#include "base/buf.h"
#include "conf/error.h"
#include "conf/options.h"
#include "conf/value.h"

struct conf;

/* Whose word counts: a higher rank stays when a lower one comes later. */
enum conf_rank {
	CONF_BY_DEFAULT,
	CONF_BY_FILE,
	CONF_BY_ENVIRONMENT,
	CONF_BY_FLAG,
	CONF_BY_PARENT,
};

/* All options at their defaults. */
KV_CHECKED int conf_new(struct conf **out);
void conf_free(struct conf *c);

/* Check a value and take it unless one of higher rank is there.  origin is
 * shown to people: "flag -p", "environment PORT", "/etc/kv/kvd.conf:3". */
KV_CHECKED int conf_set(struct conf *c, enum conf_id id, const char *value,
    enum conf_rank rank, const char *origin, struct conf_error *e);

/* The same for an option that stands in a file again: a list grows, anything
 * else is an error. */
KV_CHECKED int conf_add(struct conf *c, enum conf_id id, const char *value,
    enum conf_rank rank, const char *origin, struct conf_error *e);

/* Take one value, with its origin, from another configuration. */
KV_CHECKED int conf_copy(struct conf *c, enum conf_id id,
    const struct conf *from);

/* After the last conf_set: fill in the defaults that depend on other options
 * and on the environment, check the options against each other. */
KV_CHECKED int conf_complete(struct conf *c, struct conf_error *e);

/* Values.  conf_u64: bytes of a size, ms of a time, the place of a choice
 * (durability: 0 always, 1 everysec, 2 os), how many ports.  Text is
 * normalised, never NULL and lives as long as c. */
uint64_t conf_u64(const struct conf *c, enum conf_id id);
const char *conf_text(const struct conf *c, enum conf_id id);
const char *conf_origin(const struct conf *c, enum conf_id id);
enum conf_rank conf_rank(const struct conf *c, enum conf_id id);

/* conf_text for people: of a secret only that it is "set". */
const char *conf_shown(const struct conf *c, enum conf_id id);

/* Do clients need a password? */
bool conf_has_password(const struct conf *c);

/* Is there a way to find other nodes: nodes, dns, beacon?  Is there a kv-syncd:
 * to find them, or to be found? */
bool conf_has_nodes(const struct conf *c);
bool conf_has_sync(const struct conf *c);

/* The node's name: name, or sname@HOST, or the host's short name. */
const char *conf_node(const struct conf *c);

/* The ports, in order; room for VALUE_PORTS_MAX.  Returns how many. */
size_t conf_ports(const struct conf *c, uint16_t to[VALUE_PORTS_MAX]);

/* As lines `name = value` for a child, and back. */
KV_CHECKED int conf_write(const struct conf *c, struct buf *out);
KV_CHECKED int conf_read(struct kv_slice text, struct conf **out);

/* A child's first act: take the configuration that kvd sends over the control
 * socket (descriptor 3).  Blocks.  On failure the reason is logged. */
KV_CHECKED int conf_from_parent(int fd, struct conf **out);

#endif
