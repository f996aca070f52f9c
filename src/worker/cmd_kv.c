/* SPDX-License-Identifier: ISC */
/* Our own: buckets by name, changes from a sequence number. */

#include "base/num.h"
#include "engine/feed.h"
#include "engine/scan.h"
#include "worker/cmd.h"
#include "worker/create.h"
#include "worker/deadline.h"
#include "worker/keyspace.h"

#define CHANGES_COUNT 1000
#define CHANGES_LOOK 100000 /* records of the log looked at in one call */

unsigned
cmd_kv_create_needs(const struct kv_slice *args, size_t argc)
{
	return argc > 2 && slice_is_word(args[2], "all")
	    ? CALL_SESSION | CALL_ATOMIC
	    : 0;
}

int
cmd_kv_create(struct call *c)
{
	bool known;
	int rc = create_run(c, &known);

	return known ? rc : call_error(c, "ERR syntax error");
}

int
cmd_kv_drop(struct call *c)
{
	const struct bucket *b;
	int rc = keyspace_bucket(c, c->args[1], &b);

	if (rc == KV_OK)
		rc = engine_drop(c->engine, c->args[1]);
	else if (rc == KV_ENOTFOUND) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	if (rc == KV_OK)
		reply_integer(c->reply, 1);
	return rc;
}

int
cmd_kv_buckets(struct call *c)
{
	struct call_place place = call_open(c);
	struct scan *s;
	struct record r;
	size_t n = 0;
	int rc;

	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	while ((rc = scan_next(s, &r)) == KV_OK) {
		if (bucket_is_hidden(r.key))
			continue;
		reply_bulk(c->reply, r.key);
		n++;
		if (call_overflows(c)) {
			rc = KV_ETOOBIG;
			break;
		}
	}
	scan_close(s);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	call_close_array(c, place, n);
	return KV_OK;
}

static void
changes_write(struct call *c, const struct record *r)
{
	bool put = r->type == RECORD_PUT;

	reply_array(c->reply, put ? 4 : 3);
	reply_integer(c->reply, (int64_t)r->seq);
	reply_text(c->reply, put ? "set" : "del");
	reply_bulk(c->reply, r->key);
	if (put)
		reply_bulk(c->reply, r->value);
}

/* KV.CHANGES bucket FROM seq [COUNT n]: [next, [[seq, set, key, value] or
 * [seq, del, key] ...]]; next is the seq to ask from the next time. */
int
cmd_kv_changes(struct call *c)
{
	uint64_t seq, count = CHANGES_COUNT, looked = 0, n = 0;
	struct bucket b;
	struct call_place place;
	struct feed feed;
	struct record r;
	size_t end;
	int rc;

	if (bucket_is_hidden(c->args[1]))
		return KV_EACCESS;
	if (!slice_is_word(c->args[2], "from") ||
	    num_parse_u64(c->args[3], &seq) < 0 ||
	    (c->argc != 4 &&
		(c->argc != 6 || !slice_is_word(c->args[4], "count") ||
		    num_parse_u64(c->args[5], &count) < 0)))
		return call_error(c, "ERR syntax error");
	rc = engine_bucket_row(c->engine, c->args[1], &b);
	if (rc == KV_ENOTFOUND)
		b = (struct bucket){ .bid = engine_bucket_id(c->args[1]) };
	else if (rc < 0)
		return rc;
	rc = feed_seek_in(c->engine, &feed, seq, &b);
	if (rc == KV_ENOTFOUND)
		return call_error(c,
		    "GAP changes back to that sequence number are gone");
	reply_array(c->reply, 2);
	place = call_open(c);
	while (rc == KV_OK && n < count && looked++ < CHANGES_LOOK &&
	    (rc = feed_next(c->engine, &feed, &r)) == KV_OK) {
		seq = r.seq;
		if (r.bid == b.bid &&
		    (r.type == RECORD_PUT || r.type == RECORD_TOMB)) {
			changes_write(c, &r);
			n++;
		}
		if (call_overflows(c))
			rc = KV_ETOOBIG;
	}
	if (rc < 0 && rc != KV_EAGAIN)
		return rc == KV_ENOTFOUND
		    ? call_error(c, "GAP changes were missed")
		    : rc;
	call_close_array(c, place, n);
	/* "next" goes in front of the changes: it is known only now. */
	end = c->reply->out->len;
	reply_integer(c->reply, (int64_t)seq);
	call_put_first(c, place, end);
	return KV_OK;
}
