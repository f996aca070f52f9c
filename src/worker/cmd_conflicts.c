/* SPDX-License-Identifier: ISC */
/* KV.CONFLICTS: what lost against a write that did not know of it; and clearing
 * that list. */

#include <inttypes.h>
#include <stdio.h>

#include "engine/conflict.h"
#include "engine/scan.h"
#include "worker/cmd.h"

static void
conflicts_number(struct call *c, const char *what, uint64_t value)
{
	reply_text(c->reply, what);
	reply_integer(c->reply, (int64_t)value);
}

/* When, and a name for the write: its tick and the run that made it. */
static void
conflicts_stamp(struct call *c, const char *when, const char *what,
    struct stamp stamp)
{
	char text[40];

	snprintf(text, sizeof(text), "%016" PRIx64 "-%016" PRIx64, stamp.tick,
	    stamp.inc);
	conflicts_number(c, when, stamp_ms(stamp));
	reply_text(c->reply, what);
	reply_bulk(c->reply, slice_of(text));
}

static void
conflicts_tell(struct call *c, const struct conflict *conflict)
{
	reply_array(c->reply, 22);
	reply_text(c->reply, "bucket");
	reply_bulk(c->reply, conflict->bucket);
	reply_text(c->reply, "key");
	reply_bulk(c->reply, conflict->key);
	reply_text(c->reply, "lost");
	if (conflict->was_deletion)
		reply_null(c->reply);
	else
		reply_bulk(c->reply, conflict->value);
	conflicts_number(c, "lost_bytes", conflict->value_len);
	conflicts_stamp(c, "lost_ms", "lost_stamp", conflict->lost);
	conflicts_number(c, "lost_here", conflict->was_ours);
	conflicts_stamp(c, "won_ms", "won_stamp", conflict->won);
	conflicts_number(c, "won_deletes", conflict->is_deletion);
	conflicts_number(c, "noticed_ms", conflict->noticed_ms);
}

/* Of which bucket; empty: of all, no bucket has that name. */
static struct kv_slice
conflicts_of(const struct call *c)
{
	return c->argc > 1 ? c->args[1] : (struct kv_slice){ "", 0 };
}

static int
conflicts_list(struct call *c, struct scan *s, size_t *n)
{
	struct kv_slice only = conflicts_of(c);
	struct conflict conflict;
	struct record r;
	int rc;

	while ((rc = scan_next(s, &r)) == KV_OK) {
		if ((rc = conflict_get(&r, &conflict)) < 0)
			return rc;
		if (only.len > 0 && !slice_equal(only, conflict.bucket))
			continue;
		conflicts_tell(c, &conflict);
		++*n;
		if (call_overflows(c))
			return KV_ETOOBIG;
	}
	return rc;
}

unsigned
cmd_kv_conflicts_needs(size_t argc)
{
	return argc > 2 ? CALL_WRITES : 0;
}

static int
conflicts_clear(struct call *c)
{
	size_t n;
	int rc = conflict_clear(c->engine, conflicts_of(c), &n);

	if (rc < 0)
		return rc;
	reply_integer(c->reply, (int64_t)n);
	return KV_OK;
}

int
cmd_kv_conflicts(struct call *c)
{
	struct call_place place;
	const struct bucket *b;
	struct scan *s;
	size_t n = 0;
	int rc;

	if (c->argc == 3 && slice_is_word(c->args[2], "clear"))
		return conflicts_clear(c);
	if (c->argc > 2)
		return call_error(c, "ERR syntax error");
	rc = conflict_bucket(c->engine, &b);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	place = call_open(c);
	if (rc == KV_OK) {
		if ((rc = scan_open(c->engine, b, &s)) < 0)
			return rc;
		rc = conflicts_list(c, s, &n);
		scan_close(s);
	}
	if (rc != KV_ENOTFOUND)
		return rc;
	call_close_array(c, place, n);
	return KV_OK;
}
