/* SPDX-License-Identifier: ISC */
/* CLIENT: who is connected to this worker. */

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/num.h"
#include "io/sock.h"
#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/multi.h"
#include "worker/pause.h"
#include "worker/pubsub.h"
#include "worker/run.h"

static int
client_id(struct call *c)
{
	reply_integer(c->reply, (int64_t)c->session->id);
	return KV_OK;
}

static bool
client_text_fits(struct kv_slice text)
{
	size_t i;

	for (i = 0; i < text.len; i++)
		if (text.data[i] < '!' || text.data[i] > '~')
			return false;
	return text.len < SESSION_TEXT_MAX;
}

static void
client_keep(char to[SESSION_TEXT_MAX], struct kv_slice text)
{
	memcpy(to, text.data, text.len);
	to[text.len] = '\0';
}

static int
client_setname(struct call *c)
{
	struct session_extra *x;

	if (!client_text_fits(c->args[2]))
		return call_error(c,
		    "ERR Client names cannot contain spaces, newlines or"
		    " special characters.");
	if ((x = session_extra(c->session)) == NULL)
		return KV_ENOMEM;
	client_keep(x->name, c->args[2]);
	reply_ok(c->reply);
	return KV_OK;
}

static int
client_getname(struct call *c)
{
	const struct session_extra *x = c->session->extra;

	if (x == NULL || x->name[0] == '\0')
		reply_null(c->reply);
	else
		reply_text(c->reply, x->name);
	return KV_OK;
}

static int
client_setinfo(struct call *c)
{
	bool version = slice_is_word(c->args[2], "lib-ver");
	struct session_extra *x;

	if (!version && !slice_is_word(c->args[2], "lib-name"))
		return call_errorf(c, "ERR Unrecognized option '%.*s'",
		    (int)(c->args[2].len < 128 ? c->args[2].len : 128),
		    c->args[2].data);
	if (!client_text_fits(c->args[3]))
		return call_errorf(c,
		    "ERR %s cannot contain spaces, newlines or special"
		    " characters.",
		    version ? "lib-ver" : "lib-name");
	if ((x = session_extra(c->session)) == NULL)
		return KV_ENOMEM;
	client_keep(version ? x->library_version : x->library, c->args[3]);
	reply_ok(c->reply);
	return KV_OK;
}

/* One line as Redis writes it. */
static int
client_describe(const struct session *s, struct buf *to)
{
	static const struct session_extra none = { .name = "" };
	const struct session_extra *x = s->extra == NULL ? &none : s->extra;
	uint64_t now = clock_wall_ms();
	uint64_t idle =
	    (loop_now(s->conn.serve->loop) - s->conn.active_ns) / 1000000000u;
	bool is_subscriber = s->subscriber != NULL || s->pubsub != NULL;
	char peer[SOCK_TEXT_MAX], local[SOCK_TEXT_MAX];

	peer[sock_peer_text(s->conn.source.fd, peer, sizeof(peer) - 1)] = 0;
	local[sock_local_text(s->conn.source.fd, local, sizeof(local) - 1)] = 0;
	return buf_printf(to,
	    "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu"
	    " flags=%s db=%u sub=%zu psub=%zu ssub=0 multi=%d watch=%zu qbuf=%zu"
	    " qbuf-free=0 argv-mem=0 multi-mem=0 obl=0 oll=0 omem=%zu"
	    " tot-mem=%zu events=r cmd=%s user=default redir=-1 resp=%d"
	    " lib-name=%s lib-ver=%s\n",
	    (unsigned long long)s->id, peer, local, s->conn.source.fd, x->name,
	    (unsigned long long)((now - s->created_ms) / 1000),
	    (unsigned long long)idle,
	    s->flags & SESSION_MONITOR ? "O"
		: is_subscriber	       ? "P"
				       : "N",
	    (unsigned)s->database,
	    s->subscriber != NULL ? 1 : pubsub_count(s, CHANNEL_NAME),
	    pubsub_count(s, CHANNEL_PATTERN),
	    multi_is_open(s) ? (int)multi_count(s) : -1, multi_watched(s),
	    s->conn.in.len, output_pending(&s->conn),
	    sizeof(*s) + s->conn.in.cap + s->conn.out.cap,
	    s->last == NULL ? "NULL" : s->last->info.name, s->proto, x->library,
	    x->library_version);
}

static int
client_answer_text(struct call *c, const struct buf *text)
{
	reply_verbatim(c->reply, "txt", buf_slice(text));
	return KV_OK;
}

static int
client_info(struct call *c)
{
	struct buf *b = &c->worker->scratch;
	int rc;

	b->len = 0;
	if ((rc = client_describe(c->session, b)) < 0)
		return rc;
	return client_answer_text(c, b);
}

static int
client_list(struct call *c)
{
	struct buf *b = &c->worker->scratch;
	struct conn *conn;
	int rc;

	b->len = 0;
	DL_FOREACH(c->worker->serve.conns, conn) {
		if ((rc = client_describe(session_of(conn), b)) < 0)
			return rc;
	}
	client_answer_text(c, b);
	b->len = 0;
	buf_shrink(b, 65536);
	return KV_OK;
}

/* Which clients CLIENT KILL means. */
struct client_filter {
	uint64_t id;
	struct kv_slice address, local;
	bool by_id, by_address, by_local, spare_me;
	enum { TYPE_ANY, TYPE_NORMAL, TYPE_PUBSUB, TYPE_NONE } type;
};

static bool
client_matches(const struct session *s, const struct client_filter *f)
{
	char text[SOCK_TEXT_MAX];
	int fd = s->conn.source.fd;

	if (f->by_id && s->id != f->id)
		return false;
	if (f->type != TYPE_ANY &&
	    f->type !=
		(s->pubsub != NULL || s->subscriber != NULL ? TYPE_PUBSUB
							    : TYPE_NORMAL))
		return false;
	if (f->by_address &&
	    !slice_equal(f->address,
		(struct kv_slice){ text,
		    sock_peer_text(fd, text, sizeof(text)) }))
		return false;
	return !f->by_local ||
	    slice_equal(f->local,
		(struct kv_slice){ text,
		    sock_local_text(fd, text, sizeof(text)) });
}

static int64_t
client_kill_all(struct call *c, const struct client_filter *f)
{
	struct conn *conn, *next;
	int64_t killed = 0;

	DL_FOREACH_SAFE(c->worker->serve.conns, conn, next) {
		if (!client_matches(session_of(conn), f))
			continue;
		if (conn != &c->session->conn) {
			conn_close(conn);
		} else if (!f->spare_me) {
			/* The answer still leaves. */
			c->worker->run->stop = true;
			conn_finish(conn, true);
		} else {
			continue;
		}
		killed++;
	}
	return killed;
}

static bool
client_filter_option(struct client_filter *f, struct kv_slice name,
    struct kv_slice value, bool *fits)
{
	*fits = true;
	if (slice_is_word(name, "id")) {
		f->by_id = true;
		*fits = num_parse_u64(value, &f->id) == KV_OK && f->id > 0;
	} else if (slice_is_word(name, "addr")) {
		f->by_address = true;
		f->address = value;
	} else if (slice_is_word(name, "laddr")) {
		f->by_local = true;
		f->local = value;
	} else if (slice_is_word(name, "skipme")) {
		f->spare_me = slice_is_word(value, "yes");
		*fits = f->spare_me || slice_is_word(value, "no");
	} else if (slice_is_word(name, "type")) {
		f->type = TYPE_NONE; /* replicas and masters: there are none */
		if (slice_is_word(value, "normal"))
			f->type = TYPE_NORMAL;
		else if (slice_is_word(value, "pubsub"))
			f->type = TYPE_PUBSUB;
	} else {
		return slice_is_word(name, "user");
	}
	return true;
}

static int
client_kill(struct call *c)
{
	struct client_filter f = { .spare_me = true };
	bool fits;
	size_t i;

	if (c->argc == 3) {
		f.by_address = true;
		f.address = c->args[2];
		f.spare_me = false;
		if (client_kill_all(c, &f) == 0)
			return call_error(c, "ERR No such client");
		reply_ok(c->reply);
		return KV_OK;
	}
	for (i = 2; i < c->argc; i += 2) {
		if (i + 1 == c->argc ||
		    !client_filter_option(&f, c->args[i], c->args[i + 1],
			&fits))
			return call_error(c, "ERR syntax error");
		if (!fits)
			return call_error(c,
			    "ERR client-id should be greater than 0");
	}
	reply_integer(c->reply, client_kill_all(c, &f));
	return KV_OK;
}

static int
client_reply(struct call *c)
{
	struct session *s = c->session;

	if (slice_is_word(c->args[2], "on")) {
		s->flags &= (uint16_t) ~(SESSION_MUTE | SESSION_SKIP);
		reply_ok(c->reply);
	} else if (slice_is_word(c->args[2], "off")) {
		s->flags |= SESSION_MUTE;
	} else if (slice_is_word(c->args[2], "skip")) {
		if (!(s->flags & SESSION_MUTE))
			s->flags |= SESSION_SKIP_NEXT;
	} else {
		return call_error(c, "ERR syntax error");
	}
	return KV_OK;
}

/* ON and OFF of something that we do not do. */
static int
client_switch(struct call *c)
{
	if (!slice_is_word(c->args[2], "on") &&
	    !slice_is_word(c->args[2], "off"))
		return call_error(c, "ERR syntax error");
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_client(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "id", 2, client_id },
		{ "setname", 3, client_setname },
		{ "getname", 2, client_getname },
		{ "setinfo", 4, client_setinfo },
		{ "info", 2, client_info },
		{ "list", -2, client_list },
		{ "kill", -3, client_kill },
		{ "reply", 3, client_reply },
		{ "pause", -3, pause_begin },
		{ "unpause", 2, pause_end },
		{ "no-evict", 3, client_switch },
		{ "no-touch", 3, client_switch },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}
