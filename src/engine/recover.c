/* SPDX-License-Identifier: ISC */
/* The first opener's work: bring the store's memory to life.
 *
 * Adopt: processes died, the machine did not.  The memory holds all that was
 * acknowledged; the mutex is set up anew, a half-done append is finished as
 * the next owner would, and life goes on where it stopped: same incarnation,
 * same segment.  It costs nothing that grows with data.
 *
 * Replay: the memory is gone.  The log's files are followed from the tree's
 * position on, header by header; every record is checked.  A fresh segment is
 * begun behind, under a new incarnation: nothing is ever appended behind a torn
 * tail, and no stamp is ever given twice. */

#include "engine/recover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/clockwatch.h"
#include "shm/region.h"
#include "tree/apply.h"
#include "wal/replay.h"

static int
recover_open_tree(struct engine *e)
{
	char folder[PATH_MAX];
	struct tree_options o = { .folder = folder,
		.map_size = e->options.map_size,
		.max_readers = CONTROL_PROCESSES,
		.writable = true };

	snprintf(folder, sizeof(folder), "%.*s/tree", (int)sizeof(folder) - 8,
	    e->dir);
	return tree_open(&o, &e->tree);
}

int
recover_make_tree(struct engine *e)
{
	char from[PATH_MAX], to[PATH_MAX];
	int rc = recover_open_tree(e);

	if (rc == KV_ECORRUPT) {
		snprintf(from, sizeof(from), "%.*s/tree/data.mdb",
		    (int)sizeof(from) - 32, e->dir);
		snprintf(to, sizeof(to), "%.*s/tree/data.mdb.unfinished",
		    (int)sizeof(to) - 32, e->dir);
		if (rename(from, to) < 0)
			return err_system("rename", from);
		log_warn("store dir=%s error=\"its making was cut short\" "
			 "put_aside=%s",
		    e->dir, to);
		rc = recover_open_tree(e);
	}
	tree_close(e->tree);
	e->tree = NULL;
	return rc;
}

static int
recover_tree(struct engine *e, struct recovery *r)
{
	int rc;

	if ((rc = recover_open_tree(e)) < 0)
		return rc;
	tree_reap_readers(e->tree);
	if ((rc = tree_renew(e->tree)) < 0)
		return rc;
	rc = tree_position(e->tree, &r->tree);
	tree_release(e->tree);
	return rc;
}

int
recover_meta_u64(struct engine *e, const char *name, uint64_t *out)
{
	struct kv_slice value;
	int rc;

	*out = 0;
	if ((rc = tree_renew(e->tree)) < 0)
		return rc;
	rc = tree_meta_get(e->tree, name, &value);
	if (rc == KV_OK && value.len == 8)
		*out = bytes_get_be64(value.data);
	tree_release(e->tree);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* ---- replay ---- */

static int
recover_fresh_memory(struct engine *e)
{
	int rc;

	region_remove_folder(e->shm); /* of the last life */
	if ((rc = home_choose(e)) < 0)
		return rc;
	region_remove_folder(e->shm);
	if (mkdir(e->shm, 0700) < 0 && errno != EEXIST) {
		rc = err_system("mkdir", e->shm);
		log_error("shared_memory folder=%s hint=\"set shm_dir to a "
			  "folder on tmpfs that you can write to\"",
		    e->options.shm_dir);
		return rc;
	}
	if ((rc = control_make(e->shm, &e->control)) < 0)
		return rc;
	e->control->store_id = e->store_id;
	e->control->hash_secret = rng_u64();
	e->control->made_ms = clock_wall_ms();
	/* Who wrote the files may not have synced them. */
	atomic_store(&e->control->unsynced, 1);
	adopt_forget_processes(e->control);
	if ((rc = home_sign(e)) < 0)
		return rc;
	return memory_make(e, e->segment_size);
}

static void
recover_positions(struct engine *e, uint64_t lo, uint64_t end, uint64_t durable)
{
	struct control *c = e->control;

	atomic_store(&c->wal_end, end);
	atomic_store(&c->indexed_end, end);
	atomic_store(&c->durable, durable);
	atomic_store(&c->segment_hi, engine_segment_of(e, end));
	atomic_store(&c->segment_lo, lo);
	atomic_store(&c->memory_ready, engine_segment_of(e, end));
	atomic_store(&c->file_ready, engine_segment_of(e, end));
}

/* Is the next segment on disk, and does it follow what was read so far? */
static bool
recover_next(struct wal_files *files, struct recovery *r,
    struct segment_header *h)
{
	if (wal_files_header(files, r->number, h) < 0)
		return false;
	if (!r->linked)
		return true;
	if (h->prev_end == r->end && h->prev_nonce == r->prev_nonce)
		return true;
	log_warn("recover segment=%llu ignored=\"does not follow the one "
		 "before\" prev_end=%llu expected=%llu",
	    (unsigned long long)r->number, (unsigned long long)h->prev_end,
	    (unsigned long long)r->end);
	return false;
}

struct index_target {
	struct engine *e;
	uint64_t number;
	uint64_t used;
};

static void
recover_index(void *user, const struct wal_record *w, uint64_t offset)
{
	struct index_target *t = user;
	const struct segment *s = engine_segment(t->e, t->number);
	uint64_t secret = t->e->control->hash_secret;
	uint32_t at = (uint32_t)offset;

	if (wal_class(w->type) == WAL_MESSAGE)
		return;
	t->used += index_put(s,
	    index_hash_key(secret, wal_class(w->type), w->bid,
		wal_record_key(w)),
	    at);
	t->used += index_put_chain(s, index_hash_chain(secret, w->bid), at);
	if (w->type == RECORD_BUCKET) {
		t->used += index_put_row(s, index_hash_row(secret, w->bid), at);
		/* Scans look for rows no further than this. */
		atomic_store(&t->e->control->bucket_change,
		    t->number * t->e->segment_size + offset + w->len);
	}
}

/* Read one segment into its slot and enter it. */
static int
recover_segment(struct engine *e, struct wal_files *files, struct recovery *r)
{
	const struct segment *s = engine_segment(e, r->number);
	struct index_target target = { e, r->number, 0 };
	struct segment_header h;
	struct replay found;
	uint64_t start = r->number * e->segment_size;
	int rc;

	if ((rc = memory_prepare(e, r->number)) < 0 ||
	    (rc = wal_files_read(files, r->number, s->base)) < 0)
		return rc;
	memcpy(&h, s->base, sizeof(h));
	replay_segment(s->base, e->segment_size, recover_index, &target,
	    &found);
	/* Bytes that are not part of the log must not look as if they were. */
	memset(s->base + found.end, 0, e->segment_size - found.end);
	r->end = start + found.end;
	r->prev_nonce = h.nonce;
	r->records += found.records;
	e->control->index_used = target.used;
	if (found.last_seq > e->control->seq)
		e->control->seq = found.last_seq;
	if (found.torn)
		log_warn("recover segment=%llu torn_at=%llu",
		    (unsigned long long)r->number,
		    (unsigned long long)found.end);
	r->linked = true;
	if (r->end <= r->tree.checkpointed) {
		/* The tree has all that was found of it, or more (mode os syncs
		 * the tree, not the log): older versions must not be seen. */
		r->end = r->tree.checkpointed;
		r->number++;
		return KV_OK;
	}
	if (!r->any)
		atomic_store(&e->control->segment_lo, r->number);
	recover_positions(e, atomic_load(&e->control->segment_lo), r->end,
	    r->end);
	r->any = true;
	r->number++;
	return KV_OK;
}

/* After an orderly stop the tree has all of the first segment: when no record
 * begins where the tree stands, there is nothing in it to load. */
static bool
recover_is_settled(struct engine *e, struct wal_files *files,
    const struct recovery *r, const struct segment_header *h)
{
	char block[sizeof(struct wal_record) + 24] __attribute__((aligned(8)));
	const struct wal_record *w = (const void *)block;
	uint64_t start = r->number * e->segment_size;

	if (r->tree.checkpointed < start + SEGMENT_HEADER ||
	    r->tree.checkpointed + sizeof(block) > start + e->segment_size)
		return false;
	if (wal_files_peek(files, r->number, r->tree.checkpointed - start,
		block, sizeof(block)) < 0)
		return false;
	return wal_record_check(w, h->nonce, r->tree.checkpointed) != w->check;
}

/* The log's slots are few; crash after crash adds a segment each, so the
 * oldest move into the tree until there is room for the next. */
static int
recover_make_room(struct engine *e, uint64_t number)
{
	int rc = KV_OK;

	while (rc == KV_OK &&
	    number - atomic_load(&e->control->segment_lo) >=
		CONTROL_OUTSTANDING)
		rc = checkpoint_oldest(e);
	return rc;
}

static int
recover_log(struct engine *e, struct wal_files *files, struct recovery *r)
{
	struct segment_header h;
	int rc = KV_OK;

	r->number = engine_segment_of(e, r->tree.checkpointed);
	if (r->number == 0)
		r->number = 1;
	r->end = r->tree.checkpointed;
	/* The tree stands at the end of a segment: its file may serve another
	 * by now. */
	if (wal_files_header(files, r->number, &h) < 0 &&
	    wal_files_header(files, r->number + 1, &h) == KV_OK &&
	    h.prev_end <= r->end)
		r->number++;
	if (recover_next(files, r, &h) && recover_is_settled(e, files, r, &h)) {
		r->linked = true;
		r->prev_nonce = h.nonce;
		r->number++;
	}
	while (rc == KV_OK && recover_next(files, r, &h)) {
		if (r->any)
			rc = recover_make_room(e, r->number);
		if (rc == KV_OK)
			rc = recover_segment(e, files, r);
	}
	return rc;
}

static void
recover_digest(const struct record *r, uint64_t sum[2])
{
	uint64_t digest[2];

	bucket_digest(r->bid, r->key, r->stamp, digest);
	sum[0] += digest[0];
	sum[1] += digest[1];
}

/* A checkpoint was broken off and its log is not all there (mode os after a
 * power cut, lost files, a copy of the tree alone): the tree has some of what
 * the log no longer has. */
static int
recover_unfinished(struct engine *e)
{
	struct control *c = e->control;
	uint64_t seq;
	int rc;

	if ((rc = tree_renew(e->tree)) < 0)
		return rc;
	rc = tree_unfinished(e->tree, &seq);
	tree_release(e->tree);
	if (rc < 0 || seq <= c->seq)
		return rc;
	log_warn("recover log=\"ends before a checkpoint that was made of "
		 "it\" action=\"mending the tree\"");
	c->seq = seq; /* nothing may be given a number that was used */
	while (rc == KV_OK &&
	    atomic_load(&c->checkpointed) < atomic_load(&c->wal_end))
		rc = checkpoint_oldest(e);
	return rc < 0 ? rc : apply_repair(e->tree, recover_digest);
}

static int
recover_begin(struct engine *e, struct recovery *r)
{
	struct control *c = e->control;
	uint64_t number, start;
	int rc;

	number = engine_segment_of(e, r->end) + 1;
	/* All of it went into the tree, which may have got newer totals. */
	if (atomic_load(&c->checkpointed) >= r->end)
		r->any = false;
	if (r->any && (rc = recover_make_room(e, number)) < 0)
		return rc;
	if ((rc = memory_prepare(e, number)) < 0)
		return rc;
	start = number * e->segment_size;
	c->index_used = 0;
	append_begin_segment(e, number, r->end, r->prev_nonce);
	recover_positions(e, r->any ? atomic_load(&c->segment_lo) : number,
	    start + SEGMENT_HEADER, start);
	if (!r->any) /* nothing between the tree and here */
		atomic_store(&c->checkpointed, start + SEGMENT_HEADER);
	return KV_OK;
}

static int
recover_look_for_buckets(struct tree_scan *scan, bool *named, bool *local)
{
	struct record r;
	struct bucket b;
	int rc;

	/* Those of this host stand together. */
	rc = tree_scan_seek(scan, slice_of(SCOPE_PREFIX), 0);
	if (rc == KV_OK && (rc = tree_scan_next(scan, &r)) == KV_OK)
		*local = scope_of_name(r.key) == SCOPE_LOCAL;
	if (rc == KV_OK)
		rc = tree_scan_seek(scan, (struct kv_slice){ "", 0 }, 0);
	while (
	    rc == KV_OK && !*named && (rc = tree_scan_next(scan, &r)) == KV_OK)
		*named = schema_get_bucket(r.value, &b) == KV_OK &&
		    !(b.options & BUCKET_DATABASE) &&
		    !bucket_is_hidden(scope_bare(r.key));
	return rc;
}

/* SET must look for a bucket of the key's name only if there are any, and for
 * one of this host only if there are any of those. */
static int
recover_count_buckets(struct engine *e)
{
	struct control *c = e->control;
	struct tree_scan *scan = NULL;
	bool named = false, local = false;
	int rc;

	if ((rc = tree_renew(e->tree)) < 0)
		return rc;
	rc = tree_scan_open(e->tree, TREE_BY_BUCKET, 0, &scan);
	if (rc == KV_OK)
		rc = recover_look_for_buckets(scan, &named, &local);
	tree_scan_close(scan);
	tree_release(e->tree);
	/* Rows in the log: not worth a walk, some are as good as none. */
	if (atomic_load(&c->checkpointed) != atomic_load(&c->wal_end))
		named = local = true;
	atomic_store(&c->buckets, named);
	atomic_store(&c->locals, local);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
recover_replay(struct engine *e, struct recovery *r)
{
	struct wal_files *files = NULL;
	char folder[PATH_MAX];
	int rc;

	snprintf(folder, sizeof(folder), "%.*s/wal", (int)sizeof(folder) - 8,
	    e->dir);
	if ((rc = recover_fresh_memory(e)) < 0)
		return rc;
	e->control->seq = r->tree.seq;
	atomic_store(&e->control->checkpointed, r->tree.checkpointed);
	rc = wal_files_open(folder, e->store_id, e->segment_size, &files);
	if (rc == KV_OK)
		rc = recover_log(e, files, r);
	/* Every record up to here was found; above it some may be lost, though
	 * a checkpoint that was broken off has others. */
	e->control->born_tick = e->control->seq;
	if (rc == KV_OK)
		rc = recover_unfinished(e);
	if (rc == KV_OK)
		rc = incarnation_begin(e);
	if (rc == KV_OK)
		clockwatch_begin(e);
	if (rc == KV_OK)
		e->control->start_tick =
		    append_tick(e->control, clock_wall_ms());
	if (rc == KV_OK)
		rc = recover_begin(e, r);
	if (rc == KV_OK)
		wal_files_set_aside(files,
		    atomic_load(&e->control->segment_hi));
	wal_files_close(files);
	if (rc == KV_OK)
		rc = recover_count_buckets(e);
	if (rc == KV_OK && r->any)
		log_info("recover from=disk records=%llu end=%llu",
		    (unsigned long long)r->records, (unsigned long long)r->end);
	return rc;
}

int
recover_store(struct engine *e)
{
	struct recovery r = { 0 };
	int rc;

	if ((rc = recover_tree(e, &r)) < 0)
		return rc;
	rc = adopt_memory(e, &r);
	if (rc == KV_ENOTFOUND)
		rc = recover_replay(e, &r);
	checkpointer_free(e);
	/* Opened again as the role needs it; LMDB wants one at a time. */
	tree_close(e->tree);
	e->tree = NULL;
	return rc;
}
