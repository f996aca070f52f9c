/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_COMMAND_H
#define KV_PROTO_COMMAND_H

/* What is known about a command, as data: COMMAND, COMMAND DOCS, `kv help`, the
 * manual and the checks before a handler runs all come from it.  The one table
 * of them, with the handlers, is the worker's. */

#include <stdbool.h>

#include "base/buf.h"

/* Redis' flags: bit, name as COMMAND shows it. */
#define COMMAND_FLAGS(X)                                                       \
	X(WRITE, 0, "write")                                                   \
	X(READONLY, 1, "readonly")                                             \
	X(DENYOOM, 2, "denyoom")                                               \
	X(ADMIN, 3, "admin")                                                   \
	X(PUBSUB, 4, "pubsub")                                                 \
	X(NOSCRIPT, 5, "noscript")                                             \
	X(LOADING, 6, "loading")                                               \
	X(STALE, 7, "stale")                                                   \
	X(FAST, 8, "fast")                                                     \
	X(BLOCKING, 9, "blocking")                                             \
	X(NO_AUTH, 10, "no_auth")                                              \
	X(NO_MULTI, 11, "no_multi")                                            \
	X(SKIP_MONITOR, 12, "skip_monitor")                                    \
	X(SKIP_SLOWLOG, 13, "skip_slowlog")                                    \
	X(ALLOW_BUSY, 14, "allow_busy")                                        \
	X(NO_ASYNC_LOADING, 15, "no_async_loading")

enum command_flag {
#define X(flag, bit, text) COMMAND_##flag = 1 << (bit),
	COMMAND_FLAGS(X)
#undef X
};

/* Groups: name as COMMAND DOCS shows it. */
#define COMMAND_GROUPS(X)                                                      \
	X(CONNECTION, "connection")                                            \
	X(GENERIC, "generic")                                                  \
	X(STRING, "string")                                                    \
	X(HASH, "hash")                                                        \
	X(PUBSUB, "pubsub")                                                    \
	X(TRANSACTIONS, "transactions")                                        \
	X(SERVER, "server")                                                    \
	X(KV, "kv")

enum command_group {
#define X(group, text) COMMAND_GROUP_##group,
	COMMAND_GROUPS(X)
#undef X
};

#define COMMAND_NAME_MAX 24

struct command_info {
	const char *name;  /* lower case, at most COMMAND_NAME_MAX bytes */
	int16_t arity;	   /* with the name; negative: at least so many */
	int16_t first_key; /* index in the arguments, 0: it has no keys */
	int16_t last_key;  /* negative: counted from the end, -1 the last */
	int16_t key_step;
	uint32_t flags;
	enum command_group group;
	const char *since; /* the version of Redis, or of kv */
	const char *summary;
	const char *args; /* "key value [NX | XX]", as `kv help` shows it */
};

/* Names to rows, case folded.  Fixed size, no allocation; made once. */
#define COMMAND_SLOTS 1024
#define COMMAND_ROWS_MAX 400

struct command_slot {
	uint64_t head, middle, tail; /* of the folded name */
	uint32_t len;
	uint32_t row;
};

struct command_table {
	const char *rows;
	size_t count;
	size_t stride;
	struct command_slot slots[COMMAND_SLOTS];
};

/* rows: count structs of stride bytes whose first member is a struct
 * command_info; they must outlive the table.  Two equal names, a name that is
 * too long or not lower case, or too many rows: KV_EINVAL. */
KV_CHECKED int command_table_init(struct command_table *t, const void *rows,
    size_t count, size_t stride);

/* The row, to be cast back to what it is, or NULL. */
const struct command_info *command_find(const struct command_table *t,
    struct kv_slice name);

static inline bool
command_arity_fits(const struct command_info *c, size_t argc)
{
	return c->arity >= 0 ? argc == (size_t)c->arity
			     : argc >= (size_t)-c->arity;
}

/* Which of argc arguments are keys: args[first + i * step], i < count. */
struct command_keys {
	size_t first;
	size_t step;
	size_t count;
};

struct command_keys command_keys(const struct command_info *c, size_t argc);

/* "write", "denyoom", ... of one flag; NULL when there is none such. */
const char *command_flag_name(enum command_flag flag);
const char *command_group_name(enum command_group group);

#endif
