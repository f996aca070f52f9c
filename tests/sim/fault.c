/* SPDX-License-Identifier: ISC */
/* The first phase: writes, turns and everything that can go wrong, one of it
 * at each step. */

#include <limits.h>
#include <string.h>

#include "base/bytes.h"
#include "world.h"

#define LARGE_MAX 150000u
#define PATTERN (LARGE_MAX * 2)
#define ROOM_MS 2000 /* after a refusal; a replica tries again in 0.5 s */

/* What happens to node x, or to it and p; false: nothing. */
typedef bool fault_fn(struct world *w, unsigned x, unsigned p);

static bool
is_up(const struct world *w, unsigned x)
{
	return w->node[x].replica != NULL;
}

/* The end needs some. */
static bool
has_origins(const struct world *w)
{
	return w->ghost.origin_count < w->origins_max - 3 * WORLD_NODES;
}

/* ---- clients -------------------------------------------------------------- */

/* Large values are cut out of one pattern, whose place tells them apart. */
static struct kv_slice
make_value(struct world *w)
{
	char *bytes;
	size_t i;

	w->next_value++;
	if (w->plan.faults & FAULT_LARGE && world_random(w, 8) == 0) {
		if (w->pattern.len == 0) {
			bytes = arena_take(&w->arena, PATTERN);
			for (i = 0; i + 8 <= PATTERN; i += 8)
				bytes_put_be64(bytes + i, i);
			w->pattern = (struct kv_slice){ bytes, PATTERN };
		}
		return (struct kv_slice){ w->pattern.data +
			    8 * world_random(w, LARGE_MAX / 8),
			world_random(w, LARGE_MAX) + 1 };
	}
	bytes = arena_take(&w->arena, 4);
	bytes_put_be32(bytes, w->next_value);
	return (struct kv_slice){ bytes, 4 };
}

static void
write_key(struct world *w, unsigned x, unsigned key)
{
	struct sim_store *s = &w->node[x].store;
	struct kv_slice bucket = ghost_bucket_name(ghost_bucket_of(key));
	const struct record *r;
	struct stamp before = { 0 };
	uint64_t deadline = 0;
	int rc;

	s->wall_ms = world_wall(w, x);
	if ((r = ghost_find(&w->ghost, &s->now, key)) != NULL)
		before = r->stamp;
	if (w->plan.faults & FAULT_DEADLINES && world_random(w, 4) == 0)
		deadline = s->wall_ms +
		    world_random(w,
			w->plan.faults & FAULT_CLOCKS ? 3600000 : 60000);
	if (world_random(w, 4) == 0)
		rc = sim_del(s, bucket, ghost_key_name(key));
	else
		rc = sim_put(s, bucket, ghost_key_name(key), make_value(w),
		    deadline);
	r = ghost_find(&w->ghost, &s->now, key);
	if (rc == KV_OK && stamp_compare(r->stamp, before) <= 0)
		ghost_violation(&w->ghost, GHOST_STAMP,
		    "n%u wrote key %u but it is not the newest", x, key);
	world_show(w, x);
}

static bool
do_write(struct world *w, unsigned x, unsigned p)
{
	unsigned n = world_random(w, 8) == 0 ? 6 : 1;

	(void)p;
	if (!is_up(w, x))
		return false;
	while (n-- > 0)
		write_key(w, x, world_random(w, GHOST_KEYS));
	if (world_random(w, 3) != 0)
		sim_sync(&w->node[x].store);
	return true;
}

static bool
do_bucket(struct world *w, unsigned x, unsigned p)
{
	struct sim_store *s = &w->node[x].store;
	unsigned bucket = world_random(w, GHOST_BUCKETS);
	struct kv_slice name = ghost_bucket_name(bucket);
	bool drop = world_random(w, 2);
	uint32_t options = 0;
	int rc;

	(void)p;
	if (!is_up(w, x))
		return false;
	s->wall_ms = world_wall(w, x);
	if (!drop)
		options = world_random(w, 2) ? BUCKET_STAYS : 0;
	if (w->plan.faults & FAULT_CONFLICTS && world_random(w, 4) > 0)
		options |= BUCKET_CONFLICTS;
	if (w->plan.faults & FAULT_TTL && bucket == GHOST_SHORT)
		options |= WORLD_TTL_S << BUCKET_TTL_SHIFT;
	rc = drop ? sim_drop(s, name) : sim_create(s, name, options);
	if (rc == KV_OK)
		world_trace(w, "n%u %s bucket %u at %llx", x,
		    drop ? "drops" : "creates", bucket,
		    (unsigned long long)s->now.clock);
	return true;
}

/* ---- work ------------------------------------------------------------------ */

static bool
do_turn(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (!is_up(w, x))
		return false;
	node_turn(w, x, world_random(w, 8) == 0 ? 100 : 3, 0);
	if (world_random(w, 2) != 0)
		sim_sync(&w->node[x].store);
	return true;
}

static bool
do_broken_turn(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (is_up(w, x))
		node_turn(w, x, 3, 1 + world_random(w, 2));
	return true;
}

static bool
do_fuse(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (is_up(w, x))
		w->node[x].store.fuse = 1 + (int)world_random(w, 3);
	return true;
}

static bool
do_checkpoint(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (!is_up(w, x))
		return false;
	if (world_random(w, 2) != 0)
		sim_sync(&w->node[x].store);
	sim_checkpoint(&w->node[x].store,
	    world_random(w, 3) == 0 ? world_random(w, 6) : UINT_MAX);
	return true;
}

static bool
do_sweep(struct world *w, unsigned x, unsigned p)
{
	struct sim_store *s = &w->node[x].store;

	(void)p;
	s->wall_ms = world_wall(w, x);
	if (!is_up(w, x))
		return false;
	sim_sweep(s);
	if (w->plan.faults & FAULT_DEADLINES && !clocks_doubted(w, x))
		sim_expire(s);
	if (w->plan.faults & FAULT_TTL)
		sim_purge_short(s, s->wall_ms - WORLD_APART_MS);
	world_show(w, x);
	return true;
}

/* As the sweeper (engine/sweep.c): first what waited for room has its turn. */
static bool
do_purge(struct world *w, unsigned x, unsigned p)
{
	struct node *n = &w->node[x];

	(void)p;
	if (!is_up(w, x) || !(w->plan.faults & FAULT_RETENTION) ||
	    clocks_doubted(w, x) || world_wall(w, x) <= w->retention_ms ||
	    n->store.refuse < 0 ||
	    (n->refused_ms > 0 && w->now_ms < n->refused_ms + ROOM_MS))
		return false;
	sim_purge(&w->node[x].store, world_wall(w, x) - w->retention_ms);
	world_show(w, x);
	return true;
}

/* ---- the network -------------------------------------------------------------- */

static bool
do_dial(struct world *w, unsigned x, unsigned p)
{
	unsigned links = link_count(w, x, p);

	if (w->plan.faults & FAULT_ROSTER) {
		roster_dial(w);
		return true;
	}
	if (x == p || !w->is_base[x][p])
		return false;
	if (links == 0 || (links == 1 && world_random(w, 10) == 0))
		link_dial(w, x, p, world_random(w, 2) ? w->node[p].name : "");
	return true;
}

static bool
do_wrong_dial(struct world *w, unsigned x, unsigned p)
{
	if (world_random(w, 2) == 0)
		link_dial(w, x, x, "");
	else if (w->is_base[x][p])
		link_dial(w, x, p, "nobody@sim");
	return true;
}

static bool
do_cut(struct world *w, unsigned x, unsigned p)
{
	struct cable *c = &w->cable[world_random(w, WORLD_CABLES)];
	unsigned how = world_random(w, 8);

	(void)x;
	(void)p;
	if (!c->is_used)
		return false;
	if (how == 0)
		link_lose(w, c, world_random(w, 2));
	else if (how == 1)
		cable_damage(c, world_random(w, 2), world_random_u64(w));
	else
		link_cut(w, c);
	return true;
}

static bool
do_partition(struct world *w, unsigned x, unsigned p)
{
	unsigned how = world_random(w, 4), y;

	for (y = 0; y < w->node_count; y++) {
		if (y == x || (how < 3 && y != p))
			continue;
		w->is_blocked[x][y] = true;
		if (how > 0)
			w->is_blocked[y][x] = true;
	}
	return true;
}

static bool
do_mend(struct world *w, unsigned x, unsigned p)
{
	unsigned y;

	w->is_blocked[x][p] = w->is_blocked[p][x] = false;
	for (y = 0; world_random(w, 4) == 0 && y < w->node_count; y++)
		w->is_blocked[x][y] = w->is_blocked[y][x] = false;
	return true;
}

/* ---- processes and stores ------------------------------------------------------- */

static bool
do_crash(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (is_up(w, x))
		node_crash(w, x, world_random(w, 2));
	return true;
}

static bool
do_start(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (!is_up(w, x) && has_origins(w))
		node_start(w, x);
	return true;
}

static bool
do_skew(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	w->node[x].skew_ms += (int64_t)world_random(w, 8000) - 4000;
	return true;
}

static bool
do_backup(struct world *w, unsigned x, unsigned p)
{
	struct backup *b = &w->node[x].backup[world_random(w, WORLD_BACKUPS)];

	(void)p;
	b->is_there = true;
	sim_store_copy(&b->store, &w->node[x].store);
	sim_crash(&b->store, true);
	return true;
}

static void
put_back(struct world *w, unsigned x, const struct sim_store *from)
{
	struct sim_store *s = &w->node[x].store;

	sim_store_copy(s, from);
	sim_crash(s, true);
	ghost_unpurge(&w->ghost, x, s->now.clock);
	world_show(w, x);
}

static bool
do_restore(struct world *w, unsigned x, unsigned p)
{
	struct backup *b = &w->node[x].backup[world_random(w, WORLD_BACKUPS)];

	(void)p;
	if (!b->is_there || !has_origins(w))
		return false;
	if (is_up(w, x))
		node_crash(w, x, false);
	world_trace(w, "n%u is restored", x);
	put_back(w, x, &b->store);
	w->now_ms += 20;
	return true;
}

/* p's disk is a copy of x's; both will run, under one name. */
static bool
do_clone(struct world *w, unsigned x, unsigned p)
{
	if (x == p || w->had_clone || !is_up(w, x))
		return false;
	if (is_up(w, p))
		node_crash(w, p, false);
	world_trace(w, "n%u is a clone of n%u", p, x);
	put_back(w, p, &w->node[x].store);
	ghost_unpurge(&w->ghost, p, 0); /* that disk is no more */
	memcpy(w->node[p].name, w->node[x].name, sizeof(w->node[p].name));
	w->node[p].is_clone = w->had_clone = true;
	memset(w->node[p].backup, 0, sizeof(w->node[p].backup));
	return true;
}

static bool
do_refuse(struct world *w, unsigned x, unsigned p)
{
	static const int codes[] = { KV_OK, KV_OK, KV_EAGAIN, KV_ENOSPC };

	(void)p;
	if (w->node[x].store.refuse < 0)
		w->node[x].refused_ms = w->now_ms;
	w->node[x].store.refuse = codes[world_random(w, 4)];
	w->node[x].store.room = world_random(w, 4);
	w->node[x].store.fills = world_random(w, 4);
	return true;
}

static bool
do_bad_clock(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (w->had_bad_clock)
		return false;
	w->had_bad_clock = w->node[x].has_bad_clock = true;
	w->node[x].skew_ms += 3600000;
	world_trace(w, "n%u is an hour ahead", x);
	return true;
}

static bool
do_good_clock(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (is_up(w, x) && world_random(w, 3) == 0)
		node_repair_clock(w, x);
	return true;
}

/* ---- the table -------------------------------------------------------------------- */

static const struct fault {
	unsigned weight;
	unsigned needs; /* of enum world_fault */
	fault_fn *happens;
	const char *name; /* of what does not go on anyway */
} faults[] = {
	{ 580, 0, do_turn, NULL },
	{ 90, 0, do_write, NULL },
	{ 40, 0, do_dial, NULL },
	{ 20, 0, do_checkpoint, NULL },
	{ 10, 0, do_cut, "cut" },
	{ 5, 0, do_partition, "partition" },
	{ 7, 0, do_mend, NULL },
	{ 4, 0, do_crash, "crash" },
	{ 2, 0, do_broken_turn, "death in a turn" },
	{ 1, 0, do_fuse, "death at a commit" },
	{ 14, 0, do_start, NULL },
	{ 2, 0, do_skew, "another clock" },
	{ 1, 0, do_wrong_dial, "wrong dial" },
	{ 7, 0, do_sweep, NULL },
	{ 4, FAULT_DROPS, do_bucket, "create or drop" },
	{ 4, FAULT_RESTORES, do_backup, NULL },
	{ 3, FAULT_RESTORES, do_restore, "restore" },
	{ 10, FAULT_RETENTION, do_purge, NULL },
	{ 10, FAULT_DEADLINES, do_sweep, NULL },
	{ 4, FAULT_REFUSAL, do_refuse, "log or disk full" },
	{ 1, FAULT_CLONES, do_clone, "clone" },
	{ 1, FAULT_CLOCK, do_bad_clock, "an hour ahead" },
	{ 3, FAULT_CLOCK, do_good_clock, NULL },
};

static void
note_fault(struct world *w, const struct fault *f, unsigned x, unsigned p)
{
	if (f->name == NULL)
		return;
	w->counts.faults++;
	if (w->plan.verbose > 0)
		world_trace(w, "fault: %s, n%u (n%u)", f->name, x, p);
}

void
fault_step(struct world *w)
{
	const struct fault *f;
	unsigned sum = 0, x, p, at;
	size_t i;

	if (fault_more(w) || fault_clocks(w) || fault_rot(w))
		return;
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sum += faults[i].weight;
	at = world_random(w, sum);
	for (f = faults; at >= f->weight; f++)
		at -= f->weight;
	x = world_random(w, w->node_count);
	p = world_random(w, w->node_count);
	if ((f->needs & ~w->plan.faults) == 0 && f->happens(w, x, p))
		note_fault(w, f, x, p);
}
