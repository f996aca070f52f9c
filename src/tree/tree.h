/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_TREE_H
#define KV_TREE_TREE_H

/* The store's older part: everything up to the log position "checkpointed",
 * in LMDB (http://www.lmdb.tech/doc).  Many processes read it; one, the
 * checkpointer, writes it (tree/apply.h).
 *
 * A handle has one read snapshot.  tree_renew() takes it, tree_release()
 * gives it up (a snapshot held for long keeps LMDB from reusing pages);
 * what get and scan hand out borrows from the map and is gone at the next
 * renew or release.  No transaction may cross a fork. */

#include "base/record.h"

struct tree;

struct tree_options {
	const char *folder;   /* of data.mdb; made when missing and writable */
	uint64_t map_size;    /* bytes of address space */
	unsigned max_readers; /* processes at once */
	bool writable;
	bool make_nosync; /* tests only: do not fsync */
};

KV_CHECKED int tree_open(const struct tree_options *options, struct tree **out);
void tree_close(struct tree *t);

KV_CHECKED int tree_renew(struct tree *t);
void tree_release(struct tree *t);

/* Changes when, and only when, the snapshot taken by renew differs from the
 * one before: pointers into the map stay valid while this stays equal AND a
 * snapshot is held (LMDB reuses pages only past the oldest reader). */
uint64_t tree_snapshot(const struct tree *t);

/* Clear reader slots of dead processes; they pin pages (28 us: call it when a
 * child died). */
void tree_reap_readers(struct tree *t);

/* Where the tree stands. */
struct tree_position {
	uint64_t checkpointed; /* LSN: the tree holds every record before it */
	uint64_t seq;	       /* highest seq among them */
};
KV_CHECKED int tree_position(struct tree *t, struct tree_position *out);

/* While a checkpoint is half applied, a seq at or above every one it brought,
 * else 0.  The rows it brought are whole, but byseq, expiry and totals are not
 * yet in step with them.  A clock must start above it; see apply_repair() for
 * when the log that the checkpoint came from is gone. */
KV_CHECKED int tree_unfinished(struct tree *t, uint64_t *seq);

/* Small values by name: "uid", "inc", "lineage" and so on.  KV_ENOTFOUND when
 * absent.  The slice borrows from the map. */
KV_CHECKED int tree_meta_get(struct tree *t, const char *name,
    struct kv_slice *out);

/* A record, live or tombstone, whatever its bucket's state.  type is
 * RECORD_PUT or RECORD_TOMB, end is 0. */
KV_CHECKED int tree_get(struct tree *t, uint64_t bid, struct kv_slice key,
    struct record *out);

/* POSITION rows (sync's "incs"): bid is 0. */
KV_CHECKED int tree_get_position(struct tree *t, struct kv_slice key,
    struct record *out);

KV_CHECKED int tree_get_bucket(struct tree *t, struct kv_slice name,
    struct bucket *out);

/* The same by id; name borrows from the map. */
KV_CHECKED int tree_get_bucket_by_id(struct tree *t, uint64_t bid,
    struct kv_slice *name, struct bucket *out);

/* KV_OK with all zero when the bucket has no row. */
KV_CHECKED int tree_get_totals(struct tree *t, uint64_t bid,
    struct totals *out);

/* Ordered walks over the current snapshot.  A scan dies with the snapshot:
 * open, walk and close it between one renew and the next release. */
struct tree_scan;

enum tree_order {
	TREE_BY_KEY,	  /* records of one bucket, in key order */
	TREE_BY_SEQ,	  /* all records and bucket rows, in seq order */
	TREE_BY_BUCKET,	  /* RECORD_BUCKET: bucket rows in name order */
	TREE_BY_DEADLINE, /* records with deadlines, soonest first */
	TREE_BY_DEATH, /* tombstones, oldest first, by max(stamp, deadline) */
	TREE_BY_POSITION, /* RECORD_POSITION rows in key order */
};

/* bid only matters to TREE_BY_KEY, and to TREE_BY_SEQ unless it is 0: of that
 * bucket alone. */
KV_CHECKED int tree_scan_open(struct tree *t, enum tree_order order,
    uint64_t bid, struct tree_scan **out);
void tree_scan_close(struct tree_scan *s);

/* Go to the first entry at or after key (BY_KEY, BY_BUCKET) or number (seq,
 * or milliseconds for the other two). */
KV_CHECKED int tree_scan_seek(struct tree_scan *s, struct kv_slice key,
    uint64_t number);

/* The entry the scan stands on, then step.  KV_ENOTFOUND at the end.  BY_SEQ,
 * BY_DEADLINE, BY_DEATH look the record itself up and skip entries that are
 * no longer current.  For RECORD_BUCKET value is the encoded row
 * (tree/schema.h). */
KV_CHECKED int tree_scan_next(struct tree_scan *s, struct record *out);

struct tree_stat {
	uint64_t map_size;	/* bytes that the file may grow to */
	uint64_t used_bytes;	/* of the file, without free pages */
	uint64_t free_bytes;	/* of the file, to be used again */
	uint64_t entries;	/* records, tombstones too */
	uint64_t buckets;	/* rows, dropped ones too */
	uint64_t depth;		/* pages from the root to a record */
	uint64_t readers;	/* slots taken */
	uint64_t oldest_reader; /* snapshots that the oldest one which is held
				   lies behind the newest; it pins as many */
};
KV_CHECKED int tree_stat(struct tree *t, struct tree_stat *out);

/* Check everything that must agree with everything else, in the current
 * snapshot: every record has its byseq entry and the reverse, expiry rows
 * match, totals equal a recount by digest(record) (which the caller supplies,
 * because the hash is not this layer's).  Counted are RECORD_PUT rows that
 * their bucket's drop does not hide, whether or not the bucket lives or their
 * deadline is over; in the digest, those without a deadline.  A bucket still
 * to be purged has no totals to compare (kv-sync.7).  Each finding is one
 * line to report(); returns how many, or a negative code: KV_EBUSY while a
 * checkpoint is half applied (renew and try again).  progress() may be NULL. */
struct tree_check {
	void (*digest)(const struct record *r, uint64_t sum[2]); /* adds */
	void (*report)(void *user, const char *line);
	void (*progress)(void *user, uint64_t done, uint64_t of);
	void *user;
};
int tree_check(struct tree *t, const struct tree_check *check);

/* A compacted copy of the newest state into a new folder, synced
 * (mdb_env_copyfd2).  KV_EEXIST when there is a tree already; KV_EBUSY while a
 * checkpoint is half applied, because the copy would need its log: ask between
 * two checkpoints.  Pages are not reused until it is done. */
KV_CHECKED int tree_copy(struct tree *t, const char *folder);

#endif
