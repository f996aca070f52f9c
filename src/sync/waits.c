/* SPDX-License-Identifier: ISC */
/* Waiting until others have what this host wrote (kv-sync.7).
 *
 * A barrier holds when for each member (a) it has my write on its disk, and
 * told me its whole vector then; (b) I have all that is in that vector.  (a)
 * is its ACK; only then it is asked for its vector.  So of two nodes that each
 * wrote before their barrier, the one that ends last has seen the write of the
 * other. */

#include <stdlib.h>
#include <utlist.h>

#include "sync/mutate.h"
#include "sync/service.h"

#define WAIT_ROWS_MAX 65536 /* of a vector; no node has more */

static void
member_reset(struct wait_member *m, unsigned peer)
{
	m->peer = peer;
	m->is_due = m->is_asked = m->is_answered = m->is_done = false;
	ticks_clear(&m->missing);
}

static void
wait_free(struct services *s, struct wait *w)
{
	size_t i;

	DL_DELETE(s->waits, w);
	s->wait_count--;
	for (i = 0; i < w->member_count; i++)
		ticks_fini(&w->members[i].missing);
	free(w->members);
	free(w);
}

static struct wait *
wait_new(struct services *s, uint64_t seq, uint64_t deadline_ms)
{
	struct wait *w;

	if (s->wait_count >= SERVICES_WAITS ||
	    (w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->id = service_id(s);
	w->seq = seq;
	w->deadline_ms = deadline_ms;
	DL_APPEND(s->waits, w);
	s->wait_count++;
	return w;
}

int
services_wait(struct services *s, uint64_t seq, unsigned want,
    uint64_t deadline_ms, uint64_t *wait)
{
	struct wait *w = wait_new(s, seq, deadline_ms);

	if (w == NULL)
		return KV_EBUSY;
	w->want = want;
	*wait = w->id;
	return KV_OK;
}

static void
wait_add_member(struct wait *w, const char *name, size_t len)
{
	struct wait_member *m = &w->members[w->member_count];
	size_t i;

	if (len >= sizeof(m->name))
		len = sizeof(m->name) - 1;
	memcpy(m->name, name, len);
	m->name[len] = '\0';
	for (i = 0; i < w->member_count; i++)
		if (services_name_fits(w->members[i].name, m->name))
			return;
	ticks_init(&m->missing);
	w->member_count++;
}

int
services_barrier(struct services *s, uint64_t seq, const struct kv_slice *nodes,
    size_t count, uint64_t deadline_ms, uint64_t *wait)
{
	struct wait *w = wait_new(s, seq, deadline_ms);
	struct service_peer *p;
	size_t i;

	if (w == NULL)
		return KV_EBUSY;
	w->members = calloc(count + s->peer_count + 1, sizeof(*w->members));
	if (w->members == NULL) {
		wait_free(s, w);
		return KV_ENOMEM;
	}
	for (i = 0; i < count; i++)
		wait_add_member(w, nodes[i].data, nodes[i].len);
	DL_FOREACH(s->peers, p)
		wait_add_member(w, p->name, strlen(p->name));
	*wait = w->id;
	return KV_OK;
}

void
services_forget(struct services *s, uint64_t wait)
{
	struct wait *w;

	DL_SEARCH_SCALAR(s->waits, w, id, wait);
	if (w != NULL)
		wait_free(s, w);
}

/* Once a turn: many may wait for the same. */
static void
waits_look(struct services *s)
{
	struct replica_status status;
	struct service_peer *p;

	DL_FOREACH(s->peers, p) {
		s->config.ops->look(s->config.user, p->link, &status);
		p->acked = status.acked_seq;
	}
}

/* What this host has by now need not be waited for. */
static int
member_cover(void *user, const struct sync_row *row)
{
	struct ticks *missing = user;
	uint64_t tick = ticks_get(missing, row->inc);

	return tick != 0 && tick <= row->vv ? ticks_set(missing, row->inc, 0)
					    : KV_OK;
}

static bool
member_misses(const struct wait_member *m)
{
	size_t i;

	for (i = 0; i < m->missing.count; i++)
		if (m->missing.rows[i].tick != 0)
			return true;
	return false;
}

static int
member_turn(struct services *s, const struct wait *w, struct wait_member *m)
{
	const struct service_peer *p = service_peer_named(s, m->name);
	struct sync_store *store = &s->config.store;
	int rc = KV_OK;

	if (m->is_done && p != NULL && p->number == m->peer)
		return KV_OK;
	if (p == NULL || p->number != m->peer)
		member_reset(m, p == NULL ? 0 : p->number);
	if (p == NULL)
		return KV_OK;
	if (!m->is_due)
		m->is_due = p->acked >= w->seq || MUTATED(NO_BARRIER_ACK);
	if (!m->is_answered)
		return KV_OK;
	if (member_misses(m))
		rc = store->ops->rows(store->self, false, member_cover,
		    &m->missing);
	m->is_done =
	    rc == KV_OK && (!member_misses(m) || MUTATED(NO_BARRIER_VECTOR));
	return rc;
}

static unsigned
wait_count(const struct services *s, const struct wait *w)
{
	const struct service_peer *p;
	unsigned n = 0;

	DL_FOREACH(s->peers, p)
		n += p->acked >= w->seq;
	return n;
}

/* Has it ended?  Then *missing is who was waited for in vain, or NULL. */
static int
wait_look(struct services *s, struct wait *w, bool *ended, const char **missing)
{
	bool is_late = w->deadline_ms <= s->now_ms;
	size_t i;
	int rc;

	*missing = NULL;
	if (w->members == NULL) {
		*ended = is_late || wait_count(s, w) >= w->want;
		return KV_OK;
	}
	for (i = 0; i < w->member_count; i++) {
		struct wait_member *m = &w->members[i];

		if ((rc = member_turn(s, w, m)) < 0)
			return rc;
		if (!m->is_done && *missing == NULL)
			*missing = m->name;
	}
	*ended = is_late || *missing == NULL;
	return KV_OK;
}

/* The program may begin and forget others in settled(). */
static void
wait_settle(struct services *s, struct wait *w, const char *missing)
{
	unsigned count = wait_count(s, w);
	char name[FRAME_NAME_MAX + 1];
	uint64_t id = w->id;

	if (missing != NULL)
		memcpy(name, missing, sizeof(name));
	wait_free(s, w);
	s->config.ops->settled(s->config.user, id, count,
	    missing == NULL ? NULL : name);
}

int
waits_turn(struct services *s, uint64_t *next_ms)
{
	const char *missing;
	struct wait *w;
	uint64_t last = s->last_id, id = 0;
	bool ended;
	int rc;

	if (s->waits != NULL)
		waits_look(s);
	for (;;) {
		/* The list is in the order of ids, and ids only rise. */
		DL_FOREACH(s->waits, w)
			if (w->id > id)
				break;
		if (w == NULL || w->id > last)
			break;
		id = w->id;
		if ((rc = wait_look(s, w, &ended, &missing)) < 0)
			return rc;
		if (ended)
			wait_settle(s, w, missing);
		else
			service_sooner(next_ms, w->deadline_ms);
	}
	/* What settled() began is looked at in the next turn. */
	if (w != NULL)
		service_sooner(next_ms, s->now_ms);
	return KV_OK;
}

/* Which member of which barrier has this id towards this peer? */
static struct wait_member *
member_asked(const struct service_peer *p, uint64_t id)
{
	struct wait *w;
	size_t i;

	DL_SEARCH_SCALAR(p->services->waits, w, id, id);
	for (i = 0; w != NULL && i < w->member_count; i++)
		if (w->members[i].is_asked && w->members[i].peer == p->number)
			return &w->members[i];
	return NULL;
}

/* The vector comes in one frame or several; only what we miss is kept. */
int
waits_answer(struct service_peer *p, const struct frame *f)
{
	const struct frame_barrier_ok *ok = &f->u.barrier_ok;
	struct sync_store *store = &p->services->config.store;
	struct wait_member *m = member_asked(p, ok->id);
	struct kv_slice rows = ok->rows;
	struct item_row row;
	int rc;

	if (m == NULL || m->is_answered)
		return KV_OK; /* nobody waits for it any more */
	while (item_take_row(&rows, &row)) {
		if (row.inc == p->services->config.inc)
			continue;
		if ((rc = ticks_raise(&m->missing, row.inc, row.tick)) < 0)
			return rc;
	}
	if (m->missing.count > WAIT_ROWS_MAX)
		return KV_EPROTO;
	m->is_answered = !(ok->flags & FRAME_MORE);
	return store->ops->rows(store->self, false, member_cover, &m->missing);
}

int
waits_send(struct service_peer *p, struct buf *out)
{
	struct wait *w;
	size_t i;
	int rc;

	DL_FOREACH(p->services->waits, w) {
		struct frame f = {
			.type = FRAME_BARRIER,
			.u.barrier = { w->id, w->seq },
		};

		for (i = 0; i < w->member_count; i++) {
			struct wait_member *m = &w->members[i];

			if (m->peer != p->number || !m->is_due || m->is_asked)
				continue;
			if ((rc = frame_encode(&f, out)) == KV_OK)
				m->is_asked = true;
			return rc;
		}
	}
	return KV_EAGAIN;
}

void
waits_fini(struct services *s)
{
	while (s->waits != NULL)
		wait_free(s, s->waits);
}
