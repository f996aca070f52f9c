/* SPDX-License-Identifier: ISC */
/* Two nodes with any records, tombstones, drops and vectors; what one has
 * purged makes the other read all its ranges (B.8).  The result is what a naive
 * model says of each key: the newer version, but what the source's vector
 * covers and the source has no more is gone, and what our own vector covers is
 * no news. */

#include <stdlib.h>
#include <string.h>

#include "../sim/words.h"
#include "sync/replica.h"

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)
#define START_MS 1000000000000u
#define KEYS 8
#define OWNERS 4
#define OWNER 301u /* the first of the runs that wrote it all */
#define ROUNDS 4000
#define QUEUE 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is at a key: 0 nothing. */
struct version {
	uint64_t tick, inc;
	bool is_tomb;
};

struct side {
	struct sim_store store;
	struct replica *replica;
	struct replica_link *link;
	struct buf queue[QUEUE]; /* frames to it */
	size_t first, count;
	uint64_t vv[OWNERS];
	struct version has[KEYS];
};

struct world {
	struct words words;
	struct arena arena;
	struct side source, reader;
	uint64_t now_ms;
	bool is_done;
};

static struct kv_slice
key_of(unsigned i)
{
	static const char keys[KEYS][4] = { "k0", "k1", "k2", "k3", "k4", "k5",
		"k6", "k7" };

	return slice_of(keys[i]);
}

static uint64_t
bid_of(unsigned i)
{
	return sim_bucket_id(slice_of(i % 2 ? "b" : "a"));
}

/* ---- before ---- */

/* A version of small numbers, so that both sides often have the same; of one
 * stamp there is one version. */
static struct version
any_version(struct words *w)
{
	uint8_t c = words_u8(w);

	if (c % 8 == 0)
		return (struct version){ 0, 0, false };
	return (struct version){ 1 + (c >> 3) % 8, OWNER + (c >> 6), c & 1 };
}

static int
fill(struct world *w, struct side *s, uint64_t purged)
{
	struct sync_change changes[KEYS];
	struct sync_row rows[OWNERS];
	struct sync_batch batch = { .changes = changes,
		.rows = rows,
		.row_count = OWNERS };
	struct sync_store ops = sim_store_ops(&s->store);
	uint64_t position;
	unsigned i;
	int rc;

	memset(changes, 0, sizeof(changes));
	memset(rows, 0, sizeof(rows));
	for (i = 0; i < OWNERS; i++) {
		s->vv[i] = words_u8(&w->words) % 10;
		rows[i].inc = OWNER + i;
		rows[i].vv = s->vv[i];
	}
	/* Of a run that is long over, so that the reader may have missed it. */
	rows[0].purged = purged;
	if (rows[0].vv < purged)
		rows[0].vv = s->vv[0] = purged;
	for (i = 0; i < KEYS; i++) {
		struct record *r = &changes[batch.count].item.record;

		s->has[i] = any_version(&w->words);
		if (s->has[i].tick == 0)
			continue;
		changes[batch.count++].how = CHANGE_MERGE;
		r->type = s->has[i].is_tomb ? RECORD_TOMB : RECORD_PUT;
		r->stamp = (struct stamp){ s->has[i].tick, s->has[i].inc };
		r->bid = bid_of(i);
		r->key = key_of(i);
	}
	MUST(ops.ops->refresh(ops.self) == KV_OK);
	rc = ops.ops->commit(ops.self, &batch, &position);
	ops.ops->release(ops.self);
	sim_sync(&s->store);
	sim_checkpoint(&s->store, UINT32_MAX);
	return rc;
}

static void
start(struct world *w, struct side *s, uint64_t uid, uint64_t purged)
{
	struct replica_config config = { .uid = uid,
		.inc = WORDS_INC + uid,
		.name = uid == 1 ? "source@h" : "reader@h",
		.timeout_ms = 10000,
		.value_max = 1000,
		.seed = uid,
		.tuning = { .mark_ops = 1 + words_u8(&w->words) % 4,
		    .range_keys = 1 + words_u8(&w->words) % 4,
		    .has_no_digests = true } };

	sim_store_init(&s->store, &w->arena, uid);
	sim_store_start(&s->store, config.inc, START_MS);
	/* Not empty: else it is filled, not compared. */
	MUST(sim_create(&s->store, slice_of("other"), 0) == KV_OK);
	MUST(fill(w, s, purged) == KV_OK);
	config.start = s->store.start;
	MUST(replica_new(&config, sim_store_ops(&s->store), &s->replica) ==
	    KV_OK);
	MUST(replica_open(s->replica, uid == 1, slice_of(""), &s->link) ==
	    KV_OK);
}

/* ---- on the way ---- */

static void
push(struct side *to, struct buf *frame)
{
	MUST(to->count < QUEUE);
	to->queue[(to->first + to->count++) % QUEUE] = *frame;
}

static bool
turn(struct world *w, struct side *s, struct side *other)
{
	struct replica_time now = { w->now_ms, START_MS + w->now_ms };
	struct replica_event e;
	struct buf out;
	uint64_t next;
	bool any = s->count > 0;

	s->store.wall_ms = now.wall_ms;
	MUST(replica_begin(s->replica, now) == KV_OK);
	for (; s->count > 0; s->count--) {
		MUST(replica_receive(s->replica, s->link,
			 buf_slice(&s->queue[s->first])) == KV_OK);
		buf_fini(&s->queue[s->first]);
		s->first = (s->first + 1) % QUEUE;
	}
	MUST(replica_end(s->replica, &next) == KV_OK);
	for (;;) {
		buf_init(&out);
		if (replica_send(s->replica, s->link, &out) < 0)
			break;
		any = true;
		push(other, &out);
	}
	buf_fini(&out);
	replica_release(s->replica);
	while (replica_take_event(s->replica, &e)) {
		MUST(e.kind != REPLICA_DOWN && e.kind != REPLICA_PROTOCOL);
		w->is_done |= e.kind == REPLICA_IN_STEP && s == &w->reader;
	}
	sim_sync(&s->store);
	sim_checkpoint(&s->store, UINT32_MAX);
	return any;
}

static void
run(struct world *w)
{
	unsigned i;
	bool any;

	for (i = 0; i < ROUNDS && !w->is_done; i++) {
		any = turn(w, &w->source, &w->reader);
		any |= turn(w, &w->reader, &w->source);
		w->now_ms += any ? 0 : 5;
	}
	MUST(w->is_done);
}

/* ---- the model ---- */

static bool
is_newer(const struct version *a, const struct version *b)
{
	if (a->tick != b->tick)
		return a->tick > b->tick;
	return a->inc != b->inc ? a->inc > b->inc : a->is_tomb && !b->is_tomb;
}

static struct version
model(const struct world *w, unsigned i)
{
	const struct version *mine = &w->reader.has[i];
	const struct version *theirs = &w->source.has[i];
	struct version result = *mine;
	bool is_there = theirs->tick > 0;

	/* The source had seen ours, and has nothing or something older. */
	if (mine->tick > 0 && !mine->is_tomb &&
	    (!is_there || is_newer(mine, theirs)) &&
	    w->source.vv[mine->inc - OWNER] >= mine->tick)
		result.is_tomb = true;
	/* Erased there by hand or by time: a tombstone of the same stamp. */
	if (is_there && theirs->tick == mine->tick &&
	    theirs->inc == mine->inc && theirs->is_tomb)
		result.is_tomb = true;
	if (is_there && is_newer(theirs, &result) &&
	    theirs->tick > w->reader.vv[theirs->inc - OWNER])
		result = *theirs;
	return result;
}

static void
check(const struct world *w)
{
	const struct sim_state *t = &w->reader.store.now;
	const struct sync_row *row;
	const struct record *r;
	struct version want;
	uint64_t vv;
	unsigned i;

	for (i = 0; i < KEYS; i++) {
		want = model(w, i);
		r = sim_find(t, bid_of(i), key_of(i));
		MUST((r == NULL) == (want.tick == 0));
		if (r == NULL)
			continue;
		MUST(r->stamp.tick == want.tick && r->stamp.inc == want.inc);
		MUST((r->type == RECORD_TOMB) == want.is_tomb);
	}
	for (i = 0; i < OWNERS; i++) {
		vv = w->source.vv[i] > w->reader.vv[i] ? w->source.vv[i]
						       : w->reader.vv[i];
		row = sim_row(t, OWNER + i);
		MUST((row == NULL ? 0 : row->vv) == vv);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = calloc(1, sizeof(*w));
	uint64_t purged;

	MUST(w != NULL);
	w->words.at = data;
	w->words.left = size;
	w->now_ms = 1;
	purged = 10 + words_u8(&w->words) % 4;
	start(w, &w->source, 1, purged);
	start(w, &w->reader, 2, 0);
	run(w);
	check(w);
	replica_free(w->source.replica);
	replica_free(w->reader.replica);
	while (w->source.count > 0)
		buf_fini(
		    &w->source
			 .queue[(w->source.first + --w->source.count) % QUEUE]);
	while (w->reader.count > 0)
		buf_fini(
		    &w->reader
			 .queue[(w->reader.first + --w->reader.count) % QUEUE]);
	arena_fini(&w->arena);
	free(w);
	return 0;
}
