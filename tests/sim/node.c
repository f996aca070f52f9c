/* SPDX-License-Identifier: ISC */
/* A node: its process, the turns of its replica. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/items.h"
#include "world.h"

#define UNKNOWN_MAX 300
#define CREDIT (1u << 20) /* of a stream, unless it was chosen */
#define BATCH (4u << 20)
#define CONTROL (1u << 18)	 /* answers that wait, and what is fixed */
#define VALUE_MOST (2u * 150000) /* its buffer; and a frame */
#define OP_COST 4		 /* bytes kept for one that came, at most */
#define UNACKED_MAX ((1u << 20) + (1u << 19)) /* credit and one value */

/* ---- ghosts --------------------------------------------------------------- */

static void
on_wrote(void *user, const struct record *r, const struct record *was)
{
	struct watcher *of = user;
	struct world *w = of->w;

	w->counts.writes++;
	ghost_wrote(&w->ghost, r, was, w->node[of->node].store.inc);
}

static void
on_met(void *user, const struct sim_meeting *m)
{
	struct watcher *of = user;

	ghost_met(&of->w->ghost, of->node, &of->w->node[of->node].store, m);
}

static void
on_purged(void *user, const struct record *r)
{
	struct watcher *of = user;
	struct world *w = of->w;

	world_trace(w, "n%u purges %.*s of %llx", of->node, (int)r->key.len,
	    r->key.data, (unsigned long long)r->stamp.tick);
	ghost_purged(&w->ghost, of->node, r, &w->node[of->node].store);
}

static void
on_forgot(void *user, const struct record *r)
{
	struct watcher *of = user;
	struct world *w = of->w;

	world_trace(w, "n%u forgets %.*s of %llx", of->node, (int)r->key.len,
	    r->key.data, (unsigned long long)r->stamp.tick);
	ghost_forgot(&w->ghost, r);
}

/* Not before its time. */
static void
on_gave_up(void *user, const struct sync_row *row)
{
	struct watcher *of = user;
	struct world *w = of->w;
	uint64_t end = (row->announced >> 16) + 4 * (uint64_t)w->retention_ms;

	world_trace(w, "n%u gives up that %llx was announced up to %llx",
	    of->node, (unsigned long long)row->inc,
	    (unsigned long long)row->announced);
	w->counts.given_up++;
	ghost_gave_up(&w->ghost, of->node,
	    (struct stamp){ row->announced, row->inc },
	    end <= world_wall(w, of->node));
}

void
node_init(struct world *w, unsigned x)
{
	int64_t apart = w->plan.faults & FAULT_CLOCK ? 60000 : 20000;
	struct node *n = &w->node[x];

	memset(n, 0, sizeof(*n));
	n->watcher = (struct watcher){ w, x };
	sim_store_init(&n->store, &w->arena, world_random_u64(w));
	n->store.watch = (struct sim_watch){ &n->watcher, on_wrote, on_met,
		clocks_expired, on_purged, on_forgot, on_gave_up };
	n->skew_ms = (int64_t)world_random(w, (uint32_t)apart) - apart / 2;
	snprintf(n->name, sizeof(n->name), "n%u@sim", x);
	n->is_newer = w->plan.faults & FAULT_VERSIONS && world_random(w, 2);
}

/* ---- processes ------------------------------------------------------------ */

static void
start_replica(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	struct replica_config config = {
		.uid = n->store.uid,
		.inc = n->store.inc,
		.start = n->store.start,
		.name = n->name,
		.port = (uint16_t)(4069 + x),
		.timeout_ms = w->timeout_ms,
		.value_max = 1u << 20,
		.retention_ms =
		    w->plan.faults & FAULT_RETENTION ? w->retention_ms : 0,
		.seed = world_random_u64(w),
		.tuning = w->tuning,
	};
	struct buf lineage;
	unsigned i;
	int rc = KV_OK;

	if (w->plan.faults & FAULT_VERSIONS && !n->is_newer)
		config.tuning.no_features = UINT32_MAX; /* of the first one */
	if (w->plan.faults & FAULT_SERVICES)
		agent_start(w, x, &config);
	roster_start(w, x);
	clocks_start(w, x);
	buf_init(&lineage);
	for (i = 0; rc == KV_OK && i < n->store.lineage_count; i++)
		rc = item_put_row(&lineage,
		    (struct item_row){ n->store.lineage[i].inc,
			n->store.lineage[i].tick });
	config.lineage = buf_slice(&lineage);
	if (rc == KV_OK)
		rc =
		    replica_new(&config, sim_store_ops(&n->store), &n->replica);
	if (rc < 0)
		ghost_violation(&w->ghost, GHOST_ERROR, "n%u: replica_new: %d",
		    x, rc);
	buf_fini(&lineage);
}

void
node_start(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	uint64_t inc;

	inc = world_random_u64(w);
	sim_store_start(&n->store, inc, world_wall(w, x));
	ghost_origin(&w->ghost, n->store.inc);
	n->timer_ms = 0;
	w->counts.restarts++;
	start_replica(w, x);
	world_trace(w, "n%u starts: o%u inc %llx start %llx", x,
	    w->ghost.origin_count - 1, (unsigned long long)n->store.inc,
	    (unsigned long long)n->store.start);
}

void
node_stop(struct world *w, unsigned x)
{
	struct cable *c;
	unsigned i, end;

	if (w->node[x].replica == NULL)
		return;
	for (i = 0; i < WORLD_CABLES; i++) {
		c = &w->cable[i];
		for (end = 0; end < 2; end++) {
			if (!c->is_used || !c->end[end].is_open ||
			    c->end[end].node != x)
				continue;
			/* With the process a FIN goes out, mostly. */
			if (world_random(w, 4) == 0)
				c->end[end].is_lost = true;
			link_close_end(w, c, end);
		}
		link_forget(w, c);
	}
	replica_free(w->node[x].replica);
	w->node[x].replica = NULL;
	w->node[x].is_copying = false;
	agent_stop(w, x);
	roster_stop(w, x);
	clocks_stop(w, x);
}

void
node_crash(struct world *w, unsigned x, bool power)
{
	struct node *n = &w->node[x];

	world_trace(w, "n%u crashes%s", x, power ? ", power is cut" : "");
	node_stop(w, x);
	sim_crash(&n->store, power);
	if (power)
		clocks_reboot(w, x);
	if (power)
		ghost_unpurge(&w->ghost, x, n->store.now.clock);
	world_show(w, x);
}

void
node_renew(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	uint64_t inc = world_random_u64(w);

	node_stop(w, x);
	n->store.wall_ms = world_wall(w, x);
	sim_store_renew(&n->store, inc, n->store.wall_ms, n->store.well_seq);
	ghost_origin(&w->ghost, inc);
	world_trace(w, "n%u begins a new run: o%u inc %llx", x,
	    w->ghost.origin_count - 1, (unsigned long long)inc);
	node_go_on(w, x);
}

void
node_go_on(struct world *w, unsigned x)
{
	w->node[x].timer_ms = 0;
	start_replica(w, x);
}

/* Offline: kv repair-clock, then a start, which the repair is already. */
void
node_repair_clock(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	uint64_t inc = world_random_u64(w);

	if (!n->has_bad_clock)
		return;
	n->has_bad_clock = false;
	n->skew_ms -= 3600000;
	if (w->plan.faults & FAULT_CLOCKS)
		n->skew_ms = n->drift = 0;
	n->jumped_ms = 0;
	node_stop(w, x);
	sim_crash(&n->store, false);
	ghost_origin(&w->ghost, inc);
	sim_repair_clock(&n->store, inc, world_wall(w, x), WORLD_DRIFT_MS);
	if (n->store.inc != inc) /* the clock had not run away */
		sim_store_start(&n->store, inc, world_wall(w, x));
	start_replica(w, x);
	world_trace(w, "n%u repaired its clock: inc %llx", x,
	    (unsigned long long)inc);
	world_show(w, x);
}

/* ---- a turn ---------------------------------------------------------------- */

bool
node_has_input(const struct world *w, unsigned x)
{
	const struct cable *c;
	unsigned i, end;

	for (i = 0; i < WORLD_CABLES; i++) {
		c = &w->cable[i];
		for (end = 0; c->is_used && end < 2; end++) {
			if (c->end[end].is_open && c->end[end].node == x &&
			    !w->is_blocked[c->end[!end].node][x] &&
			    w->now_ms >= c->end[end].reads_ms &&
			    (cable_waiting(c, end) > 0 ||
				(!c->end[!end].is_open &&
				    !c->end[!end].is_lost)))
				return true;
		}
	}
	return false;
}

/* Frames that have arrived at this end, up to so many. */
static void
receive(struct world *w, struct cable *c, unsigned end, unsigned frames)
{
	unsigned x = c->end[end].node, from = c->end[!end].node;
	struct node *n = &w->node[x];
	struct channel_frame f;
	size_t limit;
	int rc;

	for (; frames > 0 && !c->end[end].is_ending; frames--) {
		if (w->is_blocked[from][x] ||
		    w->now_ms < c->end[end].reads_ms ||
		    !replica_wants_input(n->replica, c->end[end].link))
			return;
		limit = frames > 8 || world_random(w, 2) == 0
		    ? SIZE_MAX
		    : world_random(w, 200);
		if ((rc = cable_peek(c, end, limit, &f)) == KV_EMORE)
			break;
		if (rc == KV_OK) {
			world_trace_frame(w, from, x, f.plain);
			rc = replica_receive(n->replica, c->end[end].link,
			    f.plain);
			cable_drop(c, end, &f);
			c->end[end].reads_ms = w->now_ms + c->end[end].pause_ms;
			if (rc < 0)
				world_trace(w, "n%u ends cable %u: %d", x,
				    (unsigned)(c - w->cable), rc);
		} else if (!c->pipe[!end].is_damaged) {
			ghost_violation(&w->ghost, GHOST_ERROR, "channel: %d",
			    rc);
		}
		if (rc < 0)
			c->end[end].is_ending = true;
	}
	if (!c->end[!end].is_open && !c->end[!end].is_lost &&
	    cable_waiting(c, end) == 0)
		c->end[end].is_ending = true; /* end of file */
}

/* What a version to come may say, and this one passes over. */
static void
send_unknown(struct world *w, struct cable *c, unsigned end)
{
	char bytes[UNKNOWN_MAX] = { 0 };
	size_t n = 1 + world_random(w, UNKNOWN_MAX), i;

	if (!w->node[c->end[end].node].is_newer || !c->end[end].has_said ||
	    c->end[!end].is_lost || world_random(w, 8) != 0)
		return;
	for (i = 0; i < n; i++)
		bytes[i] = (char)world_random(w, 256);
	bytes[0] = (char)(0xc0 | bytes[0]); /* from 0x80 on some are known */
	if (cable_put(c, end, (struct kv_slice){ bytes, n }, w->now_ms) < 0)
		ghost_violation(&w->ghost, GHOST_ERROR, "cable_put");
}

static void
send(struct world *w, struct cable *c, unsigned end, unsigned frames)
{
	unsigned x = c->end[end].node;
	int rc = KV_OK;

	while (frames-- > 0 && rc == KV_OK &&
	    cable_waiting(c, !end) < (1u << 18)) {
		send_unknown(w, c, end);
		rc = cable_send(c, end, w->node[x].replica, w->now_ms);
		if (rc == KV_OK && c->end[!end].is_lost) {
			/* Into the void. */
			c->pipe[end].from = c->pipe[end].bytes.len = 0;
			c->pipe[end].frames = 0;
		}
	}
	if (rc == KV_ECLOSED)
		c->end[end].is_ending = true;
	else if (rc < 0 && rc != KV_EAGAIN)
		ghost_violation(&w->ghost, GHOST_ERROR, "n%u: send: %d", x, rc);
}

static void
take_events(struct world *w, unsigned x)
{
	static const char *const names[] = {
#define X(name, text) [name] = (text),
		REPLICA_EVENTS(X)
#undef X
	};
	struct replica_event e;

	while (replica_take_event(w->node[x].replica, &e)) {
		roster_event(w, x, &e);
		w->counts.resyncs += e.kind == REPLICA_RESYNC;
		if (e.kind == REPLICA_RESYNC || e.kind == REPLICA_IN_STEP)
			w->node[x].is_copying = e.kind == REPLICA_RESYNC;
		w->counts.repairs += e.kind == REPLICA_DIVERGED;
		w->counts.downs += e.kind == REPLICA_DOWN;
		world_trace(w, "n%u: %s %s %s", x, names[e.kind], e.name,
		    e.text);
		if (e.kind == REPLICA_PROTOCOL)
			ghost_violation(&w->ghost, GHOST_ERROR,
			    "n%u: protocol: %s", x, e.text);
	}
}

/* What a stream has received and not committed is bounded by its credit, a value
 * and what is known of each op; what it sends by a frame and a value. */
static void
check_held(struct world *w, unsigned x, const struct replica_link *l)
{
	const struct replica_tuning *t = &w->tuning;
	size_t credit = t->credit > 0 ? t->credit : CREDIT;
	size_t held = replica_held(w->node[x].replica, l), most;

	most = l != NULL ? 3 * (OP_COST * credit + 2 * VALUE_MOST) + CONTROL
			 : OP_COST * BATCH + 2 * VALUE_MOST;
	if (l != NULL && w->counts.held < held)
		w->counts.held = held;
	if (l == NULL && w->counts.held_by_none < held)
		w->counts.held_by_none = held;
	if (held > most)
		ghost_violation(&w->ghost, GHOST_LIMIT,
		    "n%u holds %zu bytes for %s, more than %zu", x, held,
		    l == NULL ? "its batch" : "a link", most);
}

static void
check_limits(struct world *w, unsigned x)
{
	struct replica *r = w->node[x].replica;
	struct replica_status status;
	struct replica_link *l = NULL;

	while ((l = replica_next_link(r, l)) != NULL) {
		check_held(w, x, l);
		replica_status(r, l, &status);
		if (status.unacked > UNACKED_MAX)
			ghost_violation(&w->ghost, GHOST_LIMIT,
			    "n%u has %llu bytes unacknowledged", x,
			    (unsigned long long)status.unacked);
	}
	check_held(w, x, NULL);
	if (w->node[x].store.is_reading)
		ghost_violation(&w->ghost, GHOST_LIMIT,
		    "n%u holds its snapshot", x);
}

typedef void visit_fn(struct world *w, struct cable *c, unsigned end,
    unsigned frames);

static void
each_end(struct world *w, unsigned x, visit_fn *visit, unsigned frames)
{
	struct cable *c;
	unsigned i, end;

	for (i = 0; i < WORLD_CABLES; i++) {
		c = &w->cable[i];
		for (end = 0; c->is_used && end < 2; end++) {
			if (c->end[end].is_open && c->end[end].node == x)
				visit(w, c, end,
				    frames < 8 ? world_random(w, frames + 1)
					       : frames);
		}
	}
}

/* What was ending has said its last. */
static void
close_ended(struct world *w, unsigned x)
{
	struct cable *c;
	unsigned i, end;

	for (i = 0; i < WORLD_CABLES; i++) {
		c = &w->cable[i];
		for (end = 0; c->is_used && end < 2; end++) {
			if (c->end[end].node == x && c->end[end].is_ending)
				link_close_end(w, c, end);
		}
		link_forget(w, c);
	}
}

void
node_turn(struct world *w, unsigned x, unsigned frames, unsigned stage)
{
	struct node *n = &w->node[x];
	struct replica_time now = { w->now_ms + 1000 * x, world_wall(w, x) };
	uint64_t next = 0;
	int rc;

	w->counts.turns++;
	clocks_watch(w, x);
	n->store.wall_ms = now.wall_ms;
	rc = replica_begin(n->replica, now);
	if (rc < 0 && n->store.has_no_snapshot) {
		node_crash(w, x, false); /* as kv-syncd does */
		return;
	}
	if (rc == KV_OK) {
		each_end(w, x, receive, frames);
		if (stage == 1) {
			replica_release(n->replica);
			node_crash(w, x, world_random(w, 2));
			return;
		}
		rc = replica_end(n->replica, &next);
		if (rc == KV_OK)
			agent_turn(w, x, now.mono_ms, &next);
		n->timer_ms = next - 1000 * x;
	}
	if (n->store.is_burnt || stage == 2) {
		replica_release(n->replica);
		node_crash(w, x, n->store.is_burnt || world_random(w, 2));
		return;
	}
	if (rc < 0) {
		ghost_violation(&w->ghost, GHOST_ERROR, "n%u: turn: %d", x, rc);
		return;
	}
	each_end(w, x, send, frames);
	replica_release(n->replica);
	take_events(w, x);
	close_ended(w, x);
	clocks_listen(w, x);
	check_limits(w, x);
	world_show(w, x);
}
