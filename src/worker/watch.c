/* SPDX-License-Identifier: ISC */
/* Versions of watched keys. */

#include "worker/watch.h"

#include <stdlib.h>
#include <utlist.h>

#include "worker/keyspace.h"

struct watch_state {
	enum keyspace_kind kind;
	struct stamp stamp; /* of the string's newest record */
	uint64_t deadline;  /* of the hash */
	uint64_t bid;	    /* its bucket */
	uint64_t position;  /* of the view this was read in */
};

struct watch {
	struct watch *next;
	uint32_t database;
	size_t bucket_len; /* SELECT name: in front of the key, else 0 */
	size_t key_len;
	struct watch_state then;
	char bytes[];
};

static struct kv_slice
watch_bucket(const struct watch *w)
{
	return (struct kv_slice){ w->bytes, w->bucket_len };
}

static struct kv_slice
watch_key(const struct watch *w)
{
	return (struct kv_slice){ w->bytes + w->bucket_len, w->key_len };
}

static struct kv_slice
watch_selected(const struct session *s)
{
	if (s->extra == NULL)
		return (struct kv_slice){ "", 0 };
	return (struct kv_slice){ s->extra->bucket, s->extra->bucket_len };
}

static int
watch_read_string(struct call *c, struct kv_slice key, struct stamp *out)
{
	const struct bucket *b;
	struct record r;
	int rc = keyspace_strings(c, &b);

	if (rc == KV_OK)
		rc = engine_get_raw(c->engine, b->bid, key, &r);
	if (rc == KV_OK && bucket_shows(b, r.stamp))
		*out = r.stamp;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
watch_read(struct call *c, struct kv_slice key, struct watch_state *out)
{
	struct keyspace_item item;
	int rc;

	*out = (struct watch_state){
		.position = engine_position(c->engine),
	};
	if ((rc = keyspace_look(c, key, &item)) < 0)
		return rc;
	out->kind = item.kind;
	if (item.kind == KIND_HASH) {
		out->deadline = item.deadline;
		out->bid = item.bucket->bid;
	}
	return watch_read_string(c, key, &out->stamp);
}

int
watch_add(struct call *c, struct watch **list, struct kv_slice key)
{
	struct kv_slice bucket = watch_selected(c->session);
	struct watch_state now;
	struct watch *w;
	int rc;

	LL_FOREACH(*list, w)
		if (w->database == c->session->database &&
		    slice_equal(watch_bucket(w), bucket) &&
		    slice_equal(watch_key(w), key))
			return KV_OK;
	if ((rc = watch_read(c, key, &now)) < 0)
		return rc;
	if ((w = calloc(1, sizeof(*w) + bucket.len + key.len)) == NULL)
		return KV_ENOMEM;
	w->database = c->session->database;
	w->bucket_len = bucket.len;
	w->key_len = key.len;
	w->then = now;
	memcpy(w->bytes, bucket.data, bucket.len);
	memcpy(w->bytes + bucket.len, key.data, key.len);
	LL_PREPEND(*list, w);
	return KV_OK;
}

/* What it is now, in the database in which it was watched. */
static int
watch_look(struct call *c, const struct watch *w, struct watch_state *now)
{
	struct session *s = c->session;
	struct kv_slice selected = watch_selected(s);
	uint32_t database = s->database;
	char bucket[KV_BUCKET_MAX];
	int rc;

	memcpy(bucket, selected.data, selected.len);
	s->database = w->database;
	if (s->extra != NULL) {
		s->extra->bucket_len = w->bucket_len;
		memcpy(s->extra->bucket, w->bytes, w->bucket_len);
	}
	rc = watch_read(c, watch_key(w), now);
	s->database = database;
	if (s->extra != NULL) {
		s->extra->bucket_len = selected.len;
		memcpy(s->extra->bucket, bucket, selected.len);
	}
	return rc;
}

static bool
watch_differs(struct call *c, const struct watch_state *then,
    const struct watch_state *now)
{
	if (then->kind != now->kind || then->deadline != now->deadline ||
	    stamp_compare(then->stamp, now->stamp) != 0)
		return true;
	return then->kind == KIND_HASH &&
	    (then->bid != now->bid ||
		!engine_remembers(c->engine, then->position) ||
		engine_bucket_changed(c->engine, then->bid, then->position));
}

int
watch_changed(struct call *c, const struct watch *list, bool *changed)
{
	const struct watch *w;
	struct watch_state now;
	int rc;

	*changed = false;
	LL_FOREACH(list, w) {
		if ((rc = watch_look(c, w, &now)) < 0)
			return rc;
		if (watch_differs(c, &w->then, &now)) {
			*changed = true;
			break;
		}
	}
	return KV_OK;
}

size_t
watch_count(const struct watch *list)
{
	const struct watch *w;
	size_t n = 0;

	LL_COUNT(list, w, n);
	return n;
}

void
watch_clear(struct watch **list)
{
	struct watch *w, *next;

	LL_FOREACH_SAFE(*list, w, next)
		free(w);
	*list = NULL;
}
