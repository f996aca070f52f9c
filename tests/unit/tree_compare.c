/* SPDX-License-Identifier: ISC */
/* Comparing a tree with the model; folders to test in. */

#include "tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/rng.h"

/* ---- dumps ------------------------------------------------------------- */

static void
dump_record(struct buf *out, const char *order, const struct record *r)
{
	assert_int_equal(buf_printf(out,
			     "%s %016llx %d %d %llu %llu %llu %llu %016llx "
			     "%016llx %zu\n",
			     order, (unsigned long long)r->bid, (int)r->type,
			     r->flags, (unsigned long long)r->seq,
			     (unsigned long long)r->stamp.tick,
			     (unsigned long long)r->stamp.inc,
			     (unsigned long long)r->deadline,
			     (unsigned long long)hash_bytes(r->key.data,
				 r->key.len, 1),
			     (unsigned long long)hash_bytes(r->value.data,
				 r->value.len, 2),
			     r->value.len),
	    KV_OK);
}

static void
dump_totals(struct buf *out, uint64_t bid, const struct totals *t)
{
	assert_int_equal(buf_printf(out, "totals %016llx %llu %llu %llx %llx\n",
			     (unsigned long long)bid,
			     (unsigned long long)t->keys,
			     (unsigned long long)t->bytes,
			     (unsigned long long)t->digest[0],
			     (unsigned long long)t->digest[1]),
	    KV_OK);
}

static int
by_key(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return slice_compare(x->key, y->key);
}

static int
by_seq(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

static int
by_end(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	struct schema_expiry e = schema_expiry_of(x), f = schema_expiry_of(y);

	if (e.ms != f.ms)
		return e.ms < f.ms ? -1 : 1;
	return by_seq(a, b);
}

static bool
has_deadline(const struct record *r)
{
	return schema_expiry_of(r).kind == 'D';
}

static bool
is_tomb(const struct record *r)
{
	return r->type == RECORD_TOMB;
}

static bool
is_replicated(const struct record *r)
{
	return !(r->flags & RECORD_LOCAL);
}

static bool
is_bucket(const struct record *r)
{
	return r->type == RECORD_BUCKET;
}

static uint64_t wanted_bid;

static bool
is_of_bucket(const struct record *r)
{
	return !is_bucket(r) && r->bid == wanted_bid;
}

static void
dump_sorted(struct buf *out, const char *order, struct record *all, size_t n,
    bool (*wanted)(const struct record *r),
    int (*compare)(const void *a, const void *b))
{
	size_t i;

	qsort(all, n, sizeof(*all), compare);
	for (i = 0; i < n; i++) {
		if (wanted(&all[i]))
			dump_record(out, order, &all[i]);
	}
}

/* In the order of the scans below. */
static void
model_dump(struct model *m, struct buf *out)
{
	struct record all[MODEL_RECORDS];
	struct totals sums[MODEL_BUCKETS];
	struct buf bytes;
	unsigned bucket;
	size_t n;

	buf_init(&bytes);
	n = model_all(m, all, sums, &bytes);
	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++) {
		wanted_bid = model_bid(bucket);
		dump_sorted(out, "key", all, n, is_of_bucket, by_key);
		dump_totals(out, wanted_bid, &sums[bucket]);
	}
	dump_sorted(out, "bucket", all, n, is_bucket, by_key);
	dump_sorted(out, "seq", all, n, is_replicated, by_seq);
	dump_sorted(out, "deadline", all, n, has_deadline, by_end);
	dump_sorted(out, "death", all, n, is_tomb, by_end);
	buf_fini(&bytes);
}

static void
dump_scan(struct tree *t, struct buf *out, const char *name,
    enum tree_order order, uint64_t bid)
{
	struct tree_scan *s = NULL;
	struct record r;
	int rc;

	assert_int_equal(tree_scan_open(t, order, bid, &s), KV_OK);
	while ((rc = tree_scan_next(s, &r)) == KV_OK)
		dump_record(out, name, &r);
	assert_int_equal(rc, KV_ENOTFOUND);
	tree_scan_close(s);
}

static void
tree_dump(struct tree *t, struct buf *out)
{
	unsigned bucket;

	assert_int_equal(tree_renew(t), KV_OK);
	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++) {
		struct totals sum;

		dump_scan(t, out, "key", TREE_BY_KEY, model_bid(bucket));
		assert_int_equal(tree_get_totals(t, model_bid(bucket), &sum),
		    KV_OK);
		dump_totals(out, model_bid(bucket), &sum);
	}
	dump_scan(t, out, "bucket", TREE_BY_BUCKET, 0);
	dump_scan(t, out, "seq", TREE_BY_SEQ, 0);
	dump_scan(t, out, "deadline", TREE_BY_DEADLINE, 0);
	dump_scan(t, out, "death", TREE_BY_DEATH, 0);
	tree_release(t);
}

/* ---- checks ------------------------------------------------------------ */

static void
report(void *user, const char *line)
{
	if (user == NULL)
		print_message("%s\n", line);
	else
		assert_int_equal(buf_printf(user, "%s\n", line), KV_OK);
}

int
tree_check_all(struct tree *t, struct buf *out)
{
	struct tree_check check = {
		.digest = model_digest,
		.report = report,
		.user = out,
	};
	int found;

	assert_int_equal(tree_renew(t), KV_OK);
	found = tree_check(t, &check);
	tree_release(t);
	return found;
}

void
assert_tree_is(struct tree *t, struct model *m)
{
	struct buf expected, shown;

	buf_init(&expected);
	buf_init(&shown);
	model_dump(m, &expected);
	tree_dump(t, &shown);
	assert_true(slice_equal(buf_slice(&expected), buf_slice(&shown)));
	buf_fini(&expected);
	buf_fini(&shown);
	assert_int_equal(tree_check_all(t, NULL), 0);
}

uint64_t
test_seed(const char *test)
{
	const char *given = getenv("KV_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : rng_u64() | 1;

	print_message("%s: KV_SEED=%llu\n", test, (unsigned long long)seed);
	return seed;
}

/* ---- folders ----------------------------------------------------------- */

void
folder_make(char path[64])
{
	snprintf(path, 64, "/tmp/kv-test-tree.XXXXXX");
	assert_non_null(mkdtemp(path));
}

void
folder_remove(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

char tree_folder[64];

int
folder_set_up(void **state)
{
	(void)state;
	folder_make(tree_folder);
	return 0;
}

int
folder_tear_down(void **state)
{
	(void)state;
	folder_remove(tree_folder);
	return 0;
}

struct tree *
folder_open(const char *path, bool writable)
{
	struct tree_options options = {
		.folder = path,
		.map_size = (uint64_t)1 << 30,
		.max_readers = 16,
		.writable = writable,
		.make_nosync = true,
	};
	struct tree *t = NULL;

	assert_int_equal(tree_open(&options, &t), KV_OK);
	return t;
}
