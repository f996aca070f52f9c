/* SPDX-License-Identifier: ISC */
/* Greeting, choosing a database, leaving. */

#include "base/num.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"
#include "worker/monitor.h"
#include "worker/pubsub.h"
#include "worker/run.h"

#define HELLO_REDIS_VERSION "7.2.4" /* whose answers ours are */

int
cmd_ping(struct call *c)
{
	if (c->argc > 2)
		return call_error(c,
		    "ERR wrong number of arguments for 'ping' command");
	if (c->session->pubsub != NULL && c->session->proto == 2) {
		reply_array(c->reply, 2);
		reply_text(c->reply, "pong");
		reply_bulk(c->reply,
		    c->argc == 2 ? c->args[1] : (struct kv_slice){ "", 0 });
	} else if (c->argc == 2)
		reply_bulk(c->reply, c->args[1]);
	else
		reply_literal(c->reply, "+PONG\r\n");
	return KV_OK;
}

int
cmd_echo(struct call *c)
{
	reply_bulk(c->reply, c->args[1]);
	return KV_OK;
}

/* Redis: printable, no blanks. */
static bool
hello_name_fits(struct kv_slice name)
{
	size_t i;

	if (name.len >= SESSION_TEXT_MAX)
		return false;
	for (i = 0; i < name.len; i++)
		if (name.data[i] < '!' || name.data[i] > '~')
			return false;
	return true;
}

struct hello {
	int64_t proto;
	struct kv_slice name;
	struct kv_slice user;
	struct kv_slice password;
	bool has_name;
	bool has_user;
};

static bool
hello_options(struct call *c, struct hello *h)
{
	size_t i;

	for (i = 2; i < c->argc; i++) {
		if (slice_is_word(c->args[i], "auth") && i + 2 < c->argc) {
			h->user = c->args[++i];
			h->password = c->args[++i];
			h->has_user = true;
		} else if (slice_is_word(c->args[i], "setname") &&
		    i + 1 < c->argc) {
			h->name = c->args[++i];
			h->has_name = true;
		} else {
			call_errorf(c,
			    "ERR Syntax error in HELLO option '%.*s'",
			    (int)(c->args[i].len < 128 ? c->args[i].len : 128),
			    c->args[i].data);
			return false;
		}
	}
	if (h->has_user && !cmd_auth_user(c, h->user, h->password))
		return false;
	if (c->session->flags & SESSION_GUEST) {
		call_error(c,
		    "NOAUTH HELLO must be called with the client already"
		    " authenticated, otherwise the HELLO <proto> AUTH <user>"
		    " <pass> option can be used to authenticate the client and"
		    " select the RESP protocol version at the same time");
		return false;
	}
	if (h->has_name && !hello_name_fits(h->name)) {
		call_error(c,
		    "ERR Client names cannot contain spaces, newlines or"
		    " special characters.");
		return false;
	}
	return true;
}

static void
hello_answer(struct call *c)
{
	struct reply *r = c->reply;

	reply_map(r, 7);
	reply_text(r, "server");
	reply_text(r, "redis");
	reply_text(r, "version");
	reply_text(r, HELLO_REDIS_VERSION);
	reply_text(r, "proto");
	reply_integer(r, r->proto);
	reply_text(r, "id");
	reply_integer(r, (int64_t)c->session->id);
	reply_text(r, "mode");
	reply_text(r, "standalone");
	reply_text(r, "role");
	reply_text(r, "master");
	reply_text(r, "modules");
	reply_array(r, 0);
}

int
cmd_hello(struct call *c)
{
	struct hello h = { .proto = c->session->proto };
	struct session_extra *x;

	if (c->argc > 1 && num_parse_i64(c->args[1], &h.proto) < 0)
		return call_error(c,
		    "ERR Protocol version is not an integer or out of range");
	if (h.proto != 2 && h.proto != 3)
		return call_error(c, "NOPROTO unsupported protocol version");
	if (!hello_options(c, &h))
		return KV_OK;
	if (h.has_name) {
		if ((x = session_extra(c->session)) == NULL)
			return KV_ENOMEM;
		presence_name(x, h.name);
	}
	c->session->proto = (uint8_t)h.proto;
	c->reply->proto = (int)h.proto;
	hello_answer(c);
	return KV_OK;
}

/* A bucket by name: its records are the strings from now on. */
static int
select_bucket(struct call *c, struct kv_slice name)
{
	const struct bucket *b;
	struct session_extra *x;
	int rc = keyspace_bucket(c, name, &b);

	if (rc == KV_ENOTFOUND)
		return call_error(c, "ERR no such bucket");
	if (rc < 0)
		return rc;
	if ((x = session_extra(c->session)) == NULL)
		return KV_ENOMEM;
	memcpy(x->bucket, name.data, name.len);
	x->bucket_len = name.len;
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_select(struct call *c)
{
	uint32_t named;
	int64_t n;

	if (keyspace_is_database(c->worker, c->args[1], &named))
		n = named;
	else if (num_parse_i64(c->args[1], &n) < 0)
		return select_bucket(c, c->args[1]);
	if (n < 0 || n >= (int64_t)c->worker->databases)
		return call_error(c, "ERR DB index is out of range");
	c->session->database = (uint32_t)n;
	if (c->session->extra != NULL)
		c->session->extra->bucket_len = 0;
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_quit(struct call *c)
{
	reply_ok(c->reply);
	c->worker->run->stop = true;
	conn_finish(&c->session->conn, true);
	return KV_OK;
}

int
cmd_reset(struct call *c)
{
	pubsub_end(c->session);
	monitor_end(c->session);
	session_reset(c->session);
	c->reply->proto = 2;
	reply_simple(c->reply, "RESET");
	return KV_OK;
}
