/* SPDX-License-Identifier: ISC */
/* Who is connected to the workers of this host, as they tell it
 * (worker/presence.h), and who is anywhere. */

#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "base/num.h"
#include "proto/reply.h"
#include "syncd/desk.h"

/* For new workers: often for a while after the start and after one went, which
 * kvd starts again; else now and then. */
#define ROSTER_SOON_NS 250000000u
#define ROSTER_SOON_FOR_NS 10000000000u
#define ROSTER_LOOK_NS 10000000000u
#define ROSTER_LINE_MAX 256

struct roster_entry {
	uint64_t id;
	unsigned slot; /* of its worker */
	UT_hash_handle hh;
};

static bool
roster_is_told(const struct desk *d, unsigned slot)
{
	struct conn *c;

	DL_FOREACH(d->serve.conns, c)
		if (desk_conn_of(c)->kind == &roster_kind &&
		    desk_conn_of(c)->slot == slot)
			return true;
	return false;
}

static void
roster_look(struct timer *timer)
{
	struct desk *d = loop_owner(timer, struct desk, look);
	uint64_t now = loop_now(d->s->loop);
	unsigned slot;

	for (slot = 0; slot < CONTROL_PROCESSES; slot++)
		if (desk_has_worker(d, slot) && !roster_is_told(d, slot))
			/* Who cannot be reached now is at the next look. */
			(void)desk_connect(d, &roster_kind, slot, 'P');
	loop_timer_set(d->s->loop, timer,
	    now + (now < d->look_soon_ns ? ROSTER_SOON_NS : ROSTER_LOOK_NS));
}

static void
roster_look_soon(struct desk *d)
{
	uint64_t now = loop_now(d->s->loop);

	d->look_soon_ns = now + ROSTER_SOON_FOR_NS;
	loop_timer_set(d->s->loop, &d->look, now);
}

void
roster_init(struct desk *d)
{
	d->look.expired = roster_look;
	roster_look_soon(d);
}

static void
roster_forget(struct desk *d, struct roster_entry *e)
{
	if (d->services != NULL)
		services_client_gone(d->services, e->id);
	HASH_DEL(d->roster, e);
	free(e);
}

void
roster_fini(struct desk *d)
{
	struct roster_entry *e, *next;

	loop_timer_clear(d->s->loop, &d->look);
	HASH_ITER(hh, d->roster, e, next)
		roster_forget(d, e);
}

static struct roster_entry *
roster_find(const struct desk *d, uint64_t id)
{
	struct roster_entry *e;

	HASH_FIND(hh, d->roster, &id, sizeof(id), e);
	return e;
}

/* Beyond their number clients are just not shown. */
static int
roster_enter(struct desk_conn *c, const struct item_client *client)
{
	struct desk *d = desk_of(c);
	struct roster_entry *e;

	if (services_client(d->services, client) != KV_OK ||
	    roster_find(d, client->id) != NULL)
		return KV_OK;
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return KV_ENOMEM;
	e->id = client->id;
	e->slot = c->slot;
	HASH_ADD(hh, d->roster, id, sizeof(e->id), e);
	return KV_OK;
}

/* ---- what a worker tells ---- */

/* The number that the text begins with, and the blank behind it. */
static bool
roster_number(struct kv_slice *text, uint64_t *out)
{
	const char *end = memchr(text->data, ' ', text->len);
	size_t n = end == NULL ? text->len : (size_t)(end - text->data);

	if (num_parse_u64((struct kv_slice){ text->data, n }, out) < 0)
		return false;
	n += end != NULL;
	*text = (struct kv_slice){ text->data + n, text->len - n };
	return true;
}

static bool
roster_line(struct desk_conn *c, struct kv_slice line)
{
	struct roster_entry *e;
	struct item_client client = { .is_gone = false };
	char sign;
	uint64_t since = 0;

	if (line.len < 2 || line.len > ROSTER_LINE_MAX)
		return false;
	sign = line.data[0];
	line = (struct kv_slice){ line.data + 1, line.len - 1 };
	if ((sign != '+' && sign != '-') || !roster_number(&line, &client.id) ||
	    (sign == '+' && !roster_number(&line, &since)))
		return false;
	if (sign == '-') {
		if ((e = roster_find(desk_of(c), client.id)) != NULL)
			roster_forget(desk_of(c), e);
		return true;
	}
	/* Of microseconds what a tick's counter holds. */
	client.tick = since / 1000 << 16 | since % 1000 * 65;
	client.name = line;
	return roster_enter(c, &client) == KV_OK;
}

static size_t
roster_input(struct desk_conn *c, struct kv_slice in)
{
	const char *end;
	size_t used = 0;

	while ((end = memchr(in.data + used, '\n', in.len - used)) != NULL) {
		struct kv_slice line = { in.data + used,
			(size_t)(end - in.data) - used };

		used += line.len + 1;
		if (!roster_line(c, line)) {
			conn_close(&c->conn);
			return in.len;
		}
	}
	desk_wants_turn(desk_of(c));
	return used;
}

/* The worker is gone, its clients with it. */
static void
roster_closed(struct desk_conn *c)
{
	struct desk *d = desk_of(c);
	struct roster_entry *e, *next;

	HASH_ITER(hh, d->roster, e, next)
		if (e->slot == c->slot)
			roster_forget(d, e);
	if (d->is_open)
		roster_look_soon(d);
	desk_wants_turn(d);
}

const struct desk_kind roster_kind = { roster_input, roster_closed };

/* ---- what is told of all ---- */

struct roster_list {
	const struct desk *desk;
	struct reply reply;
	size_t count;
	bool is_line;
};

static int
roster_count(void *user, const struct services_presence *p)
{
	struct roster_list *l = user;

	(void)p;
	l->count++;
	return KV_OK;
}

static int
roster_item(void *user, const struct services_presence *p)
{
	struct roster_list *l = user;
	const char *node =
	    p->node == NULL ? conf_node(l->desk->s->conf) : p->node;

	if (l->is_line)
		return buf_printf(l->reply.out, "%s %llu %.*s\r\n", node,
		    (unsigned long long)p->client.id, (int)p->client.name.len,
		    p->client.name.data);
	reply_array(&l->reply, 3);
	reply_text(&l->reply, node);
	reply_integer(&l->reply, (int64_t)p->client.id);
	reply_bulk(&l->reply, p->client.name);
	return l->reply.rc;
}

static int
roster_holder(const struct desk *d, struct kv_slice name, struct roster_list *l)
{
	struct services_presence p;
	int rc = services_holder(d->services, name, &p);

	if (!l->is_line)
		reply_array(&l->reply, rc == KV_OK);
	if (rc == KV_OK)
		return roster_item(l, &p);
	return rc == KV_ENOTFOUND ? l->reply.rc : rc;
}

int
roster_write(const struct desk *d, char form, const struct kv_slice *name,
    struct buf *to)
{
	struct roster_list l = {
		.desk = d,
		.reply = { to, form == '3' ? 3 : 2, KV_OK },
		.is_line = form == 'L',
	};
	int rc;

	if (name == NULL && !l.is_line) {
		(void)services_each_client(d->services, roster_count, &l);
		reply_array(&l.reply, l.count);
	}
	rc = name == NULL ? services_each_client(d->services, roster_item, &l)
			  : roster_holder(d, *name, &l);
	if (rc == KV_OK && l.is_line)
		rc = buf_append(to, "OK\r\n", 4);
	return rc;
}
