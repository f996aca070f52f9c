/* SPDX-License-Identifier: ISC */
/* What workers ask for their clients: one request a connection, an array in
 * RESP.
 *
 *	CALL form node ms command ...	ms 0: until the connection closes
 *	WAIT seq n ms		ms 0: likewise
 *	BARRIER seq ms
 *	CLIENTS form [name]
 *	KICK [node]		without: all
 *
 * form is L, 2 or 3: the protocol of the client.  The answer is bulk strings,
 * bytes for the client, and at the end a status, an integer or an error whose
 * first word is its class. */

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/num.h"
#include "proto/reply.h"
#include "syncd/desk.h"
#include "syncd/peer.h"

#define DOOR_HELD 131072	  /* bytes that a worker may leave unread */
#define DOOR_HELD_ALL (16u << 20) /* of all answers: from there on no more */
#define DOOR_PIECE 65536

/* The last word: write it, and close when it is sent. */
static void
door_end(struct desk_conn *c, char type, const char *text)
{
	struct buf line;
	bool outer = conn_enter(&c->conn);

	c->id = 0;
	buf_init(&line);
	if (buf_printf(&line, "%c%s\r\n", type, text) < 0)
		conn_close(&c->conn);
	else if (desk_write(c, buf_slice(&line)))
		conn_finish(&c->conn, true);
	if (!conn_is_dead(&c->conn))
		conn_close_if_done(&c->conn);
	buf_fini(&line);
	conn_leave(&c->conn, outer);
}

static void
door_refuse(struct desk_conn *c, const char *class, struct kv_slice node,
    const char *why)
{
	char text[300];
	size_t i;

	snprintf(text, sizeof(text), "%s %.*s: %s", class,
	    (int)(node.len < 64 ? node.len : 64), node.data, why);
	for (i = 0; text[i] != '\0'; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	door_end(c, '-', text);
}

/* ---- bytes for a client ---- */

static bool
door_is_full(const struct desk_conn *c)
{
	bool many = c->conn.serve->unsent > DOOR_HELD_ALL;

	return output_pending(&c->conn) > (many ? 0 : DOOR_HELD);
}

/* A worker that does not read holds back; see door_resume. */
static void
door_bulk(struct desk_conn *c, struct kv_slice bytes)
{
	char head[32];
	int n = snprintf(head, sizeof(head), "$%zu\r\n", bytes.len);
	struct kv_slice tail = { "\r\n", 2 };

	if (output_append(&c->conn, head, (size_t)n) &&
	    output_append(&c->conn, bytes.data, bytes.len))
		(void)desk_write(c, tail);
	if (!conn_is_dead(&c->conn) && door_is_full(c))
		conn_hold(&c->conn, CONN_HOLD_OUTPUT);
}

void
door_answer(void *user, uint64_t ask, struct kv_slice bytes)
{
	struct desk *d = user;
	struct desk_conn *c = desk_find(d, &door_kind, ask);
	bool outer;

	if (c == NULL || c->is_wait)
		return;
	outer = conn_enter(&c->conn);
	door_bulk(c, bytes);
	if (c->conn.flags & CONN_HOLD_OUTPUT)
		c->owed += bytes.len;
	else
		services_taken(d->services, ask, bytes.len);
	conn_leave(&c->conn, outer);
}

void
door_answered(void *user, uint64_t ask, enum services_end end,
    struct kv_slice why)
{
	struct desk *d = user;
	struct desk_conn *c = desk_find(d, &door_kind, ask);
	char text[256];

	if (c == NULL || c->is_wait)
		return;
	if (end == CALL_DONE) {
		door_end(c, '+', "OK");
		return;
	}
	snprintf(text, sizeof(text), "%.*s",
	    (int)(why.len < 200 ? why.len : 200), why.data);
	door_refuse(c, services_end_text(end), buf_slice(&c->text), text);
}

void
door_settled(void *user, uint64_t wait, unsigned count, const char *missing)
{
	struct desk *d = user;
	struct desk_conn *c = desk_find(d, &door_kind, wait);
	char text[128];

	if (c == NULL || !c->is_wait)
		return;
	if (missing != NULL)
		snprintf(text, sizeof(text), "unavailable waiting for %s",
		    missing);
	else
		snprintf(text, sizeof(text), "%u", count);
	door_end(c, missing != NULL ? '-' : ':', text);
}

/* Go on with an answer that is made already. */
static void
door_feed(struct desk_conn *c)
{
	bool outer = conn_enter(&c->conn);

	while (c->at < c->rest.len && !conn_is_dead(&c->conn) &&
	    !(c->conn.flags & CONN_HOLD_OUTPUT)) {
		size_t n = c->rest.len - c->at;

		n = n < DOOR_PIECE ? n : DOOR_PIECE;
		door_bulk(c, (struct kv_slice){ c->rest.data + c->at, n });
		c->at += n;
	}
	if (!conn_is_dead(&c->conn) && c->at == c->rest.len)
		door_end(c, '+', "OK");
	conn_leave(&c->conn, outer);
}

/* The worker has read some. */
static void
door_resume(struct desk_conn *c)
{
	size_t owed = c->owed;

	if (door_is_full(c)) {
		conn_hold(&c->conn, CONN_HOLD_OUTPUT);
		return;
	}
	if (c->rest.len > 0) {
		door_feed(c);
	} else if (owed > 0) {
		c->owed = 0;
		services_taken(desk_of(c)->services, c->id, owed);
		desk_wants_turn(desk_of(c));
	}
}

/* ---- requests ---- */

typedef void door_request(struct desk_conn *c, const struct kv_slice *args,
    size_t argc);

static bool
door_number(struct kv_slice text, uint64_t max, uint64_t *out)
{
	return num_parse_u64(text, out) == KV_OK && *out <= max;
}

static void
door_call(struct desk_conn *c, const struct kv_slice *args, size_t argc)
{
	struct desk *d = desk_of(c);
	struct kv_slice *argv = NULL;
	char node[FRAME_NAME_MAX + 1];
	struct services_request r = { .node = node, .argc = argc - 3 };
	uint64_t ms;
	int rc = KV_ENOTFOUND;

	if (args[1].len != 1 || !door_number(args[3], UINT32_MAX, &ms)) {
		door_end(c, '-', "failed not a request");
		return;
	}
	if (buf_append(&c->text, args[2].data,
		args[2].len < sizeof(node) ? args[2].len : sizeof(node)) < 0 ||
	    (argv = malloc(r.argc * sizeof(*argv))) == NULL) {
		conn_close(&c->conn);
		return;
	}
	argv[0] = args[1];
	memcpy(argv + 1, args + 4, (argc - 4) * sizeof(*argv));
	r.argv = argv;
	r.deadline_ms = (uint32_t)ms;
	snprintf(node, sizeof(node), "%.*s", (int)c->text.len, c->text.data);
	if (args[2].len < sizeof(node) && args[2].len > 0)
		rc = services_ask(d->services, &r, syncd_now(d->s), &c->id);
	free(argv);
	if (rc == KV_OK)
		desk_wants_turn(d);
	else if (services_name_fits(node, conf_node(d->s->conf)))
		door_refuse(c, "failed", args[2], "that is this node itself");
	else if (rc == KV_ENOTFOUND)
		door_refuse(c, "noconnection", args[2], "no link to it");
	else
		door_refuse(c, "failed", args[2],
		    rc == KV_EBUSY	   ? "too many calls are in flight"
			: rc == KV_ETOOBIG ? "the arguments are over a mebibyte"
					   : "out of memory");
}

static void
door_waits(struct desk_conn *c, int rc)
{
	c->is_wait = rc == KV_OK;
	if (rc == KV_OK)
		desk_wants_turn(desk_of(c));
	else
		door_end(c, '-', "unavailable too many wait already");
}

static void
door_wait(struct desk_conn *c, const struct kv_slice *args, size_t argc)
{
	struct desk *d = desk_of(c);
	uint64_t seq, n, ms;

	(void)argc;
	if (!door_number(args[1], UINT64_MAX, &seq) ||
	    !door_number(args[2], UINT64_MAX, &n) ||
	    !door_number(args[3], UINT32_MAX, &ms)) {
		door_end(c, '-', "failed not a request");
		return;
	}
	door_waits(c,
	    services_wait(d->services, seq,
		n < SYNCD_PEERS_MAX ? (unsigned)n : SYNCD_PEERS_MAX + 1,
		ms == 0 ? UINT64_MAX : syncd_now(d->s) + ms, &c->id));
}

/* The members are those of the configuration; who else is linked is added by
 * the services. */
static void
door_barrier(struct desk_conn *c, const struct kv_slice *args, size_t argc)
{
	struct desk *d = desk_of(c);
	struct kv_slice nodes[MEMBERS_MAX];
	const struct member *m = NULL;
	size_t count = 0;
	uint64_t seq, ms;

	(void)argc;
	if (!door_number(args[1], UINT64_MAX, &seq) ||
	    !door_number(args[2], UINT32_MAX, &ms)) {
		door_end(c, '-', "failed not a request");
		return;
	}
	while ((m = members_next(d->s->members, m)) != NULL)
		if (m->source == MEMBER_OF_NODES && count < MEMBERS_MAX)
			nodes[count++] = slice_of(m->name);
	door_waits(c,
	    services_barrier(d->services, seq, nodes, count,
		syncd_now(d->s) + ms, &c->id));
}

static void
door_clients(struct desk_conn *c, const struct kv_slice *args, size_t argc)
{
	if (args[1].len != 1 ||
	    roster_write(desk_of(c), args[1].data[0],
		argc > 2 ? &args[2] : NULL, &c->rest) < 0)
		door_end(c, '-', "failed out of memory");
	else
		door_feed(c);
}

/* The links of that node end; how many. */
static void
door_kick(struct desk_conn *c, const struct kv_slice *args, size_t argc)
{
	struct desk *d = desk_of(c);
	char node[FRAME_NAME_MAX + 1] = "", text[NUM_TEXT_MAX + 1];
	struct replica_status st;
	unsigned count = 0;
	struct peer *p;

	if (argc > 1 && args[1].len < sizeof(node))
		memcpy(node, args[1].data, args[1].len);
	DL_FOREACH(d->s->peers, p) {
		if (!p->is_up || p->link == NULL || p->is_kicked)
			continue;
		replica_status(d->s->replica, p->link, &st);
		if (argc > 1 &&
		    (node[0] == '\0' || !services_name_fits(node, st.name)))
			continue;
		p->is_kicked = true;
		count++;
		log_info("kick node=%s address=%s", st.name, p->address);
	}
	if (count > 0)
		desk_wants_turn(d);
	text[num_format_u64(text, count)] = '\0';
	door_end(c, ':', text);
}

static void
door_begin(struct desk_conn *c, const struct request *r)
{
	static const struct {
		const char *verb;
		size_t least, most;
		door_request *run;
	} table[] = {
		{ "call", 5, ITEM_ARGS_MAX + 3, door_call },
		{ "wait", 4, 4, door_wait },
		{ "barrier", 3, 3, door_barrier },
		{ "clients", 2, 3, door_clients },
		{ "kick", 1, 2, door_kick },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (slice_is_word(r->args[0], table[i].verb) &&
		    r->count >= table[i].least && r->count <= table[i].most) {
			table[i].run(c, r->args, r->count);
			return;
		}
	door_end(c, '-', "failed not a request");
}

static size_t
door_input(struct desk_conn *c, struct kv_slice in)
{
	static const struct resp_limits limits = {
		.bulk = 2 * ITEM_ARGS_BYTES,
		.inline_line = 1024,
	};
	struct desk *d = desk_of(c);
	size_t used;
	int rc;

	if (c->id != 0 || c->rest.len > 0) {
		door_resume(c);
		return in.len;
	}
	rc = resp_parse(&c->parser, in, &limits, &d->request);
	used = d->request.used;
	if (rc == KV_EMORE) {
		c->conn.need = c->parser.need;
		return used;
	}
	if (rc == KV_OK)
		door_begin(c, &d->request);
	else
		conn_close(&c->conn);
	request_trim(&d->request);
	return in.len;
}

/* Its client is gone, or has its answer. */
static void
door_closed(struct desk_conn *c)
{
	struct desk *d = desk_of(c);

	if (c->id == 0)
		return;
	if (c->is_wait)
		services_forget(d->services, c->id);
	else
		services_drop(d->services, c->id);
	desk_wants_turn(d);
}

const struct desk_kind door_kind = { door_input, door_closed };
