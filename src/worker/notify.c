/* SPDX-License-Identifier: ISC */
/* Records told as Redis' keyspace events. */

#include "worker/notify.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "engine/channel.h"
#include "tree/schema.h"
#include "worker/deadline.h"
#include "worker/keyspace.h"
#include "worker/pubsub.h"

/* ---- flags ---- */

static const struct notify_letter {
	char letter;
	uint32_t flags;
} notify_letters[] = {
	/* In the order of Redis' keyspaceEventsFlagsToString. */
	{ 'A', NOTIFY_ALL },
	{ 'g', NOTIFY_GENERIC },
	{ '$', NOTIFY_STRING },
	{ 'l', NOTIFY_LIST },
	{ 's', NOTIFY_SET },
	{ 'h', NOTIFY_HASH },
	{ 'z', NOTIFY_ZSET },
	{ 'x', NOTIFY_EXPIRED },
	{ 'e', NOTIFY_EVICTED },
	{ 't', NOTIFY_STREAM },
	{ 'd', NOTIFY_MODULE },
	{ 'n', NOTIFY_NEW },
	{ 'K', NOTIFY_KEYSPACE },
	{ 'E', NOTIFY_KEYEVENT },
	{ 'm', NOTIFY_MISS },
	{ 'F', NOTIFY_FIELD },
};

#define NOTIFY_LETTERS (sizeof(notify_letters) / sizeof(*notify_letters))

bool
notify_parse(struct kv_slice text, uint32_t *flags)
{
	size_t i, k;

	*flags = 0;
	for (i = 0; i < text.len; i++) {
		for (k = 0; k < NOTIFY_LETTERS; k++)
			if (notify_letters[k].letter == text.data[i])
				break;
		if (k == NOTIFY_LETTERS)
			return false;
		*flags |= notify_letters[k].flags;
	}
	return true;
}

struct kv_slice
notify_format(uint32_t flags, char to[NOTIFY_TEXT_MAX])
{
	uint32_t told = 0;
	size_t k, n = 0;

	for (k = 0; k < NOTIFY_LETTERS; k++) {
		uint32_t f = notify_letters[k].flags;

		if ((flags & f) != f || (told & f) == f)
			continue;
		to[n++] = notify_letters[k].letter;
		told |= f;
		if (f == NOTIFY_ALL)
			told |= NOTIFY_NEW; /* Redis does not tell it then */
	}
	return (struct kv_slice){ to, n };
}

/* ---- what a bucket is ---- */

static void
notify_name(struct notify *n, uint32_t database, struct kv_slice name)
{
	n->database = database;
	n->len = name.len;
	memcpy(n->name, name.data, name.len);
}

static void
notify_bucket(struct worker *w, struct notify *n, struct kv_slice name)
{
	uint64_t database = 0;
	struct kv_slice key;

	n->kind = NOTIFY_OURS;
	if (name.len == 0 || name.len > KV_BUCKET_MAX)
		return;
	if (bucket_is_hidden(name)) {
		if (slice_equal(name, slice_of(DEADLINE_BY_NAME)))
			n->kind = NOTIFY_BY_NAME;
		else if (slice_equal(name, slice_of(DEADLINE_BY_TIME)))
			n->kind = NOTIFY_BY_TIME;
	} else if (keyspace_options(w, name) & BUCKET_DATABASE) {
		n->kind = NOTIFY_STRINGS;
		name.data += 2;
		name.len -= 2;
		if (num_parse_u64(name, &database) == KV_OK)
			notify_name(n, (uint32_t)database, slice_of(""));
	} else {
		n->kind = NOTIFY_FIELDS;
		database = keyspace_database_of(w, name, &key);
		notify_name(n, (uint32_t)database, key);
	}
}

/* Of two that are called alike, the one of all hosts is shown to nobody. */
static bool
notify_is_shadowed(struct worker *w, const struct notify *n,
    struct kv_slice name)
{
	enum scope scope;

	return n->scope == SCOPE_GLOBAL &&
	    engine_scope(w->engine, name, &scope) == KV_OK &&
	    scope == SCOPE_LOCAL;
}

static void
notify_look(struct worker *w, struct notify *n, const struct record *r)
{
	struct kv_slice name = scope_bare(r->key);
	struct bucket b;

	if (r->type != RECORD_BUCKET) {
		if (n->bid == r->bid)
			return;
		n->bid = 0;
		n->kind = NOTIFY_OURS;
		if (engine_bucket_by_id(w->engine, r->bid, &name, &b) < 0)
			return;
	}
	n->bid = r->bid;
	n->scope = scope_of_id(r->bid);
	notify_bucket(w, n, name);
	if (!bucket_is_hidden(name) && notify_is_shadowed(w, n, name))
		n->kind = NOTIFY_OURS;
}

/* ---- why ---- */

enum notify_cause
notify_cause_of(const char *command)
{
	static const struct {
		const char *name;
		enum notify_cause cause;
	} causes[] = {
		{ "incr", CAUSE_INCR },
		{ "decr", CAUSE_INCR },
		{ "incrby", CAUSE_INCR },
		{ "decrby", CAUSE_INCR },
		{ "incrbyfloat", CAUSE_INCR_FLOAT },
		{ "append", CAUSE_APPEND },
		{ "setrange", CAUSE_SETRANGE },
		{ "expire", CAUSE_DEADLINE },
		{ "pexpire", CAUSE_DEADLINE },
		{ "expireat", CAUSE_DEADLINE },
		{ "pexpireat", CAUSE_DEADLINE },
		{ "persist", CAUSE_DEADLINE },
		{ "getex", CAUSE_DEADLINE },
		{ "rename", CAUSE_RENAME },
		{ "renamenx", CAUSE_RENAME },
		{ "move", CAUSE_MOVE },
		{ "copy", CAUSE_COPY },
		{ "hset", CAUSE_HASH },
		{ "hmset", CAUSE_HASH },
		{ "hsetnx", CAUSE_HASH },
		{ "hdel", CAUSE_HASH },
		{ "hgetdel", CAUSE_HASH },
		{ "hincrby", CAUSE_HASH_INCR },
		{ "hincrbyfloat", CAUSE_HASH_INCR_FLOAT },
		{ "hexpire", CAUSE_DEADLINE },
		{ "hpexpire", CAUSE_DEADLINE },
		{ "hexpireat", CAUSE_DEADLINE },
		{ "hpexpireat", CAUSE_DEADLINE },
		{ "hpersist", CAUSE_DEADLINE },
		{ "hgetex", CAUSE_DEADLINE },
		{ "hsetex", CAUSE_HASH_DEADLINE },
	};
	size_t i;

	for (i = 0; i < sizeof(causes) / sizeof(*causes); i++)
		if (strcmp(causes[i].name, command) == 0)
			return causes[i].cause;
	return CAUSE_UNKNOWN;
}

/* ---- telling ---- */

/* "__keyspace@3__:" and what follows it. */
static struct kv_slice
notify_channel(struct notify *n, const char *what, uint32_t database,
    struct kv_slice rest)
{
	n->text.len = 0;
	if (buf_printf(&n->text, "__%s@%u__:", what, database) < 0 ||
	    buf_append(&n->text, rest.data, rest.len) < 0)
		n->text.len = 0;
	return buf_slice(&n->text);
}

static void
notify_event(struct worker *w, struct notify *n, uint32_t class,
    const char *event, uint32_t database, struct kv_slice key)
{
	uint32_t flags = channel_notify(w->engine);

	if (!(flags & class))
		return;
	if (flags & NOTIFY_KEYSPACE)
		pubsub_deliver(w, notify_channel(n, "keyspace", database, key),
		    slice_of(event));
	if (flags & NOTIFY_KEYEVENT)
		pubsub_deliver(w,
		    notify_channel(n, "keyevent", database, slice_of(event)),
		    key);
}

/* What is said of a record that was made for a cause; NULL: as of unknown. */
static const struct notify_told {
	const char *put, *gone;
	uint32_t put_class, gone_class;
} notify_told[] = {
	[CAUSE_INCR] = { "incrby", NULL, NOTIFY_STRING, 0 },
	[CAUSE_INCR_FLOAT] = { "incrbyfloat", NULL, NOTIFY_STRING, 0 },
	[CAUSE_APPEND] = { "append", NULL, NOTIFY_STRING, 0 },
	[CAUSE_SETRANGE] = { "setrange", NULL, NOTIFY_STRING, 0 },
	[CAUSE_RENAME] = { "rename_to", "rename_from", NOTIFY_GENERIC,
	    NOTIFY_GENERIC },
	[CAUSE_MOVE] = { "move_to", "move_from", NOTIFY_GENERIC,
	    NOTIFY_GENERIC },
	[CAUSE_COPY] = { "copy_to", NULL, NOTIFY_GENERIC, 0 },
	[CAUSE_HASH_INCR] = { "hincrby", NULL, NOTIFY_HASH, 0 },
	[CAUSE_HASH_INCR_FLOAT] = { "hincrbyfloat", NULL, NOTIFY_HASH, 0 },
	[CAUSE_SET_KEEP] = { "set", NULL, NOTIFY_STRING, 0 },
};

#define NOTIFY_TOLD (sizeof(notify_told) / sizeof(*notify_told))

/* The table is data from a log that a newer version may have written. */
static const struct notify_told *
notify_told_of(const struct record *r)
{
	return &notify_told[r->cause < NOTIFY_TOLD ? r->cause : 0];
}

static void
notify_string_put(struct worker *w, struct notify *n, const struct record *r)
{
	const struct notify_told *told = notify_told_of(r);
	const char *deadline = r->deadline != 0 ? "expire" : "persist";
	uint32_t db = n->database;

	/* What is renamed or copied over something is new to Redis, and what
	 * is set over it is not. */
	if (told->put_class == NOTIFY_GENERIC ||
	    (r->marks & RECORD_NEW && !n->replaced))
		notify_event(w, n, NOTIFY_NEW, "new", db, r->key);
	n->replaced = false;
	if (told->put != NULL) {
		notify_event(w, n, told->put_class, told->put, db, r->key);
	} else if (r->cause == CAUSE_DEADLINE) {
		notify_event(w, n, NOTIFY_GENERIC, deadline, db, r->key);
	} else {
		notify_event(w, n, NOTIFY_STRING, "set", db, r->key);
		if (r->deadline != 0)
			notify_event(w, n, NOTIFY_GENERIC, "expire", db,
			    r->key);
	}
}

static void
notify_string(struct worker *w, struct notify *n, const struct record *r)
{
	const struct notify_told *told = notify_told_of(r);

	if (r->type == RECORD_PUT)
		notify_string_put(w, n, r);
	else if (r->flags & RECORD_EXPIRED)
		notify_event(w, n, NOTIFY_EXPIRED, "expired", n->database,
		    r->key);
	else if (told->gone != NULL)
		notify_event(w, n, told->gone_class, told->gone, n->database,
		    r->key);
	else
		notify_event(w, n, NOTIFY_GENERIC, "del", n->database, r->key);
}

/* One event a command, as Redis has it, and one a field where it is not known
 * what belongs together. */
static void
notify_hash(struct worker *w, struct notify *n, const struct record *r)
{
	struct kv_slice hash = { n->name, n->len };
	const struct notify_told *told = notify_told_of(r);
	const char *event = "hset";
	uint32_t class = NOTIFY_HASH;

	if (r->marks & RECORD_AGAIN)
		return;
	if (r->type == RECORD_TOMB) {
		event = r->flags & RECORD_EXPIRED ? "hexpired" : "hdel";
	} else if (told->put != NULL) {
		event = told->put;
		class = told->put_class;
	} else if (r->cause == CAUSE_DEADLINE) {
		event = r->deadline != 0 ? "hexpire" : "hpersist";
	}
	notify_event(w, n, class, event, n->database, hash);
	if (r->cause == CAUSE_HASH_DEADLINE && r->deadline != 0)
		notify_event(w, n, NOTIFY_HASH, "hexpire", n->database, hash);
}

static void
notify_field(struct worker *w, struct notify *n, const struct record *r)
{
	struct kv_slice channel;
	struct buf payload;

	notify_hash(w, n, r);
	if (!(channel_notify(w->engine) & NOTIFY_FIELD))
		return;
	channel = notify_channel(n, "field", n->database,
	    (struct kv_slice){ n->name, n->len });
	buf_init(&payload);
	if (buf_append(&payload, r->key.data, r->key.len) == KV_OK &&
	    (r->type == RECORD_TOMB ||
		(buf_append(&payload, " ", 1) == KV_OK &&
		    buf_append(&payload, r->value.data, r->value.len) ==
			KV_OK)))
		pubsub_deliver(w, channel, buf_slice(&payload));
	buf_fini(&payload);
}

/* ---- a hash goes ---- */

static void
notify_gone(struct worker *w, struct notify *n, uint32_t class,
    const char *event)
{
	struct kv_slice name = { n->dropped_name + n->dropped_at,
		n->dropped_len };

	n->dropped = 0;
	notify_event(w, n, class, event, n->dropped_database, name);
}

static bool
notify_is_dropped(const struct notify *n, struct kv_slice name)
{
	return slice_equal(name,
	    (struct kv_slice){ n->dropped_name,
		n->dropped_at + n->dropped_len });
}

/* A passed deadline is, in one batch: the drop, the deadline by name, the
 * deadline by time (deadline.c).  True: the record is part of that. */
static bool
notify_is_passing(struct worker *w, struct notify *n, const struct record *r)
{
	if (n->dropped == 1 && n->kind == NOTIFY_BY_NAME &&
	    r->type == RECORD_TOMB && r->flags & RECORD_MORE &&
	    notify_is_dropped(n, r->key)) {
		n->dropped = 2;
		return true;
	}
	if (n->dropped == 2 && n->kind == NOTIFY_BY_TIME &&
	    r->type == RECORD_TOMB && r->key.len > 8 &&
	    notify_is_dropped(n,
		(struct kv_slice){ r->key.data + 8, r->key.len - 8 })) {
		notify_gone(w, n, NOTIFY_EXPIRED, "expired");
		return true;
	}
	notify_gone(w, n, NOTIFY_GENERIC, "del");
	return false;
}

/* A hash was made, or dropped. */
static void
notify_row(struct worker *w, struct notify *n, const struct record *r)
{
	const struct notify_told *told = notify_told_of(r);
	struct kv_slice hash = { n->name, n->len }, name = scope_bare(r->key);
	struct bucket b;

	if (n->kind != NOTIFY_FIELDS || schema_get_bucket(r->value, &b) < 0)
		return;
	if (bucket_is_live(&b)) {
		if (stamp_compare(b.created, r->stamp) == 0)
			notify_event(w, n, NOTIFY_NEW, "new", n->database,
			    hash);
		return;
	}
	if ((n->replaced = r->cause == CAUSE_REPLACE))
		return;
	if (told->gone != NULL) {
		notify_event(w, n, told->gone_class, told->gone, n->database,
		    hash);
		return;
	}
	memcpy(n->dropped_name, name.data, name.len);
	n->dropped_at = name.len - n->len;
	n->dropped_len = n->len;
	n->dropped_database = n->database;
	n->dropped = 1;
	if (!(r->flags & RECORD_MORE))
		notify_gone(w, n, NOTIFY_GENERIC, "del");
}

/* The deadline of a hash, in the bucket that has them all by name. */
static void
notify_deadline(struct worker *w, struct notify *n, const struct record *r)
{
	struct kv_slice key;
	uint32_t db = keyspace_database_of(w, r->key, &key);

	if (notify_told_of(r)->put != NULL)
		return; /* it came with the hash */
	if (notify_is_shadowed(w, n, r->key))
		return;
	notify_event(w, n, NOTIFY_GENERIC,
	    r->type == RECORD_PUT ? "expire" : "persist", db, key);
}

void
notify_record(struct worker *w, struct notify *n, const struct record *r)
{
	notify_look(w, n, r);
	if (n->dropped != 0 && notify_is_passing(w, n, r))
		return;
	/* Redis says that the hash goes, nothing of its fields. */
	if (r->type == RECORD_TOMB && r->flags & RECORD_DROP)
		return;
	if (r->type == RECORD_BUCKET)
		notify_row(w, n, r);
	else if (r->type != RECORD_PUT && r->type != RECORD_TOMB)
		return;
	else if (n->kind == NOTIFY_STRINGS)
		notify_string(w, n, r);
	else if (n->kind == NOTIFY_FIELDS)
		notify_field(w, n, r);
	else if (n->kind == NOTIFY_BY_NAME)
		notify_deadline(w, n, r);
}
