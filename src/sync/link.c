/* SPDX-License-Identifier: ISC */
/* Links: HELLO both ways, and which of two links to one node stays. */

#include "sync/core.h"

#include <stdio.h>
#include <stdlib.h>

#define HELD_MS 1000 /* for the old link's PONG */

/* ---- opening and closing ---- */

static void
init_streams(struct replica *r, struct replica_link *l)
{
	size_t i;

	for (i = 0; i < CORE_STREAMS; i++)
		op_reader_init(&l->from[i].reader, 0, r->config.value_max);
}

int
replica_open(struct replica *r, bool initiator, struct kv_slice dialled,
    struct replica_link **out)
{
	struct replica_link *l;

	if (dialled.len > FRAME_NAME_MAX)
		return KV_EINVAL;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return KV_ENOMEM;
	l->number = ++r->last_number;
	l->is_initiator = initiator;
	if (dialled.len > 0)
		memcpy(l->dialled, dialled.data, dialled.len);
	l->timeout_ms = r->config.timeout_ms;
	init_streams(r, l);
	l->next = r->links;
	r->links = l;
	*out = l;
	return KV_OK;
}

uint64_t
replica_link_number(const struct replica_link *l)
{
	return l->number;
}

static void
free_link(struct replica *r, struct replica_link *l)
{
	size_t i;

	for (i = 1; i < CORE_STREAMS; i++) {
		stream_end(r, &l->to[i]);
		buf_fini(&l->to[i].out);
		receive_end(r, l, (enum frame_stream)i);
		op_reader_fini(&l->from[i].reader);
		pending_fini(&l->from[i].stage);
		ticks_fini(&l->from[i].rows);
		buf_fini(&l->from[i].parked);
	}
	range_free(&l->answer);
	outbox_fini(&l->outbox);
	ticks_fini(&l->vv);
	buf_fini(&l->digest);
	free(l);
}

/* The link takes part in nothing any more. */
static void
leave(struct replica *r, struct replica_link *l, uint8_t bye, const char *text)
{
	struct replica_event *e;
	struct replica_link *o;
	size_t i;

	if (l->state == LINK_CLOSING)
		return;
	if (l->state == LINK_UP && r->config.services != NULL)
		r->config.services->down(r->config.services->user, l);
	l->state = LINK_CLOSING;
	for (i = 1; i < CORE_STREAMS; i++) {
		stream_end(r, &l->to[i]);
		receive_end(r, l, (enum frame_stream)i);
	}
	if (r->pull == l)
		r->pull = NULL;
	for (o = r->links; o != NULL; o = o->next)
		o->rows_due_ms = 0; /* what came directly may not any more */
	resync_link_gone(r, l);
	leaves_link_gone(r, l);
	e = core_event(r, REPLICA_DOWN, l);
	e->bye = bye;
	snprintf(e->text, sizeof(e->text), "%s", text);
}

void
replica_close(struct replica *r, struct replica_link *l)
{
	struct replica_link **at = &r->links;

	leave(r, l, 0, "connection closed");
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free_link(r, l);
}

void
link_end(struct replica *r, struct replica_link *l, enum frame_bye_code code,
    const char *text)
{
	struct frame f = { .type = FRAME_BYE };

	if (l->state == LINK_CLOSING)
		return;
	f.u.bye.code = (uint8_t)code;
	f.u.bye.text = slice_of(text);
	/* Without memory the peer sees the connection end, no more. */
	if (code != 0 && outbox_put(&l->outbox, &f) < 0)
		l->outbox.taken = l->outbox.bytes.len;
	leave(r, l, (uint8_t)code, text);
}

int
link_refuse(struct replica *r, struct replica_link *l, enum frame_bye_code code,
    const char *text)
{
	struct replica_event *e = NULL;

	if (code == BYE_PROTOCOL)
		e = core_event(r, REPLICA_PROTOCOL, l);
	else if (code == BYE_DUPLICATE)
		e = core_event(r, REPLICA_DUPLICATE, l);
	else if (code == BYE_CLOCK)
		e = core_event(r, REPLICA_CLOCK, l);
	if (e != NULL) {
		e->bye = (uint8_t)code;
		snprintf(e->text, sizeof(e->text), "%s", text);
	}
	link_end(r, l, code, text);
	return code == BYE_PROTOCOL ? KV_EPROTO : KV_ECLOSED;
}

void
replica_leave(struct replica *r, struct replica_link *l,
    enum frame_bye_code code)
{
	link_end(r, l, code, frame_bye_text(code));
}

void
replica_stop(struct replica *r)
{
	struct replica_link *l;

	for (l = r->links; l != NULL; l = l->next)
		replica_leave(r, l, BYE_STOP);
}

/* ---- HELLO ---- */

int
link_say(struct replica *r, struct replica_link *l)
{
	struct frame f = { .type = FRAME_HELLO };
	struct frame_hello *h = &f.u.hello;
	int rc;

	if (l->has_said)
		return KV_OK;
	h->wall_ms = r->now.wall_ms;
	h->uid = r->config.uid;
	h->inc = r->config.inc;
	h->start_tick = r->config.start;
	h->head_tick = r->head;
	h->port = r->config.port;
	h->name = slice_of(r->name);
	h->dialled = slice_of(l->dialled);
	h->lineage = buf_slice(&r->lineage);
	h->features = FEATURES & ~r->config.tuning.no_features;
	h->timeout_ms = r->config.timeout_ms;
	if ((rc = outbox_put(&l->outbox, &f)) < 0)
		return rc;
	l->has_said = true;
	return announce_rows(r, l, FRAME_VV, r->head);
}

/* A dialled name is all of a name or what stands before its '@'. */
static bool
name_fits(struct kv_slice dialled, struct kv_slice name)
{
	if (dialled.len == 0)
		return true;
	if (dialled.len > name.len ||
	    memcmp(dialled.data, name.data, dialled.len) != 0)
		return false;
	return dialled.len == name.len || name.data[dialled.len] == '@';
}

static int
keep_hello(struct replica *r, struct replica_link *l,
    const struct frame_hello *h)
{
	struct kv_slice rows = h->lineage;
	uint64_t clock = r->store.ops->clock(r->store.self);
	size_t i;

	l->has_hello = true;
	memcpy(l->name, h->name.data, h->name.len);
	l->uid = h->uid;
	l->inc = h->inc;
	l->start = h->start_tick;
	l->head = h->head_tick;
	l->features = h->features & ~r->config.tuning.no_features;
	if (h->timeout_ms > l->timeout_ms)
		l->timeout_ms = h->timeout_ms < CORE_TIMEOUT_MS
		    ? h->timeout_ms
		    : CORE_TIMEOUT_MS;
	while (l->lineage_count < FRAME_LINEAGE_MAX &&
	    item_take_row(&rows, &l->lineage[l->lineage_count]))
		l->lineage_count++;
	for (i = 1; i < CORE_STREAMS; i++)
		l->from[i].reader.peer_inc = h->inc;
	if (l->inc == 0 || l->uid == 0)
		return link_refuse(r, l, BYE_PROTOCOL, "HELLO without ids");
	for (i = 0; i < l->lineage_count; i++)
		if (l->lineage[i].inc == r->config.inc &&
		    l->lineage[i].tick > clock)
			return link_refuse(r, l, BYE_PROTOCOL,
			    "more of this run than it wrote, in a lineage");
	return KV_OK;
}

/* The name that the initiator meant is the responder's. */
static int
check_names(struct replica *r, struct replica_link *l,
    const struct frame_hello *h)
{
	struct frame f = { .type = FRAME_REDIRECT };
	int rc;

	if (!name_fits(slice_of(l->dialled), h->name)) {
		/* It reads in our HELLO whom we meant, and may know where. */
		l->is_misdialled = true;
		l->held_until_ms = r->now.mono_ms + HELD_MS;
		return KV_OK;
	}
	if (name_fits(h->dialled, slice_of(r->name)))
		return KV_OK;
	if (r->config.sibling != NULL)
		f.u.port =
		    r->config.sibling(r->config.sibling_user, h->dialled);
	if (f.u.port == 0)
		return link_refuse(r, l, BYE_NAME, "another node than dialled");
	if ((rc = outbox_put(&l->outbox, &f)) < 0)
		return rc;
	return link_refuse(r, l, BYE_REDIRECT, "look there");
}

/* ---- which link stays ---- */

struct replica_link *
link_find_inc(const struct replica *r, uint64_t inc)
{
	struct replica_link *l;

	for (l = r->links; l != NULL; l = l->next)
		if (l->state == LINK_UP && l->inc == inc)
			return l;
	return NULL;
}

/* Another link, that is up or waits to be. */
static bool
is_rival(const struct replica_link *o, const struct replica_link *l)
{
	return o != l && (o->state == LINK_UP || o->state == LINK_HELD);
}

/* One to the same store or of the same name. */
static struct replica_link *
find_other(const struct replica *r, const struct replica_link *l, bool by_name)
{
	struct replica_link *o;

	for (o = r->links; o != NULL; o = o->next) {
		if (!is_rival(o, l))
			continue;
		if (by_name ? strcmp(o->name, l->name) == 0 : o->uid == l->uid)
			return o;
	}
	return NULL;
}

static size_t
count_up(const struct replica *r)
{
	const struct replica_link *l;
	size_t n = 0;

	for (l = r->links; l != NULL; l = l->next)
		n += l->state == LINK_UP;
	return n;
}

/* Names are labels: the owner may change, but not unnoticed. */
static void
note_owner(struct replica *r, const struct replica_link *l)
{
	struct owner *o = r->owners;

	while (o < r->owners + CORE_OWNERS && strcmp(o->name, l->name) != 0)
		o++;
	if (o == r->owners + CORE_OWNERS)
		o = &r->owners[r->next_owner++ % CORE_OWNERS];
	else if (o->uid != l->uid)
		core_event(r, REPLICA_REPLACED, l);
	memcpy(o->name, l->name, sizeof(o->name));
	o->uid = l->uid;
}

static int
go_up(struct replica *r, struct replica_link *l)
{
	if (count_up(r) >= CORE_LINKS_MAX)
		return link_refuse(r, l, BYE_LIMIT, "too many peers");
	if (r->vector.count + r->batch.new_rows >= core_rows_max(r) &&
	    !core_has_room(r, l->inc))
		return link_refuse(r, l, BYE_LIMIT, "too many runs of nodes");
	l->state = LINK_UP;
	l->needs_sub = true;
	note_owner(r, l);
	core_event(r, REPLICA_UP, l);
	if (r->config.services != NULL)
		r->config.services->up(r->config.services->user, l);
	return receive_subscribe(r, l);
}

static uint64_t
initiator_uid(const struct replica *r, const struct replica_link *l)
{
	return l->is_initiator ? r->config.uid : l->uid;
}

/* Two links to one run: both ends keep the one whose initiator has the higher
 * uid; of two by the same initiator the newer one, since who dials again knows
 * that the old one is dead. */
static bool
new_one_stays(const struct replica *r, const struct replica_link *old,
    const struct replica_link *l)
{
	return initiator_uid(r, l) >= initiator_uid(r, old);
}

/* One to the same run. */
static struct replica_link *
find_twin(const struct replica *r, const struct replica_link *l)
{
	struct replica_link *o;

	for (o = r->links; o != NULL; o = o->next)
		if (is_rival(o, l) && o->uid == l->uid && o->inc == l->inc)
			return o;
	return NULL;
}

/* Another run of the same store: ask the old one whether it lives.  One at a
 * time: its answer is one link's. */
static int
hold(struct replica *r, struct replica_link *old, struct replica_link *l)
{
	const struct replica_link *o;

	for (o = r->links; o != NULL; o = o->next)
		if (o != l && o->state == LINK_HELD && o->uid == l->uid)
			return link_refuse(r, l, BYE_DUPLICATE,
			    "store has a link");
	l->state = LINK_HELD;
	l->held_until_ms = r->now.mono_ms + HELD_MS;
	return live_probe(r, old, &l->probe);
}

int
link_decide(struct replica *r, struct replica_link *l, bool old_lives)
{
	struct replica_link *old;

	if (old_lives)
		return link_refuse(r, l, BYE_DUPLICATE, "store has a link");
	while ((old = find_other(r, l, false)) != NULL)
		link_end(r, old, BYE_REPLACED, "restarted");
	if (find_other(r, l, true) != NULL)
		return link_refuse(r, l, BYE_DUPLICATE, "name is taken");
	return go_up(r, l);
}

static int
select_link(struct replica *r, struct replica_link *l)
{
	struct replica_link *twin = find_twin(r, l), *old;

	if (l->inc == r->config.inc)
		return link_refuse(r, l, BYE_SELF, "dialled itself");
	if (l->uid == r->config.uid)
		return link_refuse(r, l, BYE_DUPLICATE, "one store twice");
	if (strcmp(l->name, r->name) == 0)
		return link_refuse(r, l, BYE_DUPLICATE, "one name twice");
	if (MUTATED(ALL_LINKS_STAY) && twin != NULL)
		return go_up(r, l);
	if (twin != NULL && !new_one_stays(r, twin, l))
		return link_refuse(r, l, BYE_REPLACED, "another link stays");
	if (twin != NULL)
		link_end(r, twin, BYE_REPLACED, "another link stays");
	/* It may have been waiting for another run's word, and so must we. */
	if ((old = find_other(r, l, false)) != NULL)
		return hold(r, old, l);
	if (find_other(r, l, true) != NULL)
		return link_refuse(r, l, BYE_DUPLICATE, "name is taken");
	return go_up(r, l);
}

int
link_hello(struct replica *r, struct replica_link *l, const struct frame *f)
{
	const struct frame_hello *h = &f->u.hello;
	int rc;

	if (l->has_hello)
		return link_refuse(r, l, BYE_PROTOCOL, "a second HELLO");
	if ((rc = keep_hello(r, l, h)) < 0)
		return rc;
	live_clock(r, l, h->wall_ms, 0);
	if (l->inc != r->config.inc && (rc = check_names(r, l, h)) < 0)
		return rc;
	return l->is_misdialled ? KV_OK : select_link(r, l);
}

int
link_bye(struct replica *r, struct replica_link *l, const struct frame *f)
{
	char text[FRAME_TEXT_MAX + 1] = { 0 };

	if (f->u.bye.text.len > 0)
		memcpy(text, f->u.bye.text.data, f->u.bye.text.len);
	leave(r, l, f->u.bye.code, text);
	l->outbox.taken = l->outbox.bytes.len;
	return KV_ECLOSED;
}

int
link_redirect(struct replica *r, struct replica_link *l, const struct frame *f)
{
	/* Once, and only to who dialled; events are few. */
	if (!l->is_initiator || l->is_redirected)
		return link_refuse(r, l, BYE_PROTOCOL,
		    "a REDIRECT that cannot be");
	l->is_redirected = true;
	core_event(r, REPLICA_REDIRECT, l)->port = f->u.port;
	return KV_OK;
}
