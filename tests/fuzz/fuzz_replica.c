/* SPDX-License-Identifier: ISC */
/* A node and two peers that hold the cookie and send what they like.  The input
 * is a script: frames of all types with fields that might be right, ops cut
 * into frames, a few raw bytes, time, local writes, checkpoints, a full disk.
 * Whatever comes, what the store is given is what the real one takes, nothing
 * claims our own run, and what we send can be read. */

#include <stdlib.h>
#include <string.h>

#include "../sim/words.h"
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
#define INC WORDS_INC
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
	struct words words;
	struct arena arena;
	struct sim_store store;
	struct replica *replica;
	struct peer peers[LINKS];
	uint64_t now_ms;
	unsigned raw_frames, raw_data;
};

/* ---- the node ---- */

static void
check_rows(const struct sim_store *s, uint64_t most)
{
	const struct sync_row *row = sim_row(&s->now, INC);
	unsigned i;

	MUST(row == NULL || (row->vv <= s->now.clock && row->own == 0));
	MUST(sim_row(&s->now, 0) == NULL);
	for (i = 0; i < s->now.row_count; i++) {
		row = &s->now.rows[i];
		MUST(row->vv <= most && row->announced <= most);
		MUST(row->purged <= most && row->own <= most);
		MUST(row->full <= most && row->full_head <= most);
	}
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
	check_rows(&s->store, most);
}

static void
begin(struct script *s)
{
	struct replica_time now = { s->now_ms, START_MS + s->now_ms };

	s->store.wall_ms = s->words.wall_ms = now.wall_ms;
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
send_typed(struct script *s, struct peer *p)
{
	struct buf rows;
	struct frame f;

	buf_init(&rows);
	words_frame(&s->words, (unsigned)(p - s->peers), p->range, &rows, &f);
	if (f.type == FRAME_HELLO)
		op_writer_init(&p->writer, f.u.hello.inc);
	p->writer.tells_prev = true;
	hand_frame(s, p, &f);
	buf_fini(&rows);
}

static void
send_raw(struct script *s, struct peer *p)
{
	uint8_t bytes[RAW_MAX];
	size_t n = words_u8(&s->words) % RAW_MAX, i;

	for (i = 0; i < n; i++)
		bytes[i] = words_u8(&s->words);
	if (n == 0 || s->raw_frames++ >= RAW_FRAMES_MAX)
		return;
	if (bytes[0] >= FRAME_DATA_OWN && bytes[0] <= FRAME_DATA_RANGE &&
	    s->raw_data++ >= RAW_DATA_MAX)
		return;
	hand(s, p, (struct kv_slice){ (const char *)bytes, n });
}

/* ---- ops ---- */

static void
add_op(struct script *s, struct peer *p)
{
	struct op op;

	words_op(&s->words, p->range, &op);
	if (p->ops.len < 32768)
		(void)!op_write(&p->writer, &op, &p->ops);
}

/* All that waits, or its first bytes. */
static void
send_data(struct script *s, struct peer *p)
{
	static const enum frame_type types[] = { FRAME_DATA_OWN,
		FRAME_DATA_FULL, FRAME_DATA_RANGE, FRAME_DATA_OWN };
	struct frame f = { .type = types[words_u8(&s->words) % 4] };
	size_t n = words_u8(&s->words);

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
	uint8_t c = words_u8(&s->words);

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
		sim_checkpoint(&s->store,
		    words_u8(&s->words) & 1 ? 2 : UINT32_MAX);
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
		(void)!sim_create(&s->store, words_bucket(&s->words), 0);
	}
	begin(s);
}

static void
open_link(struct script *s, struct peer *p)
{
	if (p->link != NULL)
		return;
	MUST(replica_open(s->replica, words_u8(&s->words) & 1, slice_of(""),
		 &p->link) == KV_OK);
	op_writer_init(&p->writer, 201 + (uint64_t)(p - s->peers));
	p->is_deaf = false;
}

static void
command(struct script *s)
{
	uint8_t c = words_u8(&s->words);
	struct peer *p = &s->peers[c >> 7];

	switch (c % 16) {
	case 0:
		s->now_ms += words_u8(&s->words);
		turn(s);
		break;
	case 1:
		s->now_ms += 1000u * words_u8(&s->words);
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

	s->words.store = &s->store;
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
	s->words.at = data;
	s->words.left = size;
	start(s);
	begin(s);
	while (s->words.left > 0 && n++ < COMMANDS_MAX)
		command(s);
	end(s);
	replica_free(s->replica);
	for (i = 0; i < LINKS; i++)
		buf_fini(&s->peers[i].ops);
	arena_fini(&s->arena);
	free(s);
	return 0;
}
