/* SPDX-License-Identifier: ISC */
/* u8 1 | u64 bid | u16 n, key | u64 source's inc, head, last head | u32 n, rows
 * of the vector | u32 n, rows of what was purged. */

#include "sync/resync_note.h"

#include "sync/wire.h"

#define VERSION 1

static void
put_ticks(struct wire_out *w, const struct ticks *t)
{
	size_t i;

	wire_put(w, t->count, 4);
	for (i = 0; i < t->count; i++) {
		wire_put(w, t->rows[i].inc, 8);
		wire_put(w, t->rows[i].tick, 8);
	}
}

int
resync_note_put(struct buf *out, const struct resync *s)
{
	struct wire_out w = { out, KV_OK };

	wire_put(&w, VERSION, 1);
	wire_put(&w, s->lo.bid, 8);
	wire_put(&w, s->lo.key.len, 2);
	wire_add(&w, buf_slice(&s->lo.key));
	wire_put(&w, s->source_inc, 8);
	wire_put(&w, s->source_head, 8);
	wire_put(&w, s->last_head, 8);
	put_ticks(&w, &s->vv);
	put_ticks(&w, &s->purged);
	return w.rc;
}

static int
get_ticks(struct wire_in *w, struct ticks *t)
{
	uint64_t n = wire_get(w, 4), inc;
	int rc = KV_OK;

	ticks_clear(t);
	while (n-- > 0 && !w->bad && rc == KV_OK) {
		inc = wire_get(w, 8);
		rc = ticks_set(t, inc, wire_get(w, 8));
	}
	return rc;
}

int
resync_note_get(struct kv_slice note, struct resync *s)
{
	struct wire_in w = wire_read(note);
	uint64_t bid;
	int rc;

	if (wire_get(&w, 1) != VERSION)
		return w.bad ? KV_ECORRUPT : KV_EVERSION;
	bid = wire_get(&w, 8);
	rc = place_set(&s->lo, bid, wire_take(&w, (size_t)wire_get(&w, 2)));
	s->source_inc = wire_get(&w, 8);
	s->source_head = wire_get(&w, 8);
	s->last_head = wire_get(&w, 8);
	s->has_vv = true;
	if (rc == KV_OK)
		rc = get_ticks(&w, &s->vv);
	if (rc == KV_OK)
		rc = get_ticks(&w, &s->purged);
	return rc < 0 ? rc : w.bad || w.left > 0 ? KV_ECORRUPT : KV_OK;
}
