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

static void
notify_look(struct worker *w, struct notify *n, const struct record *r)
{
	struct kv_slice name;
	struct bucket b;

	if (r->type == RECORD_BUCKET) {
		n->bid = r->bid;
		notify_bucket(w, n, r->key);
	} else if (n->bid != r->bid) {
		n->bid = 0;
		n->kind = NOTIFY_OURS;
		if (engine_bucket_by_id(w->engine, r->bid, &name, &b) < 0)
			return;
		n->bid = r->bid;
		notify_bucket(w, n, name);
	}
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

static void
notify_string(struct worker *w, struct notify *n, const struct record *r)
{
	uint32_t db = n->database;

	if (r->type == RECORD_PUT) {
		notify_event(w, n, NOTIFY_STRING, "set", db, r->key);
		if (r->deadline != 0)
			notify_event(w, n, NOTIFY_GENERIC, "expire", db,
			    r->key);
	} else if (r->flags & RECORD_EXPIRED) {
		notify_event(w, n, NOTIFY_EXPIRED, "expired", db, r->key);
	} else {
		notify_event(w, n, NOTIFY_GENERIC, "del", db, r->key);
	}
}

static void
notify_field(struct worker *w, struct notify *n, const struct record *r)
{
	struct kv_slice hash = { n->name, n->len };
	const char *event = "hset";
	struct kv_slice channel;
	struct buf payload;

	if (r->type == RECORD_TOMB)
		event = r->flags & RECORD_EXPIRED ? "hexpired" : "hdel";
	notify_event(w, n, NOTIFY_HASH, event, n->database, hash);
	if (!(channel_notify(w->engine) & NOTIFY_FIELD))
		return;
	channel = notify_channel(n, "field", n->database, hash);
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

static void
notify_drop(struct worker *w, struct notify *n, const struct record *r)
{
	struct bucket b;

	if (schema_get_bucket(r->value, &b) < 0 || bucket_is_live(&b) ||
	    n->kind != NOTIFY_FIELDS)
		return;
	memcpy(n->dropped_name, r->key.data, r->key.len);
	n->dropped_at = r->key.len - n->len;
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
		notify_drop(w, n, r);
	else if (r->type != RECORD_PUT && r->type != RECORD_TOMB)
		return;
	else if (n->kind == NOTIFY_STRINGS)
		notify_string(w, n, r);
	else if (n->kind == NOTIFY_FIELDS)
		notify_field(w, n, r);
	else if (n->kind == NOTIFY_BY_NAME)
		notify_deadline(w, n, r);
}
