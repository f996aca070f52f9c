/* SPDX-License-Identifier: ISC */
/* A node and two peers that hold the cookie and send what they like.  The input
 * is a script: frames of all types with fields that might be right, ops cut
 * into frames, a few raw bytes, time, local writes, checkpoints, a full disk.
 * Whatever comes, what the store is given is what the real one takes, nothing
 * claims our own run, and what we send can be read. */

#include <stdlib.h>
#include <string.h>

#include "../sim/store.h"
#include "base/rng.h"
#include "sync/items.h"
#include "sync/op.h"
#include "sync/replica.h"

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)
#define LINKS 2
#define START_MS 1000000000000u
#define DRIFT_MS (6 * 60 * 1000) /* what the engine refuses (foreign.h) */
#define UID 10u
#define INC 100u
#define RAW_MAX 64 /* bytes, so that the store of arrays does not run over */
#define RAW_DATA_MAX 3
#define RAW_FRAMES_MAX 16
#define COMMANDS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
	struct replica_link *link;
	struct op_writer writer;
	struct buf ops; /* that wait for a frame */
	bool is_deaf;
	uint64_t range; /* the id it was asked for last */
};

struct script {
	const uint8_t *at;
	size_t left;
	struct arena arena;
	struct sim_store store;
	struct replica *replica;
	struct peer peers[LINKS];
	uint64_t now_ms;
	unsigned raw_frames, raw_data;
};

/* ---- fields out of the input ---- */

static uint8_t
take(struct script *s)
{
	if (s->left == 0)
		return 0;
	s->left--;
	return *s->at++;
}

static uint64_t
take_inc(struct script *s)
{
	static const uint64_t incs[] = { INC, 201, 202, 301, 302, 303, 0,
		UINT64_MAX };

	return incs[take(s) % 8];
}

static uint64_t
take_tick(struct script *s)
{
	uint8_t c = take(s);
	uint64_t now = (START_MS + s->now_ms) << 16;
	uint64_t near = take(s);

	switch (c % 8) {
	case 0:
		return near;
	case 1:
		return s->store.now.head + near - 1;
	case 2:
		return now - (near << 16);
	case 3:
		return now + (near << 16);
	case 4:
		return now + ((near + 300) << 26);
	case 5:
		return UINT64_MAX - near;
	case 6:
		return s->store.start + near;
	default:
		return s->store.now.clock + near;
	}
}

static struct kv_slice
take_key(struct script *s)
{
	static const char keys[8][8] = { "k0", "k1", "k2", "k3", "k4", "k5",
		"k6", "" };
	static const char large[KV_KEY_MAX];
	uint8_t c = take(s);

	return c == 255 ? (struct kv_slice){ large, sizeof(large) }
			: slice_of(keys[c % 8]);
}

static struct kv_slice
take_bucket(struct script *s)
{
	static const char *const names[] = { "a", "b", "c", "\001expiring" };

	return slice_of(names[take(s) % 4]);
}

/* ---- the node ---- */

static void
check_rows(const struct sim_store *s)
{
	const struct sync_row *row = sim_row(&s->now, INC);

	MUST(row == NULL || (row->vv <= s->now.clock && row->own == 0));
	MUST(sim_row(&s->now, 0) == NULL);
}

/* What foreign_commit() demands. */
static void
check_store(const struct script *s)
{
	uint64_t most = (START_MS + s->now_ms + DRIFT_MS) << 16;
	const struct sim_state *t = &s->store.now;
	unsigned i;

	for (i = 0; i < t->record_count; i++) {
		const struct record *r = &t->records[i];

		MUST(r->key.len <= KV_KEY_MAX);
		MUST(r->bid != 0 && r->stamp.inc != 0 && r->stamp.tick != 0);
		MUST(r->stamp.tick <= most);
		MUST(r->type != RECORD_TOMB || r->value.len == 0);
	}
	for (i = 0; i < t->bucket_count; i++) {
		MUST(t->buckets[i].row.created.tick <= most);
		MUST(t->buckets[i].row.dropped.tick <= most);
		MUST((t->buckets[i].row.options & BUCKET_LOCAL) == 0);
	}
	MUST(t->clock <= most);
	check_rows(&s->store);
}

static void
begin(struct script *s)
{
	struct replica_time now = { s->now_ms, START_MS + s->now_ms };

	s->store.wall_ms = now.wall_ms;
	MUST(replica_begin(s->replica, now) == KV_OK);
}

static void
hang_up(struct script *s, struct peer *p)
{
	replica_close(s->replica, p->link);
	p->link = NULL;
	p->ops.len = 0;
}

static void
listen_to(struct script *s, struct peer *p)
{
	struct buf out;
	struct frame f;
	int rc = KV_OK;

	buf_init(&out);
	while (rc == KV_OK && p->link != NULL && !p->is_deaf) {
		out.len = 0;
		rc = replica_send(s->replica, p->link, &out);
		if (rc < 0)
			break;
		MUST(frame_decode(buf_slice(&out), &f) == KV_OK);
		if (f.type == FRAME_RANGE)
			p->range = f.u.range.id;
	}
	MUST(rc == KV_OK || rc == KV_EAGAIN || rc == KV_ECLOSED);
	if (rc == KV_ECLOSED)
		hang_up(s, p);
	buf_fini(&out);
}

static void
end(struct script *s)
{
	struct replica_event e;
	uint64_t next;
	size_t i;

	MUST(replica_end(s->replica, &next) == KV_OK);
	for (i = 0; i < LINKS; i++)
		listen_to(s, &s->peers[i]);
	replica_release(s->replica);
	while (replica_take_event(s->replica, &e))
		MUST(strlen(e.text) < sizeof(e.text));
	check_store(s);
}

static void
turn(struct script *s)
{
	end(s);
	begin(s);
}

/* ---- frames ---- */

static void
hand(struct script *s, struct peer *p, struct kv_slice plain)
{
	int rc;

	if (p->link == NULL || !replica_wants_input(s->replica, p->link))
		return;
	rc = replica_receive(s->replica, p->link, plain);
	MUST(rc == KV_OK || rc == KV_EPROTO || rc == KV_ECLOSED);
	if (rc < 0) {
		listen_to(s, p);
		if (p->link != NULL)
			hang_up(s, p);
	}
}

static void
hand_frame(struct script *s, struct peer *p, const struct frame *f)
{
	struct buf out;

	buf_init(&out);
	if (frame_encode(f, &out) == KV_OK)
		hand(s, p, buf_slice(&out));
	buf_fini(&out);
}

static void
take_rows(struct script *s, struct buf *rows)
{
	unsigned n = take(s) % 6;

	while (n-- > 0)
		MUST(item_put_row(rows,
			 (struct item_row){ take_inc(s), take_tick(s) }) ==
		    KV_OK);
}

static void
fill_hello(struct script *s, struct peer *p, struct frame_hello *h,
    struct buf *rows)
{
	static const char *const names[] = { "p0@h", "p1@h", "n@h", "p0@g" };
	uint64_t which = (uint64_t)(p - s->peers);
	uint8_t c = take(s);

	h->uid = c & 1 ? 20 + take(s) % 3 : 20 + which;
	h->inc = c & 2 ? take_inc(s) : 201 + which;
	h->wall_ms = c & 4 ? take_tick(s) >> 16 : START_MS + s->now_ms;
	h->start_tick = take_tick(s);
	h->head_tick = take_tick(s);
	h->name = slice_of(names[c & 8 ? take(s) % 4 : which]);
	h->dialled = c & 16 ? slice_of("n") : (struct kv_slice){ "", 0 };
	if (c & 32)
		take_rows(s, rows);
	h->lineage = buf_slice(rows);
	h->timeout_ms = c & 64 ? take(s) : 10000;
	op_writer_init(&p->writer, h->inc);
}

static void
fill_other(struct script *s, struct peer *p, struct frame *f)
{
	static const char zeros[64];

	switch ((unsigned)f->type) {
	case FRAME_RESYNC:
		f->u.stream = 1 + take(s) % 3;
		break;
	case FRAME_RANGE:
		f->u.range = (struct frame_range){ p->range + take(s) % 3,
			1 + take(s) % 3, sim_bucket_id(take_bucket(s)),
			take_key(s), 0, { "", 0 } };
		if (take(s) & 1) {
			f->u.range.hi_bid = sim_bucket_id(take_bucket(s));
			f->u.range.hi_key = take_key(s);
		}
		break;
	case FRAME_ACK:
		f->u.ack = (struct frame_ack){ 1 + take(s) % 3,
			take(s) & FRAME_DURABLE, take_tick(s),
			(uint32_t)take(s) << 23 };
		break;
	case FRAME_PING:
	case FRAME_PONG:
		f->u.ping = (struct frame_ping){ take(s), take_tick(s) >> 16 };
		break;
	case FRAME_BYE:
		f->u.bye.code = take(s) % 14;
		f->u.bye.text = slice_of("so long");
		break;
	case FRAME_CALL:
		f->u.call.bytes = (struct kv_slice){ zeros, take(s) % 64 };
		break;
	default:
		f->u.port = take(s);
	}
}

static void
send_typed(struct script *s, struct peer *p)
{
	static const enum frame_type types[] = { FRAME_HELLO, FRAME_VV,
		FRAME_SUB, FRAME_PULL, FRAME_RESYNC, FRAME_RANGE, FRAME_ACK,
		FRAME_DIGEST, FRAME_PING, FRAME_PONG, FRAME_REDIRECT,
		FRAME_CALL, FRAME_BYE, FRAME_VV, FRAME_HELLO, FRAME_ACK };
	struct frame f = { .type = types[take(s) % 16] };
	struct buf rows;

	buf_init(&rows);
	switch ((unsigned)f.type) {
	case FRAME_HELLO:
		fill_hello(s, p, &f.u.hello, &rows);
		break;
	case FRAME_VV:
	case FRAME_SUB:
	case FRAME_PULL:
		f.u.rows.flags = take(s) % 16 == 0 ? FRAME_MORE : 0;
		f.u.rows.cursor = take_tick(s);
		take_rows(s, &rows);
		f.u.rows.rows = buf_slice(&rows);
		break;
	case FRAME_DIGEST:
		f.u.digest.vv_hash[0] = take(s);
		take_rows(s, &rows);
		rows.len -= rows.len % FRAME_DIGEST_ROW;
		f.u.digest.rows = buf_slice(&rows);
		break;
	default:
		fill_other(s, p, &f);
	}
	hand_frame(s, p, &f);
	buf_fini(&rows);
}

static void
send_raw(struct script *s, struct peer *p)
{
	uint8_t bytes[RAW_MAX];
	size_t n = take(s) % RAW_MAX, i;

	for (i = 0; i < n; i++)
		bytes[i] = take(s);
	if (n == 0 || s->raw_frames++ >= RAW_FRAMES_MAX)
		return;
	if (bytes[0] >= FRAME_DATA_OWN && bytes[0] <= FRAME_DATA_RANGE &&
	    s->raw_data++ >= RAW_DATA_MAX)
		return;
	hand(s, p, (struct kv_slice){ (const char *)bytes, n });
}

/* ---- ops ---- */

static void
fill_record(struct script *s, struct op *op)
{
	static const char values[300];
	uint8_t c = take(s);

	op->record.bid = sim_bucket_id(take_bucket(s));
	op->record.stamp.inc = take_inc(s);
	op->record.stamp.tick = take_tick(s);
	op->record.key = take_key(s);
	if (c & 1) {
		op->record.flags |= RECORD_DEADLINE;
		op->record.deadline = take_tick(s) >> 16;
	}
	if (op->type == OP_PUT)
		op->record.value =
		    (struct kv_slice){ values, c & 2 ? sizeof(values) : c };
	else if (c & 4)
		op->record.flags |= RECORD_EXPIRED;
}

static void
add_op(struct script *s, struct peer *p)
{
	struct op op = { .type = (enum op_type)(OP_PUT + take(s) % 5) };

	switch (op.type) {
	case OP_PUT:
	case OP_TOMB:
		fill_record(s, &op);
		break;
	case OP_BUCKET:
		op.name = take_bucket(s);
		op.bucket.created = (struct stamp){ take_tick(s), take_inc(s) };
		op.bucket.dropped = (struct stamp){ take_tick(s), take_inc(s) };
		break;
	case OP_VVROW:
		op.flags = take(s) & OP_PURGED;
		op.row.inc = take_inc(s);
		op.row.tick = take_tick(s);
		break;
	case OP_MARK:
		op.flags = take(s) & OP_END;
		op.cursor = take(s) & 1 ? p->range : take_tick(s);
		op.head = take(s) & 1 ? op.cursor : take_tick(s);
		break;
	}
	if (p->ops.len < 32768)
		(void)!op_write(&p->writer, &op, &p->ops);
}

/* All that waits, or its first bytes. */
static void
send_data(struct script *s, struct peer *p)
{
	static const enum frame_type types[] = { FRAME_DATA_OWN,
		FRAME_DATA_FULL, FRAME_DATA_RANGE, FRAME_DATA_OWN };
	struct frame f = { .type = types[take(s) % 4] };
	size_t n = take(s);

	n = n == 0 || n > p->ops.len ? p->ops.len : n;
	f.u.data = (struct kv_slice){ p->ops.data, n };
	hand_frame(s, p, &f);
	if (p->link != NULL) /* hang_up() has emptied it else */
		buf_consume(&p->ops, n);
}

/* ---- the world ---- */

static void
live(struct script *s)
{
	uint8_t c = take(s);

	end(s);
	switch (c % 8) {
	case 0:
		(void)!sim_put(&s->store, slice_of("a"), slice_of("k1"),
		    slice_of("mine"), 0);
		break;
	case 1:
		(void)!sim_del(&s->store, slice_of("a"), slice_of("k0"));
		break;
	case 2:
		(void)!sim_drop(&s->store, slice_of("b"));
		break;
	case 3:
		sim_checkpoint(&s->store, take(s) & 1 ? 2 : UINT32_MAX);
		break;
	case 4:
		s->store.refuse = s->store.refuse == KV_OK ? KV_ENOSPC : KV_OK;
		break;
	case 5:
		if (!s->store.is_half)
			sim_purge(&s->store, START_MS + s->now_ms);
		break;
	case 6:
		sim_sync(&s->store);
		break;
	default:
		(void)!sim_create(&s->store, take_bucket(s), 0);
	}
	begin(s);
}

static void
open_link(struct script *s, struct peer *p)
{
	if (p->link != NULL)
		return;
	MUST(replica_open(s->replica, take(s) & 1, slice_of(""), &p->link) ==
	    KV_OK);
	op_writer_init(&p->writer, 201 + (uint64_t)(p - s->peers));
	p->is_deaf = false;
}

static void
command(struct script *s)
{
	uint8_t c = take(s);
	struct peer *p = &s->peers[c >> 7];

	switch (c % 16) {
	case 0:
		s->now_ms += take(s);
		turn(s);
		break;
	case 1:
		s->now_ms += 1000u * take(s);
		turn(s);
		break;
	case 2:
	case 3:
		turn(s);
		break;
	case 4:
		live(s);
		break;
	case 5:
		p->is_deaf = !p->is_deaf;
		break;
	case 6:
		send_raw(s, p);
		break;
	case 7:
	case 8:
		send_data(s, p);
		break;
	case 9:
	case 10:
		add_op(s, p);
		break;
	default:
		open_link(s, p);
		send_typed(s, p);
	}
}

static void
start(struct script *s)
{
	struct replica_config config = { .uid = UID,
		.inc = INC,
		.name = "n@h",
		.timeout_ms = 10000,
		.value_max = 1000,
		.seed = 1,
		.tuning = { .mark_ops = 4,
		    .credit = 4096,
		    .batch_bytes = 2048,
		    .range_keys = 4,
		    .digest_ms = 100 } };

	sim_store_init(&s->store, &s->arena, UID);
	sim_store_start(&s->store, INC, START_MS);
	s->now_ms = 1;
	config.start = s->store.start;
	MUST(replica_new(&config, sim_store_ops(&s->store), &s->replica) ==
	    KV_OK);
	MUST(sim_create(&s->store, slice_of("a"), 0) == KV_OK);
	MUST(sim_put(&s->store, slice_of("a"), slice_of("k0"), slice_of("mine"),
		 0) == KV_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script *s = calloc(1, sizeof(*s));
	unsigned n = 0, i;

	MUST(s != NULL);
	s->at = data;
	s->left = size;
	start(s);
	begin(s);
	while (s->left > 0 && n++ < COMMANDS_MAX)
		command(s);
	end(s);
	replica_free(s->replica);
	for (i = 0; i < LINKS; i++)
		buf_fini(&s->peers[i].ops);
	arena_fini(&s->arena);
	free(s);
	return 0;
}
