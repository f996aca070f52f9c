/* SPDX-License-Identifier: ISC */
/* The line protocol: THE table of verbs, and what they do. */

#include "worker/verbs.h"

#include "base/num.h"
#include "engine/scan.h"
#include "worker/cmd.h"
#include "worker/create.h"
#include "worker/deadline.h"
#include "worker/keyspace.h"
#include "worker/pause.h"
#include "worker/round.h"
#include "worker/run.h"
#include "worker/subscribe.h"
#include "worker/tell.h"

static int
verb_unknown(struct call *c)
{
	line_unknown(c->reply);
	return KV_OK;
}

static int
verb_too_long(struct call *c)
{
	line_error(c->reply, "line too long");
	return KV_OK;
}

/* The bucket in the first argument; answers when there is none. */
static int
verb_bucket(struct call *c, const struct bucket **b)
{
	int rc = keyspace_bucket(c, c->args[1], b);

	if (rc == KV_ENOTFOUND)
		line_not_found(c->reply);
	return rc;
}

static int
verb_answered(int rc)
{
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
verb_create(struct call *c)
{
	bool known;
	int rc = create_run(c, &known);

	return known ? rc : verb_unknown(c);
}

/* Into the strings of a database: as SET does it. */
static int
verb_put_string(struct call *c)
{
	struct session *s = c->session;
	uint32_t here = s->database;
	int rc = KV_ETYPE; /* of a database that was configured once */

	if (keyspace_is_database(c->worker, c->args[1], &s->database))
		rc = keyspace_put(c, c->args[2], c->args[3], 0);
	s->database = here;
	return rc;
}

static int
verb_put(struct call *c)
{
	const struct bucket *b;
	int rc;

	if ((rc = call_check_key(c, c->args[2])) < 0 ||
	    (rc = call_check_value(c, c->args[3])) < 0)
		return rc;
	if ((rc = verb_bucket(c, &b)) < 0)
		return verb_answered(rc);
	if (b->options & BUCKET_DATABASE)
		rc = verb_put_string(c);
	else
		rc = engine_put(c->engine, b, c->args[2], c->args[3], 0);
	if (rc == KV_OK)
		line_ok(c->reply);
	return rc;
}

static int
verb_get(struct call *c)
{
	struct output *o = &c->worker->serve.output;
	const struct bucket *b;
	struct record r;
	int rc;

	if ((rc = call_check_key(c, c->args[2])) < 0)
		return rc;
	if ((rc = verb_bucket(c, &b)) < 0)
		return verb_answered(rc);
	rc = engine_get(c->engine, b, c->args[2], &r);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (rc == KV_ENOTFOUND) {
		c->worker->misses++;
		r.value = (struct kv_slice){ "", 0 };
	} else {
		c->worker->hits++;
	}
	if (engine_staged(c->engine) > 0 || !output_refer(o, r.value))
		line_value(c->reply, r.value);
	else
		reply_literal(c->reply, "\r\nOK\r\n");
	return KV_OK;
}

static int
verb_delete(struct call *c)
{
	const struct bucket *b;
	int rc;

	if ((rc = call_check_key(c, c->args[2])) < 0)
		return rc;
	if ((rc = verb_bucket(c, &b)) < 0)
		return verb_answered(rc);
	rc = engine_delete(c->engine, b, c->args[2]);
	if (rc == KV_OK)
		line_ok(c->reply);
	return rc;
}

static int
verb_drop(struct call *c)
{
	const struct bucket *b;
	int rc;

	if ((rc = verb_bucket(c, &b)) < 0)
		return verb_answered(rc);
	if ((rc = engine_drop(c->engine, c->args[1])) == KV_OK)
		line_ok(c->reply);
	return rc;
}

static int
verb_subscribe(struct call *c)
{
	struct subscribe_from from = { SUBSCRIBE_PLAIN, 0 };
	const struct bucket *b;
	int rc;

	if (c->argc == 3)
		return verb_unknown(c);
	if (c->argc == 4) {
		if (!slice_equal(c->args[2], slice_of("FROM")))
			return verb_unknown(c);
		from.how = SUBSCRIBE_FROM_SEQ;
		if (slice_equal(c->args[3], slice_of("NOW")))
			from.how = SUBSCRIBE_FROM_NOW;
		else if (num_parse_u64(c->args[3], &from.seq) < 0)
			return verb_unknown(c);
	}
	if ((rc = verb_bucket(c, &b)) < 0)
		return verb_answered(rc);
	return subscribe_begin(c->session, b->bid, from);
}

/* Write the names, or the keys, of a walk, then OK. */
static int
verb_list(struct call *c, struct scan *s, struct kv_slice prefix, bool names)
{
	struct record r;
	int rc;

	rc = prefix.len > 0 ? scan_seek(s, prefix) : KV_OK;
	while (rc == KV_OK && (rc = scan_next(s, &r)) == KV_OK) {
		if (prefix.len > r.key.len ||
		    memcmp(r.key.data, prefix.data, prefix.len) != 0)
			break;
		if (!names)
			line_item(c->reply, r.key);
		else if (!bucket_is_hidden(r.key) &&
		    (rc = create_tell(c, &r)) < 0)
			break;
		if (call_overflows(c))
			rc = KV_ETOOBIG;
	}
	scan_close(s);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	line_ok(c->reply);
	return KV_OK;
}

static int
verb_buckets(struct call *c)
{
	struct scan *s;
	int rc;

	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	return verb_list(c, s, (struct kv_slice){ "", 0 }, true);
}

static int
verb_keys(struct call *c)
{
	struct kv_slice prefix =
	    c->argc == 3 ? c->args[2] : (struct kv_slice){ "", 0 };
	const struct bucket *b;
	struct scan *s;
	int rc;

	if (c->argc == 3 && (rc = call_check_key(c, prefix)) < 0)
		return rc;
	if ((rc = verb_bucket(c, &b)) < 0)
		return verb_answered(rc);
	if ((rc = scan_open(c->engine, b, &s)) < 0)
		return rc;
	return verb_list(c, s, prefix, false);
}

static int
verb_count_subscriptions(struct call *c)
{
	const struct bucket *b;
	uint64_t bid = engine_bucket_id(c->args[2]);
	int rc;

	if (!slice_equal(c->args[1], slice_of("SUBSCRIPTIONS")))
		return verb_unknown(c);
	rc = engine_bucket(c->engine, c->args[2], &b);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (rc == KV_OK)
		bid = b->bid;
	line_number(c->reply, (int64_t)subscribe_count(c->worker->feeds, bid));
	line_ok(c->reply);
	return KV_OK;
}

static int
verb_count(struct call *c)
{
	const struct bucket *b;
	struct totals sums;
	int rc;

	if (c->argc == 3)
		return verb_count_subscriptions(c);
	/* A bucket may be called so, but "COUNT SUBSCRIPTIONS" lacks a word. */
	if (slice_equal(c->args[1], slice_of("SUBSCRIPTIONS")))
		return verb_unknown(c);
	if ((rc = verb_bucket(c, &b)) < 0)
		return verb_answered(rc);
	if ((rc = engine_totals(c->engine, b, &sums)) < 0)
		return rc;
	line_number(c->reply, (int64_t)sums.keys);
	line_ok(c->reply);
	return KV_OK;
}

static int
verb_ping(struct call *c)
{
	reply_literal(c->reply, "PONG\r\n");
	return KV_OK;
}

static int
verb_quit(struct call *c)
{
	line_ok(c->reply);
	c->worker->run->stop = true;
	conn_finish(&c->session->conn, true);
	return KV_OK;
}

static int
verb_wait(struct call *c)
{
	uint64_t n;

	if (num_parse_u64(c->args[1], &n) < 0 ||
	    num_parse_u64(c->args[2], &n) < 0)
		return verb_unknown(c);
	return cmd_wait(c);
}

static int
verb_barrier(struct call *c)
{
	uint64_t ms;

	return num_parse_u64(c->args[1], &ms) < 0 ? verb_unknown(c)
						  : cmd_kv_barrier(c);
}

/* A password may have blanks in it: all from its first word to its last, as it
 * was sent. */
static int
verb_auth(struct call *c)
{
	const struct kv_slice *last = &c->args[c->argc - 1];
	const char *from = c->args[1].data;
	struct kv_slice words[2] = { c->args[0],
		{ from, (size_t)(last->data + last->len - from) } };
	struct call whole = *c;

	whole.args = words;
	whole.argc = 2;
	return cmd_auth(&whole);
}

static int
verb_guest(struct call *c)
{
	return call_error(c, "not authenticated");
}

/* Words with the verb; a wrong number of them is UNKNOWN COMMAND. */
static const struct verb {
	const char *name;
	size_t least, most;
	unsigned needs;
	call_handler *run;
} verbs[] = {
	{ "GET", 3, 3, 0, verb_get },
	{ "PUT", 4, 4, CALL_WRITES, verb_put },
	{ "DELETE", 3, 3, CALL_WRITES, verb_delete },
	{ "CREATE", 2, 2, CALL_WRITES, verb_create },
	{ "CREATE", 3, CREATE_WORDS_MAX,
	    CALL_WRITES | CALL_ATOMIC | CALL_SESSION, verb_create },
	{ "SUBSCRIBE", 2, 4, CALL_SESSION, verb_subscribe },
	{ "DROP", 2, 2, CALL_WRITES, verb_drop },
	{ "BUCKETS", 1, 1, CALL_SETTLED, verb_buckets },
	{ "KEYS", 2, 3, CALL_SETTLED, verb_keys },
	{ "COUNT", 2, 3, CALL_SETTLED, verb_count },
	{ "PING", 1, 1, 0, verb_ping },
	{ "AUTH", 2, REQUEST_ARGS_EMBEDDED, CALL_SESSION, verb_auth },
	{ "WAIT", 3, 3, CALL_SESSION, verb_wait },
	{ "BARRIER", 2, 2, CALL_SESSION, verb_barrier },
	{ "CALL", 3, REQUEST_ARGS_EMBEDDED, CALL_SESSION, cmd_kv_call },
	{ "CLIENTS", 1, 2, CALL_SESSION, cmd_kv_clients },
	{ "NODES", 1, 1, 0, cmd_kv_nodes },
	{ "QUIT", 1, 1, CALL_SESSION, verb_quit },
	{ NULL, 0, SIZE_MAX, 0, verb_unknown },
};

static const struct verb *
verb_find(const struct request *req)
{
	const struct verb *v = verbs;

	while (v->name != NULL &&
	    (req->count < v->least || req->count > v->most ||
		!slice_equal(req->args[0], slice_of(v->name))))
		v++;
	return v;
}

static struct call
verb_call(struct run *r)
{
	return (struct call){
		.worker = r->worker,
		.session = r->session,
		.engine = r->worker->engine,
		.reply = &r->worker->reply,
	};
}

void
verbs_run(struct run *r, const struct request *req)
{
	const struct verb *v = verb_find(req);
	struct call c = verb_call(r);

	c.args = req->args;
	c.argc = req->count;
	r->worker->requests++;
	if (r->session->flags & SESSION_GUEST && v->run != verb_auth &&
	    v->run != verb_quit && v->run != verb_unknown)
		run_call(r, &c, 0, verb_guest);
	else if (!pause_holds(r, v->needs & CALL_WRITES)) {
		round_begin(r->session);
		run_call(r, &c,
		    v->needs | (v->run == verb_unknown ? 0 : tell_needs(&c)),
		    v->run);
		if (r->at > r->start)
			round_end(r->session);
	}
}

void
verbs_too_long(struct run *r)
{
	struct call c = verb_call(r);

	run_call(r, &c, CALL_SESSION, verb_too_long);
}
