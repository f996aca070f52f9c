/* SPDX-License-Identifier: ISC */
/* Keeping what lost where two hosts wrote a key; which one that is, says
 * base/rival.h. */

#include "engine/conflict.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/rival.h"
#include "engine/internal.h"
#include "engine/scan.h"

#define CONFLICT_KEY 24
#define CONFLICT_HEAD (1 + 1 + 8 + 8 + 8 + 2 + 2)
#define CONFLICT_VERSION 1
#define CONFLICT_BATCH 256		/* kept of one batch */
#define CONFLICT_BATCH_BYTES (1u << 20) /* of values in it */
#define CONFLICT_SAY_MS 10000

enum conflict_flag {
	CONFLICT_OURS = 1,
	CONFLICT_WAS_DELETION = 2,
	CONFLICT_IS_DELETION = 4,
};

static struct kv_slice
conflict_name(void)
{
	return slice_of(CONFLICT_BUCKET);
}

int
conflict_bucket(struct engine *e, const struct bucket **out)
{
	return engine_bucket_in(e, SCOPE_LOCAL, conflict_name(), out);
}

/* ---- bytes ------------------------------------------------------------- */

/* What another run wrote before that, it has replaced itself. */
static void
conflict_put_key(char to[CONFLICT_KEY], const struct conflict *c)
{
	schema_put_stamp(to, c->won);
	bytes_put_be64(to + 16, c->lost.inc);
}

static int
conflict_encode(struct buf *to, const struct conflict *c)
{
	char head[CONFLICT_HEAD];
	int rc;

	head[0] = CONFLICT_VERSION;
	head[1] = (char)((c->was_ours ? CONFLICT_OURS : 0) |
	    (c->was_deletion ? CONFLICT_WAS_DELETION : 0) |
	    (c->is_deletion ? CONFLICT_IS_DELETION : 0));
	bytes_put_be64(head + 2, c->noticed_ms);
	bytes_put_be64(head + 10, c->value_len);
	bytes_put_be64(head + 18, c->lost.tick);
	bytes_put_be16(head + 26, (uint16_t)c->bucket.len);
	bytes_put_be16(head + 28, (uint16_t)c->key.len);
	if ((rc = buf_append(to, head, sizeof(head))) < 0 ||
	    (rc = buf_append(to, c->bucket.data, c->bucket.len)) < 0 ||
	    (rc = buf_append(to, c->key.data, c->key.len)) < 0)
		return rc;
	return buf_append(to, c->value.data, c->value.len);
}

int
conflict_get(const struct record *r, struct conflict *out)
{
	const char *at = r->value.data;
	size_t bucket, key;

	if (r->key.len != CONFLICT_KEY || r->value.len < CONFLICT_HEAD ||
	    at[0] != CONFLICT_VERSION)
		return KV_ECORRUPT;
	bucket = bytes_get_be16(at + 26);
	key = bytes_get_be16(at + 28);
	if (r->value.len - CONFLICT_HEAD < bucket + key)
		return KV_ECORRUPT;
	out->won = schema_get_stamp(r->key.data);
	out->lost.tick = bytes_get_be64(at + 18);
	out->lost.inc = bytes_get_be64(r->key.data + 16);
	out->was_ours = (at[1] & CONFLICT_OURS) != 0;
	out->was_deletion = (at[1] & CONFLICT_WAS_DELETION) != 0;
	out->is_deletion = (at[1] & CONFLICT_IS_DELETION) != 0;
	out->noticed_ms = bytes_get_be64(at + 2);
	out->value_len = bytes_get_be64(at + 10);
	at += CONFLICT_HEAD;
	out->bucket = (struct kv_slice){ at, bucket };
	out->key = (struct kv_slice){ at + bucket, key };
	out->value = (struct kv_slice){ at + bucket + key,
		r->value.len - CONFLICT_HEAD - bucket - key };
	return KV_OK;
}

/* ---- what a writer had ------------------------------------------------- */

int
conflict_prev(struct engine *e, const struct bucket *b, struct record *r)
{
	uint64_t revealed = e->revealed;
	struct record old;
	int rc;

	if (!(b->options & BUCKET_CONFLICTS) || b->options & BUCKET_LOCAL ||
	    r->key.len > KV_KEY_MAX)
		return KV_OK;
	rc = engine_get_raw(e, b->bid, r->key, &old);
	e->revealed = revealed; /* nobody is shown it */
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	rival_note(rc == KV_OK ? &old : NULL, e->control->inc, r);
	return KV_OK;
}

/* ---- keeping ----------------------------------------------------------- */

/* At most one line in so many seconds, for all that came since the last. */
static void
conflict_say(struct engine *e)
{
	struct conflict_tally *t = &e->conflicts;

	t->unsaid++;
	if (t->said_ms != 0 && e->now_ms < t->said_ms + CONFLICT_SAY_MS)
		return;
	log_warn("conflict count=%llu see=\"kv conflicts\"",
	    (unsigned long long)t->unsaid);
	t->said_ms = e->now_ms;
	t->unsaid = 0;
}

/* May the batch have one more?  Its value shrinks to what fits. */
static bool
conflict_fits(struct engine *e, struct conflict *c)
{
	struct conflict_tally *t = &e->conflicts;

	if (t->batch != e->stage.batch) {
		t->batch = e->stage.batch;
		t->count = t->bytes = 0;
	}
	if (t->count >= CONFLICT_BATCH)
		return false;
	if (c->value.len > CONFLICT_VALUE_MAX)
		c->value.len = CONFLICT_VALUE_MAX;
	if (c->value.len > CONFLICT_BATCH_BYTES - t->bytes)
		c->value.len = CONFLICT_BATCH_BYTES - t->bytes;
	t->count++;
	t->bytes += c->value.len;
	return true;
}

/* The oldest ones make room for `size` bytes. */
static int
conflict_make_room(struct engine *e, const struct bucket *b, size_t size)
{
	struct totals sums;
	struct scan *s;
	struct record r;
	int rc;

	if ((rc = engine_totals(e, b, &sums)) < 0 ||
	    (sums.keys < CONFLICT_KEPT &&
		sums.bytes + size <= CONFLICT_KEPT_BYTES))
		return rc;
	if ((rc = scan_open(e, b, &s)) < 0)
		return rc;
	while (sums.keys > 0 &&
	    (sums.keys >= CONFLICT_KEPT ||
		sums.bytes + size > CONFLICT_KEPT_BYTES) &&
	    (rc = scan_next(s, &r)) == KV_OK) {
		sums.keys--;
		sums.bytes -= r.key.len + r.value.len;
		if ((rc = engine_delete(e, b, r.key)) < 0)
			break;
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
conflict_store(struct engine *e, const struct bucket *b,
    const struct conflict *c)
{
	char key[CONFLICT_KEY];
	struct kv_slice name = { key, sizeof(key) };
	struct buf value;
	int rc;

	buf_init(&value);
	conflict_put_key(key, c);
	if ((rc = conflict_encode(&value, c)) == KV_OK &&
	    (rc = conflict_make_room(e, b, sizeof(key) + value.len)) == KV_OK)
		rc = engine_put(e, b, name, buf_slice(&value), 0);
	buf_fini(&value);
	return rc;
}

/* *known: it is there already, or a later one of that run. */
static int
conflict_open(struct engine *e, const struct conflict *c,
    const struct bucket **b, bool *known)
{
	char key[CONFLICT_KEY];
	struct conflict before;
	struct record r;
	int rc = conflict_bucket(e, b);

	*known = false;
	if (rc == KV_ENOTFOUND) {
		rc = engine_create_in(e, SCOPE_LOCAL, conflict_name(),
		    BUCKET_STAYS | BUCKET_LOCAL);
		return rc < 0 ? rc : conflict_bucket(e, b);
	}
	if (rc < 0)
		return rc;
	conflict_put_key(key, c);
	rc = engine_get(e, *b, (struct kv_slice){ key, sizeof(key) }, &r);
	*known = rc == KV_OK && conflict_get(&r, &before) == KV_OK &&
	    before.lost.tick >= c->lost.tick;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
conflict_keep(struct engine *e, const struct record *lost,
    const struct record *won, bool was_ours)
{
	struct conflict c = { .noticed_ms = e->now_ms,
		.key = lost->key,
		.value = lost->value,
		.value_len = lost->value.len,
		.was_ours = was_ours,
		.was_deletion = lost->type == RECORD_TOMB,
		.is_deletion = won->type == RECORD_TOMB,
		.lost = lost->stamp,
		.won = won->stamp };
	const struct bucket *kept;
	struct bucket row;
	bool known;
	int rc;

	rc = engine_bucket_by_id(e, lost->bid, &c.bucket, &row);
	if (rc < 0) /* its row is in this very batch: nothing was asked for */
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	if ((rc = conflict_open(e, &c, &kept, &known)) < 0 || known)
		return rc;
	conflict_say(e);
	if (!conflict_fits(e, &c))
		return KV_OK;
	rc = conflict_store(e, kept, &c);
	return rc == KV_ETOOBIG ? KV_OK : rc; /* the batch comes first */
}

static int
conflict_clear_all(struct engine *e, const struct bucket *b, struct scan *s,
    struct kv_slice bucket, size_t *count)
{
	struct conflict c;
	struct record r;
	int rc;

	while ((rc = scan_next(s, &r)) == KV_OK) {
		/* What cannot be read is of no use to anybody. */
		if (bucket.len > 0 && conflict_get(&r, &c) == KV_OK &&
		    !slice_equal(c.bucket, bucket))
			continue;
		if ((rc = engine_delete(e, b, r.key)) < 0)
			return rc;
		++*count;
	}
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
conflict_clear(struct engine *e, struct kv_slice bucket, size_t *count)
{
	const struct bucket *b;
	struct scan *s;
	int rc;

	*count = 0;
	if ((rc = conflict_bucket(e, &b)) == KV_ENOTFOUND)
		return KV_OK;
	if (rc < 0 || (rc = scan_open(e, b, &s)) < 0)
		return rc;
	rc = conflict_clear_all(e, b, s, bucket, count);
	scan_close(s);
	if (rc == KV_OK && *count > 0)
		log_info("conflicts cleared count=%zu", *count);
	return rc;
}

/* ---- noticing ---------------------------------------------------------- */

int
conflict_look(struct engine *e, const struct bucket *b, const struct record *in,
    const struct record *there)
{
	switch (rival_look(b, in, there, e->control->inc)) {
	case RIVAL_THERE:
		return conflict_keep(e, there, in, true);
	case RIVAL_IN:
		return conflict_keep(e, in, there, false);
	case RIVAL_NONE:
		break;
	}
	return KV_OK;
}
