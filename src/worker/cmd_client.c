/* SPDX-License-Identifier: ISC */
/* CLIENT: who is connected, to any worker of the host. */

#include "base/num.h"
#include "worker/clients.h"
#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/listing.h"
#include "worker/pause.h"
#include "worker/round.h"
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
	presence_name(x, c->args[2]);
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

static int
client_answer_text(struct call *c, const struct buf *text)
{
	reply_verbatim(c->reply, "txt", buf_slice(text));
	return KV_OK;
}

/* Of one transaction. */
static int
client_asks_too_much(struct call *c)
{
	return call_error(c,
	    "ERR too many CLIENT LIST and CLIENT KILL in one transaction");
}

static int
client_info(struct call *c)
{
	struct buf *b = &c->worker->scratch;
	int rc;

	b->len = 0;
	if ((rc = clients_line(c->session, false, b)) < 0)
		return rc;
	return client_answer_text(c, b);
}

/* What of a list is wanted.  False: it is answered. */
static bool
client_list_options(struct call *c, struct filter *f, struct buf *ids)
{
	bool by_id = c->argc > 3 && slice_is_word(c->args[2], "id");
	uint64_t id;
	size_t i;

	*f = (struct filter){ .type = FILTER_ANY };
	if (c->argc == 4 && slice_is_word(c->args[2], "type")) {
		if (filter_type(c->args[3], &f->type))
			return true;
		call_errorf(c, "ERR Unknown client type '%.*s'",
		    (int)(c->args[3].len < 128 ? c->args[3].len : 128),
		    c->args[3].data);
		return false;
	}
	if (c->argc > 2 && !by_id) {
		call_error(c, "ERR syntax error");
		return false;
	}
	for (i = 3; i < c->argc; i++)
		if (num_parse_u64(c->args[i], &id) < 0 ||
		    buf_append(ids, &id, sizeof(id)) < 0) {
			call_error(c, "ERR Invalid client ID");
			return false;
		}
	return true;
}

/* Of all workers; this one's as they are when the others have answered. */
static int
client_list_all(struct call *c, const struct filter *f, struct buf *ids)
{
	char body[FILTER_BYTES_MAX];
	struct buf all, *out = &c->worker->scratch;
	struct round_use *u;
	struct kv_slice theirs;
	int rc;

	rc = round_use(c, ASK_CLIENTS,
	    (struct kv_slice){ body, filter_encode(f, body) }, &u);
	if (rc < 0 || round_holds(c, u))
		return rc;
	buf_init(&all);
	if ((rc = clients_list(c->worker, f, &all)) == KV_OK &&
	    (rc = round_text(u, &theirs)) == KV_OK)
		rc = buf_append(&all, theirs.data, theirs.len);
	out->len = 0;
	if (rc == KV_OK)
		rc = listing_merge(buf_slice(&all),
		    (uint64_t *)(void *)ids->data, ids->len / sizeof(uint64_t),
		    out);
	if (rc == KV_ETOOBIG || out->len > c->worker->serve.limits.output)
		rc = call_blame(c, "reply", all.len,
		    c->worker->serve.limits.output);
	if (rc == KV_OK)
		client_answer_text(c, out);
	out->len = 0;
	buf_shrink(out, 65536);
	buf_fini(&all);
	return rc;
}

static int
client_list(struct call *c)
{
	struct filter f;
	struct buf ids;
	int rc = KV_OK;

	buf_init(&ids);
	if (client_list_options(c, &f, &ids))
		rc = client_list_all(c, &f, &ids);
	buf_fini(&ids);
	return rc == KV_EBUSY ? client_asks_too_much(c) : rc;
}

/* Once: what was closed here is counted when it happens, and kept. */
static void
client_kill_here(struct call *c, const struct filter *f, struct round_use *u)
{
	bool me;

	if (!u->first)
		return;
	u->first = false;
	u->own = clients_kill(c->worker, f, c->session, &me);
	if (me && !f->spare_me) {
		u->own++;
		u->me = true;
	}
}

static int
client_kill(struct call *c)
{
	char body[FILTER_BYTES_MAX], why[FILTER_WHY_MAX];
	struct round_use *u;
	struct filter f;
	int64_t killed;
	int rc;

	if (c->argc == 3)
		filter_of_peer(c->args[2], &f);
	else if (filter_parse(c->args + 2, c->argc - 2, &f, why) < 0)
		return call_error(c, why);
	rc = round_use(c, ASK_KILL,
	    (struct kv_slice){ body, filter_encode(&f, body) }, &u);
	if (rc < 0)
		return rc == KV_EBUSY ? client_asks_too_much(c) : rc;
	client_kill_here(c, &f, u);
	if (round_holds(c, u))
		return KV_OK;
	killed = (int64_t)(u->own + round_sum(u));
	if (u->me) {
		/* The answer still leaves. */
		c->worker->run->stop = true;
		conn_finish(&c->session->conn, true);
	}
	if (c->argc > 3)
		reply_integer(c->reply, killed);
	else if (killed == 0)
		return call_error(c, "ERR No such client");
	else
		reply_ok(c->reply);
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
