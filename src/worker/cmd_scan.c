/* SPDX-License-Identifier: ISC */
/* Walking: KEYS, SCAN, HSCAN.
 *
 * The strings of a database come first, in key order, then its hashes, in name
 * order.  A cursor is a place in that order, kept by the engine. */

#include "base/num.h"
#include "engine/scan.h"
#include "proto/glob.h"
#include "tree/schema.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"

#define SCAN_COUNT 10
#define SCAN_WHOLE 512 /* a hash of so few fields comes in one piece */

enum scan_phase { SCAN_STRINGS, SCAN_HASHES };

struct scan_walk {
	struct call *call;
	struct kv_slice pattern; /* .data NULL: all */
	struct kv_slice prefix;	 /* that the pattern's matches begin with */
	bool strings, hashes;	 /* TYPE */
	bool fields;		 /* HSCAN */
	bool values;		 /* the value after the field */
	uint64_t left;		 /* keys that may be looked at */
	size_t written;

	/* Where it stopped; more is false at the end. */
	bool more;
	enum scan_phase phase;
	char place[KV_KEY_MAX + 4];
	size_t place_len;
};

static bool
scan_has_prefix(struct kv_slice key, struct kv_slice prefix)
{
	return prefix.len == 0 ||
	    (key.len >= prefix.len &&
		memcmp(key.data, prefix.data, prefix.len) == 0);
}

static void
scan_write(struct scan_walk *w, struct kv_slice key, const struct record *r)
{
	if (w->pattern.data != NULL && !glob_match(w->pattern, key, false))
		return;
	reply_bulk(w->call->reply, key);
	w->written++;
	if (w->values) {
		reply_bulk(w->call->reply, r->value);
		w->written++;
	}
}

/* Out of count: remember the key that would have come next. */
static void
scan_stop(struct scan_walk *w, enum scan_phase phase, struct kv_slice key)
{
	w->more = true;
	w->phase = phase;
	w->place_len = key.len;
	memcpy(w->place, key.data, key.len);
}

/* Seek to where it stopped in this phase, or to what may match. */
static int
scan_start(struct scan_walk *w, struct scan *s, struct kv_slice prefix)
{
	struct kv_slice place = { w->place, w->place_len };

	if (place.len == 0 || slice_compare(place, prefix) < 0)
		place = prefix;
	w->place_len = 0;
	return place.len > 0 ? scan_seek(s, place) : KV_OK;
}

static int
scan_records(struct scan_walk *w, const struct bucket *b)
{
	struct scan *s;
	struct record r;
	int rc;

	if ((rc = scan_open(w->call->engine, b, &s)) < 0)
		return rc;
	rc = scan_start(w, s, w->prefix);
	while (rc == KV_OK && (rc = scan_next(s, &r)) == KV_OK) {
		if (!scan_has_prefix(r.key, w->prefix))
			break;
		if (w->left == 0) {
			scan_stop(w, SCAN_STRINGS, r.key);
			break;
		}
		w->left--;
		scan_write(w, r.key, &r);
		if (call_overflows(w->call))
			rc = KV_ETOOBIG;
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
scan_bucket(struct scan_walk *w, const struct record *r)
{
	struct bucket b;
	struct kv_slice key;
	int rc = schema_get_bucket(r->value, &b);

	if (rc == KV_OK && keyspace_is_hash(w->call, &b, r->key, &key))
		scan_write(w, key, r);
	if (call_overflows(w->call))
		return KV_ETOOBIG;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
scan_hashes(struct scan_walk *w)
{
	char room[16 + KV_KEY_MAX];
	struct kv_slice prefix = keyspace_hash_prefix(w->call, room);
	struct scan *s;
	struct record r;
	int rc;

	if (prefix.len + w->prefix.len > sizeof(room))
		return KV_OK; /* no name is so long */
	if (w->prefix.len > 0)
		memcpy(room + prefix.len, w->prefix.data, w->prefix.len);
	prefix.len += w->prefix.len;
	if ((rc = scan_open_buckets(w->call->engine, &s)) < 0)
		return rc;
	rc = scan_start(w, s, prefix);
	while (rc == KV_OK && (rc = scan_next(s, &r)) == KV_OK) {
		if (!scan_has_prefix(r.key, prefix))
			break;
		if (w->left == 0) {
			scan_stop(w, SCAN_HASHES, r.key);
			break;
		}
		w->left--;
		rc = scan_bucket(w, &r);
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* Both phases, from where it stopped. */
static int
scan_database(struct scan_walk *w)
{
	const struct bucket *b;
	int rc;

	if (w->phase == SCAN_STRINGS) {
		rc = KV_OK;
		if (w->strings && (rc = keyspace_strings(w->call, &b)) == KV_OK)
			rc = scan_records(w, b);
		if ((rc < 0 && rc != KV_ENOTFOUND) || w->more)
			return rc;
		w->phase = SCAN_HASHES;
		w->place_len = 0;
	}
	return w->hashes ? scan_hashes(w) : KV_OK;
}

static void
scan_match(struct scan_walk *w, struct kv_slice pattern)
{
	if (glob_is_all(pattern))
		return;
	w->pattern = pattern;
	w->prefix = glob_literal_prefix(pattern);
	if (w->prefix.len > KV_KEY_MAX)
		w->prefix.len = KV_KEY_MAX;
}

int
cmd_keys(struct call *c)
{
	struct scan_walk w = {
		.call = c,
		.strings = true,
		.hashes = true,
		.left = UINT64_MAX,
		.phase = SCAN_STRINGS,
	};
	struct call_place place = call_open(c);
	int rc;

	scan_match(&w, c->args[1]);
	if ((rc = scan_database(&w)) == KV_OK)
		call_close_array(c, place, w.written);
	return rc;
}

/* MATCH, COUNT, TYPE, NOVALUES from the given argument on. */
static bool
scan_options(struct call *c, size_t from, struct scan_walk *w)
{
	size_t i;

	w->left = SCAN_COUNT;
	for (i = from; i < c->argc; i += 2) {
		struct kv_slice value;
		int64_t n;

		if (w->fields && slice_is_word(c->args[i], "novalues")) {
			w->values = false;
			i--; /* it stands alone */
			continue;
		}
		if (i + 1 == c->argc)
			goto syntax;
		value = c->args[i + 1];
		if (slice_is_word(c->args[i], "match")) {
			scan_match(w, value);
		} else if (slice_is_word(c->args[i], "count")) {
			if (!call_integer(c, value, &n))
				return false;
			if (n < 1)
				goto syntax;
			w->left = (uint64_t)n;
		} else if (slice_is_word(c->args[i], "type") && !w->fields) {
			w->strings = slice_is_word(value, "string");
			w->hashes = slice_is_word(value, "hash");
		} else {
			goto syntax;
		}
	}
	return true;
syntax:
	call_error(c, "ERR syntax error");
	return false;
}

/* [cursor, [element ...]]: known only when the walk is over. */
static void
scan_answer(struct scan_walk *w, struct call_place place, uint64_t old,
    uint64_t bid)
{
	struct call *c = w->call;
	char text[NUM_TEXT_MAX];
	uint64_t cursor = 0;
	size_t end;

	if (w->more)
		cursor =
		    engine_cursor_save(c->engine, old, bid, (uint32_t)w->phase,
			(struct kv_slice){ w->place, w->place_len });
	call_close_array(c, place, w->written);
	end = c->reply->out->len;
	reply_array(c->reply, 2);
	reply_bulk(c->reply,
	    (struct kv_slice){ text, num_format_u64(text, cursor) });
	call_put_first(c, place, end);
}

static bool
scan_cursor(struct call *c, struct kv_slice text, uint64_t *out)
{
	int64_t negative;

	if (num_parse_u64(text, out) == KV_OK)
		return true;
	if (num_parse_i64(text, &negative) == KV_OK) {
		*out = (uint64_t)negative; /* as strtoul(3) has it */
		return true;
	}
	call_error(c, "ERR invalid cursor");
	return false;
}

/* Go on where the cursor says.  To Redis every number is a cursor, so one that
 * was given up, or never was one, is no error: the walk begins again.  Its
 * client sees some keys twice, which SCAN may do to him at any time, and
 * misses none. */
static void
scan_load(struct scan_walk *w, uint64_t cursor, uint64_t bid)
{
	uint32_t phase;

	if (cursor != 0 &&
	    engine_cursor_load(w->call->engine, cursor, bid, &phase, w->place,
		&w->place_len) == KV_OK &&
	    phase == SCAN_HASHES)
		w->phase = SCAN_HASHES;
}

int
cmd_scan(struct call *c)
{
	struct scan_walk w = {
		.call = c,
		.strings = true,
		.hashes = true,
		.phase = SCAN_STRINGS,
	};
	uint64_t cursor, bid = c->session->database + 1;
	struct call_place place;
	int rc;

	if (!scan_cursor(c, c->args[1], &cursor) || !scan_options(c, 2, &w))
		return KV_OK;
	scan_load(&w, cursor, bid);
	place = call_open(c);
	if ((rc = scan_database(&w)) == KV_OK)
		scan_answer(&w, place, cursor, bid);
	return rc;
}

int
cmd_hscan(struct call *c)
{
	struct scan_walk w = {
		.call = c,
		.fields = true,
		.values = true,
		.phase = SCAN_STRINGS,
	};
	const struct bucket *b = NULL;
	struct totals sums;
	struct call_place place;
	uint64_t cursor, bid = 0;
	int rc;

	if (!scan_cursor(c, c->args[2], &cursor))
		return KV_OK;
	rc = keyspace_hash(c, c->args[1], &b);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (rc == KV_OK) {
		bid = b->bid;
		if (!scan_options(c, 3, &w))
			return KV_OK;
		scan_load(&w, cursor, bid);
		if ((rc = engine_totals(c->engine, b, &sums)) < 0)
			return rc;
		if (sums.keys <= SCAN_WHOLE)
			w.left = UINT64_MAX;
	}
	place = call_open(c);
	rc = b == NULL ? KV_OK : scan_records(&w, b);
	if (rc == KV_OK)
		scan_answer(&w, place, cursor, bid);
	return rc;
}
